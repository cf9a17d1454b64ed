//! Linked Google accounts, and sign-ins that are under way, in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, Id, LoginId};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;

/// A sign-in that is under way. Its details are sealed.
pub(crate) struct SignIn {
    pub(crate) state_hash: Vec<u8>,
    pub(crate) browser_hash: Vec<u8>,
    /// Whose Google account is to be linked, and in which of their logins; none where somebody signs in.
    pub(crate) link: Option<(AccountId, LoginId)>,
    pub(crate) expires_at: Timestamp,
    pub(crate) details: Vec<u8>,
}

pub(crate) async fn add(pool: &Pool, new: &SignIn, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO google_sign_ins (state_hash, browser_hash, account_id, login_id, created_at, expires_at, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.state_hash,
        new.browser_hash,
        new.link.map(|(account, _)| account.uuid()),
        new.link.map(|(_, login)| login.uuid()),
        now,
        new.expires_at,
        new.details,
    )
    .execute(pool.connections())
    .await?;
    Ok(())
}

/// One that is not over.
pub(crate) async fn get(pool: &Pool, state_hash: &[u8], now: Timestamp) -> Result<Option<SignIn>, StorageError> {
    let row = sqlx::query!(
        "SELECT state_hash, browser_hash, account_id, login_id, expires_at, details FROM google_sign_ins
        WHERE state_hash = $1 AND expires_at > $2",
        state_hash,
        now,
    )
    .fetch_optional(pool.connections())
    .await?;
    Ok(row.map(|row| SignIn {
        state_hash: row.state_hash,
        browser_hash: row.browser_hash,
        link: row.account_id.map(AccountId::from_uuid).zip(row.login_id.map(LoginId::from_uuid)),
        expires_at: row.expires_at,
        details: row.details,
    }))
}

/// Notes that the browser came back. False where it had before.
pub(crate) async fn returned(
    pool: &Pool,
    state_hash: &[u8],
    details: &[u8],
    now: Timestamp,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE google_sign_ins SET returned_at = $2, details = $3 WHERE state_hash = $1 AND returned_at IS NULL",
        state_hash,
        now,
        details,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps what Google answered, for a second try with a second factor.
pub(crate) async fn keep(pool: &Pool, state_hash: &[u8], details: &[u8]) -> Result<(), StorageError> {
    sqlx::query!("UPDATE google_sign_ins SET details = $2 WHERE state_hash = $1", state_hash, details)
        .execute(pool.connections())
        .await?;
    Ok(())
}

/// Ends it. False where somebody else did so first.
pub(crate) async fn take(connection: &mut PgConnection, state_hash: &[u8]) -> Result<bool, StorageError> {
    let done =
        sqlx::query!("DELETE FROM google_sign_ins WHERE state_hash = $1", state_hash).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes those that were to link a Google account to this account.
pub(crate) async fn remove(connection: &mut PgConnection, account: AccountId) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM google_sign_ins WHERE account_id = $1", account.uuid()).execute(connection).await?;
    Ok(())
}

/// Removes those whose time is over.
pub(crate) async fn forget(pool: &Pool, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM google_sign_ins WHERE expires_at < $1", now).execute(pool.connections()).await?;
    Ok(())
}

/// The account that somebody at Google signs in to.
pub(crate) async fn account_of(pool: &Pool, issuer: &str, subject: &str) -> Result<Option<AccountId>, StorageError> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM accounts WHERE google_issuer = $1 AND google_subject = $2",
        issuer,
        subject,
    )
    .fetch_optional(pool.connections())
    .await?;
    Ok(id.map(AccountId::from_uuid))
}

/// Links somebody at Google to an account. False where they are linked to another.
pub(crate) async fn link(
    connection: &mut PgConnection,
    id: AccountId,
    google: &super::Linked,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE accounts SET google_issuer = $2, google_subject = $3, google_email = $4, google_linked_at = $5
        WHERE id = $1",
        id.uuid(),
        google.issuer,
        google.subject,
        google.email,
        google.linked_at,
    )
    .execute(connection)
    .await;
    match done {
        Ok(done) => Ok(done.rows_affected() == 1),
        Err(error) if posthaste_storage::constraint(&error) == Some("accounts_google_unique") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the link away. The account has a password: a constraint sees to that.
pub(crate) async fn unlink(connection: &mut PgConnection, id: AccountId) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE accounts SET google_issuer = NULL, google_subject = NULL, google_email = NULL, google_linked_at = NULL
        WHERE id = $1",
        id.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
