//! Drivers who could not hold time for an order.

use posthaste_domain::calendar::Commitment;
use posthaste_domain::ids::DriverId;
use posthaste_domain::{Span, Timestamp};

use crate::views::DriverView;

/// How long a driver who could not hold time for an order is not asked for it again (product time), unless something
/// about them changes sooner. Longer, and a moment's trouble costs an idle driver the order; shorter, and a plan that
/// does not know the trouble asks the same driver again and again.
const REFUSED_SECONDS: i64 = 10;

/// A driver could not hold time for an order: as the board had them then, and since when.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedBy {
    driver: DriverId,
    at: Timestamp,
    capacity: u32,
    commitments: Vec<Commitment>,
}

impl RefusedBy {
    /// The driver, as the board has them now.
    #[must_use]
    pub fn new(driver: &DriverView, at: Timestamp) -> Self {
        let DriverView { id, capacity, commitments, .. } = driver.clone();
        Self { driver: id, at, capacity, commitments }
    }

    /// Whether it may still count.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now < self.at + Span::seconds(REFUSED_SECONDS)
    }

    /// Whether the driver would still refuse, for all that is known.
    #[must_use]
    pub fn holds(&self, driver: &DriverView, now: Timestamp) -> bool {
        self.driver == driver.id
            && self.is_recent(now)
            && self.capacity == driver.capacity
            && self.commitments == driver.commitments
    }
}
