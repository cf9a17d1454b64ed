//! The drivers of a zone, and the policy `least_busy` over them: fewest open orders, then fewest committed seconds
//! ahead, then shortest travel time to the first pickup, then driver id.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};

use crate::decision::{Choice, Decision, Passed, Reason};
use crate::views::{DriverView, OrderView};

/// Candidates named in a decision at most.
const MOST_PASSED: usize = 50;

/// Travel time in whole seconds between two places.
pub type Travel<'a> = &'a dyn Fn(Place, Place) -> i64;

/// The drivers of a zone.
#[derive(Debug, Clone, Default)]
pub struct Board {
    drivers: HashMap<DriverId, DriverView>,
    /// The farthest a driver may be from the first pickup, in metres.
    radius_meters: Option<u32>,
}

impl Board {
    /// A board with the zone's pickup radius.
    #[must_use]
    pub fn new(radius_meters: Option<u32>) -> Self {
        Self { drivers: HashMap::new(), radius_meters }
    }

    /// Changes the pickup radius.
    pub fn set_radius(&mut self, radius_meters: Option<u32>) {
        self.radius_meters = radius_meters;
    }

    /// Adds a driver or replaces what is known of him.
    pub fn upsert_driver(&mut self, driver: DriverView) {
        self.drivers.insert(driver.id, driver);
    }

    /// A driver moved.
    pub fn move_driver(&mut self, id: DriverId, place: Place) {
        if let Some(driver) = self.drivers.get_mut(&id) {
            driver.place = place;
        }
    }

    /// Takes a driver off the board.
    pub fn remove_driver(&mut self, id: DriverId) {
        self.drivers.remove(&id);
    }

    /// A driver.
    #[must_use]
    pub fn driver(&self, id: DriverId) -> Option<&DriverView> {
        self.drivers.get(&id)
    }

    /// All drivers, in no order.
    pub fn drivers(&self) -> impl Iterator<Item = &DriverView> {
        self.drivers.values()
    }

    /// How many drivers are on the board.
    #[must_use]
    pub fn len(&self) -> usize {
        self.drivers.len()
    }

    /// Whether nobody is on the board.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drivers.is_empty()
    }

    /// Holds time of a driver within a pass, so that the next order of the pass does not take it too.
    pub fn hold(&mut self, id: DriverId, order: OrderId, window: Window, size: u32) {
        if let Some(driver) = self.drivers.get_mut(&id) {
            driver.commitments.push(Commitment { order, window, tentative: true });
            driver.commitments.sort_by_key(|c| c.window.start());
            driver.open_orders += 1;
            driver.capacity_left = driver.capacity_left.saturating_sub(size);
        }
    }

    /// Whether this driver can take the order, and what it would commit of his time.
    pub fn check(
        &self,
        driver: &DriverView,
        order: &OrderView,
        now: Timestamp,
        travel: Travel,
    ) -> Result<Choice, Reason> {
        check(driver, order, self.radius_meters, now, travel)
    }

    /// The policy's choice for the order, with the reasons.
    #[must_use]
    pub fn choose(&self, order: &OrderView, now: Timestamp, travel: Travel) -> Decision {
        let mut able = Vec::new();
        let mut passed = Vec::new();
        for driver in self.drivers.values() {
            match check(driver, order, self.radius_meters, now, travel) {
                Ok(choice) => able.push(choice),
                Err(reason) => passed.push(Passed { driver: driver.id, reason }),
            }
        }
        able.sort_by_key(|c| (c.open_orders, c.committed_seconds, c.travel_seconds, c.driver));
        let mut able = able.into_iter();
        let chosen = able.next();
        passed.sort_by_key(|p| p.driver);
        passed.extend(able.map(|c| Passed {
            driver: c.driver,
            reason: Reason::LessPreferred {
                open_orders: c.open_orders,
                committed_seconds: c.committed_seconds,
                travel_seconds: c.travel_seconds,
            },
        }));
        let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
        for p in &passed {
            *counts.entry(p.reason.name()).or_default() += 1;
        }
        passed.truncate(MOST_PASSED);
        Decision { order: order.id, chosen, passed, counts: counts.into_iter().collect() }
    }
}

fn check(
    driver: &DriverView,
    order: &OrderView,
    radius_meters: Option<u32>,
    now: Timestamp,
    travel: Travel,
) -> Result<Choice, Reason> {
    match driver.shift {
        Shift::Offline => return Err(Reason::Offline),
        Shift::OnBreak { .. } => return Err(Reason::OnBreak),
        Shift::Available { .. } => {}
    }
    if driver.stale {
        return Err(Reason::Stale);
    }
    if !driver.serves(order.speed) {
        return Err(Reason::WrongSpeed);
    }
    if driver.capacity_left < order.size {
        return Err(Reason::NoCapacity { needs: order.size, left: driver.capacity_left });
    }
    if let Some(cooling) = order.cooling.iter().find(|c| c.driver == driver.id && c.until > now) {
        return Err(Reason::CoolingDown { until: cooling.until });
    }
    let first = order.pickups.first().map_or(order.delivery, |stop| *stop);
    if let Some(limit_meters) = radius_meters {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "metres on Earth fit")]
        let meters = driver.place.meters_to(first.place) as u32;
        if meters > limit_meters {
            return Err(Reason::TooFar { meters, limit_meters });
        }
    }
    let travel_seconds = travel(driver.place, first.place);
    let (picked_up, done) = run(driver.place, order, now, travel);
    let commitment = match order.window {
        Some(window) => window,
        None => Window::new(now, order.promised_at.max(done)).map_err(|_| Reason::ShiftEnds { at: now })?,
    };
    if let Some(until) = driver.shift.until()
        && (order.speed == Speed::Fast && picked_up > until || order.speed == Speed::Slow && commitment.end() > until)
    {
        return Err(Reason::ShiftEnds { at: until });
    }
    if commitment.start() <= now
        && let Some(late) = driver.overdue(now)
    {
        return Err(Reason::Overdue { order: late.order });
    }
    if let Some(other) = driver.commitments.iter().find(|c| c.window.overlaps(commitment)) {
        return Err(Reason::Overlaps { order: other.order, until: other.window.end() });
    }
    Ok(Choice {
        driver: driver.id,
        open_orders: driver.open_orders,
        committed_seconds: driver.committed_seconds(now),
        travel_seconds,
        commitment,
    })
}

/// When the last pickup would be done and when the order, starting now: travel, waiting for ready, services.
fn run(from: Place, order: &OrderView, now: Timestamp, travel: Travel) -> (Timestamp, Timestamp) {
    let (mut at, mut place) = (now, from);
    for stop in &order.pickups {
        at += Span::seconds(travel(place, stop.place));
        at = stop.ready_at.map_or(at, |ready| at.max(ready)) + stop.service;
        place = stop.place;
    }
    let picked_up = at;
    (picked_up, at + Span::seconds(travel(place, order.delivery.place)) + order.delivery.service)
}
