//! A zone under the policy `routed`: what the solver is given, and what its plan says.
//!
//! [`Snapshot`] is a copy of everything that a plan needs, so that solving touches nothing live; [`Snapshot::solve`]
//! runs on a thread of its own. What comes of it, a [`ZonePlan`], is carried out by the dispatcher, which checks each
//! step again: an order that waits no more, or was asked about meanwhile, is left alone.

mod snapshot;
mod standby;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_domain::order::TaskKind;
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};
use posthaste_matching::routed::problem::{NEVER, OrderIndex, PlaceIndex};
use posthaste_matching::routed::{Act, Budget, Problem, Routes, Second, Travel, plan};
use posthaste_storage::shadow::Meant;

pub(super) use snapshot::Whereabouts;

use crate::drivers::{PlannedStop, Standby};

/// How long a pass may search (real time). Longer finds a little more, and decides on an older world.
const SEARCH_TIME: Duration = Duration::from_millis(80);
/// Drivers asked in one pass to explain why nobody takes an order, in all: some tens of milliseconds.
const ASKED_TO_EXPLAIN: usize = 2_048;
/// Ways between numbered places, by the zone's model.
pub(super) struct Roads {
    places: Vec<Place>,
    model: StraightLine,
}

impl Travel for Roads {
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
        if from == to {
            return 0;
        }
        let seconds = self.model.seconds(self.places[from as usize], self.places[to as usize], VehicleSpeed::default());
        Second::try_from(seconds).unwrap_or(NEVER).min(NEVER)
    }
}

/// The acts of each driver, as the last plan had them.
pub(crate) type Intended = HashMap<DriverId, Vec<(OrderId, TaskKind)>>;

/// Everything that a pass needs.
pub(super) struct Snapshot {
    pub(super) zone: ZoneId,
    pub(super) generation: u64,
    pub(super) now: Timestamp,
    drivers: Vec<DriverId>,
    /// How many of them are at work; the others come later, and are asked nothing yet.
    here: usize,
    orders: Vec<OrderId>,
    numbers: HashMap<OrderId, OrderIndex>,
    /// For each order, how it waits; nothing for what a driver has.
    waiting: Vec<Option<Waits>>,
    /// For each driver, the act that he said he does next.
    chosen: Vec<Option<Act>>,
    problem: Problem<Roads>,
    routes: Routes,
    budget: Budget,
    lead: Second,
    /// Where the zone sends idle drivers ahead of work.
    ahead: Option<standby::Ahead>,
}

/// How an order waits.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// From when on it is offered to whoever has it on their route, or it might be given up.
    last_call: Second,
    /// Whether it would be recorded that nobody can take it.
    may_be_recorded: bool,
}

/// An order to be offered now.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(super) order: OrderId,
    pub(super) driver: DriverId,
    /// All orders on the driver's route, which were seen to fit together.
    pub(super) route: Arc<[OrderId]>,
    /// When they have to leave for it.
    pub(super) leaves: Timestamp,
    pub(super) picked_up: Timestamp,
    pub(super) handed_over: Timestamp,
    pub(super) reasons: serde_json::Value,
    pub(super) summary: String,
}

/// What came of a pass.
pub(crate) struct ZonePlan {
    pub(super) generation: u64,
    pub(super) made_at: Timestamp,
    /// What is to be offered now.
    pub(super) steps: Vec<Step>,
    /// Each driver's stops of orders that are his already.
    pub(super) routes: Vec<(DriverId, Vec<PlannedStop>)>,
    /// What is meant for later.
    pub(super) intended: Intended,
    /// Waiting orders that nobody can take, in words and in full.
    pub(super) unserved: Vec<(OrderId, String, serde_json::Value)>,
    /// When the next offer is due.
    pub(super) next: Option<Timestamp>,
    /// Who is to wait where for work.
    pub(super) standby: Vec<(DriverId, Standby)>,
}

/// What a plan means for an order that waits.
pub(super) struct MeantFor {
    pub(super) order: OrderId,
    pub(super) meant: Option<Meant>,
    pub(super) summary: String,
    pub(super) detail: serde_json::Value,
}

impl Snapshot {
    /// Whether there is anything to plan.
    pub(super) fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.ahead.is_none()
    }

    /// Routes for all that is known. Blocks for as long as it may search.
    fn search(&self, time: Duration) -> Routes {
        let started = Instant::now();
        let planned = plan(&self.problem, self.routes.clone(), self.budget, &|| started.elapsed() >= time);
        crate::metrics::planned(started.elapsed());
        planned.routes
    }

    /// Plans. Blocks for as long as a pass may search.
    pub(super) fn solve(self) -> ZonePlan {
        let routes = self.search(SEARCH_TIME);
        let mut result = ZonePlan {
            generation: self.generation,
            made_at: self.now,
            steps: Vec::new(),
            routes: Vec::new(),
            intended: HashMap::new(),
            unserved: Vec::new(),
            next: None,
            standby: self.send_ahead(&routes),
        };
        for d in 0..self.drivers.len() {
            self.carry_out(d, &routes, &mut result);
        }
        let left_out = self.left_out(&routes).into_iter().filter(|o| self.waits(*o).is_some_and(|w| w.may_be_recorded));
        for order in left_out.take(self.most_explained()) {
            let (summary, reasons) = self.nobody(&routes, order);
            result.unserved.push((self.orders[order as usize], summary, reasons));
        }
        result
    }

    fn waits(&self, order: OrderIndex) -> Option<Waits> {
        self.waiting[order as usize]
    }

    /// Orders of which one plan says why nobody takes them, at most; the next plan says it of others. Each asks every driver.
    fn most_explained(&self) -> usize {
        (ASKED_TO_EXPLAIN / self.drivers.len().max(1)).clamp(8, 64)
    }

    fn nobody(&self, routes: &Routes, order: OrderIndex) -> (String, serde_json::Value) {
        let narrowed = self.problem.orders.len() > self.budget.most;
        super::reasons::nobody(&self.problem, routes, order, &self.drivers, narrowed)
    }

    /// Waiting orders that are on no route.
    fn left_out(&self, routes: &Routes) -> Vec<OrderIndex> {
        let mut left: Vec<bool> = self.waiting.iter().map(Option::is_some).collect();
        for act in routes.iter().flatten() {
            left[act.order() as usize] = false;
        }
        let left = left.into_iter().enumerate().filter(|(_, left)| *left);
        left.map(|(order, _)| OrderIndex::try_from(order).unwrap_or(OrderIndex::MAX)).collect()
    }

    fn instant(&self, second: Second) -> Timestamp {
        self.now + Span::seconds(i64::from(second))
    }

    /// What a driver's route means: offers that are due, stops of what is his, and what is meant for later.
    fn carry_out(&self, d: usize, routes: &Routes, result: &mut ZonePlan) {
        let route = &routes[d];
        if route.is_empty() {
            return;
        }
        let driver = self.drivers[d];
        let moments = self.problem.moments(d, route);
        let name = |act: &Act| self.orders[act.order() as usize];
        result.intended.insert(driver, route.iter().map(|a| (name(a), kind(*a))).collect());
        let his = route.iter().zip(&moments).filter(|(a, _)| self.waits(a.order()).is_none());
        let stops: Vec<PlannedStop> = his
            .map(|(a, moment)| PlannedStop {
                order: name(a),
                kind: kind(*a),
                at: self.instant(*moment),
                chosen: self.chosen[d] == Some(*a),
            })
            .collect();
        if !stops.is_empty() {
            result.routes.push((driver, stops));
        }
        if d >= self.here {
            return;
        }
        let all: Arc<[OrderId]> = route.iter().map(name).collect();
        for n in self.due(d, route, result) {
            let order = route[n].order();
            let handed_over = route.iter().position(|a| *a == Act::Dropoff(order)).map(|at| moments[at]);
            let (summary, reasons) =
                super::reasons::chosen(&self.problem, routes, order, d, &self.drivers, self.generation);
            result.steps.push(Step {
                order: name(&route[n]),
                driver,
                route: Arc::clone(&all),
                leaves: self.instant(self.problem.leave_for(d, route, n).max(0)),
                picked_up: self.instant(moments[n]),
                handed_over: self.instant(handed_over.unwrap_or(moments[n])),
                reasons,
                summary,
            });
        }
    }

    /// The pickups of a route that are to be offered now: those of the first visit that brings something new, once its
    /// driver has to leave soon, and whatever would be given up otherwise, though its turn is later. When the first is not
    /// yet due, it is noted when it will be.
    fn due(&self, d: usize, route: &[Act], result: &mut ZonePlan) -> Vec<usize> {
        let waits = |n: &usize| matches!(route[*n], Act::Pickup(_)) && self.waits(route[*n].order()).is_some();
        let Some(first_new) = (0..route.len()).find(waits) else { return Vec::new() };
        let after = (first_new + 1..route.len()).take_while(|n| self.problem.same_visit(route[n - 1], route[*n]));
        let visit = first_new..after.last().unwrap_or(first_new) + 1;
        let ask_at = self.problem.leave_for(d, route, first_new) - self.lead;
        let is_last_call = |n: usize| self.waits(route[n].order()).is_some_and(|w| w.last_call <= 0);
        if ask_at > 0 {
            let at = self.instant(ask_at);
            result.next = Some(result.next.map_or(at, |next| next.min(at)));
        }
        (first_new..route.len())
            .filter(waits)
            .filter(|n| (ask_at <= 0 && visit.contains(n)) || is_last_call(*n))
            .collect()
    }

    /// What a plan would mean for some of the waiting orders, and what it intends for each driver. Blocks for as long
    /// as it may search.
    pub(super) fn meant_for(&self, wanted: &[OrderId], time: Duration) -> (Vec<MeantFor>, Intended) {
        let routes = self.search(time);
        let mut is_left_out = vec![false; self.orders.len()];
        self.left_out(&routes).into_iter().for_each(|order| is_left_out[order as usize] = true);
        let mut driver_of: HashMap<OrderIndex, usize> = HashMap::new();
        for (d, route) in routes.iter().enumerate() {
            driver_of.extend(route.iter().map(|act| (act.order(), d)));
        }
        let mut all = Vec::with_capacity(wanted.len());
        let mut explained = 0;
        for id in wanted {
            let Some(order) = self.number(*id) else { continue };
            let (meant, (summary, detail)) = match driver_of.get(&order).copied() {
                Some(d) => {
                    let why = super::reasons::chosen(&self.problem, &routes, order, d, &self.drivers, self.generation);
                    (self.meant(d, &routes[d], order), why)
                }
                None if is_left_out[order as usize] && explained < self.most_explained() => {
                    explained += 1;
                    (None, self.nobody(&routes, order))
                }
                None => continue,
            };
            all.push(MeantFor { order: *id, meant, summary, detail });
        }
        let named = |route: &Vec<Act>| route.iter().map(|a| (self.orders[a.order() as usize], kind(*a))).collect();
        let intended = routes.iter().enumerate().filter(|(_, route)| !route.is_empty());
        (all, intended.map(|(d, route)| (self.drivers[d], named(route))).collect())
    }

    /// When a driver would have an order if he did it after all that is his already, asked now.
    pub(super) fn at_the_end(&self, order: OrderId, driver: DriverId) -> Option<Meant> {
        let d = self.drivers.iter().position(|known| *known == driver)?;
        let number = self.number(order)?;
        let mut route: Vec<Act> =
            self.routes[d].iter().copied().filter(|act| self.waits(act.order()).is_none()).collect();
        route.extend([Act::Pickup(number), Act::Dropoff(number)]);
        Some(Meant { offer_at: self.now, ..self.meant(d, &route, number)? })
    }

    fn number(&self, order: OrderId) -> Option<OrderIndex> {
        self.numbers.get(&order).copied()
    }

    /// When a driver has an order of his route.
    fn meant(&self, d: usize, route: &[Act], order: OrderIndex) -> Option<Meant> {
        let moments = self.problem.moments(d, route);
        let pickup = route.iter().position(|act| *act == Act::Pickup(order))?;
        let dropoff = route.iter().position(|act| *act == Act::Dropoff(order))?;
        let ask_at = self.problem.leave_for(d, route, pickup) - self.lead;
        let last_call = self.waits(order).map_or(ask_at, |waits| waits.last_call);
        Some(Meant {
            driver: self.drivers[d],
            offer_at: self.instant(ask_at.min(last_call).max(0)),
            pickup_at: self.instant(moments[pickup]),
            dropoff_at: self.instant(moments[dropoff]),
        })
    }
}

fn kind(act: Act) -> TaskKind {
    if matches!(act, Act::Pickup(_)) { TaskKind::Pickup } else { TaskKind::Delivery }
}
