//! The clock's last reading, so that product time never runs backwards over a restart.

use posthaste_domain::Timestamp;

use crate::error::StorageError;
use crate::pool::Pool;

/// The reading that was saved last, if one was.
pub async fn load(pool: &Pool) -> Result<Option<Timestamp>, StorageError> {
    Ok(sqlx::query_scalar!("SELECT at FROM clock_checkpoint WHERE single").fetch_optional(&pool.0).await?)
}

/// Saves a reading. An older one than the saved changes nothing.
pub async fn save(pool: &Pool, at: Timestamp) -> Result<(), StorageError> {
    if let Some(leader) = &pool.1 {
        leader.marks.trying(at);
    }
    let saved = sqlx::query!(
        "INSERT INTO clock_checkpoint AS c (at) VALUES ($1)
        ON CONFLICT ON CONSTRAINT clock_checkpoint_pkey DO UPDATE SET at = excluded.at WHERE c.at < excluded.at",
        at,
    )
    .execute(&pool.0)
    .await?;
    if let Some(leader) = &pool.1 {
        leader.marks.tried(at, saved.rows_affected() == 1);
    }
    Ok(())
}
