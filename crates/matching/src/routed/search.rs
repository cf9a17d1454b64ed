//! The search: orders go where they cost least, then rounds of large-neighbourhood search take some related orders out
//! and put them back better (Shaw 1998; Ropke and Pisinger 2006; the random skipping of good places, here "blinks",
//! after Christiaens and Vanden Berghe 2020), under simulated annealing.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::insert::{Insertion, Scratch};
use super::problem::{Act, DriverIndex, OrderIndex, Problem, Routes, Travel};

/// How much work a pass may do, and how boldly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Rounds. Beyond a few hundred for each pass of a running system little is gained: the next pass comes soon, and
    /// knows more.
    pub rounds: u32,
    /// Orders taken out in a round, at most. Fewer find less, more cost time without finding more.
    pub removed: usize,
    /// How much worse than the plan in hand a plan may be at the start and still be gone on from, in cost; falls to 0.
    pub heat: f64,
    /// Promised orders that may change their driver in one pass, at most.
    pub moves: usize,
    /// What the search's chance follows from.
    pub seed: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rounds: 400, removed: 22, heat: 2_000.0, moves: usize::MAX, seed: 0 }
    }
}

/// Places skipped at random, one in this many, so that a round does not put everything back where it was.
const BLINK_ONE_IN: u32 = 100;
/// Orders that a round looks at for relation to its first, at most; beyond that a sample.
const RELATED_SAMPLE: usize = 96;
/// Rounds between two questions whether to stop.
const STOP_EVERY: u32 = 16;

/// What a search has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The acts of each driver.
    pub routes: Routes,
    /// Orders on no route, ascending.
    pub unserved: Vec<OrderIndex>,
    /// What it costs.
    pub cost: i64,
}

/// Which order is with whom, and at what cost: what a round changes and may have to undo.
#[derive(Debug, Clone)]
struct Draft {
    routes: Routes,
    costs: Vec<i64>,
    driver_of: Vec<Option<DriverIndex>>,
    moved: usize,
    cost: i64,
}

/// A search under way.
pub struct Search<'a, T> {
    problem: &'a Problem<T>,
    draft: Draft,
    /// For each order, who could carry it, by what that would cost at least.
    nearest: Vec<Vec<(i64, DriverIndex)>>,
    movable: Vec<OrderIndex>,
    undo: Vec<(DriverIndex, Vec<Act>, i64)>,
    touched: Vec<bool>,
    undo_drivers: Vec<(OrderIndex, Option<DriverIndex>)>,
    scratch: Scratch,
    rng: StdRng,
    blinks: bool,
}

/// Plans from the routes in hand: what is on no route is put on one, then everything that may move is improved, until
/// the budget is used up or `stop` says so. Never costs more than the routes in hand.
pub fn plan<T: Travel>(problem: &Problem<T>, routes: Routes, budget: Budget, stop: &dyn Fn() -> bool) -> Plan {
    #[cfg(debug_assertions)]
    let before = routes.clone();
    let mut search = Search::new(problem, routes, budget.seed);
    search.construct(stop);
    let plan = search.improve(budget, stop);
    #[cfg(debug_assertions)]
    if let Err(broken) = super::check::check(problem, &before, &budget, &plan) {
        unreachable!("{broken}");
    }
    plan
}

impl<'a, T: Travel> Search<'a, T> {
    /// Starts from the routes in hand, less what cannot be driven any more.
    #[must_use]
    pub fn new(problem: &'a Problem<T>, mut routes: Routes, seed: u64) -> Self {
        let drivers = problem.drivers.len();
        routes.resize(drivers, Vec::new());
        let mut fixed = vec![false; problem.orders.len()];
        let mut costs = Vec::with_capacity(drivers);
        for (d, route) in routes.iter_mut().enumerate() {
            fix(&problem.drivers[d], route, &mut fixed);
            costs.push(drivable(problem, d, route, &fixed));
        }
        let mut driver_of = vec![None; problem.orders.len()];
        for (d, route) in routes.iter().enumerate() {
            for act in route {
                driver_of[act.order() as usize] = DriverIndex::try_from(d).ok();
            }
        }
        let orders = 0..OrderIndex::try_from(problem.orders.len()).unwrap_or(OrderIndex::MAX);
        let movable: Vec<OrderIndex> = orders.clone().filter(|o| !fixed[*o as usize]).collect();
        let nearest = orders.map(|o| if fixed[o as usize] { Vec::new() } else { problem.nearest_drivers(o) }).collect();
        let mut search = Self {
            problem,
            draft: Draft { routes, costs, driver_of, moved: 0, cost: 0 },
            nearest,
            movable,
            undo: Vec::new(),
            touched: vec![false; drivers],
            undo_drivers: Vec::new(),
            scratch: Scratch::default(),
            rng: StdRng::seed_from_u64(seed),
            blinks: false,
        };
        search.count();
        search
    }

    /// Counts the whole draft afresh.
    fn count(&mut self) {
        self.draft.cost = self.draft.costs.iter().sum();
        self.draft.moved = 0;
        for (order, driver) in (0..).zip(self.draft.driver_of.clone()) {
            self.draft.cost += self.price(order, driver);
            self.draft.moved += usize::from(self.is_moved(order, driver));
        }
    }

    /// What an order costs beside its route: left, or moved.
    fn price(&self, order: OrderIndex, driver: Option<DriverIndex>) -> i64 {
        match driver {
            None => self.problem.weights.unserved * self.problem.orders[order as usize].weight / 100,
            Some(driver) => self.problem.moving_cost(driver, order),
        }
    }

    fn is_moved(&self, order: OrderIndex, driver: Option<DriverIndex>) -> bool {
        driver.is_some_and(|d| self.problem.is_moved(d, order))
    }

    fn best(&mut self, order: OrderIndex) -> Option<Insertion> {
        let mut best: Option<Insertion> = None;
        let mut limit = self.price(order, None);
        let nearest = std::mem::take(&mut self.nearest[order as usize]);
        for (least, driver) in &nearest {
            if *least >= limit {
                break;
            }
            if self.blinks && self.rng.random_range(0..BLINK_ONE_IN) == 0 {
                continue;
            }
            let d = *driver as usize;
            let (route, cost) = (&self.draft.routes[d], self.draft.costs[d]);
            let found = self.problem.best_insertion(*driver, route, cost, order, limit, &mut self.scratch);
            if let Some(found) = found {
                limit = found.cost;
                best = Some(found);
            }
        }
        self.nearest[order as usize] = nearest;
        best
    }

    fn set_driver(&mut self, order: OrderIndex, driver: Option<DriverIndex>) {
        let before = std::mem::replace(&mut self.draft.driver_of[order as usize], driver);
        self.undo_drivers.push((order, before));
        self.draft.cost += self.price(order, driver) - self.price(order, before);
        self.draft.moved += usize::from(self.is_moved(order, driver));
        self.draft.moved -= usize::from(self.is_moved(order, before));
    }

    /// Changes a route, and remembers what it was before the round.
    fn change(&mut self, driver: DriverIndex, change: impl FnOnce(&mut Vec<Act>)) {
        let d = driver as usize;
        if !self.touched[d] {
            self.touched[d] = true;
            self.undo.push((driver, self.draft.routes[d].clone(), self.draft.costs[d]));
        }
        change(&mut self.draft.routes[d]);
        // A route stays drivable when an order leaves it, but for roundings that break the triangle inequality.
        let cost = self.problem.route_cost(d, &self.draft.routes[d]).unwrap_or(IMPOSSIBLE);
        self.draft.cost += cost - self.draft.costs[d];
        self.draft.costs[d] = cost;
    }

    fn insert(&mut self, order: OrderIndex, at: Insertion) {
        self.change(at.driver, |route| at.apply(route, order));
        self.set_driver(order, Some(at.driver));
    }

    fn remove(&mut self, order: OrderIndex) {
        if let Some(driver) = self.draft.driver_of[order as usize] {
            self.change(driver, |route| route.retain(|act| act.order() != order));
            self.set_driver(order, None);
        }
    }

    fn forget_undo(&mut self) {
        for (driver, _, _) in self.undo.drain(..) {
            self.touched[driver as usize] = false;
        }
        self.undo_drivers.clear();
    }

    fn undo(&mut self, cost: i64, moved: usize) {
        for (driver, route, cost) in self.undo.drain(..) {
            self.touched[driver as usize] = false;
            self.draft.routes[driver as usize] = route;
            self.draft.costs[driver as usize] = cost;
        }
        for (order, driver) in self.undo_drivers.drain(..).rev() {
            self.draft.driver_of[order as usize] = driver;
        }
        self.draft.cost = cost;
        self.draft.moved = moved;
    }

    /// Puts every order that is on no route where it costs least, the cheapest of all first.
    pub fn construct(&mut self, stop: &dyn Fn() -> bool) {
        let mut left: Vec<(OrderIndex, Option<Insertion>)> = Vec::new();
        for n in 0..self.movable.len() {
            let order = self.movable[n];
            if self.draft.driver_of[order as usize].is_none() {
                left.push((order, self.best(order)));
            }
        }
        while !stop() {
            let cheapest = left.iter().enumerate().filter_map(|(n, (_, at))| at.map(|at| (at.cost, n))).min();
            let Some((_, n)) = cheapest else { break };
            let (order, at) = left.swap_remove(n);
            let Some(at) = at else { break };
            self.insert(order, at);
            for (order, found) in &mut left {
                // Only this driver's route has changed.
                if found.is_none_or(|f| f.driver == at.driver) {
                    *found = self.best(*order);
                } else if let Some(found) = found {
                    let d = at.driver as usize;
                    let (route, cost) = (&self.draft.routes[d], self.draft.costs[d]);
                    let better =
                        self.problem.best_insertion(at.driver, route, cost, *order, found.cost, &mut self.scratch);
                    *found = better.unwrap_or(*found);
                }
            }
        }
        self.forget_undo();
    }

    /// How little two orders have to do with each other, in seconds.
    fn distance(&self, a: OrderIndex, b: OrderIndex) -> i64 {
        let (x, y) = (&self.problem.orders[a as usize], &self.problem.orders[b as usize]);
        let shops = self.problem.travel.seconds(x.pickup, y.pickup);
        let doors = self.problem.travel.seconds(x.dropoff, y.dropoff);
        let times = (x.ready.from.max(0) - y.ready.from.max(0)).abs();
        let driver = self.draft.driver_of[a as usize];
        let together = driver.is_some() && driver == self.draft.driver_of[b as usize];
        i64::from(shops + doors / 2 + times / 2) - if together { 600 } else { 0 }
    }

    /// Orders to take out: one at random, and others that have to do with it; then all that nobody carries.
    fn choose(&mut self, most: usize) -> Vec<OrderIndex> {
        let all = self.movable.len();
        let first = self.movable[self.rng.random_range(0..all)];
        let count = 1 + self.rng.random_range(0..most.clamp(1, all));
        let mut near: Vec<(i64, OrderIndex)> = Vec::with_capacity(all.min(RELATED_SAMPLE) + 1);
        for n in 0..all.min(RELATED_SAMPLE) {
            let order =
                if all <= RELATED_SAMPLE { self.movable[n] } else { self.movable[self.rng.random_range(0..all)] };
            if order != first {
                near.push((self.distance(first, order) + self.rng.random_range(0..300), order));
            }
        }
        // A sample may meet an order twice; it is taken out, and put back, once.
        near.sort_unstable_by_key(|n| (n.1, n.0));
        near.dedup_by_key(|n| n.1);
        near.sort_unstable();
        let mut out = vec![first];
        out.extend(near.iter().take(count - 1).map(|n| n.1));
        for n in 0..all {
            let order = self.movable[n];
            if self.draft.driver_of[order as usize].is_none() && !out.contains(&order) {
                out.push(order);
            }
        }
        out
    }

    fn arrange(&mut self, orders: &mut [OrderIndex]) {
        let problem = self.problem;
        let order = |o: OrderIndex| &problem.orders[o as usize];
        match self.rng.random_range(0..3) {
            0 => {
                for i in (1..orders.len()).rev() {
                    orders.swap(i, self.rng.random_range(0..=i));
                }
            }
            1 => orders.sort_by_key(|o| order(*o).ready.from),
            _ => orders.sort_by_key(|o| problem.travel.seconds(order(*o).pickup, order(*o).dropoff)),
        }
    }

    /// Rounds of taking out and putting back. Ends with the best plan that was met.
    pub fn improve(mut self, budget: Budget, stop: &dyn Fn() -> bool) -> Plan {
        let mut best = self.draft.clone();
        if self.movable.is_empty() {
            return finish(best);
        }
        self.blinks = true;
        self.forget_undo();
        for round in 0..budget.rounds {
            if round % STOP_EVERY == 0 && stop() {
                break;
            }
            let heat = budget.heat * (1.0 - f64::from(round) / f64::from(budget.rounds));
            let (cost, moved) = (self.draft.cost, self.draft.moved);
            let mut out = self.choose(budget.removed);
            for order in &out {
                self.remove(*order);
            }
            self.arrange(&mut out);
            for order in out {
                if let Some(at) = self.best(order) {
                    self.insert(order, at);
                }
            }
            let chance: f64 = self.rng.random();
            #[expect(clippy::cast_precision_loss, reason = "costs are far below what a double holds exactly")]
            let worse = (self.draft.cost - cost) as f64;
            let too_many_moves = self.draft.moved > budget.moves && self.draft.moved > moved;
            if worse >= -heat * chance.ln() || too_many_moves {
                self.undo(cost, moved);
                continue;
            }
            self.forget_undo();
            if self.draft.cost < best.cost {
                best.clone_from(&self.draft);
            }
        }
        finish(best)
    }
}

/// What a route costs that cannot be driven: more than all orders of any problem, less than what overflows a sum.
const IMPOSSIBLE: i64 = i64::MAX / (1 << 20);

fn finish(draft: Draft) -> Plan {
    let left = draft.driver_of.iter().enumerate().filter(|(_, driver)| driver.is_none());
    let unserved = left.filter_map(|(order, _)| OrderIndex::try_from(order).ok()).collect();
    Plan { routes: draft.routes, unserved, cost: draft.cost }
}

/// Marks the orders that stay where they are: aboard, or among what the driver is bound to.
fn fix(driver: &super::problem::Driver, route: &[Act], fixed: &mut [bool]) {
    for (n, act) in route.iter().enumerate() {
        let aboard = matches!(act, Act::Dropoff(o) if !route[..n].contains(&Act::Pickup(*o)));
        if aboard || n < driver.bound as usize {
            fixed[act.order() as usize] = true;
        }
    }
}

/// Takes orders off the end of a route until it can be driven, and says what it costs then.
fn drivable<T: Travel>(problem: &Problem<T>, driver: usize, route: &mut Vec<Act>, fixed: &[bool]) -> i64 {
    loop {
        if let Some(cost) = problem.route_cost(driver, route) {
            return cost;
        }
        let last = route.iter().rev().map(|a| a.order()).find(|o| !fixed[*o as usize]);
        let Some(last) = last else { return IMPOSSIBLE };
        route.retain(|a| a.order() != last);
    }
}
