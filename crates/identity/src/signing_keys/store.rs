//! Signing keys in Postgres.

use posthaste_domain::Timestamp;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;

/// A key as stored.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) signs_from: Timestamp,
    pub(crate) public: Vec<u8>,
    /// Sealed.
    pub(crate) secret: Vec<u8>,
}

/// Every key, oldest first.
pub(crate) async fn all(pool: &Pool) -> Result<Vec<Row>, StorageError> {
    let rows = sqlx::query_as!(Row, "SELECT id, signs_from, public, secret FROM signing_keys ORDER BY signs_from, id");
    Ok(rows.fetch_all(pool.connections()).await?)
}

/// Adds a key, where `newest` still is the newest; the one before is retired when this one begins to sign.
pub(crate) async fn add(
    pool: &Pool,
    new: &Row,
    now: Timestamp,
    newest: Option<Timestamp>,
) -> Result<bool, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    // One at a time: two processes that start at once end with one key.
    // Not checked when it is compiled: Postgres prepares no such statement.
    sqlx::query("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
    let found = sqlx::query_scalar!("SELECT max(signs_from) FROM signing_keys").fetch_one(&mut *transaction).await?;
    if found != newest {
        return Ok(false);
    }
    sqlx::query!("UPDATE signing_keys SET retired_at = $1 WHERE retired_at IS NULL", new.signs_from)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "INSERT INTO signing_keys (id, created_at, signs_from, public, secret) VALUES ($1, $2, $3, $4, $5)",
        new.id,
        now,
        new.signs_from,
        new.public,
        new.secret,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

/// Removes keys that were retired before an instant.
pub(crate) async fn remove_retired(pool: &Pool, before: Timestamp) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM signing_keys WHERE retired_at < $1", before).execute(pool.connections()).await?;
    Ok(())
}
