//! The properties of `ROUTED.md`, one function each. They run after every plan in debug builds.

use super::in_hand::in_hand;
use super::problem::{Act, OrderIndex, Problem, Routes, Travel};
use super::search::{Budget, Plan};

/// A property that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {what}")]
pub struct Broken {
    /// Which property.
    pub property: &'static str,
    /// Who or what breaks it.
    pub what: String,
}

fn broken(property: &'static str, what: String) -> Result<(), Broken> {
    Err(Broken { property, what })
}

/// All properties of a plan that was made from `before`.
///
/// # Errors
/// The first that is broken.
pub fn check<T: Travel>(problem: &Problem<T>, before: &Routes, budget: &Budget, plan: &Plan) -> Result<(), Broken> {
    each_order_once(problem, plan)?;
    pickup_before_dropoff(problem, before, plan)?;
    locked_acts_stay(problem, before, plan)?;
    only_who_may(problem, before, plan)?;
    drivable(problem, plan)?;
    within_capacity(problem, plan)?;
    services_do_not_overlap(problem, plan)?;
    trips_are_finished(problem, plan)?;
    moves_within_the_cap(problem, before, budget, plan)?;
    nobody_idle_beside_an_order(problem, plan)
}

/// Every real order is on exactly one route, or unserved; what is only expected is neither.
pub fn each_order_once<T: Travel>(problem: &Problem<T>, plan: &Plan) -> Result<(), Broken> {
    let mut seen = vec![0_u32; problem.orders.len()];
    for act in plan.routes.iter().flatten() {
        if let Act::Dropoff(order) = act {
            seen[*order as usize] += 1;
        }
    }
    for order in &plan.unserved {
        seen[*order as usize] += 1;
    }
    let times = |order: usize| u32::from(!problem.orders[order].is_expected());
    match (0..seen.len()).find(|order| seen[*order] != times(*order)) {
        Some(order) => broken("each order once", format!("order {order} is there {} times", seen[order])),
        None => Ok(()),
    }
}

/// What a route hands over without picking it up is aboard: it was so before. Everything else is picked up before.
pub fn pickup_before_dropoff<T: Travel>(_: &Problem<T>, before: &Routes, plan: &Plan) -> Result<(), Broken> {
    for (d, route) in plan.routes.iter().enumerate() {
        for (n, act) in route.iter().enumerate() {
            let fine = match act {
                Act::Dropoff(o) => {
                    route[..n].contains(&Act::Pickup(*o)) || before.get(d).is_some_and(|b| is_aboard(b, *o))
                }
                Act::Pickup(o) => route[n..].contains(&Act::Dropoff(*o)),
            };
            if !fine {
                return broken("pickup before drop-off", format!("{act:?} of driver {d}"));
            }
        }
    }
    Ok(())
}

fn is_aboard(route: &[Act], order: OrderIndex) -> bool {
    route.contains(&Act::Dropoff(order)) && !route.contains(&Act::Pickup(order))
}

/// What a driver is locked to comes first, unchanged; what is aboard stays aboard.
pub fn locked_acts_stay<T: Travel>(problem: &Problem<T>, before: &Routes, plan: &Plan) -> Result<(), Broken> {
    for (d, old) in before.iter().enumerate() {
        let locked = (problem.drivers[d].locked_acts as usize).min(old.len());
        if !plan.routes[d].starts_with(&old[..locked]) {
            return broken("locked acts stay", format!("driver {d}"));
        }
        let aboard = old.iter().map(|a| a.order()).find(|o| is_aboard(old, *o) && !is_aboard(&plan.routes[d], *o));
        if let Some(order) = aboard {
            return broken("locked acts stay", format!("order {order} was aboard with driver {d}"));
        }
    }
    Ok(())
}

/// Pinned orders are with their driver or nobody, barred drivers have nothing of what they are barred from.
pub fn only_who_may<T: Travel>(problem: &Problem<T>, before: &Routes, plan: &Plan) -> Result<(), Broken> {
    for (d, route) in plan.routes.iter().enumerate() {
        for act in route {
            let driver = u32::try_from(d).unwrap_or(u32::MAX);
            let had = before.get(d).is_some_and(|b| b.contains(act));
            if !had && !problem.may_carry(driver, act.order()) {
                return broken("only who may", format!("order {} with driver {d}", act.order()));
            }
        }
    }
    Ok(())
}

/// Shift ends and strict windows hold; what is late of the others is in the cost, which is what the plan says it is.
pub fn drivable<T: Travel>(problem: &Problem<T>, plan: &Plan) -> Result<(), Broken> {
    let mut cost: i64 = 0;
    for (d, route) in plan.routes.iter().enumerate() {
        let moments = problem.own_moments(d, route);
        let driver = &problem.drivers[d];
        for (n, (act, moment)) in route.iter().zip(&moments).enumerate().skip(driver.locked_acts as usize) {
            let order = &problem.orders[act.order() as usize];
            let (opening, shift) = match act {
                Act::Pickup(_) => (order.ready, driver.shift_end),
                Act::Dropoff(_) => (order.due, super::problem::NEVER),
            };
            if *moment > shift || *moment < opening.from || (order.strict && *moment > opening.to) {
                return broken("drivable", format!("act {n} of driver {d}, {act:?}, at {moment}"));
            }
        }
        cost += problem.route_cost(d, route).unwrap_or(0);
        let carried = route.iter().filter(|a| matches!(a, Act::Dropoff(_)));
        cost += carried.map(|a| problem.moving_cost(u32::try_from(d).unwrap_or(u32::MAX), a.order())).sum::<i64>();
    }
    let left = plan.unserved.iter().map(|o| problem.price_of_leaving(*o));
    cost += left.sum::<i64>();
    if cost == plan.cost { Ok(()) } else { broken("drivable", format!("costs {cost}, says {}", plan.cost)) }
}

/// Nobody carries more than fits.
pub fn within_capacity<T: Travel>(problem: &Problem<T>, plan: &Plan) -> Result<(), Broken> {
    for (d, route) in plan.routes.iter().enumerate() {
        let mut load = problem.drivers[d].load;
        for (n, act) in route.iter().enumerate() {
            let size = problem.orders[act.order() as usize].size;
            load += if matches!(act, Act::Pickup(_)) { size } else { -size };
            if load > problem.drivers[d].capacity && n >= problem.drivers[d].locked_acts as usize {
                return broken("within capacity", format!("driver {d} carries {load}"));
            }
        }
    }
    Ok(())
}

/// No two services of a driver overlap, with the way between them.
pub fn services_do_not_overlap<T: Travel>(problem: &Problem<T>, plan: &Plan) -> Result<(), Broken> {
    for (d, route) in plan.routes.iter().enumerate() {
        let moments = problem.moments(d, route);
        for n in 1..route.len() {
            if problem.same_visit(route[n - 1], route[n]) {
                continue;
            }
            let side = |act: Act| {
                let order = &problem.orders[act.order() as usize];
                match act {
                    Act::Pickup(_) => (order.pickup, order.last_pickup, order.pickup_service),
                    Act::Dropoff(_) => (order.dropoff, order.dropoff, order.dropoff_service),
                }
            };
            let ((_, from, first), (to, _, second)) = (side(route[n - 1]), side(route[n]));
            let travel = if from == to { 0 } else { problem.way(&problem.drivers[d], from, to) };
            if moments[n - 1] + first.after + travel > moments[n] - second.before {
                return broken("services do not overlap", format!("acts {} and {n} of driver {d}", n - 1));
            }
        }
    }
    Ok(())
}

/// Without interleaving, what one visit took aboard is handed over before the next visit.
pub fn trips_are_finished<T: Travel>(problem: &Problem<T>, plan: &Plan) -> Result<(), Broken> {
    if problem.interleave {
        return Ok(());
    }
    for (d, route) in plan.routes.iter().enumerate() {
        let mut aboard = route.iter().map(|a| a.order()).filter(|o| is_aboard(route, *o)).count();
        for (n, act) in route.iter().enumerate() {
            let starts_visit = n == 0 || !problem.same_visit(route[n - 1], *act);
            match act {
                Act::Pickup(_) if starts_visit && aboard > 0 && n >= problem.drivers[d].locked_acts as usize => {
                    return broken("trips are finished", format!("act {n} of driver {d}"));
                }
                Act::Pickup(_) => aboard += 1,
                Act::Dropoff(_) => aboard -= 1,
            }
        }
    }
    Ok(())
}

/// No more promised orders left the driver who was told than a pass may take from theirs. What that driver could not
/// do any more does not count, nor does an order that is all that somebody at work has to do.
pub fn moves_within_the_cap<T: Travel>(
    problem: &Problem<T>,
    before: &Routes,
    budget: &Budget,
    plan: &Plan,
) -> Result<(), Broken> {
    let had = in_hand(problem, before.clone()).driver_of;
    let mut moved = 0;
    for (d, route) in plan.routes.iter().enumerate() {
        let driver = u32::try_from(d).unwrap_or(u32::MAX);
        let carried = route.iter().filter(|a| matches!(a, Act::Dropoff(_))).map(|a| a.order());
        let was_kept = |o: OrderIndex| {
            let had = had[o as usize];
            had.is_some() && had == problem.orders[o as usize].promised
        };
        let here = carried.filter(|o| was_kept(*o) && problem.is_moved(driver, *o)).count();
        let is_all_they_have = problem.drivers[d].at_work && route.len() == 2;
        moved += if is_all_they_have { 0 } else { here };
    }
    if moved > budget.moves { broken("moves within the cap", format!("{moved} moved")) } else { Ok(()) }
}

/// Nobody at work has nothing to do while a real order waits that they could carry: one on no route, at less than it costs
/// to leave it, or one behind something else on another's route that they would hand over sooner.
pub fn nobody_idle_beside_an_order<T: Travel>(problem: &Problem<T>, plan: &Plan) -> Result<(), Broken> {
    let name = "nobody idle beside an order";
    for (d, driver) in problem.drivers.iter().enumerate().filter(|(d, _)| plan.routes[*d].is_empty()) {
        let index = u32::try_from(d).unwrap_or(u32::MAX);
        let alone = |order: OrderIndex| {
            let cost = problem.route_cost(d, &[Act::Pickup(order), Act::Dropoff(order)]);
            let cost = cost.filter(|_| driver.at_work && problem.may_carry(index, order))?;
            Some(cost + problem.moving_cost(index, order)).filter(|cost| *cost < problem.price_of_leaving(order))
        };
        if let Some(order) = plan.unserved.iter().find(|order| alone(**order).is_some()) {
            return broken(name, format!("driver {d} could carry order {order}, which is left"));
        }
        for (other, route) in plan.routes.iter().enumerate() {
            let told = |order| problem.moving_cost(u32::try_from(other).unwrap_or(u32::MAX), order);
            let first = problem.first_visit(route).max(problem.drivers[other].locked_acts as usize);
            let moments = problem.moments(other, route);
            for order in route.iter().skip(first).filter(|a| matches!(a, Act::Pickup(_))).map(|a| a.order()) {
                let handed_over = route.iter().position(|a| *a == Act::Dropoff(order)).map_or(0, |n| moments[n]);
                let waits = problem.waiting_cost(&problem.orders[order as usize], handed_over) + told(order);
                let Some(cost) = alone(order).filter(|cost| *cost < waits) else { continue };
                let without: Vec<Act> = route.iter().copied().filter(|a| a.order() != order).collect();
                let costs = |route: &[Act]| problem.route_cost(other, route);
                let saved = costs(route).zip(costs(&without)).map_or(0, |(with, without)| with - without);
                if saved + told(order) > cost {
                    return broken(name, format!("driver {d} would have order {order} sooner than driver {other}"));
                }
            }
        }
    }
    Ok(())
}
