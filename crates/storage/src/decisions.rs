//! Why an order got its driver, or has none. Written through the journal, or beside it.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::StorageError;
use crate::pool::Pool;

/// A decision to record: an [`Entry`](crate::journal::Entry) carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDecision {
    /// The order it is about.
    pub order: OrderId,
    /// The driver who was chosen; none when nobody could take it.
    pub driver: Option<DriverId>,
    /// When.
    pub at: Timestamp,
    /// In one sentence.
    pub summary: String,
    /// The candidates, and the reason each was passed over.
    pub detail: Value,
}

/// A recorded decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Counts decisions in the order they were written.
    pub id: i64,
    /// The order it is about.
    pub order: OrderId,
    /// The driver who was chosen; none when nobody could take it.
    pub driver: Option<DriverId>,
    /// When.
    pub at: Timestamp,
    /// In one sentence.
    pub summary: String,
    /// The candidates, and the reason each was passed over.
    pub detail: Value,
}

struct Row {
    id: i64,
    order_id: Uuid,
    driver_id: Option<Uuid>,
    at: Timestamp,
    summary: String,
    detail: Json<Value>,
}

impl From<Row> for Decision {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            order: OrderId::from_uuid(row.order_id),
            driver: row.driver_id.map(DriverId::from_uuid),
            at: row.at,
            summary: row.summary,
            detail: row.detail.0,
        }
    }
}

/// The newest decision about an order.
pub async fn newest(pool: &Pool, order: OrderId) -> Result<Option<Decision>, StorageError> {
    Ok(list(pool, order, None, 1).await?.pop())
}

/// Decisions about an order, newest first: those with an id below `before`.
pub async fn list(pool: &Pool, order: OrderId, before: Option<i64>, limit: u32) -> Result<Vec<Decision>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, driver_id, at, summary, detail AS "detail: Json<Value>"
        FROM decisions WHERE order_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        order.uuid(),
        before.unwrap_or(i64::MAX),
        i64::from(limit),
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Forgets decisions made before `oldest`; says how many.
pub async fn forget_before(pool: &Pool, oldest: Timestamp) -> Result<u64, StorageError> {
    let done = sqlx::query!("DELETE FROM decisions WHERE at < $1", oldest).execute(&pool.0).await?;
    Ok(done.rows_affected())
}
