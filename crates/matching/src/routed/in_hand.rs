//! What a plan starts from: the routes in hand, less what cannot be driven any more.

use super::problem::{Act, DriverIndex, Problem, Routes, Travel, Vehicle};

/// What a route costs that cannot be driven: more than all orders of any problem, less than what overflows a sum.
pub(super) const IMPOSSIBLE: i64 = i64::MAX / (1 << 20);

/// What a plan starts from.
pub(super) struct InHand {
    pub(super) routes: Routes,
    pub(super) costs: Vec<i64>,
    pub(super) driver_of: Vec<Option<DriverIndex>>,
    /// For each order, whether it stays where it is.
    pub(super) fixed: Vec<bool>,
}

/// Routes in hand, less what cannot be driven any more.
pub(super) fn in_hand<T: Travel>(problem: &Problem<T>, mut routes: Routes) -> InHand {
    routes.resize(problem.drivers.len(), Vec::new());
    let mut fixed = vec![false; problem.orders.len()];
    let mut costs = Vec::with_capacity(routes.len());
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
    InHand { routes, costs, driver_of, fixed }
}

/// Marks the orders that stay where they are: aboard, or among what the driver is locked to.
fn fix(driver: &Vehicle, route: &[Act], fixed: &mut [bool]) {
    for (n, act) in route.iter().enumerate() {
        let aboard = matches!(act, Act::Dropoff(o) if !route[..n].contains(&Act::Pickup(*o)));
        if aboard || n < driver.locked_acts as usize {
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
