//! A problem that is too large for a pass, narrowed to what a pass can look at: what drivers have, what comes next on their
//! routes, the most urgent of what waits, and a few orders for each driver who has nothing to do. The rest is left as it
//! is, on no route, until there is room.

use super::in_hand::{InHand, in_hand};
use super::problem::{Act, DriverIndex, OrderIndex, Problem, Routes, Travel};
use super::search::{Budget, Plan, search};

/// Orders that each driver who has nothing to do may choose from, at least.
const FOR_EACH_IDLE: usize = 4;

/// A problem with some of the orders of the whole one.
pub(super) struct Narrowed<'a, T> {
    whole: &'a Problem<T>,
    problem: Problem<&'a T>,
    routes: Routes,
    /// For each order, its number in the whole problem.
    numbers: Vec<OrderIndex>,
}

impl<'a, T: Travel> Narrowed<'a, T> {
    /// At most so many orders and those that have to be there; nothing when there are no more than that.
    pub(super) fn of(whole: &'a Problem<T>, routes: &Routes, most: usize) -> Option<Self> {
        if whole.orders.len() <= most {
            return None;
        }
        let chosen = chosen(whole, &in_hand(whole, routes.clone()), most);
        let numbers: Vec<OrderIndex> =
            (0..).zip(&chosen).filter(|(_, chosen)| **chosen).map(|(order, _)| order).collect();
        let mut number_in = vec![None; whole.orders.len()];
        for (here, order) in (0..).zip(&numbers) {
            number_in[*order as usize] = Some(here);
        }
        let kept = |act: &Act| number_in[act.order() as usize].map(|here| renamed(*act, here));
        let problem = Problem {
            travel: &whole.travel,
            drivers: whole.drivers.clone(),
            orders: numbers.iter().map(|order| whole.orders[*order as usize].clone()).collect(),
            interleave: whole.interleave,
            weights: whole.weights,
        };
        let routes = routes.iter().map(|route| route.iter().filter_map(kept).collect()).collect();
        Some(Self { whole, problem, routes, numbers })
    }

    /// Plans it, in the numbers of the whole problem.
    pub(super) fn plan(self, budget: Budget, stop: &dyn Fn() -> bool) -> Plan {
        let planned = search(&self.problem, self.routes, budget, stop);
        let named = |act: &Act| renamed(*act, self.numbers[act.order() as usize]);
        let routes = planned.routes.iter().map(|route| route.iter().map(named).collect()).collect();
        Plan::of(self.whole, routes)
    }
}

fn renamed(act: Act, order: OrderIndex) -> Act {
    match act {
        Act::Pickup(_) => Act::Pickup(order),
        Act::Dropoff(_) => Act::Dropoff(order),
    }
}

/// Which orders are looked at.
fn chosen<T: Travel>(problem: &Problem<T>, in_hand: &InHand, most: usize) -> Vec<bool> {
    let InHand { routes, driver_of, fixed, .. } = in_hand;
    // What drivers have, in any case.
    let mut chosen: Vec<bool> =
        problem.orders.iter().zip(fixed).map(|(order, fixed)| *fixed || order.pinned.is_some()).collect();
    let had = chosen.iter().filter(|chosen| **chosen).count();
    let left: Vec<usize> = (0..chosen.len()).filter(|o| !chosen[*o] && !problem.orders[*o].is_expected()).collect();
    let (planned, missing): (Vec<usize>, Vec<usize>) = left.into_iter().partition(|o| driver_of[*o].is_some());
    let room = most.saturating_sub(had);
    let for_missing = missing.len().min((room / 2).max(room.saturating_sub(planned.len())));
    missing.iter().take(for_missing).for_each(|order| chosen[*order] = true);
    // Of each route the front: what is far down changes before its turn comes.
    let longest = routes.iter().map(Vec::len).max().unwrap_or(0);
    let next = (0..longest).flat_map(|depth| routes.iter().filter_map(move |route| route.get(depth)));
    let mut room = room - for_missing;
    for order in next.map(|act| act.order() as usize) {
        if room > 0 && !chosen[order] {
            chosen[order] = true;
            room -= 1;
        }
    }
    let all_real_are_there = missing.len() == for_missing && planned.iter().all(|order| chosen[*order]);
    if all_real_are_there {
        let expected: Vec<usize> = (0..chosen.len()).filter(|o| problem.orders[*o].is_expected()).collect();
        expected.into_iter().take(room).for_each(|order| chosen[order] = true);
    }
    let idle =
        (0..).zip(&problem.drivers).zip(routes).filter(|((_, driver), route)| driver.at_work && route.is_empty());
    for ((driver, _), _) in idle {
        choose_for(problem, driver, &missing, &mut chosen);
    }
    chosen
}

/// A few that the driver may carry, the most urgent first.
fn choose_for<T: Travel>(problem: &Problem<T>, driver: DriverIndex, missing: &[usize], chosen: &mut [bool]) {
    let may = |order: usize| OrderIndex::try_from(order).is_ok_and(|o| problem.may_carry(driver, o));
    for order in missing.iter().copied().filter(|order| may(*order)).take(FOR_EACH_IDLE) {
        chosen[order] = true;
    }
}
