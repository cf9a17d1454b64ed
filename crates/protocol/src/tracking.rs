//! What a tracking link shows: the holder's order and nothing more.

use chrono::{DateTime, Utc};
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Estimate, Order, Recorded, Status, TaskKind};
use posthaste_domain::place::Place;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audience::Audience;
use crate::orders::{EtaView, OrderView, PlaceView};
use crate::words;

/// A step of the order that the customer cares about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackingStep {
    /// Number of the order's event; later than all before it.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// The event's name, as in the order's timeline.
    #[schema(value_type = words::OrderEventName)]
    pub event: String,
    /// The order's status after it.
    #[schema(value_type = words::OrderStatus)]
    pub status: Status,
}

impl TrackingStep {
    /// The step of a recorded event. Every event is a step, so that numbers have no gaps; who was asked and what
    /// was typed is not in it.
    #[must_use]
    pub fn of(recorded: &Recorded, status: Status) -> Self {
        Self { seq: recorded.seq, at: recorded.at, event: recorded.event.name().to_owned(), status }
    }
}

/// The driver, while they carry the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackingDriver {
    /// First word of the name.
    #[schema(example = "Grace")]
    pub name: String,
    /// The vehicle.
    #[schema(value_type = words::Vehicle)]
    pub vehicle: String,
    /// Last position and its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<TrackingPosition>,
}

/// Where the driver is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackingPosition {
    /// Latitude.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// The device's time.
    pub at: DateTime<Utc>,
    /// Direction of movement in degrees from north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_degrees: Option<f32>,
}

/// Where the driver of one of several orders is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderPosition {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// Where its driver is.
    #[serde(flatten)]
    pub position: TrackingPosition,
}

/// One of the orders that a customer follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FollowedOrder {
    /// The order now.
    pub order: OrderView,
    /// When the hand-over at the door is expected now; absent when the order is over or on its way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<EtaView>,
    /// The driver, from assignment to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<TrackingDriver>,
}

/// The tracking view of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackingView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// Where it stands.
    #[schema(value_type = words::OrderStatus)]
    pub status: Status,
    /// Number of the newest event.
    pub seq: u64,
    /// The promised time at the door.
    pub promised_at: DateTime<Utc>,
    /// When the hand-over at the door is expected now; absent when the order is over or on its way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<EtaView>,
    /// The door; absent when the order is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<PlaceView>,
    /// What to tell the driver at the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_code: Option<String>,
    /// The driver, from assignment to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<TrackingDriver>,
    /// What happened so far.
    pub timeline: Vec<TrackingStep>,
}

impl TrackingView {
    /// The view of an order. `driver` is shown only while a driver has the order in hand.
    #[must_use]
    pub fn of(
        order: &Order,
        timeline: Vec<TrackingStep>,
        driver: Option<TrackingDriver>,
        eta: Option<Estimate>,
    ) -> Self {
        let status = order.status();
        let door = order.tasks.iter().find(|t| t.kind == TaskKind::Delivery);
        Self {
            order_id: order.id,
            status,
            seq: order.version,
            promised_at: order.promised_at,
            eta: eta.map(EtaView::from),
            destination: door.filter(|_| !status.is_final()).map(|t| PlaceView::from(t.place)),
            delivery_code: door
                .filter(|_| !status.is_final() && status != Status::Returning)
                .and_then(|t| t.code.as_ref())
                .map(|c| c.digits().to_owned()),
            driver: driver.filter(|_| order.shows_driver()),
            timeline,
        }
    }
}

impl FollowedOrder {
    /// The order as its customer follows it. `driver` is shown only while a driver has the order in hand.
    #[must_use]
    pub fn of(order: &Order, driver: Option<TrackingDriver>, eta: Option<Estimate>) -> Self {
        Self {
            order: OrderView::of(order, Audience::Follower),
            eta: eta.map(EtaView::from),
            driver: driver.filter(|_| order.shows_driver()),
        }
    }
}

impl TrackingDriver {
    /// What is shown of a driver.
    #[must_use]
    pub fn of(driver: &Driver, position: Option<TrackingPosition>) -> Self {
        Self {
            name: driver.name.split_whitespace().next().unwrap_or_default().to_owned(),
            vehicle: format!("{:?}", driver.vehicle).to_lowercase(),
            position,
        }
    }
}

impl TrackingPosition {
    /// From a place and its time.
    #[must_use]
    pub fn new(place: Place, at: DateTime<Utc>, heading_degrees: Option<f32>) -> Self {
        Self { lat: place.lat(), lng: place.lng(), at, heading_degrees }
    }
}
