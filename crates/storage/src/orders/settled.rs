//! Orders that are over, newest first.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::Id;
use posthaste_domain::order::Order;
use uuid::Uuid;

use super::Row;
use crate::error::StorageError;
use crate::pool::Pool;

/// A place in the list: what was settled before it comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    at: Timestamp,
    id: Uuid,
}

impl Before {
    /// Everything settled before a time.
    #[must_use]
    pub fn time(at: Timestamp) -> Self {
        Self { at, id: Uuid::nil() }
    }

    /// Everything settled before an order.
    #[must_use]
    pub fn order(order: &Order) -> Option<Self> {
        order.settled_at.map(|at| Self { at, id: order.id.uuid() })
    }
}

/// At most `most` orders settled before `before` and not before `oldest`, newest first.
pub async fn settled(pool: &Pool, before: Before, oldest: Timestamp, most: u32) -> Result<Vec<Order>, StorageError> {
    struct Settled {
        id: Uuid,
        state: String,
    }
    let rows = sqlx::query_as!(
        Settled,
        r#"SELECT id, state::text AS "state!" FROM orders
        WHERE settled_at IS NOT NULL AND (settled_at, id) < ($1, $2) AND settled_at >= $3
        ORDER BY settled_at DESC, id DESC LIMIT $4"#,
        before.at,
        before.id,
        oldest,
        i64::from(most),
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(|row| Row { id: row.id, state: row.state }.try_into()).collect()
}
