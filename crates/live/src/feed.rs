//! Batches of the journal whose outcome is unknown: they hold the mark of the feed, so what became of them is looked up at
//! once, and again until it is known.

use std::sync::Weak;
use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};

use crate::system::Doors;

/// How long to wait when Postgres is away. Meanwhile consumers of the feed could not read either.
const AFTER_TROUBLE: Duration = Duration::from_millis(200);
/// How often it is seen whether the system is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks up whatever is in doubt, until the system is gone.
pub(crate) async fn look_up(doors: Weak<Doors>) {
    let Some((duties, world)) = doors.upgrade().map(|doors| (doors.clock.duties().clone(), doors.world.name())) else {
        return;
    };
    let duty = Duty {
        name: "feed.look_up",
        world,
        does: "looks up what became of batches whose outcome is unknown",
        period: LOOK_EVERY,
        trigger: Some("a batch whose outcome is unknown"),
        runs: Runs::Region,
    };
    duties.register(duty);
    loop {
        // Nobody keeps the doors open who only waits.
        let Some((feed, stopping)) = doors.upgrade().map(|doors| (doors.feed.clone(), doors.stopping.clone())) else {
            return;
        };
        tokio::select! {
            () = feed.doubted() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopping.begun() => return,
        }
        while feed.in_doubt() > 0 {
            let Some(pool) = doors.upgrade().map(|doors| doors.pool.clone()).filter(|pool| !pool.refuses()) else {
                return;
            };
            let Err(error) = duties.did(duty, feed.look_up(&pool)).await else { continue };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what became of a batch is not known yet: consumers of the feed wait"
            );
            tokio::time::sleep(AFTER_TROUBLE).await;
        }
    }
}
