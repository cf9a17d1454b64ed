//! The search: orders go where they cost least, then rounds of large-neighbourhood search take some related orders out
//! and put them back better (Shaw 1998; Ropke and Pisinger 2006; the random skipping of good places, here "blinks",
//! after Christiaens and Vanden Berghe 2020), under simulated annealing.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::employ::employ;
use super::in_hand::{IMPOSSIBLE, InHand, in_hand};
use super::insert::{Insertion, Scratch};
use super::laid::Laid;
use super::memory::Memory;
use super::narrow::Narrowed;
use super::problem::{Act, DriverIndex, OrderIndex, Problem, Routes, Travel};

/// How much work a pass may do, and how boldly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Rounds. Beyond a few hundred for each pass of a running system little is gained: the next pass comes soon, and
    /// knows more.
    pub rounds: u32,
    /// Orders taken out in a round, at most. Fewer find less, more cost time without finding more.
    pub removed: usize,
    /// Rounds in a hundred that take out strings of orders from routes next to each other; the others take out orders
    /// near each other, whoever carries them.
    pub strings: u32,
    /// How much worse than the plan in hand a plan may be at the start and still be gone on from, in cost; falls to 0.
    pub heat: f64,
    /// Promised orders that may be taken from routes of those who were told, in one pass, at most.
    pub moves: usize,
    /// Orders that are on no route are placed by regret too where they are at most so many: the better of the two ways is
    /// gone on from. In a running system, where a few are missing at a time, it changed recorded days by less than
    /// another seed does.
    pub regret: usize,
    /// Orders that the search looks at, at most: what drivers have, then the most urgent, which come first. Beyond, a
    /// backlog would use up a pass, and no driver is there for it anyway; see `narrow.rs`.
    pub most: usize,
    /// What the search's chance follows from.
    pub seed: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            rounds: 800,
            removed: 22,
            strings: 0,
            heat: 2_000.0,
            moves: usize::MAX,
            regret: 0,
            most: usize::MAX,
            seed: 0,
        }
    }
}

impl Budget {
    /// For a snapshot that is planned once, from nothing, and that nobody waits for: no pass comes after it, so it takes
    /// as many rounds as the snapshot is large, and strings. Found on snapshots of a hundred orders, against VROOM
    /// (`benches/vroom`).
    #[must_use]
    pub fn snapshot<T: Travel>(problem: &Problem<T>) -> Self {
        let orders = u32::try_from(problem.orders.len()).unwrap_or(u32::MAX);
        let ways = problem.orders.iter().map(|o| f64::from(problem.travel.seconds(o.pickup, o.dropoff)));
        let way = ways.sum::<f64>() / f64::from(orders.max(1));
        #[expect(clippy::cast_precision_loss, reason = "a price")]
        let price = (problem.weights.travel + problem.weights.delivery) as f64;
        Self {
            rounds: orders.saturating_mul(9),
            removed: 14,
            strings: 30,
            heat: 0.03 * way * price,
            regret: MOST_BY_REGRET,
            ..Self::default()
        }
    }
}

/// In a snapshot more orders than this are placed by cost alone: its rounds go far beyond what they begin with.
const MOST_BY_REGRET: usize = 128;
/// Places skipped at random, one in this many, so that a round does not put everything back where it was.
const BLINK_ONE_IN: u32 = 100;
/// What a search has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The acts of each driver.
    pub routes: Routes,
    /// Real orders on no route, ascending. What is expected is on none.
    pub unserved: Vec<OrderIndex>,
    /// What it costs, without what is expected.
    pub cost: i64,
}

/// Which order is with whom, and at what cost: what a round changes and may have to undo.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) routes: Routes,
    costs: Vec<i64>,
    pub(super) driver_of: Vec<Option<DriverIndex>>,
    pub(super) moved: usize,
    pub(super) cost: i64,
}

/// A driver's route before a round changed it.
#[derive(Debug, Default)]
struct Before {
    driver: DriverIndex,
    route: Vec<Act>,
    laid: Laid,
    cost: i64,
    version: u32,
    is_laid: bool,
}

/// A search under way.
pub struct Search<'a, T> {
    pub(super) problem: &'a Problem<T>,
    pub(super) draft: Draft,
    /// The routes of the draft laid out, where `is_laid`, and a number that no other route has had.
    laid: Vec<Laid>,
    is_laid: Vec<bool>,
    version: Vec<u32>,
    versions: u32,
    memory: Memory,
    /// For each order, who could carry it, by what that would cost at least.
    pub(super) nearest: Vec<Vec<(i64, DriverIndex)>>,
    /// For each order, once it was asked for, those that have to do with it, by how little.
    pub(super) related: Vec<Vec<(i64, OrderIndex)>>,
    pub(super) movable: Vec<OrderIndex>,
    pub(super) fixed: Vec<bool>,
    /// For each order, whether it was on the route of the driver who was told.
    kept: Vec<bool>,
    /// What a round takes out, and room for choosing it.
    pub(super) out: Vec<OrderIndex>,
    pub(super) near: Vec<(i64, OrderIndex)>,
    pub(super) string: Vec<OrderIndex>,
    undo: Vec<Before>,
    spare: Vec<Before>,
    touched: Vec<bool>,
    undo_drivers: Vec<(OrderIndex, Option<DriverIndex>)>,
    scratch: Scratch,
    pub(super) rng: StdRng,
    /// Drivers to be asked before the next is skipped.
    until_blink: u32,
    blinks: bool,
}

/// Plans from the routes in hand: what is on no route is put on one, then everything that may move is improved, until
/// the budget is used up or `stop` says so. Never costs more than the routes in hand. Then, however little time there
/// was, whoever has nothing to do is given something (`employ.rs`).
pub fn plan<T: Travel>(problem: &Problem<T>, routes: Routes, budget: Budget, stop: &dyn Fn() -> bool) -> Plan {
    #[cfg(debug_assertions)]
    let before = routes.clone();
    let mut plan = match Narrowed::of(problem, &routes, budget.most) {
        Some(narrowed) => narrowed.plan(budget, stop),
        None => search(problem, routes, budget, stop),
    };
    employ(problem, &mut plan);
    #[cfg(debug_assertions)]
    if let Err(broken) = super::check::check(problem, &before, &budget, &plan) {
        unreachable!("{broken}");
    }
    plan
}

/// Searches for routes, for all orders that it is given.
pub(super) fn search<T: Travel>(problem: &Problem<T>, routes: Routes, budget: Budget, stop: &dyn Fn() -> bool) -> Plan {
    let mut search = Search::new(problem, routes, budget.seed);
    search.construct(budget.regret, stop);
    search.improve(budget, stop)
}

impl<'a, T: Travel> Search<'a, T> {
    /// Starts from the routes in hand, less what cannot be driven any more.
    #[must_use]
    pub fn new(problem: &'a Problem<T>, routes: Routes, seed: u64) -> Self {
        let drivers = problem.drivers.len();
        let InHand { routes, costs, driver_of, fixed } = in_hand(problem, routes);
        let kept = driver_of.iter().zip(&problem.orders).map(|(d, o)| d.is_some() && *d == o.promised).collect();
        let orders = 0..OrderIndex::try_from(problem.orders.len()).unwrap_or(OrderIndex::MAX);
        let movable: Vec<OrderIndex> = orders.clone().filter(|o| !fixed[*o as usize]).collect();
        let nearest = orders.map(|o| if fixed[o as usize] { Vec::new() } else { problem.nearest_drivers(o) }).collect();
        let mut search = Self {
            problem,
            draft: Draft { routes, costs, driver_of, moved: 0, cost: 0 },
            laid: (0..drivers).map(|_| Laid::default()).collect(),
            is_laid: vec![false; drivers],
            version: (1..).take(drivers).collect(),
            versions: u32::try_from(drivers).unwrap_or(u32::MAX),
            memory: Memory::new(problem.orders.len(), drivers),
            nearest,
            related: vec![Vec::new(); problem.orders.len()],
            movable,
            fixed,
            kept,
            out: Vec::new(),
            near: Vec::new(),
            string: Vec::new(),
            undo: Vec::new(),
            spare: Vec::new(),
            touched: vec![false; drivers],
            undo_drivers: Vec::new(),
            scratch: Scratch::default(),
            rng: StdRng::seed_from_u64(seed),
            until_blink: 0,
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
    pub(super) fn price(&self, order: OrderIndex, driver: Option<DriverIndex>) -> i64 {
        match driver {
            None => self.problem.price_of_leaving(order),
            Some(driver) => self.problem.moving_cost(driver, order),
        }
    }

    fn is_moved(&self, order: OrderIndex, driver: Option<DriverIndex>) -> bool {
        self.kept[order as usize] && driver.is_some_and(|d| self.problem.is_moved(d, order))
    }

    /// Lays a driver's route out, if that is not done yet. `false` when it cannot be driven.
    fn lay_out(&mut self, driver: usize) -> bool {
        if !self.is_laid[driver] {
            #[expect(clippy::cast_possible_truncation, reason = "an index of a driver")]
            let drivable =
                self.problem.lay_out(driver as DriverIndex, &self.draft.routes[driver], &mut self.laid[driver]);
            // A route stays drivable when an order leaves it, but for roundings that break the triangle inequality.
            let cost = if drivable { self.laid[driver].cost() } else { IMPOSSIBLE };
            self.draft.cost += cost - self.draft.costs[driver];
            self.draft.costs[driver] = cost;
            self.is_laid[driver] = true;
        }
        self.draft.costs[driver] < IMPOSSIBLE
    }

    /// The cheapest place with a driver below a limit, remembered or looked for.
    pub(super) fn best_with(&mut self, driver: DriverIndex, order: OrderIndex, limit: i64) -> Option<Insertion> {
        let d = driver as usize;
        let version = self.version[d];
        if let Some(known) = self.memory.recall(order, driver, version, limit) {
            return known;
        }
        if !self.lay_out(d) {
            return None;
        }
        let (route, laid) = (&self.draft.routes[d], &self.laid[d]);
        let found = self.problem.best_in(driver, route, laid, order, limit, &mut self.scratch);
        self.memory.note(order, driver, version, limit, found);
        found
    }

    /// Whether to skip this one. One in [`BLINK_ONE_IN`] is, at random.
    fn blink(&mut self) -> bool {
        if !self.blinks {
            return false;
        }
        if self.until_blink == 0 {
            self.until_blink = self.rng.random_range(1..2 * BLINK_ONE_IN);
        }
        self.until_blink -= 1;
        self.until_blink == 0
    }

    /// The cheapest place of all. What is known is asked first, so that less has to be looked for.
    pub(super) fn best(&mut self, order: OrderIndex) -> Option<Insertion> {
        let mut best: Option<Insertion> = None;
        let mut limit = self.price(order, None);
        let nearest = std::mem::take(&mut self.nearest[order as usize]);
        for known in [true, false] {
            for (least, driver) in &nearest {
                if *least >= limit {
                    break;
                }
                let version = self.version[*driver as usize];
                let is_known = self.memory.recall(order, *driver, version, limit).is_some();
                if is_known != known || self.blink() {
                    continue;
                }
                if let Some(found) = self.best_with(*driver, order, limit) {
                    limit = found.cost;
                    best = Some(found);
                }
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

    /// Changes a route, and remembers what it was before the round. What it costs then is known when it is laid out.
    pub(super) fn change(&mut self, driver: DriverIndex, change: impl FnOnce(&mut Vec<Act>)) {
        let d = driver as usize;
        if !self.touched[d] {
            self.touched[d] = true;
            let mut before = self.spare.pop().unwrap_or_default();
            before.driver = driver;
            before.route.clone_from(&self.draft.routes[d]);
            std::mem::swap(&mut before.laid, &mut self.laid[d]);
            (before.cost, before.version, before.is_laid) = (self.draft.costs[d], self.version[d], self.is_laid[d]);
            self.undo.push(before);
        }
        change(&mut self.draft.routes[d]);
        self.is_laid[d] = false;
        self.versions += 1;
        self.version[d] = self.versions;
    }

    /// Lays out every route that the round changed, so that the draft's cost is right.
    pub(super) fn settle(&mut self) {
        for n in 0..self.undo.len() {
            self.lay_out(self.undo[n].driver as usize);
        }
    }

    pub(super) fn insert(&mut self, order: OrderIndex, at: Insertion) {
        self.change(at.driver, |route| at.apply(route, order));
        self.set_driver(order, Some(at.driver));
    }

    fn remove(&mut self, order: OrderIndex) {
        if let Some(driver) = self.draft.driver_of[order as usize] {
            self.change(driver, |route| route.retain(|act| act.order() != order));
            self.set_driver(order, None);
        }
    }

    pub(super) fn forget_undo(&mut self) {
        for before in self.undo.drain(..) {
            self.touched[before.driver as usize] = false;
            self.spare.push(before);
        }
        self.undo_drivers.clear();
    }

    pub(super) fn undo(&mut self, cost: i64, moved: usize) {
        for mut before in self.undo.drain(..) {
            let d = before.driver as usize;
            self.touched[d] = false;
            std::mem::swap(&mut self.draft.routes[d], &mut before.route);
            std::mem::swap(&mut self.laid[d], &mut before.laid);
            self.draft.costs[d] = before.cost;
            self.version[d] = before.version;
            self.is_laid[d] = before.is_laid;
            self.spare.push(before);
        }
        for (order, driver) in self.undo_drivers.drain(..).rev() {
            self.draft.driver_of[order as usize] = driver;
        }
        self.draft.cost = cost;
        self.draft.moved = moved;
    }

    /// Rounds of taking out and putting back. Ends with the best plan that was met.
    pub fn improve(mut self, budget: Budget, stop: &dyn Fn() -> bool) -> Plan {
        let mut best = self.draft.clone();
        if self.movable.is_empty() {
            return self.finish(budget.moves);
        }
        self.blinks = true;
        self.forget_undo();
        for round in 0..budget.rounds {
            if stop() {
                break;
            }
            let heat = budget.heat * (1.0 - f64::from(round) / f64::from(budget.rounds));
            let (cost, moved) = (self.draft.cost, self.draft.moved);
            self.choose(&budget);
            let mut out = std::mem::take(&mut self.out);
            for order in &out {
                self.remove(*order);
            }
            self.arrange(&mut out);
            for order in &out {
                if let Some(at) = self.best(*order) {
                    self.insert(*order, at);
                }
            }
            self.out = out;
            self.settle();
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
        self.blinks = false;
        self.take_over(best);
        self.finish(budget.moves)
    }

    /// Takes off what is expected, and puts the real orders that were left for its sake in its place.
    fn finish(mut self, moves: usize) -> Plan {
        let problem = self.problem;
        let on_a_route = |o: OrderIndex, search: &Self| search.draft.driver_of[o as usize].is_some();
        let movable = std::mem::take(&mut self.movable);
        let (expected, real): (Vec<OrderIndex>, Vec<OrderIndex>) =
            movable.into_iter().partition(|o| problem.orders[*o as usize].is_expected());
        let mut made_room = false;
        for order in expected {
            made_room |= on_a_route(order, &self);
            self.remove(order);
        }
        if made_room {
            for order in real {
                if !on_a_route(order, &self)
                    && let Some(at) = self.best(order)
                    && (self.draft.moved < moves || !self.is_moved(order, Some(at.driver)))
                {
                    self.insert(order, at);
                }
            }
        }
        Plan::of(problem, self.draft.routes)
    }
}

impl Plan {
    /// The plan of routes.
    #[must_use]
    pub(super) fn of<T: Travel>(problem: &Problem<T>, routes: Routes) -> Self {
        let mut left: Vec<bool> = problem.orders.iter().map(|order| !order.is_expected()).collect();
        let mut cost = 0;
        for (d, route) in routes.iter().enumerate() {
            cost += problem.route_cost(d, route).unwrap_or(IMPOSSIBLE);
            for act in route {
                if let (Act::Dropoff(order), Ok(driver)) = (act, DriverIndex::try_from(d)) {
                    left[*order as usize] = false;
                    cost += problem.moving_cost(driver, *order);
                }
            }
        }
        let left = left.into_iter().enumerate().filter(|(_, left)| *left);
        let unserved: Vec<OrderIndex> = left.filter_map(|(order, _)| OrderIndex::try_from(order).ok()).collect();
        cost += unserved.iter().map(|order| problem.price_of_leaving(*order)).sum::<i64>();
        Self { routes, unserved, cost }
    }
}
