//! What waits while nothing may leave, since the database is a copy of another.

use posthaste_domain::Timestamp;
use posthaste_storage::StorageError;
use posthaste_storage::installation::{NOT_SENT, Waiting};
use posthaste_storage::pool::Pool;

/// What waits, of both channels.
///
/// # Errors
///
/// Those of the database.
pub async fn waiting(pool: &Pool) -> Result<Waiting, StorageError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", min(created_at) AS since FROM outbox_messages WHERE state = 'waiting'"#
    )
    .fetch_one(pool.connections())
    .await?;
    Ok(Waiting { count: row.count, since: row.since })
}

/// Gives up everything that waits; how many messages that were.
///
/// # Errors
///
/// Those of the database.
pub async fn give_up(pool: &Pool, now: Timestamp) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "UPDATE outbox_messages SET state = 'dead', ended_at = $1, body = NULL, last_error = $2 WHERE state = 'waiting'",
        now,
        NOT_SENT,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected())
}
