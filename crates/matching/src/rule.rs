//! The policy `least_busy`: who can take an order, for what time, and who is preferred.
//!
//! A driver's commitments never overlap, and what is aboard at one moment fits. An order with a window holds that window;
//! any other, and one whose window is over, holds its driver from when they have to leave for it, and a little before, to
//! the promised time, or to when they could be done if that is later, but for no longer than four hours. A driver
//! with an order that should be over and is not is asked about nothing that starts now: nobody knows when they are free.
//! While the driver who is preferred need not leave yet, nobody is asked: what is ready much later costs nobody their time.
//! Of those who can take it, the one with the fewest open orders is preferred, then the fewest committed seconds
//! ahead, then the shortest travel to the first pickup, then the lowest id.

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::LONGEST_COMMITMENT_SECONDS;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{TravelModel, VehicleSpeed};

use crate::decision::{Choice, Passed, Reason};
use crate::views::{DriverView, OrderView};

/// How long before a driver has to leave for what is not ready yet their time is held, and they are asked. Shorter leaves
/// no time for those who decline; longer keeps drivers from other work.
pub const LEAD: Span = Span::minutes(10);
/// The longest time that an order without a window holds a driver.
const LONGEST: Span = Span::seconds(LONGEST_COMMITMENT_SECONDS as i64);

/// By what a driver is preferred: the least is chosen. Fields compare in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Their open orders.
    pub open_orders: u32,
    /// Their committed time ahead, in seconds.
    pub committed_seconds: i64,
    /// Their travel time to the first pickup, in seconds.
    pub travel_seconds: i64,
    /// Who they are.
    pub driver: DriverId,
}

/// A driver who can take an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// How they compare.
    pub rank: Rank,
    /// The time that the order would hold.
    pub commitment: Window,
    /// Nobody has to be asked before the commitment starts.
    pub later: bool,
}

impl Fit {
    /// As the answer of a decision.
    #[must_use]
    pub fn choice(&self) -> Choice {
        let Rank { open_orders, committed_seconds, travel_seconds, driver } = self.rank;
        Choice { driver, open_orders, committed_seconds, travel_seconds, commitment: self.commitment }
    }

    /// As the answer of a decision: to be asked now, or later.
    #[must_use]
    pub(crate) fn now_or_later(&self) -> (Option<Choice>, Option<Choice>) {
        if self.later { (None, Some(self.choice())) } else { (Some(self.choice()), None) }
    }

    /// As somebody who had to stand back.
    #[must_use]
    pub fn passed(&self) -> Passed {
        let Rank { open_orders, committed_seconds, travel_seconds, driver } = self.rank;
        Passed { driver, reason: Reason::LessPreferred { open_orders, committed_seconds, travel_seconds } }
    }
}

/// What every driver is asked about.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// The order.
    pub order: &'q OrderView,
    /// The instant of the decision.
    pub now: Timestamp,
    /// How long ways take.
    pub travel: &'q dyn TravelModel,
    /// The farthest a driver may be from the first pickup, great-circle, in metres.
    pub radius_meters: Option<u32>,
}

impl std::fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("order", &self.order.id).field("now", &self.now).finish_non_exhaustive()
    }
}

impl Question<'_> {
    /// Whether a driver can take the order, and at what rank; otherwise the first reason why not. Reasons that only
    /// the calendar decides come before those that need a way to be measured.
    ///
    /// # Errors
    /// The [`Reason`].
    pub fn judge(&self, driver: &DriverView) -> Result<Fit, Reason> {
        self.before_the_way(driver)?;
        let least = self.least_window();
        self.is_near(driver)?;
        let travel_seconds = self.travel.seconds(driver.place, self.order.first_stop(), driver.vehicle);
        let run = self.run(driver.vehicle, travel_seconds);
        let fixed = self.fixed_window();
        works_until(driver, fixed.map_or(run.picked_up, Window::end))?;
        let starts = self.now.max(run.leaves - LEAD);
        if fixed.is_none() && run.done - starts > LONGEST {
            let (takes, limit_seconds) = ((run.done - starts).num_seconds(), LONGEST.num_seconds());
            return Err(Reason::TooLong { seconds: takes, limit_seconds });
        }
        let commitment = fixed.unwrap_or_else(|| {
            let ends = run.done.max(self.order.promised_at.min(starts + LONGEST));
            least.span_with(until(starts, ends))
        });
        if commitment.start() <= self.now {
            self.is_on_time(driver)?;
        }
        self.is_free(driver, commitment)?;
        let left = driver.room(commitment, self.now);
        if self.order.size > left {
            return Err(Reason::NoCapacity { needs: self.order.size, left });
        }
        let rank = Rank {
            open_orders: driver.open_orders,
            committed_seconds: driver.committed_seconds(self.now),
            travel_seconds: i64::from(travel_seconds),
            driver: driver.id,
        };
        Ok(Fit { rank, commitment, later: fixed.is_none() && commitment.start() > self.now })
    }

    /// All that can be said without measuring a way.
    pub(crate) fn before_the_way(&self, driver: &DriverView) -> Result<(), Reason> {
        self.admits(driver)?;
        works_until(driver, self.least_shift())?;
        let least = self.least_window();
        if least.start() <= self.now {
            self.is_on_time(driver)?;
        }
        self.is_free(driver, least)
    }

    /// Whether the driver has nothing in hand that should be over.
    fn is_on_time(&self, driver: &DriverView) -> Result<(), Reason> {
        match driver.overdue(self.now) {
            Some(late) => Err(Reason::Overdue { order: late.order }),
            None => Ok(()),
        }
    }

    /// What the driver is, before any time or place.
    fn admits(&self, driver: &DriverView) -> Result<(), Reason> {
        match driver.shift {
            Shift::Offline => return Err(Reason::Offline),
            Shift::OnBreak { .. } => return Err(Reason::OnBreak),
            Shift::Available { .. } => {}
        }
        if driver.stale {
            return Err(Reason::Stale);
        }
        if !driver.serves(self.order.speed) {
            return Err(Reason::WrongSpeed);
        }
        if self.order.size > driver.capacity {
            return Err(Reason::NoCapacity { needs: self.order.size, left: driver.capacity });
        }
        match self.order.cooling_until(driver.id, self.now) {
            Some(until) => Err(Reason::CoolingDown { until }),
            None => Ok(()),
        }
    }

    fn is_free(&self, driver: &DriverView, window: Window) -> Result<(), Reason> {
        match driver.overlap(window) {
            Some(other) => Err(Reason::Overlaps { order: other.order, until: other.window.end() }),
            None => Ok(()),
        }
    }

    fn is_near(&self, driver: &DriverView) -> Result<(), Reason> {
        let Some(limit_meters) = self.radius_meters else { return Ok(()) };
        let meters = driver.place.meters_to(self.order.first_stop());
        if meters > f64::from(limit_meters) {
            // Rounded up, so that what is shown exceeds the limit too. The globe fits.
            return Err(Reason::TooFar { meters: meters.ceil() as u32, limit_meters });
        }
        Ok(())
    }

    /// The window that the order holds, whoever takes it. None for an order that is wanted as soon as possible;
    /// one whose window is over is just that.
    #[must_use]
    pub fn fixed_window(&self) -> Option<Window> {
        self.order.window.filter(|window| self.now < window.end())
    }

    /// The time that the order holds of anybody at the least: its window, or from when somebody has to leave who stands
    /// at the shop to the promised time.
    #[must_use]
    pub fn least_window(&self) -> Window {
        self.fixed_window().unwrap_or_else(|| {
            let mut head = Span::zero();
            let mut leaves = self.now;
            for stop in &self.order.pickups {
                leaves = stop.ready_at.map_or(leaves, |ready| leaves.max(ready - head));
                head += stop.service;
            }
            until(self.now.max(leaves - LEAD), self.order.promised_at.min(self.now + LONGEST))
        })
    }

    /// Until when a shift has to last for anybody at the least: to the end of the window, or until all is ready.
    #[must_use]
    pub fn least_shift(&self) -> Timestamp {
        let ready = self.order.pickups.iter().filter_map(|pickup| pickup.ready_at);
        self.fixed_window().map_or_else(|| ready.fold(self.now, Timestamp::max), Window::end)
    }

    /// From when on the order holds a driver who is there now: from when they have to leave, and a little before.
    #[must_use]
    pub fn starts(&self, place: Place, vehicle: VehicleSpeed) -> Timestamp {
        let way = self.travel.seconds(place, self.order.first_stop(), vehicle);
        self.now.max(self.run(vehicle, way).leaves - LEAD)
    }

    /// When a driver who needs this long to the first stop has to leave for it, and when the last pickup would be done and
    /// when the order: travel, waiting until ready, services.
    fn run(&self, vehicle: VehicleSpeed, travel_seconds: u32) -> Run {
        let order = self.order;
        let mut at = self.now + seconds(travel_seconds);
        // How long they are under way when they come to a stop, if they wait nowhere.
        let mut head = seconds(travel_seconds);
        let mut leaves = self.now;
        let mut place = order.first_stop();
        for (turn, stop) in order.pickups.iter().enumerate() {
            if turn > 0 {
                let way = seconds(self.travel.seconds(place, stop.place, vehicle));
                at += way;
                head += way;
            }
            if let Some(ready) = stop.ready_at {
                at = at.max(ready);
                leaves = leaves.max(ready - head);
            }
            at += stop.service;
            head += stop.service;
            place = stop.place;
        }
        let picked_up = at;
        if !order.pickups.is_empty() {
            at += seconds(self.travel.seconds(place, order.delivery.place, vehicle));
        }
        Run { leaves, picked_up, done: at + order.delivery.service }
    }
}

/// How a driver would do an order.
struct Run {
    /// When they have to leave: now, or later without being done later.
    leaves: Timestamp,
    /// When the last pickup is done.
    picked_up: Timestamp,
    /// When all of it is.
    done: Timestamp,
}

fn works_until(driver: &DriverView, latest: Timestamp) -> Result<(), Reason> {
    match driver.shift.until() {
        Some(at) if at < latest => Err(Reason::ShiftEnds { at }),
        _ => Ok(()),
    }
}

fn seconds(seconds: u32) -> Span {
    Span::seconds(i64::from(seconds))
}

/// From an instant to another, or for a moment when that is before it: an order that needs no time still holds its driver.
fn until(start: Timestamp, then: Timestamp) -> Window {
    let end = then.max(start + Span::microseconds(1));
    Window::new(start, end).unwrap_or_else(|_| unreachable!("the end was made later than the start"))
}
