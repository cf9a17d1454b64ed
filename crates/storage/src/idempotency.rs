//! First answers of creating requests. A record is written in the same commit as what the request created.

use posthaste_domain::{Span, Timestamp};
use sqlx::PgConnection;

use crate::error::StorageError;
use crate::pool::Pool;

/// For how long a key is remembered, in hours of product time. Longer costs rows; shorter lets a client that was
/// offline create the same thing twice.
pub const KEPT_HOURS: i64 = 24;

/// The first answer to a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Who asked: keys of two callers never meet.
    pub principal: String,
    /// The key.
    pub key: String,
    /// Digest of the request: the same key with another request is refused.
    pub fingerprint: Vec<u8>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Body of the answer.
    pub response: String,
    /// When it was given.
    pub at: Timestamp,
}

/// The answer that was given to this caller's request with this key, if there was one in the last
/// [`KEPT_HOURS`] (or earlier, where [`forget`] did not run since).
pub async fn find(pool: &Pool, principal: &str, key: &str) -> Result<Option<IdempotencyRecord>, StorageError> {
    let row = sqlx::query!(
        "SELECT fingerprint, status, response, created_at FROM idempotency_keys WHERE principal = $1 AND key = $2",
        principal,
        key,
    )
    .fetch_optional(&pool.0)
    .await?;
    row.map(|row| {
        Ok(IdempotencyRecord {
            principal: principal.to_owned(),
            key: key.to_owned(),
            fingerprint: row.fingerprint,
            status: u16::try_from(row.status).map_err(|e| StorageError::corrupt("idempotency key's status", e))?,
            response: row.response,
            at: row.created_at,
        })
    })
    .transpose()
}

/// Keeps an answer in the transaction that makes what it tells of. A key that was used before breaks
/// `idempotency_keys_pkey`: what that means is the caller's to say.
pub(crate) async fn keep(connection: &mut PgConnection, answer: &IdempotencyRecord) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (principal, key, created_at, status, fingerprint, response)
            VALUES ($1, $2, $3, $4, $5, $6)",
        answer.principal,
        answer.key,
        answer.at,
        i16::try_from(answer.status).unwrap_or(i16::MAX),
        answer.fingerprint,
        answer.response,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets keys older than [`KEPT_HOURS`]; says how many.
pub async fn forget(pool: &Pool, now: Timestamp) -> Result<u64, StorageError> {
    let oldest = now - Span::hours(KEPT_HOURS);
    let done = sqlx::query!("DELETE FROM idempotency_keys WHERE created_at < $1", oldest).execute(&pool.0).await?;
    Ok(done.rows_affected())
}
