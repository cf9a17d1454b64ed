//! What actors hold in memory, for whoever has to find out why one does what it does. They answer in the middle of their
//! work, as they would anybody: what is asked changes nothing.

use std::sync::Arc;
use std::time::Duration;

use posthaste_domain::Timestamp;
use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::{DriverId, OfferId, OrderId};
use posthaste_domain::order::{Deadline, Order, ReleaseReason};
use serde::{Deserialize, Serialize};

use crate::Refused;
use crate::drivers::{DriverMsg, Drivers};
use crate::orders::{OrderMsg, Orders};

/// What an order's actor holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderInside {
    /// The order as it is there.
    pub order: Arc<Order>,
    /// Up to which event everybody concerned has been told.
    pub told_version: u64,
    /// The deadlines that it has set an alarm for.
    pub armed: Vec<(Deadline, Timestamp)>,
}

/// What a driver's actor holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DriverInside {
    /// The record as it is there.
    pub driver: Arc<Driver>,
    /// Whether they have been silent too long to get work.
    pub stale: bool,
    /// Why they are gone, where what they have goes to others.
    pub gone: Option<ReleaseReason>,
    /// For how long nothing has been heard of them: real time.
    pub silent: Duration,
    /// Their time that orders hold, by its start.
    pub commitments: Vec<Commitment>,
    /// Time that is held for orders which have not said yet that the offer is made: sizes, and for how long (real time).
    pub proposed: Vec<(OrderId, u32, Duration)>,
    /// Orders in hand or offered, as they are known there.
    pub orders: Vec<Arc<Order>>,
    /// Orders that are over and remembered, the oldest first.
    pub settled: Vec<OrderId>,
    /// Offers that were declined and are remembered, the oldest first.
    pub declined: Vec<OfferId>,
    /// Which plan of the zone their route is of.
    pub plan_generation: Option<u64>,
}

impl Orders {
    /// What the order's actor holds.
    ///
    /// # Errors
    ///
    /// [`Refused::NotFound`] where the order has no actor: it is over, or there is none.
    pub async fn inside(&self, id: OrderId) -> Result<OrderInside, Refused> {
        self.door.present(id).ok_or(Refused::NotFound("live order".into()))?;
        self.door.ask(id, OrderMsg::Inside).await
    }
}

impl Drivers {
    /// What the driver's actor holds.
    ///
    /// # Errors
    ///
    /// [`Refused::NotFound`] where there is no such driver.
    pub async fn inside(&self, id: DriverId) -> Result<DriverInside, Refused> {
        self.door.ask(id, DriverMsg::Inside).await
    }
}
