//! The copy that a plan is made from.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId, TaskId};
use posthaste_domain::order::{Order, Speed, Task, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};
use posthaste_matching::routed::forecast::{Forecast, Seen};
use posthaste_matching::routed::problem::{DriverIndex, NEVER, OrderIndex, PlaceIndex};
use posthaste_matching::routed::{
    Act, Budget, Driver, Opening, Order as Carried, Problem, Routes, Second, Service, Weights,
};
use posthaste_matching::{DriverView, OrderView};

use super::standby::Ahead;
use super::{Intended, Roads, Snapshot};
use crate::drivers::Rostered;
use crate::learned::Learned;
use crate::zones::cell::{InHand, SeenOrder, ZoneCell, order_view, stop_view};
use crate::zones::dispatcher::urgency;

/// What a plan that moves a promise must gain at least: a minute of one customer's time.
const MOVE_GAIN: i64 = 100 * 60;
/// Waiting orders that one plan may mean for another driver than the one before did, at most: people at shops and at
/// screens get used to a plan.
const MOST_MOVED: usize = 12;
/// Who has to leave for a pickup within this many seconds more than he is asked ahead is as good as on his way.
const DUE_MARGIN: Second = 5;
/// Of orders at one place, those that are ready within this many seconds of the first are waited for. More than that, and
/// a new plan may say that he comes back for them.
const STAYS_FOR: Second = 300;
/// Drivers whose planned shifts begin within this many seconds are planned for.
const ROSTER_AHEAD_SECONDS: i64 = 1_800;
/// Priorities above this count like it.
const MOST_PRIORITY: i16 = 18;
/// Drivers this close to their last stop still stand there, whatever their receiver says.
const SAME_PLACE_METERS: f64 = 50.0;

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

/// What is remembered of drivers from plan to plan.
#[derive(Default)]
pub(in crate::zones) struct Whereabouts {
    /// Where a driver is on his way to, and when he is, or was, there.
    headings: HashMap<DriverId, (TaskId, Timestamp)>,
    /// Where a driver stands, and since when.
    stands: HashMap<DriverId, (Place, Timestamp)>,
}
fn seconds(span: Span) -> Second {
    Second::try_from(span.num_seconds())
        .unwrap_or(if span < Span::zero() { -NEVER } else { NEVER })
        .clamp(-NEVER, NEVER)
}

fn halves(task_seconds: i64) -> Service {
    let all = Second::try_from(task_seconds).unwrap_or(0);
    Service { before: all / 2, after: all - all / 2 }
}

/// Collects a [`Snapshot`].
struct Builder<'a> {
    now: Timestamp,
    travel: StraightLine,
    /// How long before a driver has to leave he is asked.
    lead: Second,
    places: Places,
    drivers: Vec<DriverId>,
    driver_index: HashMap<DriverId, DriverIndex>,
    fleet: Vec<Driver>,
    orders: Vec<OrderId>,
    carried: Vec<Carried>,
    waiting: Vec<bool>,
    index: HashMap<OrderId, OrderIndex>,
    routes: Routes,
    /// For each driver, the act that he said he does next.
    chosen: Vec<Option<Act>>,
    whereabouts: &'a mut Whereabouts,
    intended: &'a Intended,
    learned: &'a Learned,
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
        let config = cell.config.load();
        let travel = cell.travel(now);
        let mut views: Vec<DriverView> = cell.board.lock().drivers().cloned().collect();
        end_as_planned(&mut views, cell, now);
        let work = cell.work.lock().clone();
        let mut asked: Vec<(OrderView, Option<DriverId>)> =
            cell.waiting.lock().values().map(|w| (w.view.clone(), w.asked.map(|(driver, _)| driver))).collect();
        let mut builder = Builder {
            now,
            travel,
            lead: Second::try_from(config.rules.offer_lead_seconds).unwrap_or(NEVER),
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
            learned: &cell.learned,
        };
        builder.whereabouts.headings.retain(|driver, _| work.contains_key(driver));
        builder.whereabouts.stands.retain(|driver, _| work.contains_key(driver));
        let mut able: Vec<&DriverView> = views.iter().filter(|d| d.shift.takes_work() && !d.stale).collect();
        able.sort_by_key(|d| d.id);
        // What is looked at first is planned first, when there is more than a pass has time for.
        asked.sort_by_key(|(view, _)| urgency(view));
        let mut held: HashMap<DriverId, Vec<&OrderView>> = HashMap::new();
        for (view, driver) in &asked {
            if let Some(driver) = driver {
                held.entry(*driver).or_default().push(view);
            }
        }
        for view in &able {
            builder.driver(view, work.get(&view.id), held.get(&view.id).map_or(&[], Vec::as_slice));
        }
        let here = builder.drivers.len();
        let coming = coming(cell, now);
        for (view, start) in &coming {
            builder.driver_to_come(view, *start);
        }
        able.extend(coming.iter().map(|(view, _)| view));
        for (view, _) in asked.iter().filter(|(_, driver)| driver.is_none()) {
            builder.waiting_order(view, &able);
        }
        builder.put_intended();
        let known = cell.seen.lock().clone();
        let seen = builder.seen(&known);
        let expected = builder.expected(&seen, known.front().map(|s| s.at), generation);
        builder.carried.extend(expected);
        let is_sent = |driver: &DriverId| work.get(driver).is_some_and(|w| w.standby.is_some());
        let is_sent = builder.drivers.iter().map(is_sent).collect();
        let ahead = config.rules.send_ahead.then(|| Ahead::new(&known, seen, is_sent));
        let budget = Budget { seed: generation, moves: MOST_MOVED, ..Budget::default() };
        Self {
            zone: cell.id,
            generation,
            now,
            drivers: builder.drivers,
            here,
            orders: builder.orders,
            waiting: builder.waiting,
            chosen: builder.chosen,
            problem: Problem {
                travel: Roads { places: builder.places.all, model: travel },
                drivers: builder.fleet,
                orders: builder.carried,
                interleave: config.rules.interleave,
                weights: Weights { moved: MOVE_GAIN, ..Weights::default() },
            },
            routes: builder.routes,
            budget,
            lead: builder.lead,
            ahead,
        }
    }
}

impl Builder<'_> {
    fn way(&self, from: Place, to: Place) -> Span {
        Span::seconds(i64::from(self.travel.seconds(from, to, VehicleSpeed::default())))
    }

    fn at(&self, at: Timestamp) -> Second {
        seconds(at - self.now)
    }

    /// Where a driver is free next, and when; and the task that he is on his way to, or at.
    fn standing(
        &mut self,
        view: &DriverView,
        work: Option<&InHand>,
    ) -> (Place, Timestamp, Option<(OrderId, TaskKind)>) {
        let tasks = work.iter().flat_map(|w| &w.orders).flat_map(|o| o.tasks.iter().map(move |t| (o.id, t)));
        // Who says that he does another stop first turns round, unless he is there.
        let chosen = work.and_then(|w| w.chosen).map(|(_, task)| task);
        let under_way = |t: &Task| match t.status {
            TaskStatus::Arrived => true,
            TaskStatus::EnRoute => chosen.is_none_or(|chosen| chosen == t.id),
            _ => false,
        };
        let heading = tasks.filter(|(_, t)| under_way(t)).max_by_key(|(_, t)| (t.status == TaskStatus::Arrived, t.id));
        if let Some((order, task)) = heading {
            let arrival = match (task.arrived_at, self.whereabouts.headings.get(&view.id)) {
                (Some(at), _) if task.status == TaskStatus::Arrived => at,
                (_, Some((known, at))) if *known == task.id => *at,
                _ => self.now + self.way(view.place, task.place),
            };
            self.whereabouts.headings.insert(view.id, (task.id, arrival));
            return (task.place, arrival, Some((order, task.kind)));
        }
        self.whereabouts.headings.remove(&view.id);
        // Who was sent ahead goes there, as long as he may be on his way.
        let sent = work.and_then(|w| w.standby);
        if let Some(sent) = sent.filter(|s| self.now <= s.arrives_at || self.is_at(view.place, s.place)) {
            return (sent.place, sent.arrives_at, None);
        }
        let (place, since) = match (work.and_then(|w| w.last_done), self.whereabouts.stands.get(&view.id)) {
            (Some(last), _) if last.at + last.stays > self.now || self.is_at(view.place, last.place) => {
                (last.place, last.at + last.stays)
            }
            (_, Some((place, since))) if self.is_at(view.place, *place) => (*place, *since),
            _ => (view.place, self.now),
        };
        self.whereabouts.stands.insert(view.id, (place, since));
        (place, since, None)
    }

    fn is_at(&self, one: Place, other: Place) -> bool {
        one == other || self.travel.meters(one, other) <= SAME_PLACE_METERS
    }

    /// A driver with what he has in hand, and the orders that he was just asked to hold time for.
    fn driver(&mut self, view: &DriverView, work: Option<&InHand>, held: &[&OrderView]) {
        let returning = |o: &Arc<Order>| o.tasks.iter().any(|t| t.kind == TaskKind::Return && !t.status.is_final());
        if work.is_some_and(|w| w.orders.iter().any(returning)) {
            // He brings something back; that is not planned.
            return;
        }
        let (place, free_at, heading) = self.standing(view, work);
        let index = DriverIndex::try_from(self.drivers.len()).unwrap_or(DriverIndex::MAX);
        let mut driver = Driver {
            place: self.places.index(place),
            free_at: self.at(free_at),
            pace: pace(view.vehicle),
            shift_end: view.shift.until().map_or(NEVER, |until| self.at(until)),
            capacity: i64::from(view.capacity_left),
            load: 0,
            bound: 0,
        };
        let mut route = Vec::new();
        let mut to_pick_up = Vec::new();
        for order in work.iter().flat_map(|w| &w.orders) {
            let first = work.and_then(|w| w.chosen).filter(|(chosen, _)| *chosen == order.id).map(|(_, task)| task);
            let Some(carried) = self.carried_order(order, index, first) else { continue };
            driver.capacity += carried.size;
            let aboard = order.pickups().all(|t| t.status.is_final());
            let number = self.push(order.id, carried, false);
            if aboard {
                driver.load += i64::from(order.size);
                route.push(Act::Dropoff(number));
            } else {
                to_pick_up.push(number);
            }
        }
        for order in held.iter().filter(|order| work.is_none_or(|w| w.orders.iter().all(|o| o.id != order.id))) {
            let mut carried = self.order(order);
            carried.pinned = Some(index);
            driver.capacity += carried.size;
            to_pick_up.push(self.push(order.id, carried, false));
        }
        if let Some((order, kind)) = heading
            && let Some(number) = self.index.get(&order)
        {
            let act = if kind == TaskKind::Pickup { Act::Pickup(*number) } else { Act::Dropoff(*number) };
            route.retain(|a| *a != act);
            route.insert(0, act);
            if kind == TaskKind::Pickup {
                route.push(Act::Dropoff(*number));
            }
            driver.bound = 1;
        }
        if work.is_none_or(|w| w.chosen.is_none()) {
            self.bind_visit(&to_pick_up, heading.is_some(), &mut route, &mut driver);
        }
        let chosen = work.and_then(|w| w.chosen.and_then(|c| self.put_chosen(w, c, heading, &mut route, &mut driver)));
        self.as_intended(view, &mut route, &driver);
        self.driver_index.insert(view.id, index);
        self.drivers.push(view.id);
        self.fleet.push(driver);
        self.routes.push(route);
        self.chosen.push(chosen);
    }

    /// Puts the hand-overs that come after what the driver is bound to into the sequence that the last plan had. What it
    /// does not know, as after a restart, goes where its door lies least out of the way.
    fn as_intended(&self, view: &DriverView, route: &mut Vec<Act>, driver: &Driver) {
        let intended = self.intended.get(&view.id).map_or(&[][..], Vec::as_slice);
        let meant = |act: &Act| {
            let order = self.orders[act.order() as usize];
            intended.iter().position(|known| *known == (order, TaskKind::Delivery))
        };
        let place = |act: &Act| {
            let order = &self.carried[act.order() as usize];
            let index = if matches!(act, Act::Pickup(_)) { order.exit } else { order.dropoff };
            self.places.all[index as usize]
        };
        let tail = route.split_off(driver.bound as usize);
        let start = route.last().map_or(view.place, place);
        let (mut known, unknown): (Vec<Act>, Vec<Act>) = tail.into_iter().partition(|act| meant(act).is_some());
        known.sort_by_key(meant);
        for act in unknown {
            let here = place(&act);
            let detour = |at: usize| {
                let from = if at == 0 { start } else { place(&known[at - 1]) };
                let on = known.get(at).map(place);
                let back = on.map_or(Span::zero(), |on| self.way(here, on) - self.way(from, on));
                self.way(from, here) + back
            };
            let at = (0..=known.len()).min_by_key(|at| detour(*at)).unwrap_or(0);
            known.insert(at, act);
        }
        route.extend(known);
    }

    /// Binds a driver to the pickups that he is on his way to, or has been asked about and has to leave for: he is not
    /// sent elsewhere before, not even in the moment until he says that he left.
    fn bind_visit(&self, to_pick_up: &[OrderIndex], heads: bool, route: &mut Vec<Act>, driver: &mut Driver) {
        let order = |n: OrderIndex| &self.carried[n as usize];
        let place = |index: PlaceIndex| self.places.all[index as usize];
        let (visit, ready) = match route.first() {
            Some(Act::Pickup(first)) => {
                let first = order(*first);
                (first.pickup, first.ready.from.max(driver.free_at) + STAYS_FOR)
            }
            // The next visit comes when nothing else is aboard.
            heading if route.len() == usize::from(heads) => {
                let (from, free_at) = heading.map_or((driver.place, driver.free_at), |act| {
                    let done = order(act.order());
                    (done.dropoff, driver.free_at + done.dropoff_service.before + done.dropoff_service.after)
                });
                let leaves = |n: &OrderIndex| {
                    let next = order(*n);
                    let way = seconds(self.way(place(from), place(next.pickup)));
                    free_at.max(next.ready.from - next.pickup_service.before - way)
                };
                let due = to_pick_up.iter().filter(|n| leaves(n) <= self.lead + DUE_MARGIN).min_by_key(|n| leaves(n));
                let Some(due) = due.map(|n| order(*n)) else { return };
                (due.pickup, due.ready.from.max(0) + STAYS_FOR)
            }
            _ => return,
        };
        let mut at = usize::from(heads);
        for n in to_pick_up {
            let joins = order(*n).pickup == visit && order(*n).ready.from <= ready;
            if joins && !route.contains(&Act::Pickup(*n)) {
                route.insert(at, Act::Pickup(*n));
                route.push(Act::Dropoff(*n));
                at += 1;
            }
        }
        driver.bound = u32::try_from(at).unwrap_or(u32::MAX);
    }

    /// Puts the stop that the driver said he does next behind what he is at, and binds him to it.
    fn put_chosen(
        &self,
        work: &InHand,
        (order, task): (OrderId, TaskId),
        heading: Option<(OrderId, TaskKind)>,
        route: &mut Vec<Act>,
        driver: &mut Driver,
    ) -> Option<Act> {
        let task = work.orders.iter().find(|o| o.id == order)?.task(task)?;
        let number = *self.index.get(&order)?;
        let act = match task.kind {
            TaskKind::Pickup => Act::Pickup(number),
            _ => Act::Dropoff(number),
        };
        if heading == Some((order, task.kind)) {
            return Some(act);
        }
        // Whatever else he picks up where he stands is picked up before he leaves.
        let arrived = |o: &&Arc<Order>| o.pickups().any(|t| t.status == TaskStatus::Arrived);
        let here = work.orders.iter().filter(arrived).filter_map(|o| self.index.get(&o.id));
        let here: Vec<Act> = here.map(|n| Act::Pickup(*n)).filter(|a| *a != act && !route.contains(a)).collect();
        if task.kind != TaskKind::Pickup && !route.contains(&act) {
            return None;
        }
        route.retain(|a| *a != act);
        let mut at = driver.bound as usize;
        for pickup in here {
            route.insert(at, pickup);
            route.push(Act::Dropoff(pickup.order()));
            at += 1;
        }
        route.insert(at, act);
        if task.kind == TaskKind::Pickup {
            route.push(Act::Dropoff(number));
        }
        driver.bound = u32::try_from(at + 1).unwrap_or(u32::MAX);
        Some(act)
    }

    /// A driver whose shift begins later: he is planned for from then on, and asked when he is there.
    fn driver_to_come(&mut self, view: &DriverView, start: Timestamp) {
        self.driver(view, None, &[]);
        self.whereabouts.stands.remove(&view.id);
        let free_at = self.at(start);
        if let Some(driver) = self.fleet.last_mut() {
            driver.free_at = free_at;
        }
    }

    fn push(&mut self, id: OrderId, carried: Carried, waiting: bool) -> OrderIndex {
        let number = OrderIndex::try_from(self.orders.len()).unwrap_or(OrderIndex::MAX);
        self.orders.push(id);
        self.carried.push(carried);
        self.waiting.push(waiting);
        self.index.insert(id, number);
        number
    }

    /// An order that a driver has, or was asked about; `first` is the pickup that he begins with.
    fn carried_order(&mut self, order: &Order, driver: DriverIndex, first: Option<TaskId>) -> Option<Carried> {
        let view = order_view(order, self.learned, self.now)?;
        let mut left = view.clone();
        let mut pickups: Vec<&Task> = order.pickups().filter(|t| !t.status.is_final()).collect();
        pickups.sort_by_key(|t| Some(t.id) != first);
        left.pickups = pickups.into_iter().map(|t| stop_view(order, t, self.learned, self.now)).collect();
        let aboard = left.pickups.is_empty();
        let mut carried = self.order(if aboard { &view } else { &left });
        carried.pinned = Some(driver);
        Some(carried)
    }

    fn order(&mut self, view: &OrderView) -> Carried {
        let window = view.window;
        let first = view.pickups.first().copied().unwrap_or(view.delivery);
        let last = view.pickups.last().copied().unwrap_or(view.delivery);
        let mut service = halves(first.service.num_seconds());
        for pair in view.pickups.windows(2) {
            let between = self.way(pair[0].place, pair[1].place) + pair[1].service;
            service.after += seconds(between);
        }
        let opens = window.map_or(view.placed_at, |w| w.start());
        let ready = view.pickups.iter().filter_map(|p| p.ready_at).max();
        Carried {
            pickup: self.places.index(first.place),
            exit: self.places.index(last.place),
            dropoff: self.places.index(view.delivery.place),
            ready: Opening { from: ready.map_or(-NEVER, |at| self.at(at)), to: NEVER },
            due: Opening {
                from: if view.speed == Speed::Slow { self.at(opens) } else { -NEVER },
                to: self.at(view.promised_at),
            },
            pickup_service: service,
            dropoff_service: halves(view.delivery.service.num_seconds()),
            size: i64::from(view.size),
            known_at: 0,
            weight: weight(view.priority),
            strict: false,
            pinned: None,
            promised: None,
            barred: Vec::new(),
        }
    }

    fn waiting_order(&mut self, view: &OrderView, able: &[&DriverView]) {
        let mut carried = self.order(view);
        let barred = able.iter().filter(|d| !d.serves(view.speed) || view.cooling_until(d.id, self.now).is_some());
        carried.barred = barred.filter_map(|d| self.driver_index.get(&d.id).copied()).collect();
        carried.barred.sort_unstable();
        let intended = self.intended.iter().find(|(_, acts)| acts.iter().any(|(order, _)| *order == view.id));
        carried.promised = intended.and_then(|(driver, _)| self.driver_index.get(driver).copied());
        self.push(view.id, carried, true);
    }

    /// Puts what was planned before onto the routes, as far as it still is to be done.
    fn put_intended(&mut self) {
        let mut placed: Vec<bool> = vec![false; self.orders.len()];
        for act in self.routes.iter().flatten() {
            placed[act.order() as usize] = true;
        }
        for (d, driver) in self.drivers.iter().enumerate() {
            let Some(acts) = self.intended.get(driver) else { continue };
            let mine = DriverIndex::try_from(d).unwrap_or(DriverIndex::MAX);
            let mut route = Vec::new();
            for (order, kind) in acts {
                let Some(number) = self.index.get(order).copied() else { continue };
                let may = self.carried[number as usize].pinned.is_none_or(|p| p == mine)
                    && !self.carried[number as usize].barred.contains(&mine);
                if !may || placed[number as usize] {
                    continue;
                }
                route.push(if *kind == TaskKind::Pickup { Act::Pickup(number) } else { Act::Dropoff(number) });
            }
            // Only what has both its acts.
            let whole =
                |act: &Act| route.contains(&Act::Pickup(act.order())) && route.contains(&Act::Dropoff(act.order()));
            let whole: Vec<Act> = route.iter().copied().filter(whole).collect();
            self.routes[d].extend(whole);
        }
    }

    fn seen(&mut self, known: &VecDeque<SeenOrder>) -> Vec<Seen> {
        known
            .iter()
            .map(|s| Seen {
                known_at: seconds(s.at - self.now),
                pickup: self.places.index(s.pickup),
                dropoff: self.places.index(s.dropoff),
                preparation: seconds(s.preparation),
            })
            .collect()
    }

    fn expected(&mut self, seen: &[Seen], first: Option<Timestamp>, seed: u64) -> Vec<Carried> {
        let Some(first) = first else { return Vec::new() };
        let service =
            self.carried.first().map_or((halves(240), halves(240)), |o| (o.pickup_service, o.dropoff_service));
        Forecast::default().sample(seen, self.at(first), service, seed)
    }
}

/// Where the shift of a driver at work has no end of its own, it ends as planned.
fn end_as_planned(views: &mut [DriverView], cell: &ZoneCell, now: Timestamp) {
    let roster = cell.roster.lock();
    for view in views.iter_mut() {
        if let Shift::Available { until: until @ None } = &mut view.shift {
            let running = |r: &&Rostered| r.shift.driver == view.id && r.shift.during.contains(now);
            *until = roster.values().find(running).map(|r| r.shift.during.end());
        }
    }
}

/// Drivers whose planned shifts begin soon, as they will be, and when that is: those of whom it is known where. Who
/// should have come and has not is not reckoned with. What is over leaves the roster.
fn coming(cell: &ZoneCell, now: Timestamp) -> Vec<(DriverView, Timestamp)> {
    let mut roster = cell.roster.lock();
    roster.retain(|_, r| r.shift.during.end() > now);
    let board = cell.board.lock();
    let at_work: HashSet<DriverId> = board.drivers().filter(|d| d.shift.is_on()).map(|d| d.id).collect();
    drop(board);
    let soon = now + Span::seconds(ROSTER_AHEAD_SECONDS);
    let begins = |r: &&Rostered| r.shift.during.start() > now && r.shift.during.start() <= soon;
    let mut coming: Vec<(DriverView, Timestamp)> = roster
        .values()
        .filter(|r| begins(r) && !at_work.contains(&r.shift.driver))
        .filter_map(|Rostered { driver, shift }| {
            let view = DriverView {
                id: driver.id,
                place: shift.place?,
                shift: Shift::Available { until: Some(shift.during.end()) },
                stale: false,
                vehicle: VehicleSpeed::default(),
                fast: driver.speeds.contains(&Speed::Fast),
                slow: driver.speeds.contains(&Speed::Slow),
                capacity_left: driver.capacity,
                open_orders: 0,
                commitments: Vec::new(),
            };
            Some((view, shift.during.start()))
        })
        .collect();
    coming.sort_by_key(|(view, start)| (*start, view.id));
    let mut known = HashSet::new();
    coming.retain(|(view, _)| known.insert(view.id));
    coming
}

/// How much an order's waiting counts: half as much again for each step of priority.
fn weight(priority: i16) -> i64 {
    100 + 50 * i64::from(priority.clamp(-1, MOST_PRIORITY))
}

fn pace(vehicle: VehicleSpeed) -> Second {
    #[expect(clippy::cast_possible_truncation, reason = "a factor between 0.01 and 100")]
    let hundredths = (100.0 / vehicle.factor()).round() as Second;
    hundredths.max(1)
}
