//! What waits while nothing may leave, since the database is a copy of another.

use posthaste_domain::Timestamp;
use posthaste_storage::StorageError;
use posthaste_storage::installation::{NOT_SENT, Waiting};
use posthaste_storage::pool::Pool;

use crate::kind::Kind;

/// What waits of some kinds, and what was being done of them.
///
/// # Errors
///
/// Those of the database.
pub async fn waiting(pool: &Pool, kinds: &[&Kind]) -> Result<Waiting, StorageError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", min(created_at) AS since FROM jobs
        WHERE kind = ANY($1) AND state IN ('waiting', 'running')"#,
        &names(kinds),
    )
    .fetch_one(pool.connections())
    .await?;
    Ok(Waiting { count: row.count, since: row.since })
}

/// Gives up everything that waits of some kinds; how many jobs that were. It cannot be tried again: the database that this one was
/// copied from has seen to it.
///
/// # Errors
///
/// Those of the database.
pub async fn give_up(pool: &Pool, kinds: &[&Kind], now: Timestamp) -> Result<u64, StorageError> {
    let kept = kinds.iter().filter_map(|kind| kind.dead_kept).max().unwrap_or_default();
    let done = sqlx::query!(
        "UPDATE jobs SET state = 'dead', behind = false, leased_until = NULL, ended_at = $2, payload = NULL, last_error = $3,
            claim = claim + 1, kept_until = now() + make_interval(secs => $4)
        WHERE kind = ANY($1) AND state IN ('waiting', 'running')",
        &names(kinds),
        now,
        NOT_SENT,
        kept.as_seconds_f64(),
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected())
}

fn names(kinds: &[&Kind]) -> Vec<String> {
    kinds.iter().map(|kind| kind.name.to_owned()).collect()
}
