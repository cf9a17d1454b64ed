//! What the matcher sees of drivers and orders: small copies, never the things themselves.

use posthaste_domain::calendar::{Commitment, most_aboard};
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::offer::CoolDown;
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::VehicleSpeed;

/// A driver of the zone. Which zones they serve is said by the boards that they are on.
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
    /// How fast they move, as a factor on the zone's speed.
    pub vehicle: VehicleSpeed,
    /// Whether they serve fast orders.
    pub fast: bool,
    /// Whether they serve slow orders.
    pub slow: bool,
    /// Units of size that fit at once, with nothing aboard.
    pub capacity: u32,
    /// Orders in hand or offered.
    pub open_orders: u32,
    /// Committed time of their open orders, and time held by offers that they have not answered; in any order. What has
    /// ended stays until its order is closed: it says that the driver is overdue.
    pub commitments: Vec<Commitment>,
}

impl DriverView {
    /// Whether they serve the speed.
    #[must_use]
    pub fn serves(&self, speed: Speed) -> bool {
        match speed {
            Speed::Fast => self.fast,
            Speed::Slow => self.slow,
        }
    }

    /// Committed time at or after `now`, in seconds, rounded up: what is left of each commitment, summed.
    #[must_use]
    pub fn committed_seconds(&self, now: Timestamp) -> i64 {
        let micros: i64 = self.commitments.iter().map(|c| micros(c.window.remaining(now))).sum();
        seconds_up(micros)
    }

    /// The commitment that has run out first while its order is still open.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Option<Commitment> {
        let ended = self.commitments.iter().filter(|c| c.window.end() <= now);
        ended.min_by_key(|c| (c.window.end(), c.order)).copied()
    }

    /// The first commitment that overlaps a window.
    #[must_use]
    pub fn overlap(&self, window: Window) -> Option<Commitment> {
        let overlapping = self.commitments.iter().filter(|c| c.window.overlaps(window));
        overlapping.min_by_key(|c| (c.window.start(), c.order)).copied()
    }

    /// Units of size that still fit at every moment of a window, as things are at `now`.
    #[must_use]
    pub fn room(&self, window: Window, now: Timestamp) -> u32 {
        self.capacity.saturating_sub(most_aboard(&self.commitments, window, now))
    }

    /// Takes time and room for an order, as if it were open.
    pub fn hold(&mut self, order: OrderId, window: Window, size: u32) {
        self.commitments.push(Commitment { order, window, tentative: true, lane: None, size, aboard: false });
        self.open_orders = self.open_orders.saturating_add(1);
    }

    /// Gives back what [`hold`](Self::hold) took; whether there was something.
    pub fn release(&mut self, order: OrderId) -> bool {
        let Some(at) = self.commitments.iter().rposition(|c| c.order == order) else { return false };
        self.commitments.remove(at);
        self.open_orders = self.open_orders.saturating_sub(1);
        true
    }
}

/// Microseconds, the resolution of product time.
pub(crate) fn micros(span: Span) -> i64 {
    span.num_microseconds().unwrap_or(i64::MAX / 4)
}

/// Microseconds as seconds, rounded up.
pub(crate) fn seconds_up(micros: i64) -> i64 {
    micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) > 0)
}

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
    /// Pickups in the order in which they are made; empty when there is nothing to fetch.
    pub pickups: Vec<Stop>,
    /// The door.
    pub delivery: Stop,
    /// Drivers not to be asked for now.
    pub cooling: Vec<CoolDown>,
}

impl OrderView {
    /// Where a driver goes first: the first pickup, or the door.
    #[must_use]
    pub fn first_stop(&self) -> Place {
        self.pickups.first().map_or(self.delivery.place, |pickup| pickup.place)
    }

    /// Until when this driver is not to be asked; none when they may be.
    #[must_use]
    pub fn cooling_until(&self, driver: DriverId, now: Timestamp) -> Option<Timestamp> {
        self.cooling.iter().filter(|c| c.driver == driver && now < c.until).map(|c| c.until).max()
    }
}
