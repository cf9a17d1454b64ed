//! How a route is driven and what it costs, from `ROUTED.md` alone: stop by stop, with nothing of the solver's.

use posthaste_matching::routed::{Act, Problem, Routes, Second, Vehicle};

use super::Plane;

/// A route that can be driven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Driven {
    /// The moment of each act: of a stop with several, when the last of them can be.
    pub(crate) moments: Vec<Second>,
    pub(crate) cost: i64,
}

/// Pickups next to each other at one place are one stop, unless another seller comes after.
fn stops<'r>(problem: &Problem<Plane>, route: &'r [Act]) -> Vec<&'r [Act]> {
    let ends_where_it_begins = |o: u32| problem.orders[o as usize].pickup == problem.orders[o as usize].last_pickup;
    let one_stop = |a: &Act, b: &Act| match (a, b) {
        (Act::Pickup(a), Act::Pickup(b)) => {
            problem.orders[*a as usize].pickup == problem.orders[*b as usize].pickup
                && ends_where_it_begins(*a)
                && ends_where_it_begins(*b)
        }
        _ => false,
    };
    route.chunk_by(one_stop).collect()
}

fn way(problem: &Problem<Plane>, driver: &Vehicle, from: u32, to: u32) -> Second {
    let ((a, b), (x, y)) = (problem.travel.0[from as usize], problem.travel.0[to as usize]);
    ((a - x).abs() + (b - y).abs()) * driver.pace / 100
}

/// Drives a route; `None` when an act that the driver is not locked to is not allowed.
pub(crate) fn drive(problem: &Problem<Plane>, d: usize, route: &[Act]) -> Option<Driven> {
    let driver = &problem.drivers[d];
    let order = |act: &Act| &problem.orders[act.order() as usize];
    let (mut here, mut clock, mut load) = (driver.place, driver.free_at, driver.load);
    let (mut moments, mut cost) = (Vec::new(), 0);
    for stop in stops(problem, route) {
        let (first, last) = (order(&stop[0]), order(&stop[stop.len() - 1]));
        let picks_up = matches!(stop[0], Act::Pickup(_));
        let there = if picks_up { first.pickup } else { first.dropoff };
        if there != here {
            // The driver leaves now at the earliest, and for what is only expected not before it is known.
            clock = clock.max(if picks_up { first.known_at } else { 0 });
            let way = way(problem, driver, here, there);
            clock += way;
            cost += i64::from(way) * problem.weights.travel;
        }
        clock += if picks_up { first.pickup_service.before } else { first.dropoff_service.before };
        for act in stop {
            let (order, locked) = (order(act), moments.len() < driver.locked_acts as usize);
            let opening = if picks_up { order.ready } else { order.due };
            clock = clock.max(opening.from);
            if picks_up {
                clock = clock.max(0);
                load += order.size;
            } else {
                load -= order.size;
                let late = i64::from((clock - order.due.to).max(0));
                cost +=
                    (i64::from(clock) * problem.weights.delivery + late * problem.weights.late) * order.weight / 100;
            }
            let over = picks_up && (clock > driver.shift_end || load > driver.capacity);
            if !locked && (over || (order.strict && clock > opening.to)) {
                return None;
            }
            moments.push(clock);
        }
        let from = moments.len() - stop.len();
        moments[from..].fill(clock);
        clock += if picks_up { last.pickup_service.after } else { last.dropoff_service.after };
        here = if picks_up { last.last_pickup } else { last.dropoff };
    }
    Some(Driven { moments, cost })
}

/// Whether, without interleaving, each visit is handed over before the next that the driver is not locked to.
pub(crate) fn finishes_trips(problem: &Problem<Plane>, d: usize, route: &[Act]) -> bool {
    let picked_up = |o: u32| route.contains(&Act::Pickup(o));
    let mut aboard = route.iter().filter(|a| matches!(a, Act::Dropoff(o) if !picked_up(*o))).count();
    let mut done = 0;
    for stop in stops(problem, route) {
        match stop[0] {
            Act::Pickup(_) if aboard > 0 && !problem.interleave && done >= problem.drivers[d].locked_acts as usize => {
                return false;
            }
            Act::Pickup(_) => aboard += stop.len(),
            Act::Dropoff(_) => aboard -= 1,
        }
        done += stop.len();
    }
    true
}

/// What a plan costs; `None` when it cannot be carried out.
pub(crate) fn cost(problem: &Problem<Plane>, routes: &Routes) -> Option<i64> {
    let mut served = vec![false; problem.orders.len()];
    let mut cost = 0;
    for (d, route) in routes.iter().enumerate() {
        if !finishes_trips(problem, d, route) {
            return None;
        }
        cost += drive(problem, d, route)?.cost;
        for act in route {
            let Act::Dropoff(o) = act else { continue };
            let order = &problem.orders[*o as usize];
            served[*o as usize] = true;
            let told_another = order.promised.is_some_and(|told| told as usize != d) && order.pinned.is_none();
            cost += if told_another { problem.weights.moved } else { 0 };
        }
    }
    // What is only expected is nobody's loss.
    let left = problem.orders.iter().zip(served).filter(|(order, served)| !served && order.known_at <= 0);
    Some(cost + left.map(|(order, _)| problem.weights.unserved * order.weight / 100).sum::<i64>())
}
