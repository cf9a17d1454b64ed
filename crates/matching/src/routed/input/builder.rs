//! Collects a [`Snapshot`].

use std::collections::{HashMap, HashSet};

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::place::Place;
use posthaste_domain::zone::Policy;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};

use super::roster::{coming, end_as_planned};
use super::{DriverInput, Input, Intended, Roads, Snapshot, WaitingOrder, Waits, Whereabouts};
use crate::plan::precedence;
use crate::routed::outcome::ahead::Ahead;
use crate::routed::problem::{DriverIndex, NEVER, OrderIndex, PlaceIndex};
use crate::routed::{Act, Budget, Job, Problem, Routes, Second, Vehicle, Weights};
use crate::views::{DriverView, OrderView};

/// What a plan that moves a promise must gain at least: a minute of one customer's time.
pub const MOVE_GAIN: i64 = 100 * 60;
/// Waiting orders that one plan may mean for another driver than the one before did, at most: people at shops and at
/// screens get used to a plan.
pub const MOST_MOVED: usize = 12;
/// Orders that one plan looks at for each driver, and at least and at most. Fewer, and what goes well together is not
/// seen together; more, and a pass has no time for any of them. Who is beyond comes in as those before are carried.
const LOOKED_AT: (usize, usize, usize) = (16, 64, 512);
/// How many offers an order must have time for, one after another, before it is given up: from then on it is offered to
/// whoever has it on their route, though they need not leave yet.
const LAST_OFFERS: i32 = 3;
/// Seconds on top, for the plans between them.
const BETWEEN_OFFERS: Second = 10;

/// Numbers for places.
#[derive(Default)]
pub(super) struct Places {
    known: HashMap<(u64, u64), PlaceIndex>,
    pub(super) all: Vec<Place>,
}

impl Places {
    pub(super) fn index(&mut self, place: Place) -> PlaceIndex {
        let key = (place.lat().to_bits(), place.lng().to_bits());
        *self.known.entry(key).or_insert_with(|| {
            self.all.push(place);
            PlaceIndex::try_from(self.all.len() - 1).unwrap_or(PlaceIndex::MAX)
        })
    }
}

pub(super) fn seconds(span: Span) -> Second {
    Second::try_from(span.num_seconds())
        .unwrap_or(if span < Span::zero() { -NEVER } else { NEVER })
        .clamp(-NEVER, NEVER)
}

pub(super) struct Builder<'a> {
    pub(super) now: Timestamp,
    pub(super) travel: StraightLine,
    /// How long before a driver has to leave they are asked.
    pub(super) lead: Second,
    /// How long before an order is given up it is offered to whoever has it on their route.
    pub(super) last_offers: Second,
    /// Whether the plan is carried out, so that it matters whom a driver's calendar keeps from being asked.
    pub(super) is_carried_out: bool,
    /// The farthest a driver may be from the first pickup of an order that waits.
    pub(super) radius_meters: Option<u32>,
    pub(super) places: Places,
    pub(super) drivers: Vec<DriverId>,
    pub(super) driver_index: HashMap<DriverId, DriverIndex>,
    pub(super) fleet: Vec<Vehicle>,
    pub(super) orders: Vec<OrderId>,
    pub(super) jobs: Vec<Job>,
    pub(super) waiting: Vec<Option<Waits>>,
    pub(super) index: HashMap<OrderId, OrderIndex>,
    pub(super) routes: Routes,
    /// For each driver, the act that they said they do next.
    pub(super) chosen: Vec<Option<Act>>,
    pub(super) whereabouts: &'a mut Whereabouts,
    pub(super) intended: &'a Intended,
    /// The driver for whom the plan before meant an order.
    pub(super) meant_for: HashMap<OrderId, DriverId>,
}

impl Input {
    /// Everything that a pass needs. `whereabouts` is what is remembered of drivers from plan to plan, `intended` what the
    /// plan before meant.
    #[must_use]
    pub fn snapshot(mut self, whereabouts: &mut Whereabouts, intended: &Intended) -> Snapshot {
        let Self { now, rules, generation, budget, .. } = self;
        let coming = coming(&self.roster, &self.drivers, now);
        end_as_planned(&mut self.drivers, &self.roster, now);
        let known = self.drivers.iter().filter(|d| d.work.is_some()).map(|d| d.view.id);
        whereabouts.keep(&known.collect());
        let sent = self.drivers.iter().filter(|d| d.work.as_ref().is_some_and(|w| w.standby.is_some()));
        let sent: HashSet<DriverId> = sent.map(|d| d.view.id).collect();
        let mut able: Vec<&DriverInput> =
            self.drivers.iter().filter(|d| d.view.shift.takes_work() && !d.view.stale).collect();
        able.sort_by_key(|d| d.view.id);
        // What is looked at first is planned first, when there is more than a pass has time for.
        self.waiting.sort_by_cached_key(|waiting| precedence(&waiting.view));
        let asked = asked_by_driver(&self.waiting);
        let mut builder = Builder::new(&self, whereabouts, intended);
        for driver in &able {
            let asked = asked.get(&driver.view.id).map_or(&[][..], Vec::as_slice);
            builder.driver(&driver.view, driver.work.as_ref(), asked);
        }
        let here = builder.drivers.len();
        for (view, start) in &coming {
            builder.driver_to_come(view, *start);
        }
        let mut views: Vec<&DriverView> = able.iter().map(|d| &d.view).collect();
        views.extend(coming.iter().map(|(view, _)| view));
        for waiting in self.waiting.iter().filter(|waiting| waiting.asked.is_none()) {
            builder.waiting_order(waiting, &views);
        }
        builder.put_intended();
        let seen = builder.seen(&self.seen);
        let (for_each, least, most) = LOOKED_AT;
        let most = (for_each * builder.drivers.len()).clamp(least, most);
        // Where a plan cannot look at all that is real, nothing is expected.
        if builder.orders.len() < most {
            let expected = builder.expected(&seen, self.seen.iter().next().map(|s| s.at), budget.seed);
            builder.jobs.extend(expected.into_iter().take(most - builder.orders.len()));
        }
        let is_sent = builder.drivers.iter().map(|driver| sent.contains(driver)).collect();
        let ahead = rules.send_ahead.then(|| Ahead::new(&self.seen, seen, is_sent));
        Snapshot {
            generation,
            now,
            drivers: builder.drivers,
            here,
            orders: builder.orders,
            numbers: builder.index,
            waiting: builder.waiting,
            chosen: builder.chosen,
            problem: Problem {
                travel: Roads { places: builder.places.all, model: builder.travel },
                drivers: builder.fleet,
                orders: builder.jobs,
                interleave: rules.interleave,
                weights: Weights { moved: MOVE_GAIN, ..Weights::default() },
            },
            routes: builder.routes,
            budget: Budget { moves: MOST_MOVED, most, ..budget },
            lead: builder.lead,
            ahead,
        }
    }
}

/// Orders that drivers were just asked to hold time for, by driver.
fn asked_by_driver(waiting: &[WaitingOrder]) -> HashMap<DriverId, Vec<&OrderView>> {
    let mut asked: HashMap<DriverId, Vec<&OrderView>> = HashMap::new();
    for order in waiting {
        if let Some(driver) = order.asked {
            asked.entry(driver).or_default().push(&order.view);
        }
    }
    asked
}

impl<'a> Builder<'a> {
    fn new(input: &Input, whereabouts: &'a mut Whereabouts, intended: &'a Intended) -> Self {
        let rules = input.rules;
        Self {
            now: input.now,
            travel: input.travel,
            lead: Second::try_from(rules.offer_lead_seconds).unwrap_or(NEVER),
            last_offers: LAST_OFFERS * Second::try_from(rules.offer_seconds).unwrap_or(NEVER / 8) + BETWEEN_OFFERS,
            is_carried_out: rules.policy == Policy::Routed,
            radius_meters: rules.pickup_radius_meters,
            places: Places::default(),
            drivers: Vec::new(),
            driver_index: HashMap::new(),
            fleet: Vec::new(),
            orders: Vec::new(),
            jobs: Vec::new(),
            waiting: Vec::new(),
            index: HashMap::new(),
            routes: Vec::new(),
            chosen: Vec::new(),
            whereabouts,
            intended,
            meant_for: intended.iter().flat_map(|(d, acts)| acts.iter().map(|(order, _)| (*order, *d))).collect(),
        }
    }

    pub(super) fn way(&self, from: Place, to: Place) -> Span {
        Span::seconds(i64::from(self.travel.seconds(from, to, VehicleSpeed::default())))
    }

    pub(super) fn at(&self, at: Timestamp) -> Second {
        seconds(at - self.now)
    }

    pub(super) fn push(&mut self, id: OrderId, job: Job, waiting: Option<Waits>) -> OrderIndex {
        let number = OrderIndex::try_from(self.orders.len()).unwrap_or(OrderIndex::MAX);
        self.orders.push(id);
        self.jobs.push(job);
        self.waiting.push(waiting);
        self.index.insert(id, number);
        number
    }
}
