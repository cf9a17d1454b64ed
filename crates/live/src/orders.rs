//! The door to orders.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{CustomerId, DriverId, MerchantId, OrderId};
use posthaste_domain::order::{CodeRule, Command, NewPickup, NewStop, Order, Speed};
use posthaste_protocol::orders::Audience;

use crate::{Cause, Refused};

/// A new order as it was handed in: the live system adds id, codes, zone and promise.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// Who owns it.
    pub merchant: MerchantId,
    /// For whom.
    pub customer: Option<CustomerId>,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// Fast or slow.
    pub speed: Speed,
    /// Units of capacity.
    pub size: u32,
    /// Higher goes first.
    pub priority: i16,
    /// One per seller.
    pub pickups: Vec<NewPickup>,
    /// The door.
    pub delivery: NewStop,
    /// Which hand-overs need a code.
    pub codes: CodeRule,
}

/// An idempotency key with what it stands for.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key: the token's subject.
    pub principal: String,
    /// The key.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub fingerprint: [u8; 32],
    /// For whom the stored answer is rendered.
    pub audience: Audience,
}

/// What became of a new order.
#[derive(Debug, Clone)]
pub enum Placed {
    /// It is in Postgres.
    New(Arc<Order>),
    /// The key was used before with the same request: the first answer, status and body.
    Replayed(u16, String),
}

/// What became of a command.
#[derive(Debug, Clone)]
pub struct Done {
    /// The order after it.
    pub order: Arc<Order>,
    /// False when it had been done before.
    pub changed: bool,
    /// When the server recorded it (the newest event's instant when nothing changed).
    pub at: Timestamp,
}

/// The door to orders. Cheap to clone.
#[derive(Clone)]
pub struct Orders {}

impl Orders {
    /// Checks and stores a new order. Answered after its commit.
    pub async fn place(
        &self,
        order: PlaceOrder,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<Placed, Refused> {
        let _ = (order, idempotency, cause);
        todo!()
    }

    /// The order's present state, live or settled.
    pub async fn get(&self, id: OrderId) -> Result<Arc<Order>, Refused> {
        let _ = id;
        todo!()
    }

    /// Asks the order for something (confirm, reject, cancel, unlock). Answered after the commit.
    /// A driver's commands go through [`crate::drivers::Drivers::command`] instead.
    pub async fn command(&self, id: OrderId, command: Command, cause: Cause) -> Result<Done, Refused> {
        let _ = (id, command, cause);
        todo!()
    }

    /// Operations give the order to a driver, whose calendar must have the time.
    pub async fn assign(&self, id: OrderId, driver: DriverId, cause: Cause) -> Result<Done, Refused> {
        let _ = (id, driver, cause);
        todo!()
    }

    /// Operations take the order back from its driver.
    pub async fn unassign(&self, id: OrderId, cause: Cause) -> Result<Done, Refused> {
        let _ = (id, cause);
        todo!()
    }

    /// The present estimate of the time at the door, while a driver has the order.
    pub async fn eta(&self, order: &Order) -> Option<Timestamp> {
        let _ = order;
        todo!()
    }
}
