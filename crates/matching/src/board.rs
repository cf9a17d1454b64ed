//! The drivers of a zone, and who of them should take an order.

use std::collections::BTreeMap;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_geography::TravelModel;

use crate::decision::Decision;
use crate::rule::Question;
use crate::scan;
use crate::views::{DriverView, OrderView};

/// Drivers that a decision names at most.
const MOST_NAMED: usize = 50;

/// The drivers of a zone.
#[derive(Debug, Clone)]
pub struct Board {
    radius_meters: Option<u32>,
    drivers: BTreeMap<DriverId, DriverView>,
}

impl Board {
    /// An empty board of a zone at about this latitude (degrees; it shapes the search, not the answers), where a
    /// driver may be this far from the first pickup at most (metres, great-circle; none for no limit).
    #[must_use]
    pub fn new(_latitude: f64, radius_meters: Option<u32>) -> Self {
        Self { radius_meters, drivers: BTreeMap::new() }
    }

    /// The pickup radius in metres.
    #[must_use]
    pub fn radius_meters(&self) -> Option<u32> {
        self.radius_meters
    }

    /// Changes the pickup radius.
    pub fn set_radius(&mut self, radius_meters: Option<u32>) {
        self.radius_meters = radius_meters;
    }

    /// How many drivers are on the board, on shift or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.drivers.len()
    }

    /// Whether nobody is on the board.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drivers.is_empty()
    }

    /// A driver.
    #[must_use]
    pub fn driver(&self, id: DriverId) -> Option<&DriverView> {
        self.drivers.get(&id)
    }

    /// All drivers, in no order that matters.
    pub fn drivers(&self) -> impl Iterator<Item = &DriverView> {
        self.drivers.values()
    }

    /// Adds a driver or replaces what is known of him.
    pub fn upsert_driver(&mut self, driver: DriverView) {
        self.drivers.insert(driver.id, driver);
    }

    /// A driver moved; whether he is on the board.
    pub fn move_driver(&mut self, id: DriverId, place: Place) -> bool {
        let Some(driver) = self.drivers.get_mut(&id) else { return false };
        driver.place = place;
        true
    }

    /// Takes a driver off the board; what was known of him.
    pub fn remove_driver(&mut self, id: DriverId) -> Option<DriverView> {
        self.drivers.remove(&id)
    }

    /// Holds time and capacity of a driver for an order as if it were open, so that the next order of a pass does not
    /// take them too; whether he is on the board.
    pub fn hold(&mut self, id: DriverId, order: OrderId, window: Window, size: u32) -> bool {
        let Some(driver) = self.drivers.get_mut(&id) else { return false };
        driver.hold(order, window, size);
        true
    }

    /// Gives back what [`hold`](Self::hold) took; whether there was something.
    pub fn release(&mut self, id: DriverId, order: OrderId, size: u32) -> bool {
        self.drivers.get_mut(&id).is_some_and(|driver| driver.release(order, size))
    }

    /// The policy's choice for the order, with the reasons.
    pub fn choose(&mut self, order: &OrderView, now: Timestamp, travel: &dyn TravelModel) -> Decision {
        let mut decision = self.explain(order, now, travel);
        decision.passed.truncate(MOST_NAMED);
        decision
    }

    /// Every driver, and why he was passed over: those who could take it by preference, then the others, nearest
    /// first. Asks everybody: for people, not for dispatch.
    #[must_use]
    pub fn explain(&self, order: &OrderView, now: Timestamp, travel: &dyn TravelModel) -> Decision {
        scan::explain(&Question { order, now, travel, radius_meters: self.radius_meters }, self.drivers.values())
    }
}
