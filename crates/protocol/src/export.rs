//! What is kept of somebody, for themselves: entries of several kinds, a page at a time.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::AuditId;
use posthaste_domain::party::Party;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{AccountView, ApiKeyView, LoginView};
use crate::drivers::{DriverView, PlannedShiftView};
use crate::orders::OrderView;
use crate::webhooks::EndpointView;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportKind {
    /// The account.
    Account,
    /// A session of the account's, also one that is over.
    Session,
    /// An act that stands in the audit log about the account.
    Act,
    /// A merchant's key, also one that was revoked.
    ApiKey,
    /// A merchant's endpoint.
    WebhookEndpoint,
    /// An order, as its reader may see it.
    Order,
    /// A driver as dispatch knows them.
    Driver,
    /// A shift that a driver is, or was, planned to work.
    PlannedShift,
    /// Something that happened to a driver's record: shifts among it.
    DriverEvent,
    /// A piece of where a driver was.
    Track,
}

/// One thing that is kept of whoever asks: what it is, and in the field of that name, it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportEntry {
    /// What it is: the name of the field that is there.
    pub kind: ExportKind,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<AccountView>>,
    /// A session of the account's, also one that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<LoginView>,
    /// An act that stands in the audit log about the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<ActView>,
    /// A merchant's key, also one that was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyView>,
    /// A merchant's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_endpoint: Option<EndpointView>,
    /// An order, as its reader may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Box<OrderView>>,
    /// A driver as dispatch knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverView>,
    /// A shift that a driver is, or was, planned to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_shift: Option<PlannedShiftView>,
    /// Something that happened to a driver's record: shifts among it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_event: Option<DriverEventView>,
    /// A piece of where a driver was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<TrackView>,
}

impl ExportEntry {
    fn of(kind: ExportKind) -> Self {
        Self {
            kind,
            account: None,
            session: None,
            act: None,
            api_key: None,
            webhook_endpoint: None,
            order: None,
            driver: None,
            planned_shift: None,
            driver_event: None,
            track: None,
        }
    }
}

impl From<AccountView> for ExportEntry {
    fn from(account: AccountView) -> Self {
        Self { account: Some(Box::new(account)), ..Self::of(ExportKind::Account) }
    }
}

impl From<LoginView> for ExportEntry {
    fn from(session: LoginView) -> Self {
        Self { session: Some(session), ..Self::of(ExportKind::Session) }
    }
}

impl From<ActView> for ExportEntry {
    fn from(act: ActView) -> Self {
        Self { act: Some(act), ..Self::of(ExportKind::Act) }
    }
}

impl From<ApiKeyView> for ExportEntry {
    fn from(api_key: ApiKeyView) -> Self {
        Self { api_key: Some(api_key), ..Self::of(ExportKind::ApiKey) }
    }
}

impl From<EndpointView> for ExportEntry {
    fn from(webhook_endpoint: EndpointView) -> Self {
        Self { webhook_endpoint: Some(webhook_endpoint), ..Self::of(ExportKind::WebhookEndpoint) }
    }
}

impl From<OrderView> for ExportEntry {
    fn from(order: OrderView) -> Self {
        Self { order: Some(Box::new(order)), ..Self::of(ExportKind::Order) }
    }
}

impl From<DriverView> for ExportEntry {
    fn from(driver: DriverView) -> Self {
        Self { driver: Some(driver), ..Self::of(ExportKind::Driver) }
    }
}

impl From<PlannedShiftView> for ExportEntry {
    fn from(planned_shift: PlannedShiftView) -> Self {
        Self { planned_shift: Some(planned_shift), ..Self::of(ExportKind::PlannedShift) }
    }
}

impl From<DriverEventView> for ExportEntry {
    fn from(driver_event: DriverEventView) -> Self {
        Self { driver_event: Some(driver_event), ..Self::of(ExportKind::DriverEvent) }
    }
}

impl From<TrackView> for ExportEntry {
    fn from(track: TrackView) -> Self {
        Self { track: Some(track), ..Self::of(ExportKind::Track) }
    }
}

/// An act of the audit log, as it is shown to whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActView {
    /// The entry.
    #[schema(value_type = String, example = "aud_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: AuditId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What, as in `login.opened`.
    #[schema(example = "login.opened")]
    pub act: String,
    /// Whether the account did it; otherwise somebody else, to the account.
    pub own: bool,
    /// From which network address, where the account did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "203.0.113.7")]
    pub address: Option<String>,
}

/// Something that happened to a driver's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverEventView {
    /// 1 for the first, without gaps.
    pub seq: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who did it: the driver, `system`, or operations.
    #[schema(example = "system")]
    pub by: String,
    /// The event's name.
    #[schema(example = "shift_changed")]
    pub event: String,
    /// What else belongs to the event, by its kind.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// A piece of a driver's track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackView {
    /// Where they were, newest first; at most 100.
    pub points: Vec<TrackPointView>,
}

/// Where a driver was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackPointView {
    /// When, by the device.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Latitude in degrees.
    pub lat: f64,
    /// Longitude in degrees.
    pub lng: f64,
    /// Direction of movement in degrees from north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_meters_per_second: Option<f32>,
}

/// Who did something, as others may know it: oneself, the machine, or people of operations without their names.
#[must_use]
pub fn doer(by: Party, reader: Party) -> String {
    match by {
        _ if by == reader => by.to_string(),
        Party::System => "system".to_owned(),
        _ => "operations".to_owned(),
    }
}
