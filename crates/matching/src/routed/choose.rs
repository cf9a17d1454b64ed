//! What a round of the [search](super::search) takes out, and in which sequence it is put back.

use rand::RngExt as _;

use super::problem::{Act, DriverIndex, OrderIndex, Travel};
use super::search::{Budget, Search};

/// Orders that have to do with one: the nearest so many.
const RELATED: usize = 64;
/// How much nearer two orders count that are with the same driver, in seconds.
const TOGETHER: i64 = 600;
/// Orders on no route that a round tries again, at most. Where more are left, each round tries others: trying hundreds
/// would leave a pass no time for anything else.
const TRIED_AGAIN: usize = 32;
/// Orders of a string, at most.
const LONGEST_STRING: usize = 10;

impl<T: Travel> Search<'_, T> {
    /// How little two orders have to do with each other, in seconds, whoever carries them.
    fn distance(&self, a: OrderIndex, b: OrderIndex) -> i64 {
        let (x, y) = (&self.problem.orders[a as usize], &self.problem.orders[b as usize]);
        let shops = self.problem.travel.seconds(x.pickup, y.pickup);
        let doors = self.problem.travel.seconds(x.dropoff, y.dropoff);
        let times = (x.ready.from.max(0) - y.ready.from.max(0)).abs();
        i64::from(shops + doors / 2 + times / 2)
    }

    /// Fills in the orders that have to do with one, the nearest first.
    fn relate(&mut self, order: OrderIndex) {
        if self.related[order as usize].is_empty() {
            let others = self.movable.iter().filter(|o| **o != order);
            let mut near: Vec<(i64, OrderIndex)> = others.map(|o| (self.distance(order, *o), *o)).collect();
            if near.len() > RELATED {
                near.select_nth_unstable(RELATED);
                near.truncate(RELATED);
            }
            near.sort_unstable();
            self.related[order as usize] = near;
        }
    }

    /// Orders to take out: some that have to do with one at random; then all that nobody carries.
    pub(super) fn choose(&mut self, budget: &Budget) {
        self.out.clear();
        let first = self.movable[self.rng.random_range(0..self.movable.len())];
        self.relate(first);
        if self.rng.random_range(0..100) < budget.strings {
            self.choose_strings(first, budget.removed);
        } else {
            self.choose_related(first, budget.removed);
        }
        self.choose_left();
    }

    /// What nobody carries: all of it, or as much as a round tries, from somewhere on.
    fn choose_left(&mut self) {
        let chosen = self.out.len();
        let driver_of = &self.draft.driver_of;
        let left = self.movable.iter().copied().filter(|o| driver_of[*o as usize].is_none());
        let mut left: Vec<OrderIndex> = left.filter(|o| !self.out.contains(o)).collect();
        if left.len() > TRIED_AGAIN {
            let from = self.rng.random_range(0..left.len());
            left.rotate_left(from);
            left.truncate(TRIED_AGAIN);
        }
        self.out.append(&mut left);
        debug_assert!(self.out.len() - chosen <= TRIED_AGAIN);
    }

    /// An order and others that are near it or with the same driver.
    fn choose_related(&mut self, first: OrderIndex, most: usize) {
        let count = self.rng.random_range(0..most.clamp(1, self.movable.len()));
        let driver = self.draft.driver_of[first as usize];
        let related = std::mem::take(&mut self.related[first as usize]);
        let mut near = std::mem::take(&mut self.near);
        near.clear();
        for (distance, order) in &related {
            let together = driver.is_some() && driver == self.draft.driver_of[*order as usize];
            let chance = self.rng.random_range(0..300);
            near.push((distance + chance - if together { TOGETHER } else { 0 }, *order));
        }
        near.sort_unstable();
        self.out.push(first);
        self.out.extend(near.iter().take(count).map(|n| n.1));
        self.near = near;
        self.related[first as usize] = related;
    }

    /// A string of orders from each of some routes near an order.
    fn choose_strings(&mut self, first: OrderIndex, most: usize) {
        let routes = self.draft.routes.iter().filter(|route| !route.is_empty()).count().max(1);
        let longest = (self.movable.len() / routes).clamp(1, LONGEST_STRING);
        // As many strings as take out `most` of them on the average if each is half as long as it may be.
        let strings = (2 * most).div_ceil(1 + longest).max(1);
        let mut left = self.rng.random_range(1..=strings);
        let related = std::mem::take(&mut self.related[first as usize]);
        for order in std::iter::once(first).chain(related.iter().map(|r| r.1)) {
            let Some(driver) = self.draft.driver_of[order as usize] else { continue };
            if self.out.iter().any(|o| self.draft.driver_of[*o as usize] == Some(driver)) {
                continue;
            }
            self.string_around(order, driver, longest);
            left -= 1;
            if left == 0 {
                break;
            }
        }
        self.related[first as usize] = related;
    }

    /// Orders that a driver picks up one after another, this one among them.
    fn string_around(&mut self, order: OrderIndex, driver: DriverIndex, longest: usize) {
        let fixed = &self.fixed;
        self.string.clear();
        self.string.extend(self.draft.routes[driver as usize].iter().filter_map(|act| match act {
            Act::Pickup(o) if !fixed[*o as usize] => Some(*o),
            _ => None,
        }));
        let all = self.string.len();
        let Some(at) = self.string.iter().position(|o| *o == order) else { return };
        let length = self.rng.random_range(1..=longest.min(all));
        let from = self.rng.random_range((at + 1).saturating_sub(length)..=at.min(all - length));
        self.out.extend_from_slice(&self.string[from..from + length]);
    }

    pub(super) fn arrange(&mut self, orders: &mut [OrderIndex]) {
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
}
