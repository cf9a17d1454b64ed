//! Challenges in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, ChallengeId, Id};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::Purpose;

#[expect(clippy::too_many_arguments, reason = "the columns of one row")]
pub(crate) async fn add(
    connection: &mut PgConnection,
    id: ChallengeId,
    account: Option<AccountId>,
    purpose: &Purpose,
    hash: &[u8],
    now: Timestamp,
    expires_at: Timestamp,
    tries: u8,
) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO challenges (id, purpose, account_id, created_at, expires_at, hash, tries_left, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.uuid(),
        purpose.name(),
        account.map(Id::uuid),
        now,
        expires_at,
        hash,
        i16::from(tries),
        Json(purpose) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A challenge of which a try was used up.
pub(crate) struct Tried {
    pub(crate) hash: Vec<u8>,
    pub(crate) left: u8,
    pub(crate) account: Option<AccountId>,
    pub(crate) purpose: Purpose,
}

/// Uses up a try; none where there is nothing left to try.
pub(crate) async fn take_try(
    pool: &Pool,
    id: ChallengeId,
    purpose: &str,
    now: Timestamp,
) -> Result<Option<Tried>, StorageError> {
    let row = sqlx::query!(
        r#"UPDATE challenges SET tries_left = tries_left - 1
        WHERE id = $1 AND purpose = $2 AND done_at IS NULL AND expires_at > $3 AND tries_left > 0
        RETURNING hash, tries_left, account_id, details AS "details: Json<Purpose>""#,
        id.uuid(),
        purpose,
        now,
    )
    .fetch_optional(pool.connections())
    .await?;
    row.map(|row| {
        Ok(Tried {
            hash: row.hash,
            left: u8::try_from(row.tries_left).map_err(|e| StorageError::corrupt(format!("challenge {id}"), e))?,
            account: row.account_id.map(AccountId::from_uuid),
            purpose: row.details.0,
        })
    })
    .transpose()
}

/// Notes that the code came back. False where it had before. What was kept for it is forgotten.
pub(crate) async fn done(connection: &mut PgConnection, id: ChallengeId, now: Timestamp) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE challenges SET done_at = $2, details = '{}' WHERE id = $1 AND done_at IS NULL",
        id.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the account's open challenges of these purposes: their codes are of no use any more.
pub(crate) async fn end(
    connection: &mut PgConnection,
    account: AccountId,
    purposes: &[&str],
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE challenges SET done_at = $3, details = '{}'
        WHERE account_id = $1 AND purpose = ANY($2::text[]) AND done_at IS NULL",
        account.uuid(),
        purposes as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes all challenges of an account.
pub(crate) async fn remove(connection: &mut PgConnection, account: AccountId) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM challenges WHERE account_id = $1", account.uuid()).execute(connection).await?;
    Ok(())
}

/// Removes challenges that ended before an instant.
pub(crate) async fn forget(pool: &Pool, before: Timestamp) -> Result<u64, StorageError> {
    let done = sqlx::query!("DELETE FROM challenges WHERE expires_at < $1", before).execute(pool.connections()).await?;
    Ok(done.rows_affected())
}
