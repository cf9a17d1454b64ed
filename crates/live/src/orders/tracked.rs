//! An order with all that those who follow it may see something of.

use std::sync::Arc;

use posthaste_domain::order::{Estimate, Order, Recorded, Status};
use serde::{Deserialize, Serialize};

use crate::Refused;
use crate::drivers::LiveDriver;
use crate::system::Doors;

/// An order with its history, its driver and when it is expected, as of one version. Holds more than anybody outside may
/// see: [`crate::views::tracking`] shows what they may.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrackedOrder {
    /// The order.
    pub order: Arc<Order>,
    /// Its events up to this version, with the status after each.
    pub timeline: Vec<(Recorded, Status)>,
    /// Who has it now.
    pub driver: Option<LiveDriver>,
    /// When the hand-over at the door is expected.
    pub eta: Option<Estimate>,
}

impl TrackedOrder {
    /// This version of the order. What is committed meanwhile is in its timeline too: that belongs to a later one.
    pub(crate) async fn of(order: Arc<Order>, doors: &Doors) -> Result<Self, Refused> {
        let mut timeline = doors.timeline(order.id, 0).await?;
        timeline.retain(|(recorded, _)| recorded.seq <= order.version);
        let driver = doors.drivers.of_order(&order).await;
        let eta = doors.orders.eta(&order).await;
        Ok(Self { order, timeline, driver, eta })
    }
}
