//! The topics of the live system.

use posthaste_domain::ids::{CustomerId, DriverId, Id, MerchantId, OrderId};
use posthaste_streams::{Kind, Numbering, OPERATIONS, Topic};

/// A driver's own stream: offers, route, shift.
static DRIVER: Kind =
    Kind { name: "driver", numbering: Numbering::Here { kept: 256 }, queue: 256, idle_sweeps: IDLE_SWEEPS };
/// One order, as the holder of its tracking link sees it, numbered by its events. Nothing of it is kept here.
static TRACKING: Kind =
    Kind { name: "tracking", numbering: Numbering::Owner { epoch: "order-events" }, queue: 256, idle_sweeps: 0 };
/// All orders that concern a merchant. At 1 KB a message, 1 MB for one that somebody follows.
static MERCHANT: Kind =
    Kind { name: "merchant", numbering: Numbering::Here { kept: 1024 }, queue: 4096, idle_sweeps: IDLE_SWEEPS };
/// All orders of a customer.
static CUSTOMER: Kind =
    Kind { name: "customer", numbering: Numbering::Here { kept: 256 }, queue: 256, idle_sweeps: IDLE_SWEEPS };

/// Minutes for which the stream of somebody who has gone keeps its messages.
const IDLE_SWEEPS: u32 = 10;

/// Every kind that the live system tells of.
pub static KINDS: [&Kind; 5] = [&DRIVER, &TRACKING, &MERCHANT, &CUSTOMER, &OPERATIONS];

/// A driver's own stream: offers, route, shift.
#[must_use]
pub fn driver(id: DriverId) -> Topic {
    Topic { kind: &DRIVER, id: id.uuid() }
}

/// One order, as the holder of its tracking link sees it.
#[must_use]
pub fn tracking(id: OrderId) -> Topic {
    Topic { kind: &TRACKING, id: id.uuid() }
}

/// All orders that concern a merchant.
#[must_use]
pub fn merchant(id: MerchantId) -> Topic {
    Topic { kind: &MERCHANT, id: id.uuid() }
}

/// All orders of a customer.
#[must_use]
pub fn customer(id: CustomerId) -> Topic {
    Topic { kind: &CUSTOMER, id: id.uuid() }
}

/// Whose topic a topic of the live system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Driver(DriverId),
    Tracking(OrderId),
    Merchant(MerchantId),
    Customer(CustomerId),
}

impl Of {
    /// None where another crate owns the topic.
    pub(super) fn topic(topic: Topic) -> Option<Self> {
        let id = topic.id;
        Some(match topic.kind.name {
            name if name == DRIVER.name => Self::Driver(DriverId::from_uuid(id)),
            name if name == TRACKING.name => Self::Tracking(OrderId::from_uuid(id)),
            name if name == MERCHANT.name => Self::Merchant(MerchantId::from_uuid(id)),
            name if name == CUSTOMER.name => Self::Customer(CustomerId::from_uuid(id)),
            _ => return None,
        })
    }
}

/// Who sees a driver move who has an order of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follower {
    /// Who has the order's tracking link: where it is, and not who has it.
    Tracking(OrderId),
    /// The merchant whose order it is.
    Merchant(MerchantId),
    /// The customer: where the driver of that order is, and not who has it.
    Customer(CustomerId, OrderId),
}
