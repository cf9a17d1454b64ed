//! What happens by the clock, not by anybody's wish: checkpoints of positions and of the clock itself, upkeep of
//! tables, forgetting of streams that nobody follows. Each takes no input and may run any number of times.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_domain::{Span, Timestamp};
use tokio::task::JoinHandle;

use crate::system::Doors;

/// How often streams that nobody follows are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often partitions and old rows are looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(600);
/// How many pauses between checkpoints the kept clock is ahead: a checkpoint may come late.
const CHECKPOINTS_AHEAD: f64 = 3.0;
/// Days for which recorded decisions are kept.
const DECISION_DAYS: i64 = 30;

/// Days for which planned shifts are kept after their end.
const ROSTER_DAYS: i64 = 30;

/// The tasks of periodic work.
pub(crate) struct Periodic(Mutex<Vec<JoinHandle<()>>>);

impl Periodic {
    pub(crate) fn start(doors: &Arc<Doors>) -> Self {
        let checkpoint = every(doors, doors.settings.checkpoint_every, |doors| async move { checkpoint(&doors).await });
        let sweep = every(doors, SWEEP_EVERY, |doors| async move { doors.streams.sweep() });
        let upkeep = every(doors, UPKEEP_EVERY, |doors| async move { upkeep(&doors).await });
        Self(Mutex::new(vec![checkpoint, sweep, upkeep]))
    }

    /// Ends the tasks and writes the last checkpoint.
    pub(crate) async fn stop(&self, doors: &Doors) {
        for task in self.0.lock().drain(..) {
            task.abort();
        }
        checkpoint(doors).await;
    }
}

fn every<F, W>(doors: &Arc<Doors>, pause: Duration, work: F) -> JoinHandle<()>
where
    F: Fn(Arc<Doors>) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let doors = Arc::downgrade(doors);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let Some(doors) = doors.upgrade() else { return };
            work(doors).await;
        }
    })
}

/// Newest positions in one statement, thinned tracks in another, and the clock, so that time never goes back.
pub(crate) async fn checkpoint(doors: &Doors) {
    let (mut newest, mut tracks) = (Vec::new(), Vec::new());
    for presence in doors.drivers.presences.iter() {
        let (position, track) = presence.take_dirty();
        newest.extend(position);
        tracks.extend(track);
    }
    let outcome = async {
        if !newest.is_empty() {
            posthaste_storage::positions::checkpoint(&doors.pool, &newest).await?;
        }
        if !tracks.is_empty() {
            posthaste_storage::tracks::append(&doors.pool, &tracks).await?;
        }
        posthaste_storage::clock::save(&doors.pool, clock_horizon(doors)).await
    };
    if let Err(error) = outcome.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "checkpoint failed; the next one writes again");
        for position in newest {
            if let Some(presence) = doors.drivers.presences.get(&position.driver) {
                presence.mark_dirty();
            }
        }
    }
}

/// An instant that no time handed out before the next checkpoint lies after: where the clock goes on after a crash. At
/// the machine's own pace that is the present, as the machine's clock goes on by itself.
fn clock_horizon(doors: &Doors) -> Timestamp {
    let (now, speed) = (doors.clock.now(), doors.clock.speed());
    if speed <= 1.0 {
        return now;
    }
    let ahead = doors.settings.checkpoint_every.mul_f64(CHECKPOINTS_AHEAD * speed);
    Span::from_std(ahead).map_or(now, |ahead| now + ahead)
}

async fn upkeep(doors: &Doors) {
    let now = doors.clock.now();
    let outcome = async {
        posthaste_storage::tracks::maintain(&doors.pool, now, doors.settings.track_retention_days).await?;
        posthaste_storage::decisions::forget_before(&doors.pool, now - Span::days(DECISION_DAYS)).await?;
        posthaste_storage::shadow::forget_before(&doors.pool, now - Span::days(DECISION_DAYS)).await?;
        posthaste_storage::roster::forget_before(&doors.pool, now - Span::days(ROSTER_DAYS)).await?;
        posthaste_storage::idempotency::forget(&doors.pool, now).await
    };
    if let Err(error) = outcome.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "upkeep failed; the next one tries again");
    }
}
