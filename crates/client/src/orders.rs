//! Orders over REST.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{DriverId, MerchantId, OrderId, TaskId, ZoneId};
use posthaste_domain::order::{Speed, Status};
use posthaste_protocol::orders::{
    AssignOrder, CancelOrder, ConfirmOrder, CreateOrder, DecisionView, OrderView, PutPriority, RejectOrder,
    TimelineEntry, TrackingLink,
};
use posthaste_protocol::page::Page;
use posthaste_protocol::tracking::TrackingView;
use reqwest::Method;
use serde::Serialize;

use crate::error::ClientError;
use crate::http::{Call, Client, json};

/// Whether a new order may be sent twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Idempotency {
    /// No key: sent once, and never again by the client.
    Off,
    /// A fresh key: the client tries again by itself, and the server places the order once.
    #[default]
    Automatic,
    /// The caller's key, which survives the caller's own restarts.
    Key(String),
}

/// Which orders to list. Absent fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ListOrders {
    /// Only in this status.
    pub status: Option<Status>,
    /// Only fast, or only slow ones.
    pub speed: Option<Speed>,
    /// Only in this zone.
    pub zone_id: Option<ZoneId>,
    /// Only this driver's.
    pub driver_id: Option<DriverId>,
    /// Only this merchant's.
    pub merchant_id: Option<MerchantId>,
    /// Only with this reference.
    pub reference: Option<String>,
    /// Only placed at or after.
    pub placed_after: Option<DateTime<Utc>>,
    /// Only placed before.
    pub placed_before: Option<DateTime<Utc>>,
    /// The page after this cursor.
    pub cursor: Option<String>,
    /// Orders on a page.
    pub limit: Option<u32>,
}

impl Client {
    /// Places an order.
    pub async fn create_order(&self, order: &CreateOrder, once: Idempotency) -> Result<OrderView, ClientError> {
        let key = match once {
            Idempotency::Off => None,
            Idempotency::Automatic => Some(uuid::Uuid::now_v7().to_string()),
            Idempotency::Key(key) => Some(key),
        };
        let repeatable = key.is_some();
        let url = self.url(&["v1", "orders"]);
        self.send(Call { key, repeatable, body: Some(json(order)), ..Call::new(Method::POST, url) }).await
    }

    /// One page of orders, newest first.
    pub async fn list_orders(&self, filter: &ListOrders) -> Result<Page<OrderView>, ClientError> {
        self.list(&["v1", "orders"], filter).await
    }

    /// Every order that the filter lets through, page after page, newest first.
    pub async fn all_orders(&self, mut filter: ListOrders) -> Result<Vec<OrderView>, ClientError> {
        let mut all = Vec::new();
        loop {
            let page = self.list_orders(&filter).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(cursor) => filter.cursor = Some(cursor),
                None => return Ok(all),
            }
        }
    }

    /// One order.
    pub async fn order(&self, id: OrderId) -> Result<OrderView, ClientError> {
        self.get(&["v1", "orders", &id.to_string()]).await
    }

    /// Cancels an order.
    pub async fn cancel_order(&self, id: OrderId, reason: impl Into<String>) -> Result<OrderView, ClientError> {
        self.order_command(id, "cancel", &CancelOrder { reason: reason.into() }).await
    }

    /// A seller confirms its part.
    pub async fn confirm_order(&self, id: OrderId, confirm: &ConfirmOrder) -> Result<OrderView, ClientError> {
        self.order_command(id, "confirm", confirm).await
    }

    /// A seller rejects its part.
    pub async fn reject_order(&self, id: OrderId, reject: &RejectOrder) -> Result<OrderView, ClientError> {
        self.order_command(id, "reject", reject).await
    }

    /// Operations give the order to a driver.
    pub async fn assign_order(&self, id: OrderId, driver_id: DriverId) -> Result<OrderView, ClientError> {
        self.order_command(id, "assign", &AssignOrder { driver_id }).await
    }

    /// Operations say how urgent the order is.
    pub async fn prioritise_order(&self, id: OrderId, priority: i16) -> Result<OrderView, ClientError> {
        let segments = ["v1", "orders", &id.to_string(), "priority"];
        self.command(Method::PUT, &segments, &PutPriority { priority }).await
    }

    /// Operations take the order back from its driver.
    pub async fn unassign_order(&self, id: OrderId) -> Result<OrderView, ClientError> {
        self.order_command(id, "unassign", &serde_json::json!({})).await
    }

    /// Operations forgive a task's wrong codes.
    pub async fn unlock_code(&self, id: OrderId, task: TaskId) -> Result<OrderView, ClientError> {
        let segments = ["v1", "orders", &id.to_string(), "tasks", &task.to_string(), "unlock-code"];
        self.command(Method::POST, &segments, &serde_json::json!({})).await
    }

    /// What happened to the order, oldest first.
    pub async fn order_timeline(&self, id: OrderId) -> Result<Vec<TimelineEntry>, ClientError> {
        let page: Page<TimelineEntry> = self.get(&["v1", "orders", &id.to_string(), "timeline"]).await?;
        Ok(page.items)
    }

    /// The dispatcher's newest decision about the order.
    pub async fn order_decision(&self, id: OrderId) -> Result<DecisionView, ClientError> {
        self.get(&["v1", "orders", &id.to_string(), "decision"]).await
    }

    /// Where the customer follows the order.
    pub async fn tracking_link(&self, id: OrderId) -> Result<TrackingLink, ClientError> {
        self.get(&["v1", "orders", &id.to_string(), "tracking-link"]).await
    }

    /// What the holder of a tracking link sees. Needs no token.
    pub async fn tracking(&self, token: &str) -> Result<TrackingView, ClientError> {
        self.get(&["v1", "tracking", token]).await
    }

    async fn order_command<B: Serialize>(&self, id: OrderId, verb: &str, body: &B) -> Result<OrderView, ClientError> {
        self.command(Method::POST, &["v1", "orders", &id.to_string(), verb], body).await
    }
}
