//! The policy `routed` on random problems, on small ones against trying everything, and on those that went wrong once.
//!
//! - [`referee`]: how a route is driven and what it costs, written once more, from `ROUTED.md` alone.
//! - [`brute_force`]: the best of all places and of all plans, by trying each, as the referee sees it.
//! - [`properties`]: plans of random problems have every property; [`broken`]: plans that break one are refused.
//! - [`cases`]: single stories; [`idle`]: those of backlogs and of drivers who have nothing to do.
//! - [`outcome`]: from a zone to what is done, on random zones.

mod broken;
mod brute_force;
mod cases;
mod idle;
mod outcome;
mod properties;
mod referee;

use posthaste_matching::routed::problem::NEVER;
use posthaste_matching::routed::{Job, Opening, Problem, Second, Service, Travel, Vehicle, Weights};
use proptest::prelude::*;

/// Points of a plane; a metre takes a second.
#[derive(Debug, Clone)]
struct Plane(Vec<(i32, i32)>);

impl Travel for Plane {
    fn seconds(&self, from: u32, to: u32) -> Second {
        let ((a, b), (x, y)) = (self.0[from as usize], self.0[to as usize]);
        (a - x).abs() + (b - y).abs()
    }
}

const SERVICE: Service = Service { before: 20, after: 30 };

fn driver(place: u32) -> Vehicle {
    Vehicle { capacity: 10, ..Vehicle::at(place) }
}

fn order(pickup: u32, dropoff: u32, ready: Second) -> Job {
    Job {
        ready: Opening { from: ready, to: NEVER },
        pickup_service: SERVICE,
        dropoff_service: SERVICE,
        ..Job::between(pickup, dropoff)
    }
}

fn problem(points: Vec<(i32, i32)>, drivers: Vec<Vehicle>, orders: Vec<Job>) -> Problem<Plane> {
    Problem { travel: Plane(points), drivers, orders, interleave: false, weights: Weights::default() }
}

fn never() -> bool {
    false
}

prop_compose! {
    fn any_order(places: u32)(
        pickup in 0..places / 2,
        elsewhere in prop::option::weighted(0.2, 0..places / 2),
        dropoff in places / 2..places,
        ready in -300..900,
        opens in prop_oneof![4 => Just(-NEVER), 1 => 0..1500],
        due in 300..3000_i32,
        latest in prop_oneof![3 => Just(NEVER), 1 => 900..2500],
        known_at in prop_oneof![4 => Just(0), 1 => 0..600],
        size in 1..5_i64,
        strict in prop::bool::weighted(0.2),
        barred in prop::collection::btree_set(0..3_u32, 0..2),
        promised in prop::option::weighted(0.3, 0..3_u32),
    ) -> Job {
        Job {
            ready: Opening { from: ready, to: latest },
            due: Opening { from: opens, to: due.max(opens) },
            known_at,
            size,
            strict,
            barred: barred.into_iter().collect(),
            promised,
            last_pickup: elsewhere.unwrap_or(pickup),
            ..order(pickup, dropoff, ready)
        }
    }
}

prop_compose! {
    fn any_driver(places: u32)(
        place in 0..places,
        pace in prop_oneof![Just(100), 50..200],
        free_at in -300..600,
        shift_end in 0..4000,
        capacity in 1..8_i64,
        at_work in prop::bool::weighted(0.8),
    ) -> Vehicle {
        Vehicle { place, free_at, pace, shift_end, capacity, load: 0, locked_acts: 0, at_work }
    }
}

prop_compose! {
    fn any_problem(most_orders: usize)(
        points in prop::collection::vec((0..900, 0..900), 8),
        drivers in prop::collection::vec(any_driver(8), 3),
        orders in prop::collection::vec(any_order(8), 1..=most_orders),
        interleave: bool,
        late in 0..200_i64,
        travel in 0..50_i64,
        moved in 0..20_000_i64,
    ) -> Problem<Plane> {
        let weights = Weights { late, travel, moved, ..Weights::default() };
        let travel = Plane(points);
        let mut orders = orders;
        for order in &mut orders {
            // The way between several sellers is part of the service; the slowest driver takes twice as long.
            order.pickup_service.after += 2 * travel.seconds(order.pickup, order.last_pickup);
        }
        Problem { travel, drivers, orders, interleave, weights }
    }
}

/// Only orders that are known. Which of a visit comes first decides whether it waits for what is only expected, and the
/// search does not try every sequence within a visit.
fn known(mut problem: Problem<Plane>) -> Problem<Plane> {
    problem.orders.iter_mut().for_each(|order| order.known_at = 0);
    problem
}

/// Prices by which only the ways count.
const WAYS_ALONE: Weights = Weights { delivery: 0, late: 0, travel: 1, unserved: 1_000_000, moved: 0 };
