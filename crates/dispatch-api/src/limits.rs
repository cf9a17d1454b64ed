//! What the document says that fields may hold, of dispatch. Other contexts have lists of their own.

use std::sync::LazyLock;

use posthaste_domain::ids::{CustomerId, DriverId, Id, MerchantId, ZoneId};
use posthaste_domain::order::{Code, MOST_PICKUPS, MOST_SERVICE_SECONDS, MOST_SIZE, MOST_TEXT, Speed};
use posthaste_domain::place::Place;
use posthaste_domain::zone::NewZone;
use posthaste_domain::zone::ZoneRules;
use posthaste_http::links;
use posthaste_http::openapi::limits::{FieldLimit, Limit, names};
use posthaste_identity::LONGEST_ACCESS_TOKEN;
use posthaste_live::drivers::MOST_POSITIONS;
use posthaste_live::zones::TRAVEL_BOUNDS;
use posthaste_protocol::drivers::ShiftState;
use serde_json::{Value, json};

use crate::drivers::MOST_ZONES;
use crate::texts::MOST_NAME;

const CUSTOMER: Limit = Limit::Id(&[CustomerId::PREFIX]);
const DRIVER: Limit = Limit::Id(&[DriverId::PREFIX]);
const MERCHANT: Limit = Limit::Id(&[MerchantId::PREFIX]);
const ZONE: Limit = Limit::Id(&[ZoneId::PREFIX]);
const NAME: Limit = Limit::Characters(1, MOST_NAME);
const PRIORITY: Limit = Limit::Between(i16::MIN as f64, i16::MAX as f64);
const REASON: Limit = Limit::Characters(1, MOST_TEXT);
const SERVICE: Limit = Limit::Between(0.0, MOST_SERVICE_SECONDS as f64);
const SIZE: Limit = Limit::Between(1.0, MOST_SIZE as f64);
const SPEED: Limit = Limit::OneOf(|| names(&Speed::ALL));
const SPEEDS: Limit = Limit::Entries(1, Speed::ALL.len());
const TEXT: Limit = Limit::Characters(0, MOST_TEXT);
/// Of a device's measurements: finite. What says nothing is taken too.
const MEASURE: Limit = Limit::Between(f32::MIN as f64, f32::MAX as f64);
/// Words of small letters, parted by commas.
const WORDS: Limit = Limit::Form("^[a-z_]+(,[a-z_]+)*$");
/// Four decimal numbers, parted by commas.
const BOX: Limit = Limit::Form("^ *-?[0-9.]+ *(, *-?[0-9.]+ *){3}$");

fn shifts() -> Vec<String> {
    names(&[ShiftState::Offline, ShiftState::Available, ShiftState::OnBreak])
}

fn area() -> Value {
    let corners = [[13.3, 52.45], [13.5, 52.45], [13.5, 52.6], [13.3, 52.6], [13.3, 52.45]];
    json!({"type": "Polygon", "coordinates": [corners]})
}

const FIELDS: &[FieldLimit] = &[
    ("*", "lat", Limit::Between(-Place::MOST_LAT, Place::MOST_LAT)),
    ("*", "lng", Limit::Between(-Place::MOST_LNG, Place::MOST_LNG)),
    ("*", "area", Limit::Like(area)),
    ("ContactView", "name", TEXT),
    ("ContactView", "phone", TEXT),
    ("ContactView", "address", TEXT),
    ("ContactView", "note", TEXT),
    ("CreatePickup", "merchant_id", MERCHANT),
    ("CreatePickup", "service_seconds", SERVICE),
    ("CreateDelivery", "service_seconds", SERVICE),
    ("CreateOrder", "pickups", Limit::Entries(1, MOST_PICKUPS)),
    ("CreateOrder", "merchant_id", MERCHANT),
    ("CreateOrder", "customer_id", CUSTOMER),
    ("CreateOrder", "reference", TEXT),
    ("CreateOrder", "size", SIZE),
    ("CreateOrder", "priority", PRIORITY),
    ("PutPriority", "priority", PRIORITY),
    ("CancelOrder", "reason", REASON),
    ("ConfirmOrder", "merchant_id", MERCHANT),
    ("RejectOrder", "merchant_id", MERCHANT),
    ("RejectOrder", "reason", REASON),
    ("FailTask", "note", TEXT),
    ("CompleteTask", "code", Limit::Form(Code::FORM)),
    ("ProofView", "photo_url", Limit::Address(MOST_TEXT)),
    ("ProofView", "signature_url", Limit::Address(MOST_TEXT)),
    ("ProofView", "received_by", TEXT),
    ("ProofView", "note", TEXT),
    ("CreateDriver", "name", NAME),
    ("CreateDriver", "capacity", SIZE),
    ("CreateDriver", "zones", Limit::Entries(1, MOST_ZONES)),
    ("CreateDriver", "zones[]", ZONE),
    ("CreateDriver", "speeds", SPEEDS),
    ("PositionBatch", "positions", Limit::Entries(1, MOST_POSITIONS)),
    ("PositionReport", "accuracy_meters", MEASURE),
    ("PositionReport", "speed_meters_per_second", MEASURE),
    ("PositionReport", "heading_degrees", MEASURE),
    ("PutZone", "name", Limit::Characters(1, NewZone::MOST_NAME)),
    ("RulesView", "pickup_radius_meters", Limit::Between(0.0, u32::MAX as f64)),
    ("path", "token", Limit::Form(links::FORM)),
    ("query", "access_token", Limit::Characters(1, LONGEST_ACCESS_TOKEN)),
    ("query", "bbox", BOX),
    ("query", "by", Limit::OneOf(|| vec!["hour".to_owned(), "day".to_owned(), "zone".to_owned()])),
    ("query", "customer_id", CUSTOMER),
    ("query", "driver_id", DRIVER),
    ("query", "merchant_id", MERCHANT),
    ("query", "zone_id", ZONE),
    ("query", "from", Limit::Instant),
    ("query", "to", Limit::Instant),
    ("query", "placed_after", Limit::Instant),
    ("query", "placed_before", Limit::Instant),
    ("query", "hour", Limit::Whole(0, 23)),
    ("query", "reference", TEXT),
    ("query", "shift", Limit::OneOf(shifts)),
    ("query", "speed", SPEED),
    ("query", "status", WORDS),
];

/// Of what is said over sockets alone.
const OF_MESSAGES: &[FieldLimit] = &[("TaskDone", "code", Limit::Form(Code::FORM)), ("TaskFailed", "note", TEXT)];

/// The limits of the routes.
pub static LIMITS: LazyLock<Vec<FieldLimit>> = LazyLock::new(|| {
    let rules = ZoneRules::BOUNDS.map(|(field, _, least, most)| {
        let bounds = Limit::Between(f64::from(least), f64::from(most));
        ("RulesView", field, bounds)
    });
    let travel = TRAVEL_BOUNDS.map(|(field, (least, most))| ("TravelView", field, Limit::Between(least, most)));
    [FIELDS, &rules, &travel].concat()
});

/// Every limit of what is said over sockets, and of more: they take accounts' tokens too.
pub(crate) fn of_messages() -> Vec<FieldLimit> {
    [LIMITS.as_slice(), OF_MESSAGES, posthaste_identity::LIMITS].concat()
}
