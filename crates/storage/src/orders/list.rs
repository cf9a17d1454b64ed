//! Pages of orders, newest first. The one place with dynamic SQL: a filter adds a condition only where it is set, so
//! that each combination is planned for what it asks.

use std::fmt;
use std::str::FromStr;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{CustomerId, DriverId, Id, MerchantId, OrderId, ZoneId};
use posthaste_domain::order::{Order, Speed, Status};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::error::StorageError;
use crate::journal::speed_name;
use crate::pool::Pool;

/// Which orders a list shows. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// The merchant owns it or sells a part of it.
    pub merchant: Option<MerchantId>,
    /// The customer.
    pub customer: Option<CustomerId>,
    /// The driver who has it, or had it when it ended.
    pub driver: Option<DriverId>,
    /// The zone.
    pub zone: Option<ZoneId>,
    /// One of these; all when empty.
    pub statuses: Vec<Status>,
    /// Fast or slow.
    pub speed: Option<Speed>,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// Placed at this time or later.
    pub placed_from: Option<Timestamp>,
    /// Placed before this time.
    pub placed_before: Option<Timestamp>,
}

/// A place in the list: the order shown last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When that order was placed.
    pub placed_at: Timestamp,
    /// That order.
    pub id: OrderId,
}

/// Text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.placed_at.timestamp_micros(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (micros, id) = text.split_once('.').ok_or(InvalidCursor)?;
        let micros = micros.parse().map_err(|_| InvalidCursor)?;
        let placed_at = Timestamp::from_timestamp_micros(micros).ok_or(InvalidCursor)?;
        Ok(Self { placed_at, id: id.parse().map_err(|_| InvalidCursor)? })
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The orders, newest first.
    pub orders: Vec<Order>,
    /// Where the next page goes on; `None` on the last.
    pub next: Option<Cursor>,
}

/// A page of at most `limit` orders (at least 1), newest first, after `cursor`.
pub async fn list(
    pool: &Pool,
    filter: &ListFilter,
    cursor: Option<Cursor>,
    limit: u32,
) -> Result<Listed, StorageError> {
    let limit = limit.max(1) as usize;
    let mut sql = QueryBuilder::new("");
    query(&mut sql, filter, cursor, limit + 1);
    let rows = sql.build().fetch_all(&pool.0).await?;
    let mut orders = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, state): (Uuid, String) = (row.try_get("id")?, row.try_get("state")?);
        orders.push(Order::try_from(super::Row { id, state })?);
    }
    let more = orders.len() > limit;
    orders.truncate(limit);
    let next = orders.last().filter(|_| more).map(|o| Cursor { placed_at: o.placed_at, id: o.id });
    Ok(Listed { orders, next })
}

/// Adds the query of a page. A merchant's list is two lists merged: what it owns, and what it sells a part of.
pub(crate) fn query(sql: &mut QueryBuilder<Postgres>, filter: &ListFilter, cursor: Option<Cursor>, limit: usize) {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql.push("SELECT id, state::text AS state FROM (");
    match filter.merchant {
        None => {
            sql.push("SELECT o.id, o.placed_at, o.state FROM orders o WHERE true");
            conditions(sql, filter, cursor, "o.placed_at, o.id");
            sql.push(" ORDER BY o.placed_at DESC, o.id DESC LIMIT ").push_bind(limit);
        }
        Some(merchant) => {
            sql.push("(SELECT o.id, o.placed_at, o.state FROM orders o WHERE o.merchant_id = ");
            sql.push_bind(merchant.uuid());
            conditions(sql, filter, cursor, "o.placed_at, o.id");
            sql.push(" ORDER BY o.placed_at DESC, o.id DESC LIMIT ").push_bind(limit);
            sql.push(
                ") UNION ALL (SELECT o.id, o.placed_at, o.state FROM order_sellers s JOIN orders o ON o.id = s.order_id \
                 WHERE s.merchant_id = ",
            );
            sql.push_bind(merchant.uuid());
            conditions(sql, filter, cursor, "s.placed_at, s.order_id");
            sql.push(" ORDER BY s.placed_at DESC, s.order_id DESC LIMIT ").push_bind(limit);
            sql.push(")");
        }
    }
    sql.push(") AS page ORDER BY placed_at DESC, id DESC LIMIT ").push_bind(limit);
}

/// Adds what the filter asks. `position` names the columns that the list is sorted by.
fn conditions(sql: &mut QueryBuilder<Postgres>, filter: &ListFilter, cursor: Option<Cursor>, position: &str) {
    if let Some(after) = cursor {
        sql.push(format!(" AND ({position}) < ("));
        sql.push_bind(after.placed_at).push(", ").push_bind(after.id.uuid()).push(")");
    }
    let time = position.split(',').next().unwrap_or(position);
    if let Some(from) = filter.placed_from {
        sql.push(format!(" AND {time} >= ")).push_bind(from);
    }
    if let Some(before) = filter.placed_before {
        sql.push(format!(" AND {time} < ")).push_bind(before);
    }
    if let Some(customer) = filter.customer {
        sql.push(" AND o.customer_id = ").push_bind(customer.uuid());
    }
    if let Some(driver) = filter.driver {
        sql.push(" AND o.driver_id = ").push_bind(driver.uuid());
    }
    if let Some(zone) = filter.zone {
        sql.push(" AND o.zone_id = ").push_bind(zone.uuid());
    }
    if let Some(speed) = filter.speed {
        sql.push(" AND o.speed = ").push_bind(speed_name(speed));
    }
    if let Some(reference) = &filter.reference {
        sql.push(" AND o.reference = ").push_bind(reference.clone());
    }
    statuses(sql, &filter.statuses);
}

/// Live and final statuses lie in different indexes: a list of one kind says so.
fn statuses(sql: &mut QueryBuilder<Postgres>, wanted: &[Status]) {
    if wanted.is_empty() {
        return;
    }
    let names: Vec<&'static str> = wanted.iter().map(|status| status.name()).collect();
    if wanted.iter().all(|status| status.is_final()) {
        match names.as_slice() {
            [one] => sql.push(" AND o.settled_status = ").push_bind(*one),
            _ => sql.push(" AND o.settled_status = ANY(").push_bind(names).push(")"),
        };
        return;
    }
    if wanted.iter().all(|status| !status.is_final()) {
        sql.push(" AND o.settled_at IS NULL");
    }
    sql.push(" AND o.status = ANY(").push_bind(names).push(")");
}
