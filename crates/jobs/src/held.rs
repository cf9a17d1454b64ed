//! What waits while nothing may leave, since the database is a copy of another.

use posthaste_domain::{Span, Timestamp};
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

/// How many rows one statement ends: more would hold a transaction, and what waits for it, for long.
const AT_ONCE: i64 = if cfg!(test) { 2 } else { 5_000 };

/// Gives up everything that waits of some kinds; how many jobs that were. It cannot be tried again: the database that this one was
/// copied from has seen to it.
///
/// # Errors
///
/// Those of the database.
pub async fn give_up(pool: &Pool, kinds: &[&Kind], now: Timestamp) -> Result<u64, StorageError> {
    let kept = kinds.iter().filter_map(|kind| kind.dead_kept).max().unwrap_or_default();
    let mut all = 0;
    loop {
        let done = give_up_some(pool, kinds, kept, now).await?;
        all += done;
        if done < AT_ONCE.unsigned_abs() {
            return Ok(all);
        }
    }
}

async fn give_up_some(pool: &Pool, kinds: &[&Kind], kept: Span, now: Timestamp) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "UPDATE jobs SET state = 'dead', behind = false, leased_until = NULL, ended_at = $2, payload = NULL, last_error = $3,
            claim = claim + 1, kept_until = now() + make_interval(secs => $4)
        WHERE id IN (SELECT id FROM jobs WHERE kind = ANY($1) AND state IN ('waiting', 'running') LIMIT $5)",
        &names(kinds),
        now,
        NOT_SENT,
        kept.as_seconds_f64(),
        AT_ONCE,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected())
}

fn names(kinds: &[&Kind]) -> Vec<String> {
    kinds.iter().map(|kind| kind.name.to_owned()).collect()
}
