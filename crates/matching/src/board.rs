//! The drivers of a zone, and who of them should take an order.
//!
//! A position changes a grid and nothing else. Anything else about a driver changes the sets of the index. Time
//! passes when a choice is asked for: commitments that have started or ended since the last one are noted then.
//! Asking about an earlier instant than before is right too, and slow: everybody is noted again.

use hashbrown::HashMap;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_geography::{SlotGrid, TravelModel, VehicleSpeed};

use crate::decision::Decision;
use crate::index::Index;
use crate::rule::Question;
use crate::scan;
use crate::search::Search;
use crate::views::{DriverView, OrderView};

/// Side of the grid's cells. Half that or twice that costs little; see the benches.
const CELL_METERS: f64 = 400.0;

/// The drivers of a zone.
#[derive(Debug, Clone)]
pub struct Board {
    radius_meters: Option<u32>,
    slots: HashMap<DriverId, u32>,
    seats: Vec<Option<DriverView>>,
    free: Vec<u32>,
    grid: SlotGrid,
    index: Index,
    fastest: VehicleSpeed,
    /// The instant that the index is right for, in microseconds since 1970.
    at: i64,
}

impl Board {
    /// An empty board of a zone at about this latitude (degrees; it shapes the search, not the answers), where a
    /// driver may be this far from the first pickup at most (metres, great-circle; none for no limit).
    #[must_use]
    pub fn new(latitude: f64, radius_meters: Option<u32>) -> Self {
        Self {
            radius_meters,
            slots: HashMap::new(),
            seats: Vec::new(),
            free: Vec::new(),
            grid: SlotGrid::new(CELL_METERS, latitude),
            index: Index::default(),
            fastest: VehicleSpeed::NORMAL,
            at: i64::MIN,
        }
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
        self.slots.len()
    }

    /// Whether nobody is on the board.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A driver.
    #[must_use]
    pub fn driver(&self, id: DriverId) -> Option<&DriverView> {
        self.slots.get(&id).and_then(|slot| self.seats[*slot as usize].as_ref())
    }

    /// All drivers, in no order that matters.
    pub fn drivers(&self) -> impl Iterator<Item = &DriverView> {
        self.seats.iter().flatten()
    }

    /// Adds a driver or replaces what is known of them.
    pub fn upsert_driver(&mut self, driver: DriverView) {
        let next = self.free.last().copied().unwrap_or(self.seats.len() as u32);
        let slot = *self.slots.entry(driver.id).or_insert(next);
        if slot == next && self.free.pop().is_none() {
            self.seats.push(None);
        }
        if driver.vehicle > self.fastest {
            self.fastest = driver.vehicle;
        }
        self.grid.put(slot, driver.place);
        if let Some(former) = self.seats[slot as usize].take() {
            self.index.remove(slot, &former);
        }
        self.index.add(slot, &driver, self.at);
        self.seats[slot as usize] = Some(driver);
    }

    /// A driver moved; whether they are on the board.
    pub fn move_driver(&mut self, id: DriverId, place: Place) -> bool {
        let Some(slot) = self.slots.get(&id).copied() else { return false };
        self.grid.put(slot, place);
        if let Some(driver) = &mut self.seats[slot as usize] {
            driver.place = place;
        }
        true
    }

    /// Takes a driver off the board; what was known of them.
    pub fn remove_driver(&mut self, id: DriverId) -> Option<DriverView> {
        let slot = self.slots.remove(&id)?;
        let driver = self.seats[slot as usize].take()?;
        self.index.remove(slot, &driver);
        self.grid.remove(slot);
        self.free.push(slot);
        Some(driver)
    }

    /// Holds time and room of a driver for an order as if it were open, so that the next order of a pass does not
    /// take them too; whether the driver is on the board.
    pub fn hold(&mut self, id: DriverId, order: OrderId, window: Window, size: u32) -> bool {
        self.change(id, |driver| driver.hold(order, window, size)).is_some()
    }

    /// The policy's choice for the order, held at once, so that the next order of a pass does not take the same time of the
    /// same driver. Every pass decides so, at a server, in a shadow and on a simulated day.
    pub fn decide(&mut self, order: &OrderView, now: Timestamp, travel: &dyn TravelModel) -> Decision {
        let decision = self.choose(order, now, travel);
        if let Some(choice) = &decision.chosen {
            self.hold(choice.driver, order.id, choice.commitment, order.size);
        }
        decision
    }

    /// Gives back what [`hold`](Self::hold) took; whether there was something.
    pub fn release(&mut self, id: DriverId, order: OrderId) -> bool {
        self.change(id, |driver| driver.release(order)).unwrap_or(false)
    }

    fn change<T>(&mut self, id: DriverId, change: impl FnOnce(&mut DriverView) -> T) -> Option<T> {
        let slot = self.slots.get(&id).copied()?;
        let driver = self.seats[slot as usize].as_mut()?;
        self.index.remove(slot, driver);
        let result = change(driver);
        self.index.add(slot, driver, self.at);
        Some(result)
    }

    /// The policy's choice for the order, with the reasons.
    pub fn choose(&mut self, order: &OrderView, now: Timestamp, travel: &dyn TravelModel) -> Decision {
        self.advance(now.timestamp_micros());
        let question = Question { order, now, travel, radius_meters: self.radius_meters };
        let decision = Search {
            question: &question,
            index: &self.index,
            grid: &self.grid,
            seats: &self.seats,
            fastest: self.fastest,
        }
        .decide(|id| self.slots.get(&id).copied());
        debug_assert_eq!(
            decision.chosen.or(decision.later),
            scan::choose(&question, self.drivers()).map(|fit| fit.choice()),
            "the index and the rule disagree"
        );
        decision
    }

    /// Every driver, and why they were passed over: those who could take it by preference, then the others, nearest
    /// first. Asks everybody: for people, not for dispatch.
    #[must_use]
    pub fn explain(&self, order: &OrderView, now: Timestamp, travel: &dyn TravelModel) -> Decision {
        scan::explain(&Question { order, now, travel, radius_meters: self.radius_meters }, self.drivers())
    }

    fn advance(&mut self, now: i64) {
        if now < self.at {
            for (driver, slot) in self.seats.iter().zip(0..) {
                if let Some(driver) = driver {
                    self.index.retime(slot, driver, now);
                }
            }
        }
        while let Some(slot) = self.index.due(now) {
            let Some(driver) = &self.seats[slot as usize] else { break };
            self.index.retime(slot, driver, now);
        }
        self.at = now;
    }
}
