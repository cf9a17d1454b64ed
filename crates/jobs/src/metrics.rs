//! What is measured of jobs. By kind and never by lane, group or key: the number of series stays small.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use posthaste_storage::StorageError;

use crate::Jobs;
use crate::kind::Kind;
use crate::retry::Next;

/// Says what the figures are, once a recorder is there.
pub fn describe() {
    describe_gauge!("posthaste_jobs", "Jobs that wait, run or are dead, by kind.");
    describe_gauge!(
        "posthaste_jobs_oldest_due_seconds",
        "Seconds since the longest due job of a kind could have begun."
    );
    describe_counter!("posthaste_job_attempts_total", "Runs of jobs, by what they came to.");
}

fn world(jobs: &Jobs) -> &'static str {
    jobs.world().unwrap_or("live")
}

/// A run ended.
pub(crate) fn attempted(jobs: &Jobs, kind: &Kind, next: Next) {
    let outcome = match next {
        Next::Done => "done",
        Next::RetryAt(_) => "retried",
        Next::Dead => "dead",
    };
    let labels = [("kind", kind.name), ("world", world(jobs)), ("outcome", outcome)];
    counter!("posthaste_job_attempts_total", &labels).increment(1);
}

/// A job was given up without a run.
pub(crate) fn given_up(jobs: &Jobs, kind: &Kind) {
    let labels = [("kind", kind.name), ("world", world(jobs)), ("outcome", "given_up")];
    counter!("posthaste_job_attempts_total", &labels).increment(1);
}

/// Takes the figures of what waits.
pub(crate) async fn measure(jobs: &Jobs) -> Result<(), StorageError> {
    for standing in jobs.standings().await? {
        let Some(kind) = jobs.kind_of(&standing.kind) else { continue };
        let counts = [("waiting", standing.waiting), ("running", standing.running), ("dead", standing.dead)];
        for (state, count) in counts {
            let labels = [("kind", kind.name), ("world", world(jobs)), ("state", state)];
            #[expect(clippy::cast_precision_loss, reason = "no queue is that long")]
            gauge!("posthaste_jobs", &labels).set(count as f64);
        }
        let late = standing.oldest_due.map_or(0.0, |due| (jobs.now(kind) - due).as_seconds_f64().max(0.0));
        gauge!("posthaste_jobs_oldest_due_seconds", "kind" => kind.name, "world" => world(jobs)).set(late);
    }
    Ok(())
}
