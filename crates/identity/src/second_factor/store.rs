//! Authenticators and recovery codes in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, Id};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;

/// Keeps a secret that is not confirmed. False where one is.
pub(crate) async fn offer(pool: &Pool, id: AccountId, sealed: &[u8]) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE accounts SET totp_secret = $2 WHERE id = $1 AND totp_confirmed_at IS NULL",
        id.uuid(),
        sealed,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn confirm(
    connection: &mut PgConnection,
    id: AccountId,
    step: i64,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!("UPDATE accounts SET totp_confirmed_at = $2, totp_step = $3 WHERE id = $1", id.uuid(), now, step)
        .execute(connection)
        .await?;
    Ok(())
}

/// Turns it on for an account that nobody has signed in to yet.
pub(crate) async fn give(
    connection: &mut PgConnection,
    id: AccountId,
    sealed: &[u8],
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!("UPDATE accounts SET totp_secret = $2, totp_confirmed_at = $3 WHERE id = $1", id.uuid(), sealed, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Uses a step's code up. False where it, or a later one, was used.
pub(crate) async fn use_step(pool: &Pool, id: AccountId, step: i64) -> Result<bool, StorageError> {
    let done = sqlx::query!("UPDATE accounts SET totp_step = $2 WHERE id = $1 AND totp_step < $2", id.uuid(), step)
        .execute(pool.connections())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses a recovery code up. False where there is none, or it was used.
pub(crate) async fn use_recovery_code(
    pool: &Pool,
    id: AccountId,
    hash: &[u8],
    now: Timestamp,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE recovery_codes SET used_at = $3 WHERE account_id = $1 AND hash = $2 AND used_at IS NULL",
        id.uuid(),
        hash,
        now,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn replace_recovery_codes(
    connection: &mut PgConnection,
    id: AccountId,
    hashes: &[Vec<u8>],
) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM recovery_codes WHERE account_id = $1", id.uuid()).execute(&mut *connection).await?;
    sqlx::query!(
        "INSERT INTO recovery_codes (account_id, hash) SELECT $1, hash FROM unnest($2::bytea[]) AS new (hash)",
        id.uuid(),
        hashes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Turns the second factor off. The step stays: no old code is good again with a new secret either.
pub(crate) async fn drop(connection: &mut PgConnection, id: AccountId) -> Result<(), StorageError> {
    sqlx::query!("UPDATE accounts SET totp_secret = NULL, totp_confirmed_at = NULL WHERE id = $1", id.uuid())
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM recovery_codes WHERE account_id = $1", id.uuid()).execute(&mut *connection).await?;
    // What was shown in a login does not count any more, not even when another one is turned on.
    sqlx::query!("UPDATE logins SET second_factor = false WHERE account_id = $1 AND second_factor", id.uuid())
        .execute(connection)
        .await?;
    Ok(())
}
