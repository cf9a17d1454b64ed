//! The copy that a plan is made from.
//!
//! - [`drivers`]: where each is free next; [`roster`]: who comes soon. [`orders`]: what waits, and what drivers have.
//! - [`bound`]: what comes first in a route and stays; [`intended`]: what the plan before meant for the rest.
//! - [`forecast`]: what is to be expected.

mod bound;
mod drivers;
mod forecast;
mod intended;
mod orders;
mod roster;

use std::collections::HashMap;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::place::Place;
use posthaste_domain::zone::Policy;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};
use posthaste_matching::routed::problem::{DriverIndex, NEVER, OrderIndex, PlaceIndex};
use posthaste_matching::routed::{Act, Budget, Driver, Order as Carried, Problem, Routes, Second, Weights};
use posthaste_matching::{DriverView, OrderView};

pub(in crate::zones) use drivers::Whereabouts;
use roster::{coming, end_as_planned};

use super::standby::Ahead;
use super::{Intended, Roads, Snapshot, Waits};
use crate::learned::Learned;
use crate::zones::cell::{RefusedBy, Waiting, ZoneCell};
use crate::zones::dispatcher::{may_be_recorded, urgency};

/// What a plan that moves a promise must gain at least: a minute of one customer's time.
const MOVE_GAIN: i64 = 100 * 60;
/// Orders that one plan looks at for each driver, and at least and at most. Fewer, and what goes well together is not
/// seen together; more, and a pass has no time for any of them. Who is beyond comes in as those before are carried.
const LOOKED_AT: (usize, usize, usize) = (16, 64, 512);
/// How many offers an order must have time for, one after another, before it is given up: from then on it is offered to
/// whoever has it on their route, though they need not leave yet.
const LAST_OFFERS: i32 = 3;
/// Seconds on top, for the plans between them.
const BETWEEN_OFFERS: Second = 10;
/// Waiting orders that one plan may mean for another driver than the one before did, at most: people at shops and at
/// screens get used to a plan.
const MOST_MOVED: usize = 12;

/// Numbers for places.
#[derive(Default)]
struct Places {
    known: HashMap<(u64, u64), PlaceIndex>,
    all: Vec<Place>,
}

impl Places {
    fn index(&mut self, place: Place) -> PlaceIndex {
        let key = (place.lat().to_bits(), place.lng().to_bits());
        *self.known.entry(key).or_insert_with(|| {
            self.all.push(place);
            PlaceIndex::try_from(self.all.len() - 1).unwrap_or(PlaceIndex::MAX)
        })
    }
}

fn seconds(span: Span) -> Second {
    Second::try_from(span.num_seconds())
        .unwrap_or(if span < Span::zero() { -NEVER } else { NEVER })
        .clamp(-NEVER, NEVER)
}

/// Collects a [`Snapshot`].
struct Builder<'a> {
    now: Timestamp,
    travel: StraightLine,
    /// How long before a driver has to leave he is asked.
    lead: Second,
    /// How long before an order is given up it is offered to whoever has it on their route.
    last_offers: Second,
    /// Whether the plan is carried out, so that it matters whom a driver's calendar keeps from being asked.
    is_carried_out: bool,
    /// The farthest a driver may be from the first pickup of an order that waits.
    radius_meters: Option<u32>,
    places: Places,
    drivers: Vec<DriverId>,
    driver_index: HashMap<DriverId, DriverIndex>,
    fleet: Vec<Driver>,
    orders: Vec<OrderId>,
    carried: Vec<Carried>,
    waiting: Vec<Option<Waits>>,
    index: HashMap<OrderId, OrderIndex>,
    routes: Routes,
    /// For each driver, the act that he said he does next.
    chosen: Vec<Option<Act>>,
    whereabouts: &'a mut Whereabouts,
    intended: &'a Intended,
    /// The driver for whom the plan before meant an order.
    meant_for: HashMap<OrderId, DriverId>,
    learned: &'a Learned,
}

/// A waiting order as it is copied.
struct Asked {
    view: OrderView,
    /// Who was just asked to hold time for it.
    driver: Option<DriverId>,
    gives_up_at: Timestamp,
    refused: Vec<RefusedBy>,
    may_be_recorded: bool,
}

impl Asked {
    fn of(waiting: &Waiting) -> Self {
        Self {
            view: waiting.view.clone(),
            driver: waiting.asked.map(|(driver, _)| driver),
            gives_up_at: waiting.gives_up_at,
            refused: waiting.refused.clone(),
            may_be_recorded: may_be_recorded(waiting),
        }
    }
}

impl Snapshot {
    /// Copies what the zone has.
    pub(in crate::zones) fn of(
        cell: &ZoneCell,
        now: Timestamp,
        generation: u64,
        whereabouts: &mut Whereabouts,
        intended: &Intended,
    ) -> Self {
        let rules = cell.config.load().rules;
        let mut views: Vec<DriverView> = cell.board.lock().drivers().cloned().collect();
        end_as_planned(&mut views, cell, now);
        let work = cell.work.lock().clone();
        let mut asked: Vec<Asked> = cell.waiting.lock().values().map(Asked::of).collect();
        whereabouts.keep(|driver| work.contains_key(driver));
        let mut builder = Builder::new(cell, now, whereabouts, intended);
        let mut able: Vec<&DriverView> = views.iter().filter(|d| d.shift.takes_work() && !d.stale).collect();
        able.sort_by_key(|d| d.id);
        // What is looked at first is planned first, when there is more than a pass has time for.
        asked.sort_by_cached_key(|asked| urgency(&asked.view));
        let held = held(&asked);
        for view in &able {
            builder.driver(view, work.get(&view.id), held.get(&view.id).map_or(&[], Vec::as_slice));
        }
        let here = builder.drivers.len();
        let coming = coming(cell, now);
        for (view, start) in &coming {
            builder.driver_to_come(view, *start);
        }
        able.extend(coming.iter().map(|(view, _)| view));
        for asked in asked.iter().filter(|asked| asked.driver.is_none()) {
            builder.waiting_order(asked, &able);
        }
        builder.put_intended();
        let known = cell.seen.lock().clone();
        let seen = builder.seen(&known);
        let (for_each, least, most) = LOOKED_AT;
        let most = (for_each * builder.drivers.len()).clamp(least, most);
        // Where a plan cannot look at all that is real, nothing is expected.
        if builder.orders.len() < most {
            let expected = builder.expected(&seen, known.front().map(|s| s.at), generation);
            builder.carried.extend(expected.into_iter().take(most - builder.orders.len()));
        }
        let is_sent = |driver: &DriverId| work.get(driver).is_some_and(|w| w.standby.is_some());
        let is_sent = builder.drivers.iter().map(is_sent).collect();
        let ahead = rules.send_ahead.then(|| Ahead::new(&known, seen, is_sent));
        Self {
            zone: cell.id,
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
                orders: builder.carried,
                interleave: rules.interleave,
                weights: Weights { moved: MOVE_GAIN, ..Weights::default() },
            },
            routes: builder.routes,
            budget: Budget { seed: generation, moves: MOST_MOVED, most, ..Budget::default() },
            lead: builder.lead,
            ahead,
        }
    }
}

/// Orders that drivers were just asked to hold time for, by driver.
fn held(asked: &[Asked]) -> HashMap<DriverId, Vec<&OrderView>> {
    let mut held: HashMap<DriverId, Vec<&OrderView>> = HashMap::new();
    for asked in asked {
        if let Some(driver) = asked.driver {
            held.entry(driver).or_default().push(&asked.view);
        }
    }
    held
}

impl<'a> Builder<'a> {
    fn new(cell: &'a ZoneCell, now: Timestamp, whereabouts: &'a mut Whereabouts, intended: &'a Intended) -> Self {
        let rules = cell.config.load().rules;
        Self {
            now,
            travel: cell.travel(now),
            lead: Second::try_from(rules.offer_lead_seconds).unwrap_or(NEVER),
            last_offers: LAST_OFFERS * Second::try_from(rules.offer_seconds).unwrap_or(NEVER / 8) + BETWEEN_OFFERS,
            is_carried_out: rules.policy == Policy::Routed,
            radius_meters: rules.pickup_radius_meters,
            places: Places::default(),
            drivers: Vec::new(),
            driver_index: HashMap::new(),
            fleet: Vec::new(),
            orders: Vec::new(),
            carried: Vec::new(),
            waiting: Vec::new(),
            index: HashMap::new(),
            routes: Vec::new(),
            chosen: Vec::new(),
            whereabouts,
            intended,
            meant_for: intended.iter().flat_map(|(d, acts)| acts.iter().map(|(order, _)| (*order, *d))).collect(),
            learned: &cell.learned,
        }
    }

    fn way(&self, from: Place, to: Place) -> Span {
        Span::seconds(i64::from(self.travel.seconds(from, to, VehicleSpeed::default())))
    }

    fn at(&self, at: Timestamp) -> Second {
        seconds(at - self.now)
    }

    fn push(&mut self, id: OrderId, carried: Carried, waiting: Option<Waits>) -> OrderIndex {
        let number = OrderIndex::try_from(self.orders.len()).unwrap_or(OrderIndex::MAX);
        self.orders.push(id);
        self.carried.push(carried);
        self.waiting.push(waiting);
        self.index.insert(id, number);
        number
    }
}
