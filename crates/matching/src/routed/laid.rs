//! A route laid out: what is found once, for every order that is looked for a place in it.
//!
//! Where ways alone count, a place is judged without driving the rest of the route: by the ways that it adds, and by the
//! latest moment of the act behind it (Savelsbergh 1992). Otherwise the rest is driven until all is as it was.

use super::problem::{Act, DriverIndex, Job, NEVER, Problem, Second, Travel, Vehicle};
use super::walk::Position;

/// A route as it is driven: what every look for a place in it needs, found once for all of them.
#[derive(Debug, Default)]
pub struct Laid {
    /// The driver's position before each act and after the last, and how many orders are aboard there.
    pub(super) before: Vec<(Position, i32)>,
    /// What is left of the route's cost before each act and after the last, as it is driven now.
    pub(super) rest: Vec<i64>,
    /// The way to each act.
    pub(super) way: Vec<Second>,
    /// The latest moment of each act after which the rest can still be driven.
    pub(super) latest: Vec<Second>,
}

impl Laid {
    /// What the whole route costs.
    #[must_use]
    pub fn cost(&self) -> i64 {
        self.rest.first().copied().unwrap_or(0)
    }
}

/// What an order's ways cost on top at one place of a route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detour {
    /// Going by its pickup.
    pub(super) pickup: i64,
    /// Going by its door.
    pub(super) dropoff: i64,
    /// Going by the pickup and straight to the door.
    pub(super) both: i64,
    /// The least of going by the door at a later place.
    pub(super) least_dropoff_behind: i64,
}

impl<T: Travel> Problem<T> {
    /// Whether a plan costs nothing but its ways, so that it does not matter when things happen, only whether in time.
    pub(super) fn ways_alone_count(&self) -> bool {
        self.weights.delivery == 0 && self.weights.late == 0
    }

    /// Lays a route out. `false` when it cannot be driven.
    pub fn lay_out(&self, driver: DriverIndex, route: &[Act], laid: &mut Laid) -> bool {
        let driver = &self.drivers[driver as usize];
        // What is handed over without a pickup in the route is aboard at its start.
        let mut aboard: i32 = route.iter().map(|a| if matches!(a, Act::Pickup(_)) { -1 } else { 1 }).sum();
        let mut at = Position::start(driver);
        laid.before.clear();
        laid.way.clear();
        laid.before.push((at, aboard));
        for (n, act) in route.iter().enumerate() {
            let place = self.enters(*act);
            laid.way.push(if at.place == place { 0 } else { self.way(driver, at.place, place) });
            if !self.step(driver, &mut at, *act) && n >= driver.locked_acts as usize {
                return false;
            }
            aboard += if matches!(act, Act::Pickup(_)) { 1 } else { -1 };
            laid.before.push((at, aboard));
        }
        laid.rest.clear();
        laid.rest.extend(laid.before.iter().map(|(before, _)| at.cost - before.cost));
        if self.ways_alone_count() {
            self.lay_out_latest(driver, route, laid);
        }
        true
    }

    fn lay_out_latest(&self, driver: &Vehicle, route: &[Act], laid: &mut Laid) {
        laid.latest.clear();
        laid.latest.resize(route.len(), NEVER);
        // The latest moment and arrival of the act behind, and whether it is of the same visit.
        let mut behind: Option<(Second, Second)> = None;
        for n in (0..route.len()).rev() {
            let order = &self.orders[route[n].order() as usize];
            let (limit, service) = match route[n] {
                Act::Pickup(_) => (
                    if order.strict { driver.shift_end.min(order.ready.to) } else { driver.shift_end },
                    order.pickup_service,
                ),
                Act::Dropoff(_) => (if order.strict { order.due.to } else { NEVER }, order.dropoff_service),
            };
            let latest = match behind {
                Some((moment, _)) if self.same_visit(route[n], route[n + 1]) => limit.min(moment),
                Some((_, leaving)) => limit.min(leaving - service.after),
                None => limit,
            };
            laid.latest[n] = latest;
            behind = Some((latest, latest - service.before - laid.way[n]));
        }
    }

    /// What the ways to and from the order's two places cost on top, for each place in the route from `first` on.
    /// `false` when the pickup alone costs at least `limit` everywhere: ways are taken to be no longer than detours.
    pub(super) fn detours(
        &self,
        driver: &Vehicle,
        route: &[Act],
        order: &Job,
        laid: &Laid,
        (first, limit): (usize, i64),
        detours: &mut Vec<Detour>,
    ) -> bool {
        let cost = |seconds: Second| i64::from(seconds) * self.weights.travel;
        let nothing = Detour { pickup: 0, dropoff: 0, both: 0, least_dropoff_behind: i64::MAX / 4 };
        detours.clear();
        let mut promising = false;
        for n in first..=route.len() {
            let to_pickup = self.way(driver, laid.before[n].0.place, order.pickup);
            let on = route.get(n).map_or(0, |act| self.way(driver, order.last_pickup, self.enters(*act)) - laid.way[n]);
            let pickup = cost(to_pickup + on);
            promising |= pickup < limit;
            detours.push(Detour { pickup, both: cost(to_pickup), ..nothing });
        }
        if !promising {
            return false;
        }
        let between = self.way(driver, order.last_pickup, order.dropoff);
        let mut least = i64::MAX / 4;
        for n in (first..=route.len()).rev() {
            let to_dropoff = self.way(driver, laid.before[n].0.place, order.dropoff);
            let on = route.get(n).map_or(0, |act| self.way(driver, order.dropoff, self.enters(*act)) - laid.way[n]);
            let detour = &mut detours[n - first];
            detour.dropoff = cost(to_dropoff + on);
            detour.both += cost(between + on);
            detour.least_dropoff_behind = least;
            least = least.min(detour.dropoff);
        }
        true
    }
}
