//! Logins and their refresh tokens in Postgres.

use posthaste_domain::ids::{AccountId, Id, LoginId};
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::accounts::LoginView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::audit::Origin;

/// How long used tokens and ended logins are kept.
const TOKENS_KEPT: Span = Span::days(7);
const LOGINS_KEPT: Span = Span::days(90);

/// A login that begins.
pub(crate) struct NewLogin<'a> {
    pub(crate) id: LoginId,
    pub(crate) account: AccountId,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) second_factor: bool,
    pub(crate) origin: &'a Origin,
}

pub(crate) async fn add(connection: &mut PgConnection, new: &NewLogin<'_>) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO logins (id, account_id, created_at, last_used_at, expires_at, ends_at, proved_at, second_factor,
            device, address)
        VALUES ($1, $2, $3, $3, $4, $5, $3, $6, $7, $8)",
        new.id.uuid(),
        new.account.uuid(),
        new.now,
        new.expires_at,
        new.ends_at,
        new.second_factor,
        new.origin.device,
        new.origin.address.to_string(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn add_token(
    connection: &mut PgConnection,
    hash: &[u8],
    login: LoginId,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!("INSERT INTO refresh_tokens (hash, login_id, issued_at) VALUES ($1, $2, $3)", hash, login.uuid(), now)
        .execute(connection)
        .await?;
    Ok(())
}

/// A refresh token with its login, held until the transaction ends.
pub(crate) struct Held {
    hash: Vec<u8>,
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) uses: i16,
    pub(crate) login: LoginId,
    pub(crate) account: AccountId,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) proved_at: Timestamp,
    pub(crate) second_factor: bool,
    pub(crate) revoked: bool,
}

pub(crate) async fn lock_token(connection: &mut PgConnection, hash: &[u8]) -> Result<Option<Held>, StorageError> {
    let row = sqlx::query!(
        "SELECT token.hash, token.used_at, token.uses, login.id, login.account_id, login.expires_at, login.ends_at,
            login.proved_at, login.second_factor, login.revoked_at
        FROM refresh_tokens AS token JOIN logins AS login ON login.id = token.login_id
        WHERE token.hash = $1 FOR UPDATE OF token, login",
        hash,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Held {
        hash: row.hash,
        used_at: row.used_at,
        uses: row.uses,
        login: LoginId::from_uuid(row.id),
        account: AccountId::from_uuid(row.account_id),
        expires_at: row.expires_at,
        ends_at: row.ends_at,
        proved_at: row.proved_at,
        second_factor: row.second_factor,
        revoked: row.revoked_at.is_some(),
    }))
}

pub(crate) async fn use_token(connection: &mut PgConnection, held: &Held, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE refresh_tokens SET used_at = coalesce(used_at, $2), uses = uses + 1 WHERE hash = $1",
        held.hash,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a login was used.
pub(crate) async fn touch(
    connection: &mut PgConnection,
    login: LoginId,
    now: Timestamp,
    expires_at: Timestamp,
    origin: &Origin,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE logins SET last_used_at = $2, expires_at = $3, address = $4, device = $5 WHERE id = $1",
        login.uuid(),
        now,
        expires_at,
        origin.address.to_string(),
        origin.device,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes a proof. False where the login is over.
pub(crate) async fn prove(
    connection: &mut PgConnection,
    login: LoginId,
    now: Timestamp,
    second_factor: bool,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE logins SET proved_at = $2, second_factor = $3 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2",
        login.uuid(),
        now,
        second_factor,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends one login of an account, or all but one, before their time; says which were not over yet.
pub(crate) async fn revoke(
    connection: &mut PgConnection,
    account: AccountId,
    one: Option<LoginId>,
    but: Option<LoginId>,
    because: &str,
    now: Timestamp,
) -> Result<Vec<LoginId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "UPDATE logins SET revoked_at = $5, revoked_because = $4
        WHERE account_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id <> $3)
            AND revoked_at IS NULL
        RETURNING id",
        account.uuid(),
        one.map(Id::uuid),
        but.map(Id::uuid),
        because,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(LoginId::from_uuid).collect())
}

/// Logins that were ended before their time since an instant.
pub(crate) async fn revoked_since(pool: &Pool, since: Timestamp) -> Result<Vec<LoginId>, StorageError> {
    let ids = sqlx::query_scalar!("SELECT id FROM logins WHERE revoked_at IS NOT NULL AND revoked_at >= $1", since)
        .fetch_all(pool.connections())
        .await?;
    Ok(ids.into_iter().map(LoginId::from_uuid).collect())
}

/// Whether a refresh token belongs to a login of the account with this email that is not over.
pub(crate) async fn is_known_device(pool: &Pool, hash: &[u8], typed: &str) -> Result<bool, StorageError> {
    let found = sqlx::query_scalar!(
        r#"SELECT true AS "known!" FROM refresh_tokens AS token JOIN logins AS login ON login.id = token.login_id
            JOIN accounts AS account ON account.id = login.account_id
        WHERE token.hash = $1 AND $2 IN (account.email_key, account.email_claim) AND login.revoked_at IS NULL"#,
        hash,
        typed,
    )
    .fetch_optional(pool.connections())
    .await?;
    Ok(found.is_some())
}

/// The account's logins that are not over, newest first.
pub(crate) async fn list(pool: &Pool, account: AccountId, now: Timestamp) -> Result<Vec<LoginView>, StorageError> {
    struct Row {
        id: Uuid,
        device: String,
        address: String,
        created_at: Timestamp,
        last_used_at: Timestamp,
        expires_at: Timestamp,
    }
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, device, address, created_at, last_used_at, expires_at FROM logins
        WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY id DESC LIMIT 1000",
        account.uuid(),
        now,
    )
    .fetch_all(pool.connections())
    .await?;
    let view = |row: Row| LoginView {
        id: LoginId::from_uuid(row.id),
        device: row.device,
        address: row.address,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
        current: false,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Removes used tokens and logins that ended long ago.
pub(crate) async fn forget(pool: &Pool, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM refresh_tokens WHERE used_at IS NOT NULL AND used_at < $1", now - TOKENS_KEPT)
        .execute(pool.connections())
        .await?;
    sqlx::query!("DELETE FROM logins WHERE expires_at < $1", now - LOGINS_KEPT).execute(pool.connections()).await?;
    Ok(())
}
