//! Logins and their refresh tokens in Postgres.

use posthaste_domain::ids::{AccountId, Id, LoginId};
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::accounts::LoginView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::audit::Origin;

/// How long used tokens and ended logins are kept. A token that is forgotten still names its login.
const TOKENS_KEPT: Span = Span::days(7);
const LOGINS_KEPT: Span = Span::days(90);

/// A login that begins.
pub(crate) struct NewLogin<'a> {
    pub(crate) id: LoginId,
    pub(crate) account: AccountId,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) proved_at: Timestamp,
    pub(crate) second_factor: bool,
    pub(crate) origin: &'a Origin,
}

pub(crate) async fn add(connection: &mut PgConnection, new: &NewLogin<'_>) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO logins (id, account_id, created_at, last_used_at, expires_at, ends_at, proved_at, second_factor,
            device, address)
        VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9)",
        new.id.uuid(),
        new.account.uuid(),
        new.now,
        new.expires_at,
        new.ends_at,
        new.proved_at,
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
    contested: bool,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (hash, login_id, issued_at, contested) VALUES ($1, $2, $3, $4)",
        hash,
        login.uuid(),
        now,
        contested,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A login that nobody else goes on with or ends until the transaction does.
pub(crate) struct Held {
    pub(crate) id: LoginId,
    pub(crate) account: AccountId,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) proved_at: Timestamp,
    pub(crate) second_factor: bool,
    pub(crate) revoked: bool,
}

/// The login, or where it is not known which, that of the token.
pub(crate) async fn lock_login(
    connection: &mut PgConnection,
    login: Option<LoginId>,
    hash: &[u8],
) -> Result<Option<Held>, StorageError> {
    let row = sqlx::query!(
        "SELECT id, account_id, expires_at, ends_at, proved_at, second_factor, revoked_at FROM logins
        WHERE id = coalesce($1::uuid, (SELECT login_id FROM refresh_tokens WHERE hash = $2)) FOR UPDATE",
        login.map(Id::uuid),
        hash,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Held {
        id: LoginId::from_uuid(row.id),
        account: AccountId::from_uuid(row.account_id),
        expires_at: row.expires_at,
        ends_at: row.ends_at,
        proved_at: row.proved_at,
        second_factor: row.second_factor,
        revoked: row.revoked_at.is_some(),
    }))
}

/// A refresh token, read when its login is held.
pub(crate) struct Token {
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) uses: i16,
    pub(crate) contested: bool,
}

pub(crate) async fn token(connection: &mut PgConnection, hash: &[u8]) -> Result<Option<Token>, StorageError> {
    let row = sqlx::query_as!(Token, "SELECT used_at, uses, contested FROM refresh_tokens WHERE hash = $1", hash);
    Ok(row.fetch_optional(connection).await?)
}

pub(crate) async fn use_token(connection: &mut PgConnection, hash: &[u8], now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE refresh_tokens SET used_at = coalesce(used_at, $2), uses = uses + 1 WHERE hash = $1",
        hash,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets all open tokens of the login but one aside. Whether there were any.
pub(crate) async fn set_others_aside(
    connection: &mut PgConnection,
    login: LoginId,
    hash: &[u8],
    now: Timestamp,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE refresh_tokens SET used_at = $3 WHERE login_id = $1 AND hash <> $2 AND used_at IS NULL",
        login.uuid(),
        hash,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
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

/// Whether a login (where it is not known which, that of the token) is one of the account that is signed in to with what
/// was typed, and its owner did not end it elsewhere.
pub(crate) async fn is_known_device(
    pool: &Pool,
    login: Option<LoginId>,
    hash: &[u8],
    typed: &str,
) -> Result<bool, StorageError> {
    let found = sqlx::query_scalar!(
        r#"SELECT true AS "known!" FROM logins AS login JOIN accounts AS account ON account.id = login.account_id
        WHERE login.id = coalesce($1::uuid, (SELECT login_id FROM refresh_tokens WHERE hash = $2))
            AND $3 IN (account.email_key, account.email_claim)
            AND (login.revoked_at IS NULL OR login.revoked_because = 'logged_out')"#,
        login.map(Id::uuid),
        hash,
        typed,
    )
    .fetch_optional(pool.connections())
    .await?;
    Ok(found.is_some())
}

struct Row {
    id: Uuid,
    device: String,
    address: String,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
}

impl From<Row> for LoginView {
    fn from(row: Row) -> Self {
        Self {
            id: LoginId::from_uuid(row.id),
            device: row.device,
            address: row.address,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            current: false,
        }
    }
}

/// The account's logins that are not over, newest first.
pub(crate) async fn list(pool: &Pool, account: AccountId, now: Timestamp) -> Result<Vec<LoginView>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, device, address, created_at, last_used_at, expires_at FROM logins
        WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY id DESC LIMIT 1000",
        account.uuid(),
        now,
    )
    .fetch_all(pool.connections())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The account's logins with ids below `before`, newest first, those that are over too.
pub(crate) async fn before(
    pool: &Pool,
    account: AccountId,
    before: Uuid,
    limit: u32,
) -> Result<Vec<LoginView>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, device, address, created_at, last_used_at, expires_at FROM logins
        WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        account.uuid(),
        before,
        i64::from(limit),
    )
    .fetch_all(pool.connections())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Removes used tokens and logins that ended long ago.
pub(crate) async fn forget(pool: &Pool, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM refresh_tokens WHERE used_at IS NOT NULL AND used_at < $1", now - TOKENS_KEPT)
        .execute(pool.connections())
        .await?;
    sqlx::query!("DELETE FROM logins WHERE expires_at < $1", now - LOGINS_KEPT).execute(pool.connections()).await?;
    Ok(())
}
