//! What actors hold in memory, on the wire: for whoever has to find out why one does what it does.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{DriverId, OfferId, OrderId, ZoneId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words;

/// What an order's actor holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderActorView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// How many events made its state here. What is stored may have one more for a moment.
    #[schema(example = 5)]
    pub version: u64,
    /// Its status here.
    #[schema(value_type = words::OrderStatus)]
    pub status: String,
    /// Up to which event everybody concerned has been told.
    #[schema(example = 5)]
    pub told_version: u64,
    /// Its zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone_id: ZoneId,
    /// The driver who has it, or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: Option<DriverId>,
    /// The deadlines that it has set an alarm for.
    pub armed: Vec<ArmedView>,
}

/// A deadline with an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmedView {
    /// Which.
    #[schema(value_type = words::Deadline)]
    pub deadline: String,
    /// When it is over, in product time.
    pub at: DateTime<Utc>,
}

/// What a driver's actor holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverActorView {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: DriverId,
    /// How many events made their record here.
    #[schema(example = 12)]
    pub version: u64,
    /// Whether they take work.
    #[schema(value_type = words::ShiftState)]
    pub shift: String,
    /// Whether they have been silent too long to get work.
    pub stale: bool,
    /// Why they are gone, where what they have goes to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ReleasedBecause>)]
    pub gone: Option<String>,
    /// For how many seconds (real time) nothing has been heard of them.
    #[schema(example = 1.5)]
    pub silent_seconds: f64,
    /// Their time that orders hold, by its start.
    pub commitments: Vec<CommitmentView>,
    /// Time that is held for orders which have not said yet that the offer is made.
    pub proposed: Vec<ProposedView>,
    /// Orders in hand or offered, as they are known here.
    pub orders: Vec<KnownOrderView>,
    /// Orders that are over and remembered, so that a command sent twice is answered as the first time.
    #[schema(value_type = Vec<String>)]
    pub settled: Vec<OrderId>,
    /// Offers that were declined and are remembered, for the same reason.
    #[schema(value_type = Vec<String>)]
    pub declined: Vec<OfferId>,
    /// Which plan of the zone their route is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 318)]
    pub plan_generation: Option<u64>,
}

/// An interval of a driver's time that an order holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommitmentView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// From when on.
    pub start: DateTime<Utc>,
    /// Until when.
    pub end: DateTime<Utc>,
    /// Whether it is only offered.
    pub tentative: bool,
    /// The lane, where it shares the driver's time with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<u16>,
    /// Units of the vehicle's capacity.
    pub size: u32,
    /// Whether some of it is aboard.
    pub aboard: bool,
}

/// Time that is held while an order makes its offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProposedView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// Units of the vehicle's capacity.
    pub size: u32,
    /// For how many seconds (real time). More than a few is odd.
    pub for_seconds: f64,
}

/// An order as a driver's actor knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownOrderView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// How many events made its state here: fewer than its own actor says is odd.
    pub version: u64,
    /// Its status here.
    #[schema(value_type = words::OrderStatus)]
    pub status: String,
}
