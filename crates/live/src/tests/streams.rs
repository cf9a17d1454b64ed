//! What subscribers see, and that they miss nothing.

use std::time::Duration;

use posthaste_clock::testing::eventually;
use posthaste_domain::order::TaskKind;
use posthaste_domain::position::{Measures, Reason, Report, Taken};
use posthaste_protocol::socket::{Hello, PositionUpdate, ServerMessage, Snapshot, decode_server};

use super::stage::{Stage, place};
use crate::streams::{Frame, Subscription, View};

pub(super) fn read(frame: &Frame) -> (Option<u64>, ServerMessage) {
    let (header, message) = decode_server(frame.text()).unwrap();
    (header.seq, message)
}

pub(super) async fn next(subscription: &mut Subscription) -> Vec<(Option<u64>, ServerMessage)> {
    let mut frames = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(10), subscription.next(&mut frames)).await;
    waited.expect("something arrives").expect("open");
    frames.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_sees_every_step_and_resumes_across_a_restart() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    let mut tracker = stage.system.streams().open(crate::streams::tracking(order.id)).await.unwrap();
    let first = tracker.begin(Hello::default()).await.unwrap();
    let (seq, ServerMessage::Snapshot(snapshot)) = read(&first[0]) else { panic!("a snapshot") };
    let Snapshot::Tracking { tracking } = *snapshot else { panic!("of an order") };
    assert_eq!((tracking.seq, tracking.timeline.len() as u64), (seq.unwrap(), seq.unwrap()));
    assert!(tracking.delivery_code.is_some() && tracking.driver.is_some());
    let said = tracking.eta.expect("an estimate");
    assert!(said.p50 < said.p90, "{said:?}");
    stage.complete(driver, order.id, TaskKind::Pickup).await.unwrap();
    let got = next(&mut tracker).await;
    assert_eq!(got[0].0, Some(seq.unwrap() + 1));
    let ServerMessage::Step(step) = &got[0].1 else { panic!("a step: {got:?}") };
    let now = step.eta.expect("an estimate with the step");
    assert!(now.p90 - now.p50 < said.p90 - said.p50, "less can go wrong: {now:?}, {said:?}");
    let epoch = Some(tracker.epoch().to_owned());
    drop(tracker);
    stage.complete(driver, order.id, TaskKind::Delivery).await.unwrap();
    let stage = stage.crash_and_restart().await;
    let mut tracker = stage.system.streams().open(crate::streams::tracking(order.id)).await.unwrap();
    let missed = tracker.begin(Hello { epoch, last_seq: Some(seq.unwrap() + 1) }).await.unwrap();
    let missed: Vec<_> = missed.iter().map(read).collect();
    assert!(matches!(missed[0].1, ServerMessage::Resumed(r) if r.from == seq.unwrap() + 1));
    assert_eq!(missed[1].0, Some(seq.unwrap() + 2), "no gap");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_reach_trackers_without_a_message_to_any_actor() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    let mut tracker = stage.system.streams().open(crate::streams::tracking(order.id)).await.unwrap();
    tracker.begin(Hello::default()).await.unwrap();
    let presence = stage.system.drivers().presence(driver).await.unwrap();
    let at = stage.now();
    let report = |lat| Report::new(place(lat, 13.1), Some(at), Measures::default());
    assert!(matches!(presence.report(&report(52.105)), Taken::Believed { .. }));
    assert_eq!(presence.report(&report(52.105)), Taken::LeftOut(Reason::Repeated));
    loop {
        let got = next(&mut tracker).await;
        if let Some((None, ServerMessage::Position(PositionUpdate::Tracking(p)))) = got.last() {
            assert!((p.lat - 52.105).abs() < 1e-9);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_comes_back_gets_what_they_missed_or_a_snapshot() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut phone = stage.system.streams().open(crate::streams::driver(driver)).await.unwrap();
    phone.begin(Hello::default()).await.unwrap();
    let order = stage.place(stage.fast_order()).await;
    let seq = loop {
        let offer =
            |(_, message): &(_, ServerMessage)| matches!(message, ServerMessage::Offer(o) if o.order.id == order.id);
        if let Some((seq, _)) = next(&mut phone).await.into_iter().find(offer) {
            break seq;
        }
    };
    let hello = Hello { epoch: Some(phone.epoch().to_owned()), last_seq: seq };
    drop(phone);
    stage.accepted(order.id).await;
    let mut phone = stage.system.streams().open(crate::streams::driver(driver)).await.unwrap();
    // The commit is answered before the hub has handed the news on: wait for both messages.
    eventually("offer_ended and route", async || (phone.seq() >= seq.unwrap() + 2).then_some(())).await;
    let missed: Vec<_> = phone.begin(hello.clone()).await.unwrap().iter().map(read).collect();
    assert!(matches!(missed[0].1, ServerMessage::Resumed(_)));
    assert!(
        matches!(missed[1].1, ServerMessage::OfferEnded(ref e) if e.outcome == posthaste_protocol::words::OfferOutcome::Accepted),
        "{missed:?}"
    );
    let stage = stage.crash_and_restart().await;
    let mut phone = stage.system.streams().open(crate::streams::driver(driver)).await.unwrap();
    let fresh = phone.begin(hello).await.unwrap();
    let (_, ServerMessage::Snapshot(snapshot)) = read(&fresh[0]) else { panic!("another epoch, a snapshot") };
    let Snapshot::Driver { route, .. } = *snapshot else { panic!("of a driver") };
    assert_eq!(route.stops.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_stops_reading_slows_nobody_down() {
    let stage = Stage::open().await;
    let mut stuck = stage.system.streams().open(View::All).await.unwrap();
    stuck.begin(Hello::default()).await.unwrap();
    let mut reader = stage.system.streams().open(View::All).await.unwrap();
    reader.begin(Hello::default()).await.unwrap();
    let doors = &stage.system.doors;
    let alert = || posthaste_protocol::socket::Alert {
        kind: posthaste_protocol::words::AlertKind::OrderWaiting,
        text: "look".to_owned(),
        order_id: None,
        driver_id: None,
        zone_id: None,
    };
    let mut seen = 0;
    for _ in 0..5000 {
        doors.streams.tell_operations(ServerMessage::Alert(alert()), crate::streams::Scope::default());
    }
    while seen < 5000 {
        match tokio::time::timeout(Duration::from_secs(10), async { next(&mut reader).await.len() }).await {
            Ok(n) => seen += n,
            Err(_) => panic!("only {seen} of 5000 arrived"),
        }
    }
    let mut frames = Vec::new();
    assert_eq!(stuck.next(&mut frames).await, Err(crate::streams::Closed::TooSlow));
}
