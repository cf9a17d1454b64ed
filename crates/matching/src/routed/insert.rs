//! Where an order costs least.

use super::problem::{Act, DriverIndex, OrderIndex, Problem, Second, Travel};
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

/// Room for looking, kept between looks: the driver's position before each act, and how many orders he carries there.
#[derive(Debug, Default)]
pub struct Scratch {
    before: Vec<(Position, i32)>,
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

    /// When the order would be picked up and handed over if the driver did nothing else: no plan is faster. The
    /// cost of that is a bound from below for its insertion.
    #[must_use]
    pub fn alone(&self, driver: DriverIndex, order: OrderIndex) -> (Second, Second, i64) {
        let (d, o) = (&self.drivers[driver as usize], &self.orders[order as usize]);
        let arrival =
            if d.place == o.pickup { d.free_at } else { d.free_at.max(o.known_at) + self.way(d, d.place, o.pickup) };
        let picked_up = (arrival + o.pickup_service.before).max(o.ready.from).max(0);
        let way = self.way(d, o.exit, o.dropoff);
        let reached = picked_up + o.pickup_service.after + way + o.dropoff_service.before;
        let handed_over = reached.max(o.due.from);
        let late = i64::from((handed_over - o.due.to).max(0));
        let cost = (i64::from(handed_over) * self.weights.delivery + late * self.weights.late) * o.weight / 100;
        (picked_up, handed_over, cost + self.moving_cost(driver, order))
    }

    fn lay_out(&self, driver: DriverIndex, route: &[Act], scratch: &mut Scratch) -> bool {
        let driver = &self.drivers[driver as usize];
        // What is handed over without a pickup in the route is aboard at its start.
        let mut aboard: i32 = route.iter().map(|a| if matches!(a, Act::Pickup(_)) { -1 } else { 1 }).sum();
        let mut at = Position::start(driver);
        scratch.before.clear();
        scratch.before.push((at, aboard));
        for (n, act) in route.iter().enumerate() {
            if !self.step(driver, &mut at, *act) && n >= driver.bound as usize {
                return false;
            }
            aboard += if matches!(act, Act::Pickup(_)) { 1 } else { -1 };
            scratch.before.push((at, aboard));
        }
        true
    }

    /// The cheapest place of an order in a driver's route, if any costs less than `limit` on top of `route_cost`, which
    /// is what the route costs as it is.
    pub fn best_insertion(
        &self,
        driver_index: DriverIndex,
        route: &[Act],
        route_cost: i64,
        order_index: OrderIndex,
        limit: i64,
        scratch: &mut Scratch,
    ) -> Option<Insertion> {
        if !self.may_carry(driver_index, order_index) || !self.lay_out(driver_index, route, scratch) {
            return None;
        }
        let driver = &self.drivers[driver_index as usize];
        let moving = self.moving_cost(driver_index, order_index);
        let mut limit = limit.saturating_sub(moving).saturating_add(route_cost);
        let mut best: Option<Insertion> = None;
        for pickup_at in driver.bound as usize..=route.len() {
            let joins = pickup_at > 0
                && self.joins(route.get(pickup_at - 1), order_index)
                && !self.joins(route.get(pickup_at), order_index);
            let (mut carrying, aboard) = scratch.before[pickup_at];
            if !joins && (self.splits(route, pickup_at) || (!self.interleave && aboard != 0)) {
                continue;
            }
            if !self.step(driver, &mut carrying, Act::Pickup(order_index)) || carrying.cost >= limit {
                continue;
            }
            for dropoff_at in pickup_at..=route.len() {
                if dropoff_at > pickup_at
                    && (!self.step(driver, &mut carrying, route[dropoff_at - 1]) || carrying.cost >= limit)
                {
                    break;
                }
                if dropoff_at == pickup_at || !self.splits(route, dropoff_at) {
                    let mut at = carrying;
                    let fits = self.step(driver, &mut at, Act::Dropoff(order_index))
                        && at.cost < limit
                        && route[dropoff_at..].iter().all(|a| self.step(driver, &mut at, *a) && at.cost < limit);
                    if fits {
                        limit = at.cost;
                        let cost = at.cost - route_cost + moving;
                        best = Some(Insertion { driver: driver_index, pickup_at, dropoff_at, cost });
                    }
                }
                let trip_ends = scratch.before[dropoff_at].1 == 0 && (dropoff_at > pickup_at || !joins);
                if !self.interleave && trip_ends {
                    break;
                }
            }
        }
        best
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
        let mut limit = self.weights.unserved * self.orders[order as usize].weight / 100;
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
