//! How orders that are on no route come onto one before the [search](super::search) improves the plan: the cheapest of
//! all first, and by regret, the one first that loses most if it has to take another driver (Potvin and Rousseau 1993).
//! The better of the two is gone on from: cheapest first strands what was hard to place, regret first spreads orders out
//! that would have gone well together. [`Budget::regret`](super::search::Budget::regret) says when both are tried.

use std::cmp::Reverse;

use super::insert::Insertion;
use super::problem::{DriverIndex, OrderIndex, Travel};
use super::search::{Draft, Search};

/// Orders that are looked at and put on routes even when it is time to stop, so that a backlog shrinks from pass to pass
/// however large it is: some milliseconds of work.
const PLACED_AT_LEAST: usize = 16;

/// An order with the two drivers that it would cost least with.
struct Choice {
    order: OrderIndex,
    best: Option<Insertion>,
    /// With whom it would cost second least, and what; with nobody, what it costs to leave it.
    second: (i64, Option<DriverIndex>),
}

impl<T: Travel> Search<'_, T> {
    /// Puts every order that is on no route on one, where they are at most so many by regret too. When it is time to
    /// stop, it does so for the first few.
    pub fn construct(&mut self, most_by_regret: usize, stop: &dyn Fn() -> bool) {
        let (cost, moved) = (self.draft.cost, self.draft.moved);
        let missing: Vec<OrderIndex> =
            self.movable.iter().copied().filter(|o| self.draft.driver_of[*o as usize].is_none()).collect();
        self.by_cost(&missing, stop);
        self.settle();
        if (2..=most_by_regret).contains(&missing.len()) && !stop() {
            let by_cost = self.draft.clone();
            self.undo(cost, moved);
            self.by_regret(&missing, stop);
            self.settle();
            if self.draft.cost >= by_cost.cost {
                self.take_over(by_cost);
            }
        }
        self.forget_undo();
    }

    /// The cheapest of all first.
    fn by_cost(&mut self, missing: &[OrderIndex], stop: &dyn Fn() -> bool) {
        let mut left: Vec<(OrderIndex, Option<Insertion>)> = Vec::new();
        for order in missing {
            if left.len() >= PLACED_AT_LEAST && stop() {
                break;
            }
            left.push((*order, self.best(*order)));
        }
        let mut placed = 0;
        while placed < PLACED_AT_LEAST || !stop() {
            placed += 1;
            let cheapest = left.iter().enumerate().filter_map(|(n, (_, at))| at.map(|at| (at.cost, n))).min();
            let Some((_, n)) = cheapest else { break };
            let (order, at) = left.swap_remove(n);
            let Some(at) = at else { break };
            self.insert(order, at);
            for (order, found) in &mut left {
                // Only this driver's route has changed.
                if found.is_none_or(|f| f.driver == at.driver) {
                    *found = self.best(*order);
                } else if let Some(found) = found
                    && self.problem.may_carry(at.driver, *order)
                    && let Some(better) = self.best_with(at.driver, *order, found.cost)
                {
                    *found = better;
                }
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
    fn take_over(&mut self, draft: Draft) {
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
