//! What happens by the clock, not by anybody's wish: checkpoints of positions and of the clock itself, upkeep of
//! tables, forgetting of streams that nobody follows, looking up what is in doubt. Each takes no
//! input and may run any number of times.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::Span;
use posthaste_storage::StorageError;
use tokio::task::JoinHandle;

use crate::system::Doors;
use crate::{Refused, checkpoint, retention};

/// How often streams that nobody follows are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often partitions and old rows are looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(600);
/// Days for which recorded decisions are kept.
const DECISION_DAYS: i64 = 30;

/// Orders that were only tried out, forgotten in one statement. More would run into the statement's time limit.
const FORGOTTEN_AT_ONCE: u32 = 500;
/// Days for which the feed keeps what every consumer has read: for one that comes later, and for who looks what was told.
const FEED_DAYS: i64 = 7;
/// Days for which planned shifts are kept after their end.
const ROSTER_DAYS: i64 = 30;

/// The tasks of periodic work.
pub(crate) struct Periodic {
    /// Holds positions while it writes them: let go of in the middle, it would lose them.
    checkpoint: Mutex<Option<JoinHandle<()>>>,
    others: [JoinHandle<()>; 5],
}

impl Periodic {
    pub(crate) fn start(doors: &Arc<Doors>) -> Self {
        let duty = |name, period, does| Duty {
            name,
            world: doors.world.name(),
            does,
            period,
            trigger: None,
            runs: Runs::Region,
        };
        let does = "writes the newest positions, tracks and the clock's reading";
        let checkpoint =
            every(doors, duty("live.checkpoint", doors.settings.checkpoint_every, does), |doors| async move {
                checkpoint::write(&doors).await
            });
        let does = "forgets streams that nobody follows and zones that were removed";
        let sweep = every(doors, duty("live.sweep", SWEEP_EVERY, does), |doors| async move { sweep(&doors).await });
        let does = "makes and drops partitions, removes old decisions, rosters and idempotency keys";
        let upkeep = every(doors, duty("live.upkeep", UPKEEP_EVERY, does), |doors| async move { upkeep(&doors).await });
        // Beside the rest: what it cannot read holds nothing else up.
        let does = "forgets what orders that are over hold of people";
        let forget =
            every(
                doors,
                duty("live.forget", UPKEEP_EVERY, does),
                |doors| async move { retention::upkeep(&doors).await },
            );
        let reconcile = doors.world.spawn(crate::reconcile::run(Arc::downgrade(doors)));
        let look_up = doors.world.spawn(crate::feed::look_up(Arc::downgrade(doors)));
        Self { checkpoint: Mutex::new(Some(checkpoint)), others: [sweep, upkeep, forget, reconcile, look_up] }
    }

    /// Ends the tasks; within a bound, lets the checkpoint under way end and writes the last one. Without one, nothing more
    /// is written.
    pub(crate) async fn stop(&self, doors: &Doors, last_checkpoint: Option<Duration>) {
        self.others.iter().for_each(JoinHandle::abort);
        let Some(under_way) = self.checkpoint.lock().take() else { return };
        let ends = under_way.abort_handle();
        let last = async {
            let _ = under_way.await;
            if let Err(error) = checkpoint::write(doors).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the last checkpoint was not written: the newest positions may be lost");
            }
        };
        match last_checkpoint {
            Some(bound) if tokio::time::timeout(bound, last).await.is_ok() => return,
            Some(_) => tracing::warn!("the last checkpoint was not written in time: the newest positions are lost"),
            None => {}
        }
        ends.abort();
    }
}

/// Forgets what nobody needs in memory any more.
pub(crate) async fn sweep(doors: &Doors) -> Result<(), Refused> {
    doors.streams.sweep();
    doors.zones.forget_removed(doors).await
}

fn every<F, W, E>(doors: &Arc<Doors>, duty: Duty, work: F) -> JoinHandle<()>
where
    F: Fn(Arc<Doors>) -> W + Send + 'static,
    W: Future<Output = Result<(), E>> + Send,
    E: std::error::Error + Send + 'static,
{
    let mut rounds = doors.clock.duties().rounds(duty);
    let (world, doors) = (&doors.world, Arc::downgrade(doors));
    world.spawn(async move {
        loop {
            // Nobody keeps the doors open who only waits.
            let Some(stopping) = doors.upgrade().map(|doors| doors.stopping.clone()) else { return };
            tokio::select! {
                () = rounds.next() => {}
                () = stopping.begun() => return,
            }
            let Some(doors) = doors.upgrade() else { return };
            let duties = doors.clock.duties().clone();
            if let Err(error) = duties.did(duty, work(doors)).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, duty = duty.name, "a duty failed; the next time tries again");
            }
        }
    })
}

async fn upkeep(doors: &Doors) -> Result<(), StorageError> {
    let now = doors.clock.now();
    posthaste_storage::tracks::maintain(&doors.pool, now, doors.settings.track_retention_days).await?;
    posthaste_storage::decisions::forget_before(&doors.pool, now - Span::days(DECISION_DAYS)).await?;
    posthaste_storage::shadow::forget_before(&doors.pool, now - Span::days(DECISION_DAYS)).await?;
    posthaste_storage::feed::tidy(&doors.pool, now - Span::days(FEED_DAYS)).await?;
    posthaste_storage::roster::forget_before(&doors.pool, now - Span::days(ROSTER_DAYS)).await?;
    posthaste_storage::idempotency::forget(&doors.pool, now).await?;
    if let Some(trial) = doors.settings.trial {
        let before = now - Span::days(i64::from(trial.kept_days));
        while posthaste_storage::orders::forget_settled(&doors.pool, before, FORGOTTEN_AT_ONCE).await?
            >= u64::from(FORGOTTEN_AT_ONCE)
        {}
    }
    Ok(())
}
