//! A zone under the policy `routed`: what the solver is given, and what its plan says.
//!
//! [`Snapshot`] is a copy of everything that a plan needs, so that solving touches nothing live; [`Snapshot::solve`]
//! runs on a thread of its own. What comes of it, a [`ZonePlan`], is carried out by the dispatcher, which checks each
//! step again: an order that waits no more, or was asked about meanwhile, is left alone.

mod snapshot;
mod standby;

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
    waiting: Vec<bool>,
    /// For each driver, the act that he said he does next.
    chosen: Vec<Option<Act>>,
    problem: Problem<Roads>,
    routes: Routes,
    budget: Budget,
    lead: Second,
    /// Where the zone sends idle drivers ahead of work.
    ahead: Option<standby::Ahead>,
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

    /// Routes for all that is known, without what is only expected. Blocks for as long as it may search.
    fn search(&self, time: Duration) -> Routes {
        let started = Instant::now();
        let planned = plan(&self.problem, self.routes.clone(), self.budget, &|| started.elapsed() >= time);
        crate::metrics::planned(started.elapsed());
        let real = self.orders.len();
        let kept =
            |route: &Vec<Act>| -> Vec<Act> { route.iter().copied().filter(|a| (a.order() as usize) < real).collect() };
        planned.routes.iter().map(kept).collect()
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
        for order in self.left_out(&routes) {
            let (summary, reasons) = super::reasons::nobody(&self.problem, &routes, order, &self.drivers);
            result.unserved.push((self.orders[order as usize], summary, reasons));
        }
        result
    }

    /// Waiting orders that are on no route.
    fn left_out(&self, routes: &Routes) -> Vec<OrderIndex> {
        let mut left: Vec<bool> = self.waiting.clone();
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
        let his = route.iter().zip(&moments).filter(|(a, _)| !self.waiting[a.order() as usize]);
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
        // The first visit that brings something new decides when he is asked.
        let Some(first_new) = route.iter().position(|a| self.waiting[a.order() as usize]) else { return };
        let leaves = self.problem.leave_for(d, route, first_new);
        let ask_at = leaves - self.lead;
        if ask_at > 0 {
            let at = self.instant(ask_at);
            result.next = Some(result.next.map_or(at, |next| next.min(at)));
            return;
        }
        let leaves = self.instant(leaves.max(0));
        let all: Arc<[OrderId]> = route.iter().map(name).collect();
        for n in first_new..route.len() {
            let act = route[n];
            let same = n == first_new || self.problem.same_visit(route[n - 1], act);
            if !same {
                break;
            }
            if self.waiting[act.order() as usize] {
                let handed_over = route.iter().position(|a| *a == Act::Dropoff(act.order())).map(|at| moments[at]);
                let (summary, reasons) =
                    super::reasons::chosen(&self.problem, routes, act.order(), d, &self.drivers, self.generation);
                result.steps.push(Step {
                    order: name(&act),
                    driver,
                    route: Arc::clone(&all),
                    leaves,
                    picked_up: self.instant(moments[n]),
                    handed_over: self.instant(handed_over.unwrap_or(moments[n])),
                    reasons,
                    summary,
                });
            }
        }
    }

    /// What a plan would mean for some of the waiting orders, and what it intends for each driver. Blocks for as long
    /// as it may search.
    pub(super) fn meant_for(&self, wanted: &[OrderId], time: Duration) -> (Vec<MeantFor>, Intended) {
        let routes = self.search(time);
        let left_out = self.left_out(&routes);
        let mut all = Vec::with_capacity(wanted.len());
        for id in wanted {
            let Some(order) = self.number(*id) else { continue };
            let on = routes.iter().position(|route| route.contains(&Act::Dropoff(order)));
            let (meant, (summary, detail)) = match on {
                Some(d) => {
                    let why = super::reasons::chosen(&self.problem, &routes, order, d, &self.drivers, self.generation);
                    (self.meant(d, &routes[d], order), why)
                }
                None if left_out.contains(&order) => {
                    (None, super::reasons::nobody(&self.problem, &routes, order, &self.drivers))
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
            self.routes[d].iter().copied().filter(|act| !self.waiting[act.order() as usize]).collect();
        route.extend([Act::Pickup(number), Act::Dropoff(number)]);
        Some(Meant { offer_at: self.now, ..self.meant(d, &route, number)? })
    }

    fn number(&self, order: OrderId) -> Option<OrderIndex> {
        let at = self.orders.iter().position(|known| *known == order)?;
        OrderIndex::try_from(at).ok()
    }

    /// When a driver has an order of his route.
    fn meant(&self, d: usize, route: &[Act], order: OrderIndex) -> Option<Meant> {
        let moments = self.problem.moments(d, route);
        let pickup = route.iter().position(|act| *act == Act::Pickup(order))?;
        let dropoff = route.iter().position(|act| *act == Act::Dropoff(order))?;
        let ask_at = self.problem.leave_for(d, route, pickup) - self.lead;
        Some(Meant {
            driver: self.drivers[d],
            offer_at: self.instant(ask_at.max(0)),
            pickup_at: self.instant(moments[pickup]),
            dropoff_at: self.instant(moments[dropoff]),
        })
    }
}

fn kind(act: Act) -> TaskKind {
    if matches!(act, Act::Pickup(_)) { TaskKind::Pickup } else { TaskKind::Delivery }
}
