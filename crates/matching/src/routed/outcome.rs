//! What a plan means: who is asked for what, what is left for later, and why.
//!
//! [`Snapshot::search`] finds routes, [`Snapshot::outcome`] reads them. Whoever carries an [`Outcome`] out does what it
//! says and decides nothing: an order that waits no more, or was asked about meanwhile, is left alone.
//!
//! - `ahead`: idle drivers who are sent to shops ahead of work. `meant`: what a plan would mean for an order.
//! - [`reasons`](super::reasons): why, in words and in full.

pub(super) mod ahead;
pub mod meant;

use std::collections::HashMap;
use std::sync::Arc;

use posthaste_domain::ids::{DriverId, MerchantId, OrderId};
use posthaste_domain::order::TaskKind;
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::input::{Intended, Snapshot, Waits};
use super::problem::OrderIndex;
use super::reasons::{Chosen, Nobody};
use super::{Act, Routes, Second, plan};

/// How often idle drivers are thought of (product time) where they are sent ahead. Shops' needs change slowly.
pub const IDLE_SECONDS: i64 = 60;
/// Drivers asked in one pass to explain why nobody takes an order, in all: some tens of milliseconds.
const ASKED_TO_EXPLAIN: usize = 2_048;
/// Orders of which one plan says why nobody takes them, at least and at most.
const EXPLAINED: (usize, usize) = (8, 64);

/// An order to be offered now.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The order.
    pub order: OrderId,
    /// Who is asked.
    pub driver: DriverId,
    /// All orders on the driver's route, which were seen to fit together.
    pub route: Arc<[OrderId]>,
    /// When they have to leave for it.
    pub leaves: Timestamp,
    /// When it is picked up.
    pub picked_up: Timestamp,
    /// When it is handed over.
    pub handed_over: Timestamp,
    /// Why they are asked.
    pub reasons: Chosen,
}

/// A stop of a planned route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStop {
    /// The order.
    pub order: OrderId,
    /// Its pickups, or its door.
    pub kind: TaskKind,
    /// When.
    pub at: Timestamp,
    /// Whether it comes first because the driver chose it.
    pub chosen: bool,
}

/// Advice to wait for work somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standby {
    /// Where.
    pub place: Place,
    /// Whose shop it is.
    pub merchant: Option<MerchantId>,
    /// When they can be there.
    pub arrives_at: Timestamp,
    /// After that they need not wait there.
    pub until: Timestamp,
}

/// A waiting order that is meant for another driver than the plan before meant it for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The order.
    pub order: OrderId,
    /// Whom the plan before meant.
    pub from: DriverId,
    /// Whom this one means.
    pub to: DriverId,
}

/// A waiting order that is not offered now.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The order.
    pub order: OrderId,
    /// Why not.
    pub why: Why,
}

/// Why a waiting order is not offered now.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// It is on a route, and its driver need not be asked yet: until then it may be another's.
    NotYet {
        /// The driver.
        driver: DriverId,
        /// When they would pick it up.
        picked_up: Timestamp,
    },
    /// It is on no route, and why.
    Nobody(Box<Nobody>),
    /// It is on no route. Why was recorded a moment ago, or this plan says it of others and a later one of this.
    LeftOut,
}

/// What came of a pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which plan it is.
    pub generation: u64,
    /// The instant that it was made for.
    pub made_at: Timestamp,
    /// What is to be offered now.
    pub steps: Vec<Step>,
    /// Every other order that waits and that nobody was asked for.
    pub waits: Vec<Wait>,
    /// Orders that are meant for another driver than before.
    pub moved: Vec<Moved>,
    /// Each driver's stops of orders that are theirs already.
    pub routes: Vec<(DriverId, Vec<PlannedStop>)>,
    /// What is meant for later.
    pub intended: Intended,
    /// When the next offer is due.
    pub next: Option<Timestamp>,
    /// Who is to wait where for work.
    pub standby: Vec<(DriverId, Standby)>,
}

impl Snapshot {
    /// Whether there is anything to plan.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.ahead.is_none()
    }

    /// Routes for all that is known. Searches for as long as the budget goes and `stop` says nothing.
    #[must_use]
    pub fn search(&self, stop: &dyn Fn() -> bool) -> Routes {
        plan(&self.problem, self.routes.clone(), self.budget, stop).routes
    }

    /// What routes mean.
    #[must_use]
    pub fn outcome(&self, routes: &Routes) -> Outcome {
        let mut outcome = Outcome {
            generation: self.generation,
            made_at: self.now,
            steps: Vec::new(),
            waits: Vec::new(),
            moved: Vec::new(),
            routes: Vec::new(),
            intended: HashMap::new(),
            next: None,
            standby: self.send_ahead(routes),
        };
        for d in 0..self.drivers.len() {
            self.read_route(d, routes, &mut outcome);
        }
        let mut left_to_explain = self.most_explained();
        for order in self.left_out(routes) {
            let explained = left_to_explain > 0 && self.waits(order).is_some_and(|w| w.may_be_recorded);
            left_to_explain -= usize::from(explained);
            let why = if explained { Why::Nobody(Box::new(self.nobody(routes, order))) } else { Why::LeftOut };
            outcome.waits.push(Wait { order: self.orders[order as usize], why });
        }
        outcome
    }

    pub(super) fn waits(&self, order: OrderIndex) -> Option<Waits> {
        self.waiting[order as usize]
    }

    /// Orders of which one plan says why nobody takes them, at most; the next plan says it of others. Each asks every driver.
    pub(super) fn most_explained(&self) -> usize {
        (ASKED_TO_EXPLAIN / self.drivers.len().max(1)).clamp(EXPLAINED.0, EXPLAINED.1)
    }

    pub(super) fn nobody(&self, routes: &Routes, order: OrderIndex) -> Nobody {
        let narrowed = self.problem.orders.len() > self.budget.most;
        Nobody::of(&self.problem, routes, order, &self.drivers, narrowed)
    }

    pub(super) fn chosen_for(&self, routes: &Routes, order: OrderIndex, d: usize) -> Chosen {
        Chosen::of(&self.problem, routes, order, d, &self.drivers, self.generation)
    }

    /// Waiting orders that are on no route.
    pub(super) fn left_out(&self, routes: &Routes) -> Vec<OrderIndex> {
        let mut left: Vec<bool> = self.waiting.iter().map(Option::is_some).collect();
        for act in routes.iter().flatten() {
            left[act.order() as usize] = false;
        }
        let left = left.into_iter().enumerate().filter(|(_, left)| *left);
        left.map(|(order, _)| OrderIndex::try_from(order).unwrap_or(OrderIndex::MAX)).collect()
    }

    pub(super) fn instant(&self, second: Second) -> Timestamp {
        self.now + Span::seconds(i64::from(second))
    }

    pub(super) fn name(&self, act: Act) -> (OrderId, TaskKind) {
        let kind = if matches!(act, Act::Pickup(_)) { TaskKind::Pickup } else { TaskKind::Delivery };
        (self.orders[act.order() as usize], kind)
    }

    /// What a driver's route means: offers that are due, stops of what is theirs, and what is meant for later.
    fn read_route(&self, d: usize, routes: &Routes, outcome: &mut Outcome) {
        let route = &routes[d];
        if route.is_empty() {
            return;
        }
        let driver = self.drivers[d];
        let moments = self.problem.moments(d, route);
        outcome.intended.insert(driver, route.iter().map(|act| self.name(*act)).collect());
        let stop = |(act, moment): (&Act, &Second)| {
            let (order, kind) = self.name(*act);
            PlannedStop { order, kind, at: self.instant(*moment), chosen: self.chosen[d] == Some(*act) }
        };
        let theirs = route.iter().zip(&moments).filter(|(act, _)| self.waits(act.order()).is_none());
        let stops: Vec<PlannedStop> = theirs.map(stop).collect();
        if !stops.is_empty() {
            outcome.routes.push((driver, stops));
        }
        let all: Arc<[OrderId]> = route.iter().map(|act| self.name(*act).0).collect();
        let due = if d < self.here { self.due(d, route, outcome) } else { Vec::new() };
        for n in (0..route.len()).filter(|n| self.is_waiting_pickup(route[*n])) {
            let order = route[n].order();
            let id = self.orders[order as usize];
            outcome.moved.extend(self.moved(order, d));
            if !due.contains(&n) {
                let why = Why::NotYet { driver, picked_up: self.instant(moments[n]) };
                outcome.waits.push(Wait { order: id, why });
                continue;
            }
            let handed_over = route.iter().position(|a| *a == Act::Dropoff(order)).map(|at| moments[at]);
            outcome.steps.push(Step {
                order: id,
                driver,
                route: Arc::clone(&all),
                leaves: self.instant(self.problem.leave_for(d, route, n).max(0)),
                picked_up: self.instant(moments[n]),
                handed_over: self.instant(handed_over.unwrap_or(moments[n])),
                reasons: self.chosen_for(routes, order, d),
            });
        }
    }

    fn is_waiting_pickup(&self, act: Act) -> bool {
        matches!(act, Act::Pickup(_)) && self.waits(act.order()).is_some()
    }

    /// Whether a waiting order on this driver's route was meant for another.
    fn moved(&self, order: OrderIndex, d: usize) -> Option<Moved> {
        let promised = self.problem.orders[order as usize].promised? as usize;
        let moved = Moved { order: self.orders[order as usize], from: self.drivers[promised], to: self.drivers[d] };
        (promised != d).then_some(moved)
    }

    /// The pickups of a route that are to be offered now: those of the first visit that brings something new, once its
    /// driver has to leave soon, and whatever would be given up otherwise, though its turn is later. When the first is not
    /// yet due, it is noted when it will be.
    fn due(&self, d: usize, route: &[Act], outcome: &mut Outcome) -> Vec<usize> {
        let waits = |n: &usize| self.is_waiting_pickup(route[*n]);
        let Some(first_new) = (0..route.len()).find(waits) else { return Vec::new() };
        let after = (first_new + 1..route.len()).take_while(|n| self.problem.same_visit(route[n - 1], route[*n]));
        let visit = first_new..after.last().unwrap_or(first_new) + 1;
        let ask_at = self.problem.leave_for(d, route, first_new) - self.lead;
        let is_last_call = |n: usize| self.waits(route[n].order()).is_some_and(|w| w.last_call <= 0);
        if ask_at > 0 {
            let at = self.instant(ask_at);
            outcome.next = Some(outcome.next.map_or(at, |next| next.min(at)));
        }
        (first_new..route.len())
            .filter(waits)
            .filter(|n| (ask_at <= 0 && visit.contains(n)) || is_last_call(*n))
            .collect()
    }
}
