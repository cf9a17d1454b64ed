//! Walking a route: when each act happens, and what it costs.

use super::problem::{Act, Job, PlaceIndex, Problem, Second, Service, Travel, Vehicle};

/// Where a driver is in their route, and what it cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Where.
    pub place: PlaceIndex,
    /// When they can leave.
    pub free_at: Second,
    /// The moment of the last act.
    pub moment: Second,
    /// The last act was a pickup, so another one at the place belongs to the same visit.
    pub visiting: bool,
    /// Units aboard.
    pub load: i64,
    /// Cost so far.
    pub cost: i64,
}

impl Position {
    /// Before the first act.
    #[must_use]
    pub fn start(driver: &Vehicle) -> Self {
        Self {
            place: driver.place,
            free_at: driver.free_at,
            moment: driver.free_at,
            visiting: false,
            load: driver.load,
            cost: 0,
        }
    }
}

impl<T: Travel> Problem<T> {
    /// When the driver reaches a place, if they leave at the earliest at `known_at`; and how long they drive.
    #[inline]
    fn reach(&self, driver: &Vehicle, from: &Position, place: PlaceIndex, known_at: Second) -> (Second, Second) {
        if from.place == place {
            return (from.free_at, 0);
        }
        let way = self.way(driver, from.place, place);
        (from.free_at.max(known_at) + way, way)
    }

    /// How long a driver takes from one place to another.
    #[inline]
    #[must_use]
    pub fn way(&self, driver: &Vehicle, from: PlaceIndex, to: PlaceIndex) -> Second {
        let seconds = self.travel.seconds(from, to);
        if driver.pace == 100 { seconds } else { (seconds * driver.pace).div_euclid(100) }
    }

    /// What it costs that an order is handed over at this moment.
    #[inline]
    #[must_use]
    pub fn waiting_cost(&self, order: &Job, moment: Second) -> i64 {
        let late = i64::from((moment - order.due.to).max(0));
        i64::from(moment) * self.weights.delivery * order.weight / 100 + late * self.weights.late * order.weight / 100
    }

    /// Where an act brings the driver.
    #[inline]
    pub(crate) fn enters(&self, act: Act) -> PlaceIndex {
        match act {
            Act::Pickup(order) => self.orders[order as usize].pickup,
            Act::Dropoff(order) => self.orders[order as usize].dropoff,
        }
    }

    /// Does one act. Returns whether it keeps the shift, the capacity and a strict order's window.
    #[inline]
    pub fn step(&self, driver: &Vehicle, at: &mut Position, act: Act) -> bool {
        let order = &self.orders[act.order() as usize];
        match act {
            Act::Pickup(_) => {
                if at.visiting && at.place == order.pickup && order.last_pickup == order.pickup {
                    at.moment = at.moment.max(order.ready.from);
                } else {
                    let (arrival, travel) = self.reach(driver, at, order.pickup, order.known_at);
                    at.moment = (arrival + order.pickup_service.before).max(order.ready.from).max(0);
                    at.cost += i64::from(travel) * self.weights.travel;
                    at.place = order.last_pickup;
                    at.visiting = order.last_pickup == order.pickup;
                }
                at.free_at = at.moment + order.pickup_service.after;
                at.load += order.size;
                at.moment <= driver.shift_end
                    && at.load <= driver.capacity
                    && !(order.strict && at.moment > order.ready.to)
            }
            Act::Dropoff(_) => {
                let (arrival, travel) = self.reach(driver, at, order.dropoff, 0);
                at.moment = (arrival + order.dropoff_service.before).max(order.due.from);
                at.free_at = at.moment + order.dropoff_service.after;
                at.place = order.dropoff;
                at.visiting = false;
                at.load -= order.size;
                at.cost += i64::from(travel) * self.weights.travel + self.waiting_cost(order, at.moment);
                !(order.strict && at.moment > order.due.to)
            }
        }
    }

    /// What a whole route costs; `None` when it cannot be driven. Acts that the driver is locked to are driven whatever
    /// they miss.
    #[must_use]
    pub fn route_cost(&self, driver: usize, route: &[Act]) -> Option<i64> {
        let driver = &self.drivers[driver];
        let mut at = Position::start(driver);
        for (n, act) in route.iter().enumerate() {
            if !self.step(driver, &mut at, *act) && n >= driver.locked_acts as usize {
                return None;
            }
        }
        Some(at.cost)
    }

    /// The moment of each act by itself: of a visit, the orders that are ready early are taken early.
    pub(super) fn own_moments(&self, driver: usize, route: &[Act]) -> Vec<Second> {
        let driver = &self.drivers[driver];
        let mut at = Position::start(driver);
        let mut moments: Vec<Second> = Vec::with_capacity(route.len());
        for act in route {
            self.step(driver, &mut at, *act);
            moments.push(at.moment);
        }
        moments
    }

    /// The moment of each act of a route.
    #[must_use]
    pub fn moments(&self, driver: usize, route: &[Act]) -> Vec<Second> {
        let mut moments = self.own_moments(driver, route);
        // A visit has one moment: when the last of its orders is ready.
        for n in (1..moments.len()).rev() {
            if self.same_visit(route[n - 1], route[n]) {
                moments[n - 1] = moments[n];
            }
        }
        moments
    }

    /// Whether two acts that stand next to each other are one visit.
    #[must_use]
    pub fn same_visit(&self, one: Act, next: Act) -> bool {
        match (one, next) {
            (Act::Pickup(a), Act::Pickup(b)) => {
                let (a, b) = (&self.orders[a as usize], &self.orders[b as usize]);
                a.pickup == b.pickup && a.last_pickup == a.pickup && b.last_pickup == b.pickup
            }
            _ => false,
        }
    }

    /// How many leading acts of a route are its first visit: 0 when it starts with a door.
    #[must_use]
    pub fn first_visit(&self, route: &[Act]) -> usize {
        match route.first() {
            Some(Act::Pickup(_)) => 1 + route.windows(2).take_while(|w| self.same_visit(w[0], w[1])).count(),
            _ => 0,
        }
    }

    /// The latest second at which the driver of a route can leave for its first act without being later there than if
    /// they left at once. Deciding earlier only gives away what could still be learned.
    #[must_use]
    pub fn leave_at(&self, driver: usize, route: &[Act]) -> Option<Second> {
        (!route.is_empty()).then(|| self.leave_for(driver, route, 0))
    }

    /// The same for the visit that the act `n` belongs to: everything before it is done first. Now, when the driver is
    /// under way to it.
    #[must_use]
    pub fn leave_for(&self, driver: usize, route: &[Act], n: usize) -> Second {
        let start = (1..=n).rev().take_while(|k| self.same_visit(route[k - 1], route[*k])).last().map_or(n, |k| k - 1);
        let driver = &self.drivers[driver];
        if start < driver.locked_acts as usize {
            return 0;
        }
        let mut at = Position::start(driver);
        for act in &route[..start] {
            self.step(driver, &mut at, *act);
        }
        let from = at.free_at.max(0);
        let Act::Pickup(first) = route[start] else { return from };
        let order = &self.orders[first as usize];
        let visit = &route[start..start + self.first_visit(&route[start..])];
        let ready = visit.iter().map(|a| self.orders[a.order() as usize].ready.from).max().unwrap_or(0);
        let way = if at.place == order.pickup { 0 } else { self.way(driver, at.place, order.pickup) };
        latest_leave(at.free_at, 0, way, order.pickup_service, ready)
    }
}

/// The latest second, not before `now`, at which a driver can leave for a pickup without being later there than if they
/// left at once: they are free at `free_at` and drive for `way`, 0 where they stand there already. They are asked by then
/// in either case, so who stands at the shop has the time of the service before the food is ready, like everybody else.
#[must_use]
pub fn latest_leave(free_at: Second, now: Second, way: Second, service: Service, ready: Second) -> Second {
    free_at.max(now).max(ready - service.before - way)
}
