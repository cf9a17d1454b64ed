//! What waits while nothing may leave, since the database is a copy of another.

use posthaste_domain::Timestamp;
use posthaste_jobs::held;
use posthaste_storage::StorageError;
use posthaste_storage::installation::Waiting;
use posthaste_storage::pool::Pool;

use crate::outbox::{EMAIL, TEXT};
use crate::take_over::take_over;

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
    let waits = held::waiting(pool, &[&EMAIL, &TEXT]).await?;
    Ok(Waiting { count: waits.count + row.count, since: waits.since.into_iter().chain(row.since).min() })
}

/// Gives up everything that waits; how many messages that were.
///
/// # Errors
///
/// Those of the database.
pub async fn give_up(pool: &Pool, now: Timestamp) -> Result<u64, StorageError> {
    take_over(pool).await?;
    held::give_up(pool, &[&EMAIL, &TEXT], now).await
}
