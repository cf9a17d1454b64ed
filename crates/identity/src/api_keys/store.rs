//! Keys in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, ApiKeyId, Id};
use posthaste_protocol::accounts::ApiKeyView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A key that is good.
pub(crate) struct Found {
    pub(crate) id: ApiKeyId,
    pub(crate) account: AccountId,
    pub(crate) subject: Uuid,
    pub(crate) scopes: Vec<String>,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// The key with a digest, if it is good and its account may work.
pub(crate) async fn by_hash(pool: &Pool, hash: &[u8]) -> Result<Option<Found>, StorageError> {
    let row = sqlx::query!(
        "SELECT key.id, key.account_id, key.scopes, key.last_used_at, account.subject
        FROM api_keys AS key JOIN accounts AS account ON account.id = key.account_id
        WHERE key.hash = $1 AND key.revoked_at IS NULL AND account.banned_at IS NULL
            AND account.activated_at IS NOT NULL AND account.role = 'merchant'",
        hash,
    )
    .fetch_optional(pool.connections())
    .await?;
    Ok(row.map(|row| Found {
        id: ApiKeyId::from_uuid(row.id),
        account: AccountId::from_uuid(row.account_id),
        subject: row.subject,
        scopes: row.scopes,
        last_used_at: row.last_used_at,
    }))
}

/// Notes that a key was used.
pub(crate) async fn used(pool: &Pool, id: ApiKeyId, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!("UPDATE api_keys SET last_used_at = $2 WHERE id = $1", id.uuid(), now)
        .execute(pool.connections())
        .await?;
    Ok(())
}

pub(crate) async fn add(
    connection: &mut PgConnection,
    account: AccountId,
    key: &ApiKeyView,
    hash: &[u8],
) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO api_keys (id, account_id, created_at, name, hint, hash, scopes) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.id.uuid(),
        account.uuid(),
        key.created_at,
        key.name,
        key.hint,
        hash,
        &key.scopes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An account's keys, newest first, revoked ones too.
pub(crate) async fn list(executor: impl PgExecutor<'_>, account: AccountId) -> Result<Vec<ApiKeyView>, StorageError> {
    let rows = sqlx::query!(
        "SELECT id, name, hint, scopes, created_at, last_used_at, revoked_at FROM api_keys
        WHERE account_id = $1 ORDER BY id DESC LIMIT 1000",
        account.uuid(),
    )
    .fetch_all(executor)
    .await?;
    let keys = rows.into_iter().map(|row| ApiKeyView {
        id: ApiKeyId::from_uuid(row.id),
        name: row.name,
        hint: row.hint,
        scopes: row.scopes,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    });
    Ok(keys.collect())
}

/// Revokes a key of an account. None where there is no such key, false where it was revoked before.
pub(crate) async fn revoke(
    connection: &mut PgConnection,
    account: AccountId,
    id: ApiKeyId,
    now: Timestamp,
) -> Result<Option<bool>, StorageError> {
    let revoked = sqlx::query_scalar!(
        r#"UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE id = $1 AND account_id = $2
        RETURNING revoked_at = $3 AS "now!""#,
        id.uuid(),
        account.uuid(),
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(revoked)
}
