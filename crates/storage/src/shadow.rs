//! What each of two policies planned for an order: the one that decides, and the one in the shadow.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id, OrderId, ZoneId};
use posthaste_domain::zone::Policy;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::StorageError;
use crate::pool::Pool;

/// Plans in one chunk of [`for_each_planned`].
const PLANS: i64 = 2_000;

/// Who was meant for an order, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant {
    /// The driver.
    pub driver: DriverId,
    /// When the driver is asked.
    pub offer_at: Timestamp,
    /// When they pick it up.
    pub pickup_at: Timestamp,
    /// When they hand it over.
    pub dropoff_at: Timestamp,
}

/// What a policy planned for an order.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPlan {
    /// The order.
    pub order: OrderId,
    /// The zone whose dispatcher planned.
    pub zone: ZoneId,
    /// The instant of the input.
    pub at: Timestamp,
    /// The policy.
    pub policy: Policy,
    /// Whether this policy decides: then the driver was asked.
    pub decided: bool,
    /// Who was meant; nothing where the policy found nobody.
    pub meant: Option<Meant>,
    /// Why, in one sentence.
    pub summary: String,
    /// Why, in full.
    pub detail: Value,
}

/// A recorded plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Counts plans in the order they were written.
    pub id: i64,
    /// What was planned.
    pub plan: NewPlan,
}

/// A plan without its reasons, and how its order went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The order.
    pub order: OrderId,
    /// Whether the policy decides.
    pub decided: bool,
    /// Who was meant.
    pub meant: Option<Meant>,
    /// When the order was placed.
    pub placed_at: Timestamp,
    /// When it was delivered, if it was.
    pub delivered_at: Option<Timestamp>,
}

/// Records plans.
pub async fn insert(pool: &Pool, plans: &[NewPlan]) -> Result<(), StorageError> {
    let meant =
        |of: fn(Meant) -> Timestamp| -> Vec<Option<Timestamp>> { plans.iter().map(|p| p.meant.map(of)).collect() };
    let drivers: Vec<Option<Uuid>> = plans.iter().map(|p| p.meant.map(|m| m.driver.uuid())).collect();
    sqlx::query!(
        r#"INSERT INTO shadow_plans
            (order_id, zone_id, at, policy, decided, driver_id, offer_at, pickup_at, dropoff_at, summary, detail)
        SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::bool[], $6::uuid[],
            $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::json[])"#,
        &plans.iter().map(|p| p.order.uuid()).collect::<Vec<_>>(),
        &plans.iter().map(|p| p.zone.uuid()).collect::<Vec<_>>(),
        &plans.iter().map(|p| p.at).collect::<Vec<_>>(),
        &plans.iter().map(|p| p.policy.name().to_owned()).collect::<Vec<_>>(),
        &plans.iter().map(|p| p.decided).collect::<Vec<_>>(),
        &drivers as &[Option<Uuid>],
        &meant(|m| m.offer_at) as &[Option<Timestamp>],
        &meant(|m| m.pickup_at) as &[Option<Timestamp>],
        &meant(|m| m.dropoff_at) as &[Option<Timestamp>],
        &plans.iter().map(|p| p.summary.clone()).collect::<Vec<_>>(),
        &plans.iter().map(|p| p.detail.clone()).collect::<Vec<_>>(),
    )
    .execute(&pool.0)
    .await?;
    Ok(())
}

struct Times {
    driver: Option<Uuid>,
    offer_at: Option<Timestamp>,
    pickup_at: Option<Timestamp>,
    dropoff_at: Option<Timestamp>,
}

impl Times {
    fn meant(self) -> Option<Meant> {
        Some(Meant {
            driver: DriverId::from_uuid(self.driver?),
            offer_at: self.offer_at?,
            pickup_at: self.pickup_at?,
            dropoff_at: self.dropoff_at?,
        })
    }
}

struct Row {
    id: i64,
    order_id: Uuid,
    zone_id: Uuid,
    at: Timestamp,
    policy: String,
    decided: bool,
    driver_id: Option<Uuid>,
    offer_at: Option<Timestamp>,
    pickup_at: Option<Timestamp>,
    dropoff_at: Option<Timestamp>,
    summary: String,
    detail: Json<Value>,
}

impl From<Row> for Plan {
    fn from(row: Row) -> Self {
        let times = Times {
            driver: row.driver_id,
            offer_at: row.offer_at,
            pickup_at: row.pickup_at,
            dropoff_at: row.dropoff_at,
        };
        Self {
            id: row.id,
            plan: NewPlan {
                order: OrderId::from_uuid(row.order_id),
                zone: ZoneId::from_uuid(row.zone_id),
                at: row.at,
                // A constraint names the two.
                policy: if row.policy == Policy::Routed.name() { Policy::Routed } else { Policy::LeastBusy },
                decided: row.decided,
                meant: times.meant(),
                summary: row.summary,
                detail: row.detail.0,
            },
        }
    }
}

/// Plans of a zone, newest first: those that come before the plan made at `before` with that id.
pub async fn list(
    pool: &Pool,
    zone: ZoneId,
    before: Option<(Timestamp, i64)>,
    limit: u32,
) -> Result<Vec<Plan>, StorageError> {
    let (at, id) = before.map_or((None, i64::MAX), |(at, id)| (Some(at), id));
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, zone_id, at, policy, decided, driver_id, offer_at, pickup_at, dropoff_at, summary,
            detail AS "detail: Json<Value>"
        FROM shadow_plans WHERE zone_id = $1 AND (at, id) < (coalesce($2, 'infinity'::timestamptz), $3)
        ORDER BY at DESC, id DESC LIMIT $4"#,
        zone.uuid(),
        at,
        id,
        i64::from(limit),
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

struct OutcomeRow {
    id: i64,
    at: Timestamp,
    order_id: Uuid,
    decided: bool,
    driver_id: Option<Uuid>,
    offer_at: Option<Timestamp>,
    pickup_at: Option<Timestamp>,
    dropoff_at: Option<Timestamp>,
    placed_at: Timestamp,
    delivered_at: Option<Timestamp>,
}

/// Hands every plan of a zone made from `from` to before `to` to `each`, in the order in which they were made. False
/// when there are more than `most`, of which at least that many were handed over.
pub async fn for_each_planned(
    pool: &Pool,
    zone: ZoneId,
    (from, to): (Timestamp, Timestamp),
    most: usize,
    mut each: impl FnMut(Outcome) + Send,
) -> Result<bool, StorageError> {
    let (mut at, mut id, mut count) = (from, i64::MIN, 0);
    loop {
        let rows = sqlx::query_as!(
            OutcomeRow,
            r#"SELECT s.id, s.at, s.order_id, s.decided, s.driver_id, s.offer_at, s.pickup_at, s.dropoff_at,
                o.placed_at, CASE WHEN o.status = 'delivered' THEN o.settled_at END AS delivered_at
            FROM shadow_plans s JOIN orders o ON o.id = s.order_id
            WHERE s.zone_id = $1 AND (s.at, s.id) > ($2, $3) AND s.at < $4
            ORDER BY s.at, s.id LIMIT $5"#,
            zone.uuid(),
            at,
            id,
            to,
            PLANS,
        )
        .fetch_all(&pool.0)
        .await?;
        let Some(last) = rows.last() else { return Ok(true) };
        (at, id) = (last.at, last.id);
        count += rows.len();
        for row in rows {
            let times = Times {
                driver: row.driver_id,
                offer_at: row.offer_at,
                pickup_at: row.pickup_at,
                dropoff_at: row.dropoff_at,
            };
            each(Outcome {
                order: OrderId::from_uuid(row.order_id),
                decided: row.decided,
                meant: times.meant(),
                placed_at: row.placed_at,
                delivered_at: row.delivered_at,
            });
        }
        if count > most {
            return Ok(false);
        }
    }
}

/// Forgets plans made before `oldest`; says how many.
pub async fn forget_before(pool: &Pool, oldest: Timestamp) -> Result<u64, StorageError> {
    let done = sqlx::query!("DELETE FROM shadow_plans WHERE at < $1", oldest).execute(&pool.0).await?;
    Ok(done.rows_affected())
}
