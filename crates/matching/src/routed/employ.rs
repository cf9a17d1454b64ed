//! Whoever has nothing to do is given something: the last word on every plan, and it asks no clock.
//!
//! A search that was stopped, or that was narrowed, leaves orders on no route, or far down on the routes of those who were
//! there when it began. A driver who stands idle beside them is given the most urgent that they can carry, else what they
//! would hand over sooner than the driver on whose route it waits behind something else. Neither makes a plan dearer.

use super::problem::{Act, DriverIndex, OrderIndex, Problem, Second, Travel};
use super::search::Plan;

/// Gives each driver who has nothing to do an order, where there is one for them.
pub(super) fn employ<T: Travel>(problem: &Problem<T>, plan: &mut Plan) {
    let drivers = (0..).zip(&problem.drivers).zip(&plan.routes);
    let mut idle: Vec<DriverIndex> =
        drivers.filter(|((_, driver), route)| driver.at_work && route.is_empty()).map(|((d, _), _)| d).collect();
    let had_nothing = idle.len();
    give_what_is_left(problem, plan, &mut idle);
    take_what_waits_behind(problem, plan, &mut idle);
    if idle.len() < had_nothing {
        *plan = Plan::of(problem, std::mem::take(&mut plan.routes));
    }
}

/// What everything costs more when a driver who has nothing else to do carries an order from no route; `None` when they
/// cannot, or for no less than it costs to leave it.
fn alone<T: Travel>(problem: &Problem<T>, driver: DriverIndex, order: OrderIndex) -> Option<i64> {
    let fits = problem.orders[order as usize].size <= problem.drivers[driver as usize].capacity;
    if !fits || !problem.may_carry(driver, order) {
        return None;
    }
    let cost = problem.route_cost(driver as usize, &both(order))? + problem.moving_cost(driver, order);
    (cost < problem.price_of_leaving(order)).then_some(cost)
}

fn both(order: OrderIndex) -> [Act; 2] {
    [Act::Pickup(order), Act::Dropoff(order)]
}

/// Orders on no route, the most urgent first, each to whoever serves it best.
fn give_what_is_left<T: Travel>(problem: &Problem<T>, plan: &mut Plan, idle: &mut Vec<DriverIndex>) {
    for order in &plan.unserved {
        if idle.is_empty() {
            return;
        }
        let able = idle.iter().enumerate().filter_map(|(n, driver)| Some((alone(problem, *driver, *order)?, n)));
        if let Some((_, n)) = able.min() {
            plan.routes[idle.swap_remove(n) as usize] = both(*order).to_vec();
        }
    }
}

/// An order that comes behind something else on a route.
#[derive(Debug, Clone, Copy)]
struct Behind {
    order: OrderIndex,
    driver: DriverIndex,
    handed_over: Second,
}

/// Those who still have nothing take what gains most by it, until nothing gains any more.
fn take_what_waits_behind<T: Travel>(problem: &Problem<T>, plan: &mut Plan, idle: &mut Vec<DriverIndex>) {
    let mut waits: Vec<Behind> = Vec::new();
    if !idle.is_empty() {
        (0..).zip(&plan.routes).for_each(|(driver, route)| waits.extend(behind(problem, driver, route)));
    }
    loop {
        let before = idle.len();
        idle.retain(|driver| {
            let Some(taken) = most_gained(problem, plan, *driver, &waits) else { return true };
            let from = &mut plan.routes[taken.driver as usize];
            from.retain(|act| act.order() != taken.order);
            // What is left there comes sooner now, and may come first.
            waits.retain(|other| other.driver != taken.driver);
            waits.extend(behind(problem, taken.driver, from));
            plan.routes[*driver as usize] = both(taken.order).to_vec();
            false
        });
        if idle.len() == before {
            return;
        }
    }
}

/// What waits behind something else on a route: whatever is picked up after the first visit, and is not locked.
fn behind<T: Travel>(problem: &Problem<T>, driver: DriverIndex, route: &[Act]) -> Vec<Behind> {
    let d = driver as usize;
    let first = problem.first_visit(route).max(problem.drivers[d].locked_acts as usize);
    if route.len() <= first {
        return Vec::new();
    }
    let moments = problem.moments(d, route);
    let picked_up = route.iter().skip(first).filter(|act| matches!(act, Act::Pickup(_))).map(|act| act.order());
    let handed_over = |order| route.iter().position(|act| *act == Act::Dropoff(order)).map(|at| moments[at]);
    picked_up.filter_map(|order| Some(Behind { order, driver, handed_over: handed_over(order)? })).collect()
}

/// What a driver who has nothing to do would gain most by taking; of equals the most urgent.
fn most_gained<T: Travel>(problem: &Problem<T>, plan: &Plan, driver: DriverIndex, waits: &[Behind]) -> Option<Behind> {
    let gained = |behind: &&Behind| gain(problem, plan, driver, **behind).filter(|gain| *gain > 0);
    let all = waits.iter().filter_map(|behind| Some((gained(&behind)?, std::cmp::Reverse(behind.order), *behind)));
    all.max_by_key(|(gain, order, _)| (*gain, *order)).map(|(.., behind)| behind)
}

/// What everything costs less when this driver takes an order from another's route.
fn gain<T: Travel>(problem: &Problem<T>, plan: &Plan, driver: DriverIndex, behind: Behind) -> Option<i64> {
    let there = behind.driver as usize;
    let cost = alone(problem, driver, behind.order)?;
    // They would have to hand it over sooner: what else is gained by it, the other's route shorter, is the search's to find.
    let waits = problem.waiting_cost(&problem.orders[behind.order as usize], behind.handed_over);
    if cost >= waits + problem.moving_cost(behind.driver, behind.order) {
        return None;
    }
    let without: Vec<Act> = plan.routes[there].iter().copied().filter(|act| act.order() != behind.order).collect();
    let saved = problem.route_cost(there, &plan.routes[there])? - problem.route_cost(there, &without)?;
    Some(saved + problem.moving_cost(behind.driver, behind.order) - cost)
}
