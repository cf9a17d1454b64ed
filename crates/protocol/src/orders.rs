//! Orders on the wire.

use chrono::{DateTime, Utc};
use posthaste_domain::contact::Contact;
use posthaste_domain::ids::{CustomerId, DriverId, MerchantId, OrderId, TaskId, ZoneId};
use posthaste_domain::order::{self, FailReason, Order, Proof, Speed, Status, TaskKind, TaskStatus};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audience::{Audience, Viewer};
use crate::words;

/// A position in degrees (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceView {
    /// Latitude, -90 to 90.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude, -180 to 180.
    #[schema(example = 13.3777)]
    pub lng: f64,
}

impl From<Place> for PlaceView {
    fn from(place: Place) -> Self {
        Self { lat: place.lat(), lng: place.lng() }
    }
}

/// Whom to ask for at a stop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContactView {
    /// Person or shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Street address in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the driver should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl From<Contact> for ContactView {
    fn from(c: Contact) -> Self {
        Self { name: c.name, phone: c.phone, address: c.address, note: c.note }
    }
}

impl From<ContactView> for Contact {
    fn from(c: ContactView) -> Self {
        Self { name: c.name, phone: c.phone, address: c.address, note: c.note }
    }
}

/// A time window. Not checked until the order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowView {
    /// The first instant inside.
    #[serde(deserialize_with = "crate::instant::read")]
    pub start: DateTime<Utc>,
    /// The first instant after.
    #[serde(deserialize_with = "crate::instant::read")]
    pub end: DateTime<Utc>,
}

/// One seller's pickup in a new order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePickup {
    /// The seller; the calling merchant where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub merchant_id: Option<MerchantId>,
    /// Latitude of the pickup.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude of the pickup.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// Whom to ask for.
    #[serde(default)]
    pub contact: ContactView,
    /// When it will be ready; now where absent. A fast order is offered when its driver has to leave for it. In a slow one it
    /// lies before the ends of the windows.
    #[serde(default, deserialize_with = "crate::instant::read_option", skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<DateTime<Utc>>,
    /// Slow orders: when it can be picked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowView>,
    /// Seconds from arrival to leaving; the zone's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_seconds: Option<u32>,
}

/// The door of a new order: at most 30 km of way from the first pickup through all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDelivery {
    /// Latitude of the door.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude of the door.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// Whom to ask for.
    #[serde(default)]
    pub contact: ContactView,
    /// Slow orders: when to deliver. Required there, refused for fast ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowView>,
    /// Seconds from arrival to leaving; the zone's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_seconds: Option<u32>,
}

/// Which hand-overs need a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CodesView {
    /// The seller tells the driver a code.
    pub pickup: bool,
    /// The customer tells the driver a code.
    pub delivery: bool,
}

impl Default for CodesView {
    fn default() -> Self {
        Self { pickup: true, delivery: true }
    }
}

fn one() -> u32 {
    1
}

/// A new order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrder {
    /// `fast` or `slow`.
    #[schema(value_type = words::Speed)]
    pub speed: Speed,
    /// One per seller, 1 to 20.
    pub pickups: Vec<CreatePickup>,
    /// The door.
    pub delivery: CreateDelivery,
    /// The owning merchant: required when operations create it, otherwise the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub merchant_id: Option<MerchantId>,
    /// The customer, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub customer_id: Option<CustomerId>,
    /// Your own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Units of a vehicle's capacity, 1 to 1000.
    #[serde(default = "one")]
    pub size: u32,
    /// Higher goes first among waiting orders. A merchant says 0 or 1; more is for operations.
    #[serde(default)]
    pub priority: i16,
    /// Which hand-overs need a code; both by default.
    #[serde(default)]
    pub codes: CodesView,
    /// Whether sellers have to confirm. By default all but the caller's own pickups do; `false` of a merchant counts for its own
    /// pickups, as nobody commits another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_confirmation: Option<bool>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The task.
    #[schema(value_type = String, example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: TaskId,
    /// `pickup`, `delivery` or `return`.
    #[schema(value_type = words::TaskKind)]
    pub kind: TaskKind,
    /// Where it stands.
    #[schema(value_type = words::TaskStatus)]
    pub status: TaskStatus,
    /// Whose goods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub merchant_id: Option<MerchantId>,
    /// Latitude.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// Whom to ask for.
    pub contact: ContactView,
    /// When, for slow orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowView>,
    /// When it should be ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<DateTime<Utc>>,
    /// Seconds from arrival to leaving.
    pub service_seconds: u32,
    /// The seller's deadline to confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<DateTime<Utc>>,
    /// Whether the hand-over needs a code.
    pub code_required: bool,
    /// The code, for those who may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// When the driver arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<DateTime<Utc>>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<DateTime<Utc>>,
    /// What was shown for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofView>,
}

/// Proof of a hand-over. All optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProofView {
    /// Link to a photo, `https://` or `http://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
    /// Link to a signature, `https://` or `http://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_url: Option<String>,
    /// Who received it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_by: Option<String>,
    /// A remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the device was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
    /// The device's own time.
    #[serde(deserialize_with = "crate::instant::read_device_option", skip_serializing_if = "Option::is_none")]
    pub device_at: Option<DateTime<Utc>>,
}

impl From<Proof> for ProofView {
    fn from(p: Proof) -> Self {
        Self {
            photo_url: p.photo_url,
            signature_url: p.signature_url,
            received_by: p.received_by,
            note: p.note,
            place: p.place.map(Into::into),
            device_at: p.device_at,
        }
    }
}

/// Whether this is an address of the web, which a browser opens as a page and never runs.
fn is_link(text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '<' | '>' | '\\' | '`');
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '[') && rest.chars().all(is_plain))
}

impl ProofView {
    /// The domain's proof, or the field that is wrong.
    pub fn into_proof(self) -> Result<Proof, crate::problem::FieldError> {
        let wrong = |field: &str, problem: String| crate::problem::FieldError { field: field.to_owned(), problem };
        let texts = [
            ("proof.photo_url", &self.photo_url),
            ("proof.signature_url", &self.signature_url),
            ("proof.received_by", &self.received_by),
            ("proof.note", &self.note),
        ];
        for (field, text) in texts {
            if text.as_ref().is_some_and(|t| t.chars().count() > order::MOST_TEXT) {
                return Err(wrong(field, format!("longer than {} characters", order::MOST_TEXT)));
            }
        }
        for (field, text) in &texts[..2] {
            if text.as_ref().is_some_and(|t| !is_link(t)) {
                return Err(wrong(field, "must begin with https:// or http:// and hold no spaces".to_owned()));
            }
        }
        let place = self.place.map(|p| Place::new(p.lat, p.lng)).transpose();
        Ok(Proof {
            photo_url: self.photo_url,
            signature_url: self.signature_url,
            received_by: self.received_by,
            note: self.note,
            place: place.map_err(|e| wrong("proof.place", e.to_string()))?,
            device_at: self.device_at,
        })
    }
}

/// When something is expected: a range, not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EtaView {
    /// As likely before as after.
    pub p50: DateTime<Utc>,
    /// Nine times of ten before.
    pub p90: DateTime<Utc>,
}

impl From<order::Estimate> for EtaView {
    fn from(estimate: order::Estimate) -> Self {
        Self { p50: estimate.p50, p90: estimate.p90 }
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: OrderId,
    /// Where it stands.
    #[schema(value_type = words::OrderStatus)]
    pub status: Status,
    /// Number of its newest event.
    pub version: u64,
    /// `fast` or `slow`.
    #[schema(value_type = words::Speed)]
    pub speed: Speed,
    /// The owning merchant.
    #[schema(value_type = String, example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub merchant_id: MerchantId,
    /// The customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "cus_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub customer_id: Option<CustomerId>,
    /// The zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone_id: ZoneId,
    /// The merchant's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "A-1042")]
    pub reference: Option<String>,
    /// Units of capacity.
    pub size: u32,
    /// Priority among waiting orders.
    pub priority: i16,
    /// When it was accepted.
    pub placed_at: DateTime<Utc>,
    /// The promised time at the door.
    pub promised_at: DateTime<Utc>,
    /// When the hand-over at the door was expected, as estimated when its driver got it, before that when it was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<EtaView>,
    /// The driver who has it, or had it when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: Option<DriverId>,
    /// When that driver got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<DateTime<Utc>>,
    /// Pickups, delivery, returns.
    pub tasks: Vec<TaskView>,
    /// When it reached a final status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<DateTime<Utc>>,
    /// Why it ended otherwise than delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_because: Option<String>,
    /// Operations and merchants: it is aboard with a driver who is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<EscalationView>,
}

/// Goods are with a driver who is gone: until they are back, operations give the order to another driver, or it is
/// canceled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EscalationView {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    #[schema(value_type = words::ReleasedBecause)]
    pub reason: String,
}

impl OrderView {
    /// What `audience` may see of the order.
    #[must_use]
    pub fn of(order: &Order, audience: Audience) -> Self {
        let viewer = audience.of(order);
        let tasks = order.tasks.iter().filter(|task| viewer.sees_task(task));
        Self {
            id: order.id,
            status: order.status(),
            version: order.version,
            speed: order.speed,
            merchant_id: order.merchant,
            customer_id: order.customer.filter(|_| viewer.sees_customer()),
            zone_id: order.zone,
            reference: order.reference.clone().filter(|_| viewer.sees_reference()),
            size: order.size,
            priority: order.priority,
            placed_at: order.placed_at,
            promised_at: order.promised_at,
            eta: order.estimates.newest().map(EtaView::from),
            driver_id: order.assignment.map(|a| a.driver).filter(|_| viewer.sees_driver()),
            assigned_at: order.assignment.map(|a| a.at),
            tasks: tasks.map(|task| TaskView::of(task, order, viewer)).collect(),
            settled_at: order.settled_at,
            ended_because: order.ended_because.clone(),
            escalated: order
                .escalated
                .filter(|_| viewer.sees_escalation())
                .map(|escalated| EscalationView { since: escalated.since, reason: escalated.reason.name().to_owned() }),
        }
    }
}

impl TaskView {
    fn of(task: &order::Task, order: &Order, viewer: Viewer) -> Self {
        let place = viewer.place(order, task);
        Self {
            id: task.id,
            kind: task.kind,
            status: task.status,
            merchant_id: task.seller,
            lat: place.lat,
            lng: place.lng,
            contact: if viewer.sees_contact(task) { task.contact.clone().into() } else { ContactView::default() },
            window: task.window.map(|w| WindowView { start: w.start(), end: w.end() }),
            ready_at: task.ready_at,
            service_seconds: task.service_seconds,
            confirm_by: task.confirmation_due(),
            code_required: task.code.is_some(),
            code: task.code.as_ref().filter(|_| viewer.sees_code(order, task)).map(|c| c.digits().to_owned()),
            arrived_at: task.arrived_at,
            done_at: task.done_at,
            proof: task.proof.clone().filter(|_| viewer.sees_proof(task)).map(Into::into),
        }
    }
}

/// One entry of an order's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// 1 for the first, without gaps.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: `system` or an id.
    #[schema(value_type = String, example = "system")]
    pub by: Party,
    /// The event's name.
    #[schema(value_type = words::OrderEventName)]
    pub event: String,
    /// The order's status after it.
    #[schema(value_type = words::OrderStatus)]
    pub status: Status,
    /// What else belongs to the event, by its kind.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// Cancels an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// A seller confirms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfirmOrder {
    /// The seller: only for operations; otherwise the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub merchant_id: Option<MerchantId>,
    /// When its part will be ready, at most 60 days ahead and before the windows end. A fast order's promise moves with it.
    #[serde(deserialize_with = "crate::instant::read_option", skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<DateTime<Utc>>,
}

/// A seller rejects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectOrder {
    /// The seller: only for operations; otherwise the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub merchant_id: Option<MerchantId>,
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// Operations give an order to a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignOrder {
    /// The driver.
    #[schema(value_type = String, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: DriverId,
}

/// Operations say how urgent an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPriority {
    /// Higher goes first among waiting orders; 0 is usual. In a zone that plans routes each step makes its waiting count
    /// half as much again, up to 18 steps.
    pub priority: i16,
}

/// A driver cannot do a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailTask {
    /// Why.
    #[schema(value_type = words::FailReason)]
    pub reason: FailReason,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A driver completes a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompleteTask {
    /// The code, where one is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofView>,
}

/// Where a link-holder follows the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackingLink {
    /// The secret of the link.
    #[schema(example = "trk_0c9zyk…")]
    pub token: String,
    /// Path of the tracking view on this server.
    #[schema(example = "/v1/tracking/trk_AZNjyvN2fR8…")]
    pub path: String,
}

/// The newest recorded decision of the dispatcher about an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The driver who was chosen; absent when nobody could take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: Option<DriverId>,
    /// In one sentence.
    #[schema(example = "no driver: 12 busy, 3 cooling down")]
    pub summary: String,
    /// The numbers: the choice, the candidates passed over, and each one's reason.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}
