//! Where an order costs least.

use super::laid::{Detour, Laid};
use super::problem::{Act, DriverIndex, OrderIndex, Problem, Second, Travel, Vehicle};
use super::walk::Position;

/// A place for an order in a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insertion {
    /// Whose route.
    pub driver: DriverIndex,
    /// The pickup goes before this act of the route as it is.
    pub pickup_at: usize,
    /// The drop-off goes before this act of the route as it is, after the pickup.
    pub dropoff_at: usize,
    /// What everything costs more.
    pub cost: i64,
}

impl Insertion {
    /// Puts the order there.
    pub fn apply(&self, route: &mut Vec<Act>, order: OrderIndex) {
        route.insert(self.dropoff_at, Act::Dropoff(order));
        route.insert(self.pickup_at, Act::Pickup(order));
    }
}

/// Room for looking, kept between looks.
#[derive(Debug, Default)]
pub struct Scratch {
    laid: Laid,
    detours: Vec<Detour>,
}

/// One look at one route.
struct Look<'a> {
    driver: &'a Vehicle,
    route: &'a [Act],
    laid: &'a Laid,
    order: OrderIndex,
    ways_alone: bool,
    /// The first act that the pickup may go before.
    first: usize,
    /// From there on, where ways alone count.
    detours: &'a [Detour],
}

impl<T: Travel> Problem<T> {
    fn joins(&self, act: Option<&Act>, order: OrderIndex) -> bool {
        act.is_some_and(|act| self.same_visit(*act, Act::Pickup(order)))
    }

    /// Whether an act put before `at` would split a visit.
    fn splits(&self, route: &[Act], at: usize) -> bool {
        at > 0 && at < route.len() && self.same_visit(route[at - 1], route[at])
    }

    /// Whether the driver may carry the order at all.
    #[must_use]
    pub fn may_carry(&self, driver: DriverIndex, order: OrderIndex) -> bool {
        let order = &self.orders[order as usize];
        order.pinned.is_none_or(|d| d == driver) && order.barred.binary_search(&driver).is_err()
    }

    /// Whether the driver is not the one who was told. What is pinned is not asked.
    #[must_use]
    pub fn is_moved(&self, driver: DriverIndex, order: OrderIndex) -> bool {
        let order = &self.orders[order as usize];
        order.pinned.is_none() && order.promised.is_some_and(|promised| promised != driver)
    }

    /// What it costs on top that the driver is not the one who was told.
    #[must_use]
    pub fn moving_cost(&self, driver: DriverIndex, order: OrderIndex) -> i64 {
        if self.is_moved(driver, order) { self.weights.moved } else { 0 }
    }

    /// What it costs that nobody carries an order: nobody is sent for it at more.
    #[must_use]
    pub fn price_of_leaving(&self, order: OrderIndex) -> i64 {
        self.weights.unserved * self.orders[order as usize].weight / 100
    }

    /// When the order would be picked up and handed over if the driver did nothing else: no plan is faster. The
    /// cost of that is a bound from below for its insertion.
    #[must_use]
    pub fn alone(&self, driver: DriverIndex, order: OrderIndex) -> (Second, Second, i64) {
        let (d, o) = (&self.drivers[driver as usize], &self.orders[order as usize]);
        let arrival =
            if d.place == o.pickup { d.free_at } else { d.free_at.max(o.known_at) + self.way(d, d.place, o.pickup) };
        let picked_up = (arrival + o.pickup_service.before).max(o.ready.from).max(0);
        let way = self.way(d, o.last_pickup, o.dropoff);
        let reached = picked_up + o.pickup_service.after + way + o.dropoff_service.before;
        let handed_over = reached.max(o.due.from);
        (picked_up, handed_over, self.waiting_cost(o, handed_over) + self.moving_cost(driver, order))
    }

    /// The cheapest place of an order in a driver's route, if any costs less than `limit` on top of `route_cost`, which
    /// is what the route costs as it is.
    pub fn best_insertion(
        &self,
        driver: DriverIndex,
        route: &[Act],
        route_cost: i64,
        order: OrderIndex,
        limit: i64,
        scratch: &mut Scratch,
    ) -> Option<Insertion> {
        let mut laid = std::mem::take(&mut scratch.laid);
        let drivable = self.may_carry(driver, order) && self.lay_out(driver, route, &mut laid);
        debug_assert!(!drivable || laid.cost() == route_cost);
        let found = if drivable { self.best_in(driver, route, &laid, order, limit, scratch) } else { None };
        scratch.laid = laid;
        found
    }

    /// The cheapest place of an order in a route that is laid out, if any costs less than `limit`. Asks not whether the
    /// driver may carry it.
    pub fn best_in(
        &self,
        driver_index: DriverIndex,
        route: &[Act],
        laid: &Laid,
        order_index: OrderIndex,
        limit: i64,
        scratch: &mut Scratch,
    ) -> Option<Insertion> {
        let driver = &self.drivers[driver_index as usize];
        let order = &self.orders[order_index as usize];
        let moving = self.moving_cost(driver_index, order_index);
        let total = laid.cost();
        let mut limit = limit.saturating_sub(moving).saturating_add(total);
        let ways_alone = self.ways_alone_count();
        let mut first = (driver.locked_acts as usize).min(route.len());
        if ways_alone {
            // What has to happen before the order is ready comes before it.
            first += laid.latest[first..].partition_point(|latest| *latest < order.ready.from);
            if !self.detours(driver, route, order, laid, (first, limit - total), &mut scratch.detours) {
                return None;
            }
        }
        // The way between several sellers has no price of its own.
        let saved = if order.last_pickup == order.pickup {
            0
        } else {
            i64::from(self.way(driver, order.pickup, order.last_pickup)) * self.weights.travel
        };
        let look = Look { driver, route, laid, order: order_index, ways_alone, first, detours: &scratch.detours };
        let way = self.way(driver, order.last_pickup, order.dropoff);
        let last_pickup = if order.strict { driver.shift_end.min(order.ready.to) } else { driver.shift_end };
        let mut best: Option<Insertion> = None;
        for pickup_at in first..=route.len() {
            if ways_alone {
                let detour = &look.detours[pickup_at - first];
                if total + detour.both.min(detour.pickup + detour.least_dropoff_behind) >= limit {
                    continue;
                }
            }
            let joins = pickup_at > 0
                && self.joins(route.get(pickup_at - 1), order_index)
                && !self.joins(route.get(pickup_at), order_index);
            let (mut at, aboard) = laid.before[pickup_at];
            // The order is handed over later than this, and the rest is not cheaper for it, but for what is not driven.
            if at.moment > last_pickup || total + self.waiting_cost(order, at.moment + way) - saved >= limit {
                break;
            }
            if !joins && (self.splits(route, pickup_at) || (!self.interleave && aboard != 0)) {
                continue;
            }
            if !self.step(driver, &mut at, Act::Pickup(order_index)) || at.cost >= limit {
                continue;
            }
            if let Some((dropoff_at, cost)) = self.best_dropoff(&look, at, pickup_at, joins, limit) {
                limit = cost;
                best = Some(Insertion { driver: driver_index, pickup_at, dropoff_at, cost: cost - total + moving });
            }
        }
        best
    }

    /// The cheapest place for the drop-off behind a pickup, and what the route costs then, if less than `limit`.
    #[inline]
    fn best_dropoff(
        &self,
        look: &Look<'_>,
        mut carrying: Position,
        pickup_at: usize,
        joins: bool,
        mut limit: i64,
    ) -> Option<(usize, i64)> {
        let Look { driver, route, laid, .. } = *look;
        let mut best: Option<(usize, i64)> = None;
        for dropoff_at in pickup_at..=route.len() {
            if dropoff_at > pickup_at {
                let n = dropoff_at - 1;
                if !self.step(driver, &mut carrying, route[n])
                    || carrying.cost + laid.rest[dropoff_at] >= limit
                    || (look.ways_alone && carrying.moment > laid.latest[n])
                {
                    break;
                }
            }
            let mut too_far = false;
            if look.ways_alone {
                let (from, here) = (&look.detours[pickup_at - look.first], &look.detours[dropoff_at - look.first]);
                let ways = if dropoff_at == pickup_at { from.both } else { from.pickup + here.dropoff };
                too_far = laid.cost() + ways >= limit;
                if too_far && laid.cost() + from.pickup + here.least_dropoff_behind >= limit {
                    break;
                }
            }
            if !too_far && (dropoff_at == pickup_at || !self.splits(route, dropoff_at)) {
                let mut at = carrying;
                if self.step(driver, &mut at, Act::Dropoff(look.order))
                    && let Some(cost) = self.drive_on(look, at, dropoff_at, limit)
                {
                    limit = cost;
                    best = Some((dropoff_at, cost));
                }
            }
            let trip_ends = laid.before[dropoff_at].1 == 0 && (dropoff_at > pickup_at || !joins);
            if !self.interleave && trip_ends {
                break;
            }
        }
        best
    }

    /// What the route costs when its rest is driven from here on, if that can be done for less than `limit`. Stops
    /// where everything is as it was.
    #[inline]
    fn drive_on(&self, look: &Look<'_>, mut at: Position, from: usize, limit: i64) -> Option<i64> {
        for (n, act) in look.route.iter().enumerate().skip(from) {
            if at.cost >= limit || !self.step(look.driver, &mut at, *act) {
                return None;
            }
            let cost = at.cost + look.laid.rest[n + 1];
            // A driver who is later than they were is not cheaper for it.
            let before = &look.laid.before[n + 1].0;
            if cost >= limit && at.moment >= before.moment {
                return None;
            }
            if look.ways_alone {
                return (at.moment <= look.laid.latest[n] && cost < limit).then_some(cost);
            }
            if at.free_at == before.free_at && at.moment == before.moment {
                return (cost < limit).then_some(cost);
            }
        }
        (at.cost < limit).then_some(at.cost)
    }

    /// The drivers who could carry the order if they did nothing else, cheapest first, with that cost.
    #[must_use]
    pub fn nearest_drivers(&self, order: OrderIndex) -> Vec<(i64, DriverIndex)> {
        let strict = self.orders[order as usize].strict;
        let (ready_to, due_to) = (self.orders[order as usize].ready.to, self.orders[order as usize].due.to);
        #[expect(clippy::cast_possible_truncation, reason = "a fleet has far fewer drivers than an index can count")]
        let drivers = 0..self.drivers.len() as DriverIndex;
        let mut nearest: Vec<(i64, DriverIndex)> = drivers
            .filter(|d| self.may_carry(*d, order))
            .filter_map(|d| {
                let (picked_up, handed_over, cost) = self.alone(d, order);
                let in_time = picked_up <= self.drivers[d as usize].shift_end;
                let allowed = !strict || (picked_up <= ready_to && handed_over <= due_to);
                (in_time && allowed).then_some((cost, d))
            })
            .collect();
        nearest.sort_unstable();
        nearest
    }

    /// The cheapest place for one order among all routes; `None` when nobody can carry it at less than it costs to
    /// leave it. `costs` are the routes' own.
    #[must_use]
    pub fn cheapest_insertion(&self, routes: &[Vec<Act>], costs: &[i64], order: OrderIndex) -> Option<Insertion> {
        let mut scratch = Scratch::default();
        let mut best: Option<Insertion> = None;
        let mut limit = self.price_of_leaving(order);
        for (least, driver) in self.nearest_drivers(order) {
            if least >= limit {
                break;
            }
            let d = driver as usize;
            if let Some(found) = self.best_insertion(driver, &routes[d], costs[d], order, limit, &mut scratch) {
                limit = found.cost;
                best = Some(found);
            }
        }
        best
    }
}
