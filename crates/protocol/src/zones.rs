//! Zones on the wire.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_domain::place::Place;
use posthaste_domain::zone::{Distance, NewZone, Policy, Travel, Zone, ZoneRules};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::orders::PlaceView;
use crate::words;

/// How far two places are apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DistanceView {
    /// Great circle.
    #[default]
    GreatCircle,
    /// A plane laid near latitude 0, longitude 0, at 111,320 m a degree (recorded days).
    Plane,
}

/// How travel times in a zone are estimated: distance times a detour factor over a speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TravelView {
    /// How distance is measured.
    pub distance: DistanceView,
    /// Road distance over straight distance.
    pub detour_factor: f64,
    /// Speed along the road in metres per second.
    pub meters_per_second: f64,
    /// Round travel times up to a multiple of this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_up_to_seconds: Option<u32>,
}

impl Default for TravelView {
    fn default() -> Self {
        Travel::default().into()
    }
}

impl From<Travel> for TravelView {
    fn from(t: Travel) -> Self {
        Self {
            distance: match t.distance {
                Distance::GreatCircle => DistanceView::GreatCircle,
                Distance::Plane => DistanceView::Plane,
            },
            detour_factor: t.detour_factor,
            meters_per_second: t.meters_per_second,
            round_up_to_seconds: t.round_up_to_seconds,
        }
    }
}

impl From<TravelView> for Travel {
    fn from(t: TravelView) -> Self {
        Self {
            distance: match t.distance {
                DistanceView::GreatCircle => Distance::GreatCircle,
                DistanceView::Plane => Distance::Plane,
            },
            detour_factor: t.detour_factor,
            meters_per_second: t.meters_per_second,
            round_up_to_seconds: t.round_up_to_seconds,
        }
    }
}

/// A zone's dispatch rules; absent fields take the defaults. Spans are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RulesView {
    /// `least_busy`: one order at a time, to the driver with the fewest. `routed`: planned routes with several.
    #[schema(value_type = words::Policy)]
    pub policy: Policy,
    /// How long a driver has to answer an offer.
    pub offer_seconds: u32,
    /// How long a driver who declined is not asked again about the same order.
    pub cool_down_seconds: u32,
    /// How long a seller has to confirm.
    pub confirmation_seconds: u32,
    /// Silent for longer, a driver gets no new work. Real seconds, whatever the clock's speed.
    pub stale_after_seconds: u32,
    /// Silent for so much longer, a driver with work is lost: their orders go to others, what they have aboard is
    /// escalated. Real seconds.
    pub lost_after_seconds: u32,
    /// A fast order waiting longer for a driver expires: from when it is placed, or ready if that is later.
    pub give_up_seconds: u32,
    /// Slack in a fast order's promise.
    pub promise_slack_seconds: u32,
    /// The farthest a driver may be from the first pickup, in metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pickup_radius_meters: Option<u32>,
    /// Time at a pickup where the order does not say.
    pub pickup_service_seconds: u32,
    /// Time at a door where the order does not say.
    pub delivery_service_seconds: u32,
    /// Policy `routed`: whether a driver may pick up elsewhere while orders are aboard.
    pub interleave: bool,
    /// Policy `routed`: whether idle drivers are advised to wait at shops that will need somebody soon.
    pub send_ahead: bool,
    /// Policy `routed`: an order is offered to a driver so long before they have to leave for it.
    pub offer_lead_seconds: u32,
    /// Another policy that plans on the same input and decides nothing. Its plans are recorded beside the real ones
    /// for comparison; it costs processor time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Policy>)]
    pub shadow: Option<Policy>,
}

impl Default for RulesView {
    fn default() -> Self {
        ZoneRules::default().into()
    }
}

impl From<ZoneRules> for RulesView {
    fn from(r: ZoneRules) -> Self {
        Self {
            policy: r.policy,
            offer_seconds: r.offer_seconds,
            cool_down_seconds: r.cool_down_seconds,
            confirmation_seconds: r.confirmation_seconds,
            stale_after_seconds: r.stale_after_seconds,
            lost_after_seconds: r.lost_after_seconds,
            give_up_seconds: r.give_up_seconds,
            promise_slack_seconds: r.promise_slack_seconds,
            pickup_radius_meters: r.pickup_radius_meters,
            pickup_service_seconds: r.pickup_service_seconds,
            delivery_service_seconds: r.delivery_service_seconds,
            interleave: r.interleave,
            send_ahead: r.send_ahead,
            offer_lead_seconds: r.offer_lead_seconds,
            shadow: r.shadow,
        }
    }
}

impl From<RulesView> for ZoneRules {
    fn from(r: RulesView) -> Self {
        Self {
            policy: r.policy,
            offer_seconds: r.offer_seconds,
            cool_down_seconds: r.cool_down_seconds,
            confirmation_seconds: r.confirmation_seconds,
            stale_after_seconds: r.stale_after_seconds,
            lost_after_seconds: r.lost_after_seconds,
            give_up_seconds: r.give_up_seconds,
            promise_slack_seconds: r.promise_slack_seconds,
            pickup_radius_meters: r.pickup_radius_meters,
            pickup_service_seconds: r.pickup_service_seconds,
            delivery_service_seconds: r.delivery_service_seconds,
            interleave: r.interleave,
            send_ahead: r.send_ahead,
            offer_lead_seconds: r.offer_lead_seconds,
            shadow: r.shadow,
        }
    }
}

/// Creates or replaces a zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutZone {
    /// Its name, 1 to 100 characters, unique.
    #[schema(example = "Centre")]
    pub name: String,
    /// A GeoJSON Polygon or MultiPolygon (longitude first), holes allowed.
    #[schema(value_type = Object)]
    pub area: serde_json::Value,
    /// Dispatch rules.
    #[serde(default)]
    pub rules: RulesView,
    /// Travel-time model.
    #[serde(default)]
    pub travel: TravelView,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ZoneView {
    /// The zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: ZoneId,
    /// Its name.
    #[schema(example = "Centre")]
    pub name: String,
    /// GeoJSON.
    #[schema(value_type = Object)]
    pub area: serde_json::Value,
    /// Its size in square kilometres.
    pub area_km2: f64,
    /// How many H3 cells cover it.
    pub cells: u32,
    /// Dispatch rules.
    pub rules: RulesView,
    /// Travel-time model.
    pub travel: TravelView,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Counts its changes.
    pub version: u64,
}

impl From<PutZone> for NewZone {
    fn from(zone: PutZone) -> Self {
        Self { name: zone.name, area: zone.area, rules: zone.rules.into(), travel: zone.travel.into() }
    }
}

impl ZoneView {
    /// A zone, and what its area comes to.
    #[must_use]
    pub fn of(zone: &Zone, area_km2: f64, cells: u32) -> Self {
        Self {
            id: zone.id,
            name: zone.name.clone(),
            area: zone.area.clone(),
            area_km2,
            cells,
            rules: zone.rules.into(),
            travel: zone.travel.into(),
            created_at: zone.created_at,
            version: zone.version,
        }
    }
}

/// A driver on a zone's board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardDriver {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: DriverId,
    /// Whether the driver works.
    #[schema(value_type = crate::drivers::ShiftState)]
    pub shift: String,
    /// Whether the driver has been silent too long.
    pub stale: bool,
    /// Open orders.
    pub open_orders: u32,
    /// Committed seconds ahead.
    pub committed_seconds: i64,
    /// Last position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
}

/// An order waiting for a driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardOrder {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: OrderId,
    /// Since when it waits.
    pub waiting_since: DateTime<Utc>,
    /// Its promise.
    pub promised_at: DateTime<Utc>,
    /// The first pickup.
    #[schema(value_type = PlaceView)]
    pub pickup: Place,
}

/// What the zone's dispatcher sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardView {
    /// The zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone: ZoneId,
    /// How many drivers are on the board.
    pub drivers_total: u32,
    /// How many orders wait.
    pub waiting_total: u32,
    /// Drivers, by id, at most 1,000.
    pub drivers: Vec<BoardDriver>,
    /// Waiting orders, oldest first, at most 1,000.
    pub waiting: Vec<BoardOrder>,
}
