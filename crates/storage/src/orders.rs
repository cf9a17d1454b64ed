//! Orders as they are read: one, all that are live, a driver's, pages of them, and what happened to one.
//! They are written by the [journal](crate::journal) alone.
//!
//! An order's state is stored once. The first event of one that was stored as it was placed holds only what its row
//! may forget; older rows, and a first event that led to more at once, hold the first state itself.

mod forget;
mod list;
mod placed;
mod settled;

pub use forget::forget_people;
#[cfg(test)]
pub(crate) use list::query as list_query;
pub use list::{Cursor, InvalidCursor, ListFilter, Listed, list};
pub(crate) use placed::StoredPlaced;
pub use settled::{Before, settled};

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id, MerchantId, OrderId, ZoneId};
use posthaste_domain::order::{Order, Recorded, Status};
use tokio::task::JoinHandle;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::StorageError;
use crate::pool::Pool;

/// How many orders one query of [`for_each_live`] brings. Larger costs memory (three chunks of 2,000 are about 12 MB)
/// and a longer wait for the first; below a thousand the round trips show.
const CHUNK: i64 = 2_000;

/// The state of an order, as JSON.
struct Row {
    id: Uuid,
    state: String,
}

impl TryFrom<Row> for Order {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let mut order: Self = serde_json::from_str(&row.state)
            .map_err(|e| StorageError::corrupt(format!("order {}", OrderId::from_uuid(row.id)), e))?;
        // Read with room for four, and most have two; a hundred thousand of them stay in memory. Moved into a block of
        // their size, since an allocator may leave one that merely shrinks as large as it was.
        let mut tasks = Vec::with_capacity(order.tasks.len());
        tasks.append(&mut order.tasks);
        order.tasks = tasks;
        Ok(order)
    }
}

/// One order.
pub async fn get(pool: &Pool, id: OrderId) -> Result<Option<Order>, StorageError> {
    let row = sqlx::query_as!(Row, r#"SELECT id, state::text AS "state!" FROM orders WHERE id = $1"#, id.uuid())
        .fetch_optional(&pool.0)
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Those of these orders that there are, in no order.
pub async fn get_any(pool: &Pool, ids: &[OrderId]) -> Result<Vec<Order>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(Row, r#"SELECT id, state::text AS "state!" FROM orders WHERE id = ANY($1)"#, &ids)
        .fetch_all(&pool.0)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// A live order as far as it can be held against what is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The order.
    pub id: OrderId,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// How many events made its state.
    pub version: u64,
    /// Its zone.
    pub zone: ZoneId,
    /// Whether it waits for a driver.
    pub waits: bool,
    /// The driver who has it.
    pub driver: Option<DriverId>,
    /// The driver who is asked.
    pub offered: Option<DriverId>,
}

struct Live {
    id: Uuid,
    placed_at: Timestamp,
    version: i64,
    zone_id: Uuid,
    waits: bool,
    driver_id: Option<Uuid>,
    offered_driver_id: Option<Uuid>,
}

/// How every live order stands, oldest first, from the one after `after` on, at most `most`.
pub async fn standings(pool: &Pool, after: Option<&Standing>, most: u32) -> Result<Vec<Standing>, StorageError> {
    let rows = sqlx::query_as!(
        Live,
        r#"SELECT id, placed_at, version, zone_id, status = 'confirmed' AS "waits!", driver_id, offered_driver_id
        FROM orders WHERE settled_at IS NULL AND (placed_at, id) > ($1, $2) ORDER BY placed_at, id LIMIT $3"#,
        after.map_or(Timestamp::UNIX_EPOCH, |after| after.placed_at),
        after.map_or(Uuid::nil(), |after| after.id.uuid()),
        i64::from(most),
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

impl From<Live> for Standing {
    fn from(row: Live) -> Self {
        Self {
            id: OrderId::from_uuid(row.id),
            placed_at: row.placed_at,
            version: u64::try_from(row.version).unwrap_or_default(),
            zone: ZoneId::from_uuid(row.zone_id),
            waits: row.waits,
            driver: row.driver_id.map(DriverId::from_uuid),
            offered: row.offered_driver_id.map(DriverId::from_uuid),
        }
    }
}

/// Live orders that `driver` works or holds an open offer for, in no order.
pub async fn of_driver(pool: &Pool, driver: DriverId) -> Result<Vec<Order>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!", state::text AS "state!" FROM orders WHERE driver_id = $1 AND settled_at IS NULL
        UNION ALL
        SELECT id, state::text FROM orders
        WHERE offered_driver_id = $1 AND driver_id IS DISTINCT FROM $1 AND settled_at IS NULL"#,
        driver.uuid(),
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The live orders of a zone that wait for a driver.
pub async fn waiting_in(pool: &Pool, zone: ZoneId) -> Result<Vec<OrderId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders WHERE settled_at IS NULL AND zone_id = $1 AND status = 'confirmed'",
        zone.uuid(),
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(ids.into_iter().map(OrderId::from_uuid).collect())
}

/// How these orders stand, those of them that are live.
pub async fn standings_of(pool: &Pool, ids: &[OrderId]) -> Result<Vec<Standing>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Live,
        r#"SELECT id, placed_at, version, zone_id, status = 'confirmed' AS "waits!", driver_id, offered_driver_id
        FROM orders WHERE id = ANY($1) AND settled_at IS NULL"#,
        &ids,
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Hands every live order to `each`, oldest first, or those of one zone; says how many there were.
///
/// They come in chunks: while one is handed over, the next is read from its text and the one after that is fetched, so
/// that memory stays small and every core has work. An order that changes meanwhile is seen before or after its change.
pub async fn for_each_live(
    pool: &Pool,
    zone: Option<ZoneId>,
    each: impl FnMut(Order) + Send,
) -> Result<u64, StorageError> {
    for_each_live_by(pool, zone, CHUNK, each).await
}

pub(crate) async fn for_each_live_by(
    pool: &Pool,
    zone: Option<ZoneId>,
    chunk: i64,
    mut each: impl FnMut(Order) + Send,
) -> Result<u64, StorageError> {
    let mut count = 0;
    let start = Cursor { placed_at: Timestamp::UNIX_EPOCH, id: OrderId::from_uuid(Uuid::nil()) };
    let mut fetched = tokio::spawn(live_after(pool.clone(), zone, start, chunk).in_current_span());
    let mut read = tokio::spawn(async { Ok(Vec::new()) });
    loop {
        let rows = done(fetched).await?;
        let Some(last) = rows.last().map(LiveRow::cursor) else {
            let orders = done(read).await?;
            count += orders.len() as u64;
            orders.into_iter().for_each(each);
            return Ok(count);
        };
        fetched = tokio::spawn(live_after(pool.clone(), zone, last, chunk).in_current_span());
        let reading = tokio::spawn(async { rows.into_iter().map(Order::try_from).collect() });
        let orders: Vec<Order> = done(std::mem::replace(&mut read, reading)).await?;
        count += orders.len() as u64;
        orders.into_iter().for_each(&mut each);
    }
}

/// What a task of our own came to. One that broke off is tried again later, as if Postgres were away.
async fn done<T>(task: JoinHandle<Result<T, StorageError>>) -> Result<T, StorageError> {
    task.await.map_err(|e| StorageError::Unavailable(e.into()))?
}

struct LiveRow {
    id: Uuid,
    placed_at: Timestamp,
    state: String,
}

impl TryFrom<LiveRow> for Order {
    type Error = StorageError;
    fn try_from(row: LiveRow) -> Result<Self, StorageError> {
        Row { id: row.id, state: row.state }.try_into()
    }
}

impl LiveRow {
    fn cursor(&self) -> Cursor {
        Cursor { placed_at: self.placed_at, id: OrderId::from_uuid(self.id) }
    }
}

async fn live_after(pool: Pool, zone: Option<ZoneId>, after: Cursor, chunk: i64) -> Result<Vec<LiveRow>, StorageError> {
    let (placed_at, id) = (after.placed_at, after.id.uuid());
    let rows = match zone {
        Some(zone) => {
            sqlx::query_as!(
                LiveRow,
                r#"SELECT id, placed_at, state::text AS "state!" FROM orders
                WHERE settled_at IS NULL AND zone_id = $1 AND (placed_at, id) > ($2, $3)
                ORDER BY placed_at, id LIMIT $4"#,
                zone.uuid(),
                placed_at,
                id,
                chunk,
            )
            .fetch_all(&pool.0)
            .await?
        }
        None => {
            sqlx::query_as!(
                LiveRow,
                r#"SELECT id, placed_at, state::text AS "state!" FROM orders
                WHERE settled_at IS NULL AND (placed_at, id) > ($1, $2)
                ORDER BY placed_at, id LIMIT $3"#,
                placed_at,
                id,
                chunk,
            )
            .fetch_all(&pool.0)
            .await?
        }
    };
    Ok(rows)
}

struct EventRow {
    seq: i64,
    at: Timestamp,
    by: String,
    status: String,
    payload: String,
    /// The order's present state, beside its first event.
    state: Option<String>,
}

impl TryFrom<EventRow> for (Recorded, Status) {
    type Error = Box<dyn std::error::Error + Send + Sync>;
    fn try_from(row: EventRow) -> Result<Self, Self::Error> {
        let status = Status::from_name(&row.status).ok_or_else(|| format!("unknown status {}", row.status))?;
        let recorded = Recorded {
            seq: row.seq.try_into()?,
            at: row.at,
            by: row.by.parse()?,
            event: match &row.state {
                Some(state) => placed::read(&row.payload, state)?,
                None => serde_json::from_str(&row.payload)?,
            },
        };
        Ok((recorded, status))
    }
}

/// What happened to an order after event `after_seq` (0 for all), each event with the status after it.
pub async fn timeline(pool: &Pool, id: OrderId, after_seq: u64) -> Result<Vec<(Recorded, Status)>, StorageError> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"SELECT e.seq, e.at, e.by, e.status, e.payload::text AS "payload!",
            CASE WHEN e.name = 'placed' THEN o.state::text END AS "state?"
        FROM order_events e LEFT JOIN orders o ON o.id = e.order_id
        WHERE e.order_id = $1 AND e.seq > $2 ORDER BY e.seq"#,
        id.uuid(),
        i64::try_from(after_seq).unwrap_or(i64::MAX),
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter()
        .map(|row| {
            let what = format!("event {} of {id}", row.seq);
            row.try_into().map_err(|e: Box<dyn std::error::Error + Send + Sync>| StorageError::corrupt(what, e))
        })
        .collect()
}

/// How many live orders there are of each status.
pub async fn live_by_status(pool: &Pool) -> Result<Vec<(String, i64)>, StorageError> {
    let rows =
        sqlx::query!(r#"SELECT status, count(*) AS "count!" FROM orders WHERE settled_at IS NULL GROUP BY status"#)
            .fetch_all(&pool.0)
            .await?;
    Ok(rows.into_iter().map(|row| (row.status, row.count)).collect())
}

/// How many orders are live: all of them, and a merchant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveCounts {
    /// Of everybody.
    pub all: u64,
    /// Of the merchant.
    pub merchants: u64,
}

/// Counts live orders, by looking at all of them: for where there are few.
pub async fn count_live(pool: &Pool, merchant: MerchantId) -> Result<LiveCounts, StorageError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "all!", count(*) FILTER (WHERE merchant_id = $1) AS "merchants!"
        FROM orders WHERE settled_at IS NULL"#,
        merchant.uuid(),
    )
    .fetch_one(&pool.0)
    .await?;
    let count = |n| u64::try_from(n).unwrap_or_default();
    Ok(LiveCounts { all: count(row.all), merchants: count(row.merchants) })
}

/// Removes orders that were placed and settled before an instant, with all that was written for them, at most `most`;
/// how many. What webhooks still tell of them must be gone by then: its texts are made from their events.
pub async fn forget_settled(pool: &Pool, before: Timestamp, most: u32) -> Result<u64, StorageError> {
    let mut transaction = pool.0.begin().await?;
    let gone = sqlx::query_scalar!(
        "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE placed_at < $1 AND settled_at < $1
            ORDER BY placed_at, id LIMIT $2) RETURNING id",
        before,
        i64::from(most),
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM order_events WHERE order_id = ANY($1)", &gone).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM order_sellers WHERE order_id = ANY($1)", &gone).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM commitments WHERE order_id = ANY($1)", &gone).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM decisions WHERE order_id = ANY($1)", &gone).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(u64::try_from(gone.len()).unwrap_or_default())
}
