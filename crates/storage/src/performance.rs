//! What insight is told: orders with what drivers did for them, and drivers with their shifts.
//!
//! All of it is read in chunks, so that no statement takes long and nothing large is held, however long the time looked
//! at. What changes meanwhile is seen before or after its change.

use std::collections::HashMap;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, MerchantId, OrderId, ZoneId};
use posthaste_domain::order::{Event, Order};
use uuid::Uuid;

use crate::drivers::DriverEvent;
use crate::error::StorageError;
use crate::pool::Pool;

/// Orders in one chunk. They are read from their text between two awaits: more keep a worker of the runtime from the
/// sockets for longer (250 are a few milliseconds); fewer cost round trips.
const ORDERS: i64 = 250;
/// Drivers in one chunk.
const DRIVERS: i64 = 500;

/// An order with its events, but for the first, those of its sellers, and those about codes.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The order as it is.
    pub order: Order,
    /// What happened, oldest first, with the time.
    pub events: Vec<(Timestamp, Event)>,
}

/// A driver with their shifts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shifts {
    /// The driver.
    pub driver: DriverId,
    /// The zones that they serve now.
    pub zones: Vec<ZoneId>,
    /// The changes of their shift, oldest first: the last one at or before the start of the time, and those within.
    pub changes: Vec<(Timestamp, Shift)>,
}

struct OrderRow {
    id: Uuid,
    position: Timestamp,
    state: String,
}

/// A place in a list: by time, then by id.
#[derive(Clone, Copy)]
struct After {
    at: Timestamp,
    id: Uuid,
}

impl After {
    fn start() -> Self {
        Self { at: Timestamp::UNIX_EPOCH, id: Uuid::nil() }
    }
}

/// Which orders are read, page by page.
#[derive(Clone, Copy)]
enum Which {
    /// Placed before a time, by one merchant or anybody.
    Placed { to: Timestamp, merchant: Option<MerchantId> },
    /// Live, and placed before a time.
    Live { placed_before: Timestamp },
    /// Settled before one time, and placed before another.
    Settled { to: Timestamp, placed_before: Timestamp },
}

/// Orders on their way to somebody, who takes at most so many.
struct Handed<F> {
    count: u64,
    most: u64,
    each: F,
}

/// Hands every order placed from `from` to before `to` to `each`, of all merchants or one that owns them. False when
/// there are more than `most`, of which that many were handed over.
pub async fn for_each_placed(
    pool: &Pool,
    (from, to): (Timestamp, Timestamp),
    merchant: Option<MerchantId>,
    most: u64,
    each: impl FnMut(History) + Send,
) -> Result<bool, StorageError> {
    let mut handed = Handed { count: 0, most, each };
    handed.over(pool, Which::Placed { to, merchant }, After { at: from, id: Uuid::nil() }).await
}

/// Hands every order to `each` that was placed before `from` and is live, or was settled from `from` to before
/// `settled_to`. False when there are more than `most`, of which that many were handed over.
pub async fn for_each_carried_over(
    pool: &Pool,
    from: Timestamp,
    settled_to: Timestamp,
    most: u64,
    each: impl FnMut(History) + Send,
) -> Result<bool, StorageError> {
    let mut handed = Handed { count: 0, most, each };
    let settled = Which::Settled { to: settled_to, placed_before: from };
    Ok(handed.over(pool, settled, After { at: from, id: Uuid::nil() }).await?
        && handed.over(pool, Which::Live { placed_before: from }, After::start()).await?)
}

impl<F: FnMut(History) + Send> Handed<F> {
    /// Hands them over, from a place in their list on. False when there are too many.
    async fn over(&mut self, pool: &Pool, which: Which, mut after: After) -> Result<bool, StorageError> {
        loop {
            let rows = page(pool, which, after).await?;
            let Some(next) = rows.last().map(|row| After { at: row.position, id: row.id }) else { return Ok(true) };
            after = next;
            for history in histories(pool, rows).await? {
                self.count += 1;
                if self.count > self.most {
                    return Ok(false);
                }
                (self.each)(history);
            }
        }
    }
}

async fn page(pool: &Pool, which: Which, after: After) -> Result<Vec<OrderRow>, StorageError> {
    let rows = match which {
        Which::Placed { to, merchant: Some(merchant) } => {
            sqlx::query_as!(
                OrderRow,
                r#"SELECT id, placed_at AS position, state::text AS "state!" FROM orders
                WHERE merchant_id = $1 AND (placed_at, id) > ($2, $3) AND placed_at < $4
                ORDER BY placed_at, id LIMIT $5"#,
                merchant.uuid(),
                after.at,
                after.id,
                to,
                ORDERS,
            )
            .fetch_all(&pool.0)
            .await?
        }
        Which::Placed { to, merchant: None } => {
            sqlx::query_as!(
                OrderRow,
                r#"SELECT id, placed_at AS position, state::text AS "state!" FROM orders
                WHERE (placed_at, id) > ($1, $2) AND placed_at < $3
                ORDER BY placed_at, id LIMIT $4"#,
                after.at,
                after.id,
                to,
                ORDERS,
            )
            .fetch_all(&pool.0)
            .await?
        }
        Which::Live { placed_before } => {
            sqlx::query_as!(
                OrderRow,
                r#"SELECT id, placed_at AS position, state::text AS "state!" FROM orders
                WHERE settled_at IS NULL AND (placed_at, id) > ($1, $2) AND placed_at < $3
                ORDER BY placed_at, id LIMIT $4"#,
                after.at,
                after.id,
                placed_before,
                ORDERS,
            )
            .fetch_all(&pool.0)
            .await?
        }
        Which::Settled { to, placed_before } => {
            sqlx::query_as!(
                OrderRow,
                r#"SELECT id, settled_at AS "position!", state::text AS "state!" FROM orders
                WHERE (settled_at, id) > ($1, $2) AND settled_at < $3 AND placed_at < $4
                ORDER BY settled_at, id LIMIT $5"#,
                after.at,
                after.id,
                to,
                placed_before,
                ORDERS,
            )
            .fetch_all(&pool.0)
            .await?
        }
    };
    Ok(rows)
}

struct EventRow {
    order_id: Uuid,
    seq: i64,
    at: Timestamp,
    payload: String,
}

/// The orders of the rows, with their events.
async fn histories(pool: &Pool, rows: Vec<OrderRow>) -> Result<Vec<History>, StorageError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let found = sqlx::query_as!(
        EventRow,
        r#"SELECT order_id, seq, at, payload::text AS "payload!" FROM order_events
        WHERE order_id = ANY($1) AND name IN ('offered', 'offer_declined', 'offer_withdrawn', 'assigned', 'unassigned',
            'departed', 'arrived', 'picked_up', 'delivered', 'returned', 'failed', 'canceled', 'expired')
        ORDER BY order_id, seq"#,
        &ids,
    )
    .fetch_all(&pool.0)
    .await?;
    let mut events: HashMap<Uuid, Vec<(Timestamp, Event)>> = HashMap::with_capacity(rows.len());
    for row in found {
        let event = serde_json::from_str(&row.payload).map_err(|error| {
            StorageError::corrupt(format!("event {} of {}", row.seq, OrderId::from_uuid(row.order_id)), error)
        })?;
        events.entry(row.order_id).or_default().push((row.at, event));
    }
    let read = |row: OrderRow| {
        let order = serde_json::from_str(&row.state)
            .map_err(|error| StorageError::corrupt(format!("order {}", OrderId::from_uuid(row.id)), error))?;
        Ok(History { order, events: events.remove(&row.id).unwrap_or_default() })
    };
    rows.into_iter().map(read).collect()
}

struct ShiftRow {
    driver_id: Uuid,
    zones: Vec<Uuid>,
    at: Option<Timestamp>,
    payload: Option<String>,
}

/// Hands every driver to `each` who was on shift at some time from `from` to before `to`, and some who were not.
pub async fn for_each_shift(
    pool: &Pool,
    from: Timestamp,
    to: Timestamp,
    mut each: impl FnMut(Shifts) + Send,
) -> Result<(), StorageError> {
    let mut after = Uuid::nil();
    loop {
        let rows = shifts_after(pool, after, from, to).await?;
        let Some(last) = rows.last().map(|row| row.driver_id) else { return Ok(()) };
        after = last;
        let mut driver: Option<Shifts> = None;
        for row in rows {
            let id = DriverId::from_uuid(row.driver_id);
            if driver.as_ref().is_none_or(|known| known.driver != id) {
                let zones = row.zones.into_iter().map(ZoneId::from_uuid).collect();
                driver.replace(Shifts { driver: id, zones, changes: Vec::new() }).into_iter().for_each(&mut each);
            }
            let (Some(at), Some(payload), Some(driver)) = (row.at, row.payload, driver.as_mut()) else { continue };
            let corrupt = |error| StorageError::corrupt(format!("shift of {id}"), error);
            if let DriverEvent::ShiftChanged { shift, .. } = serde_json::from_str(&payload).map_err(corrupt)? {
                driver.changes.push((at, shift));
            }
        }
        driver.into_iter().for_each(&mut each);
    }
}

/// A row for each change, at least one for each driver.
async fn shifts_after(pool: &Pool, after: Uuid, from: Timestamp, to: Timestamp) -> Result<Vec<ShiftRow>, StorageError> {
    let rows = sqlx::query_as!(
        ShiftRow,
        r#"SELECT d.id AS driver_id, d.zones, e.at AS "at?", e.payload AS "payload?"
        FROM (SELECT id, zones FROM drivers WHERE id > $1 ORDER BY id LIMIT $4) AS d
        LEFT JOIN LATERAL (
            (SELECT b.at, b.seq, b.payload::text AS payload FROM driver_events b
                WHERE b.driver_id = d.id AND b.name = 'shift_changed' AND b.at <= $2
                ORDER BY b.at DESC, b.seq DESC LIMIT 1)
            UNION ALL
            (SELECT w.at, w.seq, w.payload::text FROM driver_events w
                WHERE w.driver_id = d.id AND w.name = 'shift_changed' AND w.at > $2 AND w.at < $3)
        ) AS e ON true
        ORDER BY d.id, e.at, e.seq"#,
        after,
        from,
        to,
        DRIVERS,
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(rows)
}

/// The names of all zones, those no longer served too.
pub async fn zone_names(pool: &Pool) -> Result<HashMap<ZoneId, String>, StorageError> {
    let rows = sqlx::query!("SELECT id, name FROM zones").fetch_all(&pool.0).await?;
    Ok(rows.into_iter().map(|row| (ZoneId::from_uuid(row.id), row.name)).collect())
}
