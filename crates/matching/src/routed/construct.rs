//! How orders that are on no route come onto one before the [search](super::search) improves the plan: the cheapest of
//! all first, and by regret, the one first that loses most if it has to take another driver (Potvin and Rousseau 1993).
//! The better of the two is gone on from: cheapest first strands what was hard to place, regret first spreads orders out
//! that would have gone well together. [`Budget::regret`](super::search::Budget::regret) says when both are tried.
//!
//! Real orders come first, whatever they cost. An expected one is always cheaper, since its waiting counts less: placed
//! together, a hundred of them use up a pass before a real one has its turn. Where there is time after both, they are placed
//! together too, and the better of the two is gone on from: on recorded days it often is.

use std::cmp::Reverse;

use super::insert::Insertion;
use super::problem::{DriverIndex, OrderIndex, Travel};
use super::search::{Draft, Search};

/// Real orders that are looked at and put on routes even when it is time to stop, so that a backlog shrinks from pass to
/// pass however large it is: some milliseconds of work.
const PLACED_AT_LEAST: usize = 16;
/// Orders of which the cheapest is found at a time, the more urgent ones before the others. The work grows with the square
/// of it; fewer, and what goes well together is placed apart.
const AT_A_TIME: usize = 256;

/// An order with the two drivers that it would cost least with.
struct Choice {
    order: OrderIndex,
    best: Option<Insertion>,
    /// With whom it would cost second least, and what; with nobody, what it costs to leave it.
    second: (i64, Option<DriverIndex>),
}

impl<T: Travel> Search<'_, T> {
    /// Puts every order that is on no route on one, the real ones first, where they are at most so many by regret too. When
    /// it is time to stop, it does so for the first few real ones; what is expected is left aside then.
    pub fn construct(&mut self, most_by_regret: usize, stop: &dyn Fn() -> bool) {
        let missing = self.movable.iter().copied().filter(|o| self.draft.driver_of[*o as usize].is_none());
        let (expected, real): (Vec<OrderIndex>, Vec<OrderIndex>) =
            missing.partition(|o| self.problem.orders[*o as usize].is_expected());
        // What a driver has comes on their route, whatever time it takes: no more of it waits than drivers can carry.
        let (theirs, real): (Vec<OrderIndex>, Vec<OrderIndex>) =
            real.into_iter().partition(|o| self.problem.orders[*o as usize].pinned.is_some());
        self.place(&theirs, usize::MAX, 0, stop);
        let before = self.draft.clone();
        let all_had_their_turn = self.place(&real, PLACED_AT_LEAST, most_by_regret, stop);
        if all_had_their_turn && !stop() {
            self.place(&expected, 0, most_by_regret, stop);
            if !real.is_empty() && !expected.is_empty() && !stop() {
                self.try_together(before, [real, expected].concat(), stop);
            }
        } else {
            let problem = self.problem;
            self.movable.retain(|o| !problem.orders[*o as usize].is_expected());
        }
    }

    /// Places real and expected orders together instead, from what was there before, where that comes out cheaper.
    fn try_together(&mut self, before: Draft, mut missing: Vec<OrderIndex>, stop: &dyn Fn() -> bool) {
        missing.sort_unstable();
        let apart = self.draft.clone();
        self.take_over(before);
        self.forget_undo();
        let all_had_their_turn = self.by_cost(&missing, 0, stop);
        self.settle();
        if !all_had_their_turn || self.draft.cost >= apart.cost {
            self.take_over(apart);
        }
        self.forget_undo();
    }

    /// Puts orders on routes. Says whether all had their turn.
    fn place(
        &mut self,
        missing: &[OrderIndex],
        at_least: usize,
        most_by_regret: usize,
        stop: &dyn Fn() -> bool,
    ) -> bool {
        let (cost, moved) = (self.draft.cost, self.draft.moved);
        let all_had_their_turn = self.by_cost(missing, at_least, stop);
        self.settle();
        if (2..=most_by_regret).contains(&missing.len()) && !stop() {
            let by_cost = self.draft.clone();
            self.undo(cost, moved);
            self.by_regret(missing, stop);
            self.settle();
            if self.draft.cost >= by_cost.cost {
                self.take_over(by_cost);
            }
        }
        self.forget_undo();
        all_had_their_turn
    }

    /// The cheapest of all first. Says whether all had their turn.
    fn by_cost(&mut self, missing: &[OrderIndex], at_least: usize, stop: &dyn Fn() -> bool) -> bool {
        let mut placed = 0;
        for some in missing.chunks(AT_A_TIME) {
            let mut left: Vec<(OrderIndex, Option<Insertion>)> = Vec::with_capacity(some.len());
            for order in some {
                if placed + left.len() >= at_least && stop() {
                    break;
                }
                left.push((*order, self.best(*order)));
            }
            let looked_at_all = left.len() == some.len();
            while let Some(n) = cheapest(&left) {
                if placed >= at_least && stop() {
                    return false;
                }
                let (order, at) = left.swap_remove(n);
                let Some(at) = at else { break };
                placed += 1;
                self.insert(order, at);
                self.look_again(&mut left, at.driver);
            }
            if !looked_at_all {
                return false;
            }
        }
        true
    }

    /// Finds the cheapest places anew after one driver's route has changed, and no other.
    fn look_again(&mut self, left: &mut [(OrderIndex, Option<Insertion>)], changed: DriverIndex) {
        for (order, found) in left {
            if found.is_none_or(|f| f.driver == changed) {
                *found = self.best(*order);
            } else if let Some(found) = found
                && self.problem.may_carry(changed, *order)
                && let Some(better) = self.best_with(changed, *order, found.cost)
            {
                *found = better;
            }
        }
    }

    /// The one first that would lose most with another driver.
    fn by_regret(&mut self, missing: &[OrderIndex], stop: &dyn Fn() -> bool) {
        let mut left: Vec<Choice> = missing.iter().map(|order| self.best_two(*order)).collect();
        while !stop() {
            let regret = |c: &Choice| c.best.map(|at| (c.second.0 - at.cost, Reverse(at.cost), Reverse(c.order)));
            let most = (0..left.len()).filter(|n| left[*n].best.is_some()).max_by_key(|n| regret(&left[*n]));
            let Some(n) = most else { break };
            let Choice { order, best: Some(at), .. } = left.swap_remove(n) else { break };
            self.insert(order, at);
            for choice in &mut left {
                // Only this driver's route has changed.
                let affected = choice.best.is_none_or(|b| b.driver == at.driver) || choice.second.1 == Some(at.driver);
                if affected {
                    *choice = self.best_two(choice.order);
                } else if self.problem.may_carry(at.driver, choice.order)
                    && let Some(found) = self.best_with(at.driver, choice.order, choice.second.0)
                {
                    choice.meet(found);
                }
            }
        }
    }

    fn best_two(&mut self, order: OrderIndex) -> Choice {
        let mut choice = Choice { order, best: None, second: (self.price(order, None), None) };
        let nearest = std::mem::take(&mut self.nearest[order as usize]);
        for (least, driver) in &nearest {
            if *least >= choice.second.0 {
                break;
            }
            if let Some(found) = self.best_with(*driver, order, choice.second.0) {
                choice.meet(found);
            }
        }
        self.nearest[order as usize] = nearest;
        choice
    }

    /// Goes on from another draft of the same problem.
    pub(super) fn take_over(&mut self, draft: Draft) {
        for (d, route) in draft.routes.iter().enumerate() {
            if self.draft.routes[d] != *route
                && let Ok(driver) = DriverIndex::try_from(d)
            {
                self.change(driver, |own| own.clone_from(route));
            }
        }
        self.settle();
        self.draft = draft;
    }
}

/// Where the order is whose place costs least.
fn cheapest(left: &[(OrderIndex, Option<Insertion>)]) -> Option<usize> {
    left.iter().enumerate().filter_map(|(n, (_, at))| at.map(|at| (at.cost, n))).min().map(|(_, n)| n)
}

impl Choice {
    /// A place below the second best.
    fn meet(&mut self, found: Insertion) {
        match self.best {
            Some(best) if found.cost >= best.cost => self.second = (found.cost, Some(found.driver)),
            best => {
                if let Some(best) = best {
                    self.second = (best.cost, Some(best.driver));
                }
                self.best = Some(found);
            }
        }
    }
}
