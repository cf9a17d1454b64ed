//! Solves a snapshot that `benches/vroom/compare.py` wrote: travel alone counts, and every window is strict.
//!
//! `cargo run --release -p posthaste-matching --example snapshot -- target/vroom/100x50-1.json`
//!
//! Prints JSON: orders served, seconds of travel, processor seconds of the solving alone, and the routes, each act as
//! `[is a pickup, order]`.

use std::process::ExitCode;

use nix::time::{ClockId, clock_gettime};
use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::{Act, Budget, Job, Opening, Problem, Second, Service, Travel, Vehicle, Weights, plan};
use serde::Deserialize;

#[derive(Deserialize)]
struct Snapshot {
    travel: Vec<Vec<Second>>,
    drivers: Vec<DriverRow>,
    orders: Vec<OrderRow>,
}

#[derive(Deserialize)]
struct DriverRow {
    place: PlaceIndex,
    capacity: i64,
}

#[derive(Deserialize)]
struct OrderRow {
    pickup: PlaceIndex,
    dropoff: PlaceIndex,
    ready: (Second, Second),
    due: (Second, Second),
    pickup_service: Second,
    dropoff_service: Second,
    size: i64,
}

/// Travel times as they were given.
struct Table {
    places: usize,
    seconds: Vec<Second>,
}

impl Travel for Table {
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
        self.seconds[from as usize * self.places + to as usize]
    }
}

fn problem(snapshot: Snapshot) -> Problem<Table> {
    let driver = |d: &DriverRow| Vehicle { capacity: d.capacity, ..Vehicle::at(d.place) };
    let order = |o: &OrderRow| Job {
        ready: Opening { from: o.ready.0, to: o.ready.1 },
        due: Opening { from: o.due.0, to: o.due.1 },
        pickup_service: Service { before: 0, after: o.pickup_service },
        dropoff_service: Service { before: 0, after: o.dropoff_service },
        size: o.size,
        strict: true,
        ..Job::between(o.pickup, o.dropoff)
    };
    Problem {
        drivers: snapshot.drivers.iter().map(driver).collect(),
        orders: snapshot.orders.iter().map(order).collect(),
        travel: Table { places: snapshot.travel.len(), seconds: snapshot.travel.concat() },
        interleave: true,
        weights: Weights { delivery: 0, late: 0, travel: 1, unserved: 1_000_000, moved: 0 },
    }
}

fn processor_seconds() -> f64 {
    let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(std::time::Duration::from);
    spent.map_or(0.0, |spent| spent.as_secs_f64())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("which snapshot? give the path of one, and perhaps a number of rounds and a seed");
        return ExitCode::FAILURE;
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let problem = match serde_json::from_str(&text) {
        Ok(snapshot) => problem(snapshot),
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let budget = Budget { seed, ..Budget::snapshot(&problem) };
    let budget = Budget { rounds: rounds.unwrap_or(budget.rounds), ..budget };
    let started = processor_seconds();
    let plan = plan(&problem, vec![Vec::new(); problem.drivers.len()], budget, &|| false);
    let spent = processor_seconds() - started;
    let left = i64::try_from(plan.unserved.len()).unwrap_or(i64::MAX);
    let act = |act: &Act| (matches!(act, Act::Pickup(_)), act.order());
    let routes: Vec<Vec<_>> = plan.routes.iter().map(|route| route.iter().map(act).collect()).collect();
    let answer = serde_json::json!({
        "served": problem.orders.len() - plan.unserved.len(),
        "travel_seconds": plan.cost - left * problem.weights.unserved,
        "cpu_seconds": spent,
        "routes": routes,
    });
    println!("{answer}");
    ExitCode::SUCCESS
}
