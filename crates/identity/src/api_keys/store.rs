//! Keys in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, ApiKeyId, Id};
use posthaste_protocol::accounts::{ApiKeyView, KeyWorld};
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
    pub(crate) world: KeyWorld,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// The key with a digest, if it is good and its account may work.
pub(crate) async fn by_hash(pool: &Pool, hash: &[u8]) -> Result<Option<Found>, StorageError> {
    let row = sqlx::query!(
        "SELECT key.id, key.account_id, key.scopes, key.world, key.last_used_at, account.subject
        FROM api_keys AS key JOIN accounts AS account ON account.id = key.account_id
        WHERE key.hash = $1 AND key.revoked_at IS NULL AND account.banned_at IS NULL
            AND account.activated_at IS NOT NULL AND account.role = 'merchant'",
        hash,
    )
    .fetch_optional(pool.connections())
    .await?;
    row.map(|row| {
        Ok(Found {
            id: ApiKeyId::from_uuid(row.id),
            account: AccountId::from_uuid(row.account_id),
            subject: row.subject,
            scopes: row.scopes,
            world: world(&row.world)?,
            last_used_at: row.last_used_at,
        })
    })
    .transpose()
}

fn world(name: &str) -> Result<KeyWorld, StorageError> {
    let known = [KeyWorld::Live, KeyWorld::Test].into_iter().find(|world| world.name() == name);
    known.ok_or_else(|| StorageError::corrupt("a key's world", format!("there is no world {name}")))
}

/// Whether any key of the test world is good.
pub(crate) async fn any_of_test_world(pool: &Pool) -> Result<bool, StorageError> {
    let any = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM api_keys WHERE world = 'test' AND revoked_at IS NULL) AS "any!""#
    );
    Ok(any.fetch_one(pool.connections()).await?)
}

/// Keys that were revoked since an instant, and those of accounts that were banned since then.
pub(crate) async fn ended_since(pool: &Pool, since: Timestamp) -> Result<Vec<ApiKeyId>, StorageError> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM api_keys WHERE revoked_at >= $1
        UNION ALL SELECT key.id FROM accounts AS account JOIN api_keys AS key ON key.account_id = account.id
            WHERE account.banned_at >= $1"#,
        since,
    );
    Ok(ids.fetch_all(pool.connections()).await?.into_iter().map(ApiKeyId::from_uuid).collect())
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
        "INSERT INTO api_keys (id, account_id, created_at, name, hint, hash, scopes, world)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        key.id.uuid(),
        account.uuid(),
        key.created_at,
        key.name,
        key.hint,
        hash,
        &key.scopes,
        key.world.name(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An account's keys, newest first, revoked ones too.
pub(crate) async fn list(executor: impl PgExecutor<'_>, account: AccountId) -> Result<Vec<ApiKeyView>, StorageError> {
    let rows = sqlx::query!(
        "SELECT id, name, hint, scopes, world, created_at, last_used_at, revoked_at FROM api_keys
        WHERE account_id = $1 ORDER BY id DESC LIMIT 1000",
        account.uuid(),
    )
    .fetch_all(executor)
    .await?;
    let keys = rows.into_iter().map(|row| {
        Ok(ApiKeyView {
            id: ApiKeyId::from_uuid(row.id),
            name: row.name,
            hint: row.hint,
            world: world(&row.world)?,
            scopes: row.scopes,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    });
    keys.collect()
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
