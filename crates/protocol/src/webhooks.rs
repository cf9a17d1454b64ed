//! Webhooks on the wire: endpoints, messages and their attempts, and the body that receivers get.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{MerchantId, OrderId, WebhookEndpointId, WebhookMessageId};
use posthaste_domain::order::Status;
use posthaste_domain::party::Party;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::orders::OrderView;
use crate::words;

/// Whether an endpoint is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It is.
    Active,
    /// It kept failing: messages are collected, and sent when it is resumed.
    Paused,
    /// Its owner switched it off, or it answered 410: events pass by.
    Disabled,
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// To be sent, or sent again.
    Waiting,
    /// The receiver answered 2xx.
    Delivered,
    /// The last attempt of the schedule failed: replay it.
    SetAside,
}

/// Makes an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEndpoint {
    /// Where messages are posted: `https`, public.
    #[schema(example = "https://shop.example/webhooks")]
    pub url: String,
    /// Your own words for it, at most 200 characters.
    #[serde(default)]
    pub description: String,
    /// Types of events that it wants; all, future ones too, where left out or empty.
    #[serde(default)]
    pub types: Vec<String>,
    /// Whose it is: only for operations; otherwise the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub merchant_id: Option<MerchantId>,
}

/// Changes an endpoint: all of it is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutEndpoint {
    /// Where messages are posted: `https`, public.
    #[schema(example = "https://shop.example/webhooks")]
    pub url: String,
    /// Your own words for it, at most 200 characters.
    #[serde(default)]
    pub description: String,
    /// Types of events that it wants; all, future ones too, where left out or empty.
    #[serde(default)]
    pub types: Vec<String>,
    /// False switches it off: events pass by, and what waits stays until it is switched on again. True switches on
    /// what was switched off; one that is paused is resumed by its own route.
    pub enabled: bool,
}

/// An endpoint. Its secret is shown when it is made and when it is rotated, never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndpointView {
    /// The endpoint.
    #[schema(value_type = String, example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: WebhookEndpointId,
    /// Whose it is.
    #[schema(value_type = String, example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub merchant_id: MerchantId,
    /// When it was made. Earlier events do not reach it.
    pub created_at: DateTime<Utc>,
    /// Where messages are posted.
    #[schema(example = "https://shop.example/webhooks")]
    pub url: String,
    /// The owner's own words for it.
    #[schema(example = "the shop")]
    pub description: String,
    /// Types of events that it wants; all where empty.
    #[schema(example = json!(["order.delivered"]))]
    pub types: Vec<String>,
    /// Whether it is sent anything.
    pub state: EndpointState,
    /// Since when.
    pub state_since: DateTime<Utc>,
    /// Why the server paused or disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Failed attempts since the last that succeeded.
    pub failures: u32,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<DateTime<Utc>>,
    /// The newest attempt that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded_at: Option<DateTime<Utc>>,
    /// Until when it asked not to be called, with `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<DateTime<Utc>>,
    /// Until when the secret before signs too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<DateTime<Utc>>,
}

/// An endpoint with its secret, shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndpointWithSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointView,
    /// What signs its messages. Keep it: it is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: String,
}

/// Rotates a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateSecret {
    /// For how many hours the present secret signs too, 0 to 168. 0 where it has leaked.
    pub overlap_hours: u32,
}

impl Default for RotateSecret {
    fn default() -> Self {
        Self { overlap_hours: 24 }
    }
}

/// Replays what happened from a point in time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayFrom {
    /// Messages of events at this time or later.
    #[serde(deserialize_with = "crate::instant::read")]
    pub from: DateTime<Utc>,
    /// And before this time; all where left out.
    #[serde(default, deserialize_with = "crate::instant::read_option", skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// Only those that were set aside; delivered ones too where false.
    #[serde(default)]
    pub only_set_aside: bool,
}

/// What a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// Messages that are sent again.
    pub messages: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookMessageView {
    /// The message: `webhook-id`, the same at every attempt and replay.
    #[schema(value_type = String, example = "whm_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: WebhookMessageId,
    /// Where it goes.
    #[schema(value_type = String, example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub endpoint_id: WebhookEndpointId,
    /// The order; absent for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: Option<OrderId>,
    /// The number of the event in the order's history; 0 for a test.
    pub sequence: u64,
    /// The type of event.
    #[serde(rename = "type")]
    #[schema(example = "order.delivered")]
    pub kind: String,
    /// When the event happened.
    pub at: DateTime<Utc>,
    /// How it stands.
    pub state: WebhookState,
    /// When it is sent next. Absent where an earlier message of the order has to arrive first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was delivered or set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<DateTime<Utc>>,
    /// What the newest attempt met, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
}

/// An attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// 1 for the first.
    pub number: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took_ms: u32,
    /// The HTTP status that came back; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What was wrong; absent where it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "answered 500")]
    pub problem: Option<String>,
    /// The beginning of the answer's body, where it failed.
    #[schema(example = "")]
    pub answer: String,
}

/// A message with its body and attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookMessageDetail {
    /// The message.
    #[serde(flatten)]
    pub message: WebhookMessageView,
    /// Its attempts, oldest first, at most the newest 100.
    pub tried: Vec<AttemptView>,
    /// What is sent.
    pub body: WebhookBody,
}

/// A type of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventType {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "order.delivered")]
    pub kind: String,
    /// When it is sent.
    #[schema(example = "The customer has it.")]
    pub description: String,
}

/// What a receiver gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookBody {
    /// The type of event.
    #[serde(rename = "type")]
    #[schema(example = "order.delivered")]
    pub kind: String,
    /// When it happened. Not `webhook-timestamp`, which is when the message was sent.
    pub timestamp: DateTime<Utc>,
    /// What happened, and to what.
    pub data: WebhookData,
}

/// What happened, and to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum WebhookData {
    /// An event of an order.
    Order(Box<OrderEvent>),
    /// A test.
    Test(WebhookTest),
}

/// An event of an order, for one of its merchants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderEvent {
    /// The order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// The event's number in the order's history: 1, 2, 3 and so on. What is not newer than what you have is old.
    pub sequence: u64,
    /// Who did it: `system` or an id.
    #[schema(value_type = String, example = "system")]
    pub by: Party,
    /// The order's status after it.
    #[schema(value_type = words::OrderStatus)]
    pub status: Status,
    /// What else belongs to the event, by its kind: as in the order's timeline.
    #[schema(value_type = Object)]
    pub details: serde_json::Map<String, serde_json::Value>,
    /// The order after it, as its merchant sees it.
    pub order: OrderView,
}

/// A message that somebody asked for, to see whether it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTest {
    /// The endpoint.
    #[schema(value_type = String, example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub endpoint_id: WebhookEndpointId,
}
