//! Why this driver and not another; why nobody.

use super::insert::Scratch;
use super::problem::{Act, DriverIndex, OrderIndex, Problem, Routes, Travel};

/// What keeps a driver from carrying an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// It is pinned to another driver, or aboard with one.
    PinnedToAnother,
    /// They declined it, may not carry its kind, or are too far away.
    Barred,
    /// It does not fit their vehicle, even when that is empty.
    Capacity,
    /// They cannot reach the pickup before their shift ends, even if they leave at once.
    ShiftEnds,
    /// They cannot reach the pickup within its window, even if they leave at once.
    PickupWindow,
    /// They cannot reach the door within its window, even if they leave at once.
    DropoffWindow,
    /// They could if it were all that they had; with what they are planned to do they cannot.
    Route,
    /// They could, for more than it costs to leave it.
    TooCostly,
}

/// A driver who was passed over, or the one who was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative {
    /// The driver.
    pub driver: DriverIndex,
    /// What everything would cost more with the order on their route, or what forbids it.
    pub cost: Result<i64, Constraint>,
}

/// For one order of a plan: drivers, the cheapest first, with what it would cost to give it to each, everything else left as
/// planned. Then those who cannot, with the constraint that forbids it. Of those who could if they did nothing else, only
/// `most` are looked at, who would serve it soonest, and whoever has it: a place on each route of a large fleet takes long
/// to look for.
#[must_use]
pub fn alternatives<T: Travel>(
    problem: &Problem<T>,
    routes: &Routes,
    order: OrderIndex,
    most: usize,
) -> Vec<Alternative> {
    let mut scratch = Scratch::default();
    let nearest = problem.nearest_drivers(order);
    let mut turn = vec![Turn::Cannot; routes.len()];
    for (n, (_, driver)) in nearest.iter().enumerate() {
        turn[*driver as usize] = if n < most { Turn::LookedAt } else { Turn::PassedOver };
    }
    let mut all = Vec::with_capacity(problem.drivers.len());
    for (d, route) in routes.iter().enumerate() {
        let Ok(driver) = DriverIndex::try_from(d) else { break };
        let has_it = route.contains(&Act::Dropoff(order));
        let cost = match turn[d] {
            Turn::PassedOver if !has_it => continue,
            Turn::Cannot if !has_it => Err(forbids(problem, driver, order)),
            _ => cost_with(problem, driver, route, order, &mut scratch),
        };
        all.push(Alternative { driver, cost });
    }
    all.sort_by_key(|a| (a.cost.is_err(), a.cost.unwrap_or(0), a.driver));
    all
}

/// How much a driver is looked at.
#[derive(Clone, Copy)]
enum Turn {
    /// Not even if they did nothing else.
    Cannot,
    LookedAt,
    PassedOver,
}

fn cost_with<T: Travel>(
    problem: &Problem<T>,
    driver: DriverIndex,
    route: &[Act],
    order: OrderIndex,
    scratch: &mut Scratch,
) -> Result<i64, Constraint> {
    let without: Vec<Act> = route.iter().copied().filter(|a| a.order() != order).collect();
    let found = problem
        .route_cost(driver as usize, &without)
        .and_then(|cost| problem.best_insertion(driver, &without, cost, order, i64::MAX / 4, scratch));
    match found {
        Some(found) if found.cost >= problem.price_of_leaving(order) => Err(Constraint::TooCostly),
        Some(found) => Ok(found.cost),
        None => Err(forbids(problem, driver, order)),
    }
}

/// The first constraint that forbids a driver to carry an order, asked in the order of [`Constraint`].
fn forbids<T: Travel>(problem: &Problem<T>, driver: DriverIndex, order: OrderIndex) -> Constraint {
    let (d, o) = (&problem.drivers[driver as usize], &problem.orders[order as usize]);
    if o.pinned.is_some_and(|pinned| pinned != driver) {
        return Constraint::PinnedToAnother;
    }
    if o.barred.binary_search(&driver).is_ok() {
        return Constraint::Barred;
    }
    if o.size > d.capacity {
        return Constraint::Capacity;
    }
    let (picked_up, handed_over, _) = problem.alone(driver, order);
    if picked_up > d.shift_end {
        Constraint::ShiftEnds
    } else if o.strict && picked_up > o.ready.to {
        Constraint::PickupWindow
    } else if o.strict && handed_over > o.due.to {
        Constraint::DropoffWindow
    } else {
        Constraint::Route
    }
}
