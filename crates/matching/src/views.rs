//! What the matcher sees of drivers and orders.

use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::offer::CoolDown;
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};

/// A driver of the zone.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverView {
    /// The driver.
    pub id: DriverId,
    /// Last position.
    pub place: Place,
    /// Shift.
    pub shift: Shift,
    /// Silent too long.
    pub stale: bool,
    /// Whether he serves fast orders.
    pub fast: bool,
    /// Whether he serves slow orders.
    pub slow: bool,
    /// Units of size that still fit.
    pub capacity_left: u32,
    /// Orders in hand or offered.
    pub open_orders: u32,
    /// Committed and held time, by start, never overlapping.
    pub commitments: Vec<Commitment>,
}

impl DriverView {
    /// Whether he serves the speed.
    #[must_use]
    pub fn serves(&self, speed: Speed) -> bool {
        match speed {
            Speed::Fast => self.fast,
            Speed::Slow => self.slow,
        }
    }

    /// Committed seconds at or after `now`.
    #[must_use]
    pub fn committed_seconds(&self, now: Timestamp) -> i64 {
        self.commitments.iter().map(|c| c.window.remaining(now).num_seconds()).sum()
    }

    /// Whether an order's commitment has run out while the order is still open.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Option<Commitment> {
        self.commitments.iter().find(|c| c.window.end() <= now).copied()
    }
}

/// Whether a driver's time is free.
pub type Free = Result<(), Commitment>;

/// One stop of an order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// Where.
    pub place: Place,
    /// Time from arrival to leaving.
    pub service: Span,
    /// Not before (a pickup's ready time).
    pub ready_at: Option<Timestamp>,
}

/// A waiting order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderView {
    /// The order.
    pub id: OrderId,
    /// Fast or slow.
    pub speed: Speed,
    /// Units of size.
    pub size: u32,
    /// Higher goes first.
    pub priority: i16,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it is promised.
    pub promised_at: Timestamp,
    /// Slow orders: the time they commit.
    pub window: Option<Window>,
    /// Pickups in order, at least one.
    pub pickups: Vec<Stop>,
    /// The door.
    pub delivery: Stop,
    /// Drivers not to be asked for now.
    pub cooling: Vec<CoolDown>,
}
