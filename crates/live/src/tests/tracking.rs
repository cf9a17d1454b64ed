//! A tracking snapshot is of one version of its order, whatever is committed while it is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Command, Status};
use posthaste_protocol::socket::{Hello, ServerMessage, Snapshot};
use posthaste_protocol::tracking::{TrackingStep, TrackingView};

use super::stage::{Stage, admin};
use super::streams::{next, read};
use crate::System;

/// Commits during which snapshots are taken.
const COMMITS: i16 = 300;

/// The timeline is that of the version: without a gap, up to it, and with its status at the end.
fn assert_whole(view: &TrackingView) {
    let numbers: Vec<_> = view.timeline.iter().map(|step| step.seq).collect();
    assert_eq!(numbers, (1..=view.seq).collect::<Vec<_>>());
    assert_eq!(view.timeline.last().map(|step| step.status), Some(view.status));
}

/// Follows an order to its end; gives the snapshot's steps and those that came after it.
async fn followed(system: System, order: OrderId) -> Vec<TrackingStep> {
    let mut tracker = system.streams().open(crate::streams::tracking(order)).await.unwrap();
    let first = tracker.begin(Hello::default()).await.unwrap();
    let (seq, ServerMessage::Snapshot(snapshot)) = read(&first[0]) else { panic!("a snapshot") };
    let Snapshot::Tracking { tracking } = *snapshot else { panic!("of an order") };
    assert_eq!(seq, Some(tracking.seq), "the stream goes on after what the snapshot shows");
    assert_whole(&tracking);
    let mut steps = tracking.timeline;
    while steps.last().is_none_or(|step| step.status != Status::Canceled) {
        for (seq, message) in next(&mut tracker).await {
            let ServerMessage::Step(step) = message else { panic!("{message:?}") };
            assert_eq!(seq, Some(steps.len() as u64 + 1), "no gap");
            steps.push(step.step);
        }
    }
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tracking_snapshot_is_of_one_version_and_the_steps_after_it_complete_the_timeline() {
    let stage = Stage::open().await;
    let order = stage.place(stage.fast_order()).await;
    let (done, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let watchers: Vec<_> = (0..4)
        .map(|_| {
            let (system, id, done, taken) = (stage.system.clone(), order.id, Arc::clone(&done), Arc::clone(&taken));
            tokio::spawn(async move {
                let mut following = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    following.push(tokio::spawn(followed(system.clone(), id)));
                    assert_whole(&crate::views::tracking(&system.orders().track(id).await.unwrap()));
                    taken.fetch_add(1, Ordering::Relaxed);
                    while following.len() > 8 && !done.load(Ordering::Relaxed) {
                        following.retain(|one| !one.is_finished());
                        assert_whole(&crate::views::tracking(&system.orders().track(id).await.unwrap()));
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
                following
            })
        })
        .collect();
    for n in 0..COMMITS {
        stage.system.orders().prioritise(order.id, n % 2 + 1, admin()).await.unwrap();
    }
    stage
        .system
        .orders()
        .command(order.id, Command::Cancel { by: admin().by, reason: "no more".to_owned() }, admin())
        .await
        .unwrap();
    stage.until_status(order.id, Status::Canceled).await;
    done.store(true, Ordering::Relaxed);
    let timeline = stage.system.doors.timeline(order.id, 0).await.unwrap();
    let stored: Vec<_> = timeline.iter().map(|(recorded, status)| TrackingStep::of(recorded, *status)).collect();
    for watcher in watchers {
        for following in tokio::time::timeout(Duration::from_secs(60), watcher).await.unwrap().unwrap() {
            let steps = tokio::time::timeout(Duration::from_secs(60), following).await.unwrap().unwrap();
            assert_eq!(steps, stored);
        }
    }
    assert!(taken.load(Ordering::Relaxed) >= 300, "only {taken:?} snapshots");
}
