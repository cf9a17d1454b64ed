//! A policy in the shadow on the wire: what it would have done, beside what was done.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_domain::zone::Policy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::insight::Durations;
use crate::words;

/// Who was meant for an order, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeantView {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: DriverId,
    /// When the driver was to be asked.
    pub offer_at: DateTime<Utc>,
    /// When they were to pick it up.
    pub pickup_at: DateTime<Utc>,
    /// When they were to hand it over.
    pub dropoff_at: DateTime<Utc>,
}

/// What a policy planned for an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowPlanView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// The instant of the input.
    pub at: DateTime<Utc>,
    /// The policy.
    #[schema(value_type = words::Policy)]
    pub policy: Policy,
    /// Whether this policy decides: then the driver was asked.
    pub decided: bool,
    /// Who was meant; absent where the policy found nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant: Option<MeantView>,
    /// Why, in one sentence.
    #[schema(example = "sooner by 2 minutes")]
    pub summary: String,
    /// Why, in full: as in a decision.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// Two policies on the same orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowFigures {
    /// Orders that either policy planned.
    pub orders: u64,
    /// Orders for which both meant a driver: what is compared.
    pub compared: u64,
    /// Of these, orders for which both meant the same driver.
    pub same_driver: u64,
    /// Orders for which only the deciding policy had a driver.
    pub only_decided: u64,
    /// Orders for which only the policy in the shadow had a driver.
    pub only_shadow: u64,
    /// Compared orders that the policy in the shadow planned to hand over at least a minute sooner.
    pub sooner_in_shadow: u64,
    /// Compared orders that it planned to hand over at least a minute later.
    pub later_in_shadow: u64,
    /// From placing to the planned door, compared orders, as the deciding policy planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_click_to_door: Option<Durations>,
    /// From placing to the planned door, compared orders, as the policy in the shadow planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_click_to_door: Option<Durations>,
    /// From placing to the door, compared orders that were delivered, as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_click_to_door: Option<Durations>,
}

/// How the policy in a zone's shadow compares with the one that decides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// The zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone_id: ZoneId,
    /// The start of the time looked at.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
    /// The policy that decides now.
    #[schema(value_type = words::Policy)]
    pub policy: Policy,
    /// The policy in the shadow now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Policy>)]
    pub shadow: Option<Policy>,
    /// The figures.
    #[serde(flatten)]
    pub figures: ShadowFigures,
}
