//! The queue's own upkeep, which is a job of it: rows of jobs that ended are removed when their time is over.

use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::Span;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use tokio::task::JoinHandle;

use crate::kind::{Kind, Retries, Times};
use crate::worker::{Ended, Job, Work, Worker};
use crate::{Jobs, metrics};

/// Rows in one statement. More would run into the statement's time limit.
const CHUNK: i64 = 5_000;

/// Ended jobs are removed.
pub(crate) const TIDY: Kind = Kind {
    name: "jobs.tidy",
    duty: "jobs.tidy",
    does: "removes jobs that ended long ago, every hour",
    times: Times::Wall,
    sealed_for: None,
    at_once: 1,
    of_group: 1,
    longest: Duration::from_secs(60),
    retries: Retries { seconds: &[60, 600], jitter: 0.0, longest_asked: Span::zero() },
    done_kept: Some(Span::days(1)),
    dead_kept: Some(Span::days(7)),
    dead_keeps_payload: true,
    every: Some(Span::hours(1)),
};

/// How often the figures of what waits are taken.
const MEASURE: Duration = Duration::from_secs(15);

/// What the queue does by itself. It ends when this is dropped.
#[derive(Debug)]
pub struct Upkeep {
    _worker: Worker,
    measuring: JoinHandle<()>,
}

struct Tidy(Pool);

impl Work for Tidy {
    type Report = ();

    async fn run(&self, _: &Job) -> (Ended, ()) {
        let ended = match tidy(&self.0).await {
            Ok(removed) => {
                if removed > 0 {
                    tracing::info!(removed, "jobs that ended long ago are removed");
                }
                Ended::Done
            }
            Err(error) => Ended::Retry { after: None, why: error.to_string() },
        };
        (ended, ())
    }

    fn stays_inside(&self) -> bool {
        true
    }
}

impl Jobs {
    /// Begins what the queue does by itself: its upkeep and its figures.
    #[must_use]
    pub fn start_upkeep(&self) -> Upkeep {
        let duty = Duty {
            name: "jobs.measure",
            world: self.world(),
            does: "counts jobs that wait, run or are dead",
            period: MEASURE,
            trigger: None,
            runs: Runs::Leader,
        };
        let jobs = self.clone();
        let measuring = self.clock().duties().every(duty, move || {
            let jobs = jobs.clone();
            async move { metrics::measure(&jobs).await }
        });
        Upkeep { _worker: self.start(&TIDY, Tidy(self.pool().clone())), measuring }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.measuring.abort();
    }
}

/// Removes jobs whose rows are kept no longer; how many.
pub(crate) async fn tidy(pool: &Pool) -> Result<u64, StorageError> {
    let mut all = 0;
    loop {
        let removed = sqlx::query!(
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE kept_until < now() LIMIT $1)",
            CHUNK,
        )
        .execute(pool.connections())
        .await?
        .rows_affected();
        all += removed;
        if removed == 0 {
            return Ok(all);
        }
    }
}
