//! The policy `routed` on a fleet of 200 with 500 open orders: one order more, and a whole pass. Mark: an insertion
//! within a millisecond at p99. And a pass over a backlog of 5,000 orders: whoever is idle has one within a second.
//!
//! `cargo bench -p posthaste-matching --bench routed`

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};
use posthaste_matching::routed::problem::{NEVER, PlaceIndex};
use posthaste_matching::routed::{
    Budget, Job, Opening, Problem, Routes, Second, Service, Travel, Vehicle, Weights, plan,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const DRIVERS: u32 = 200;
const OPEN: u32 = 500;
/// Orders that come one by one, each into the same plan.
const ASKED: u32 = 5_000;

/// A city of ten kilometres, five metres a second, a third of the way for corners.
struct City(Vec<(f64, f64)>);

impl Travel for City {
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
        let ((a, b), (x, y)) = (self.0[from as usize], self.0[to as usize]);
        ((a - x).hypot(b - y) * 1.33 / 5.0).ceil() as Second
    }
}

/// Drivers spread over the city, shops in quarters, doors around them; each order ready within half an hour.
fn problem(orders: u32) -> Problem<City> {
    city(DRIVERS, orders)
}

fn city(drivers: u32, orders: u32) -> Problem<City> {
    let mut rng = StdRng::seed_from_u64(11);
    let anywhere = |rng: &mut StdRng| (rng.random_range(0.0..10_000.0), rng.random_range(0.0..10_000.0));
    let near =
        |rng: &mut StdRng, (x, y): (f64, f64), by: f64| (x + rng.random_range(-by..by), y + rng.random_range(-by..by));
    let quarters: Vec<_> = (0..6).map(|_| anywhere(&mut rng)).collect();
    let mut points: Vec<_> = (0..drivers).map(|_| anywhere(&mut rng)).collect();
    let shops = 80;
    for n in 0..shops {
        points.push(near(&mut rng, quarters[n as usize % quarters.len()], 1_200.0));
    }
    let order = |rng: &mut StdRng, points: &mut Vec<(f64, f64)>| {
        let pickup = drivers + rng.random_range(0..shops);
        points.push(near(rng, points[pickup as usize], 2_500.0));
        Job {
            ready: Opening { from: rng.random_range(-600..1_800), to: NEVER },
            due: Opening { from: -NEVER, to: 2_400 },
            pickup_service: Service { before: 60, after: 60 },
            dropoff_service: Service { before: 60, after: 60 },
            ..Job::between(pickup, points.len() as PlaceIndex - 1)
        }
    };
    let orders = (0..orders).map(|_| order(&mut rng, &mut points)).collect();
    let driver = |place| Vehicle { shift_end: 4 * 3_600, capacity: 6, ..Vehicle::at(place) };
    Problem {
        travel: City(points),
        drivers: (0..drivers).map(driver).collect(),
        orders,
        interleave: true,
        weights: Weights::default(),
    }
}

/// A plan of the first orders of the city, for a problem that has more.
fn planned(problem: &Problem<City>) -> (Routes, Vec<i64>) {
    let first = self::problem(OPEN);
    let routes = plan(&first, vec![Vec::new(); DRIVERS as usize], Budget::default(), &|| false).routes;
    let costs = routes.iter().enumerate().map(|(d, route)| problem.route_cost(d, route).unwrap_or(0)).collect();
    (routes, costs)
}

/// What the thread has computed: on a busy machine, what elapsed is mostly others' time.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn insertion(c: &mut Criterion) {
    let problem = problem(OPEN + ASKED);
    let (routes, costs) = planned(&problem);
    let mut took: [Vec<Duration>; 2] = Default::default();
    for order in OPEN..OPEN + ASKED {
        let started = (Instant::now(), processor_time());
        black_box(problem.cheapest_insertion(&routes, &costs, order));
        took[0].push(started.0.elapsed());
        took[1].push(processor_time() - started.1);
    }
    for (name, mut took) in ["elapsed", "processor time"].into_iter().zip(took) {
        took.sort_unstable();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100];
        println!("insertion, {ASKED} orders, {name}: p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
    }
    let mut orders = (OPEN..OPEN + ASKED).cycle();
    c.bench_function("routed: one order into 200 drivers with 500 open orders", |b| {
        b.iter(|| problem.cheapest_insertion(&routes, &costs, orders.next().unwrap_or(OPEN)));
    });
}

fn pass(c: &mut Criterion) {
    let problem = problem(OPEN);
    let empty: Routes = vec![Vec::new(); DRIVERS as usize];
    let (routes, _) = planned(&problem);
    let mut group = c.benchmark_group("routed: a pass over 200 drivers and 500 orders");
    group.sample_size(10);
    let solve = |routes| plan(&problem, routes, Budget::default(), &|| false);
    group.bench_function("nothing planned", |b| b.iter_batched(|| empty.clone(), solve, BatchSize::PerIteration));
    group.bench_function("all planned", |b| b.iter_batched(|| routes.clone(), solve, BatchSize::PerIteration));
    group.finish();
}

/// How long a pass may search in the live system.
const SEARCH_TIME: Duration = Duration::from_millis(80);

/// Passes that are stopped, each from the plan of the one before: how long they take, and what they leave.
fn stopped(_: &mut Criterion) {
    let problem = problem(OPEN);
    for (name, mut routes) in
        [("nothing planned", vec![Vec::new(); DRIVERS as usize]), ("all planned", planned(&problem).0)]
    {
        let (mut took, mut left) = (Vec::new(), Vec::new());
        for seed in 0..20 {
            let budget = Budget { seed, ..Budget::default() };
            let started = Instant::now();
            let passed = plan(&problem, routes, budget, &|| started.elapsed() >= SEARCH_TIME);
            took.push(started.elapsed());
            left.push(passed.unserved.len());
            routes = passed.routes;
        }
        println!("passes of {SEARCH_TIME:?}, {name}: left {left:?}");
        took.sort_unstable();
        println!("passes of {SEARCH_TIME:?}, {name}: p50 {:?}, max {:?}", took[took.len() / 2], took[took.len() - 1]);
    }
}

/// Orders of the backlog, and how many a pass looks at for each driver, as in the live system.
const BACKLOG: (u32, usize) = (5_000, 16);

/// A pass over a backlog: how long it takes, told to stop at once and after the time of the live system, and how many
/// drivers have an order then.
fn backlog(_: &mut Criterion) {
    let (orders, for_each) = BACKLOG;
    for drivers in [30, 200] {
        let problem = city(drivers, orders);
        let idle: Routes = vec![Vec::new(); drivers as usize];
        let budget = Budget { most: (for_each * drivers as usize).clamp(64, 512), ..Budget::default() };
        for time in [Duration::ZERO, SEARCH_TIME] {
            let started = Instant::now();
            let planned = plan(&problem, idle.clone(), budget, &|| started.elapsed() >= time);
            let took = started.elapsed();
            let employed = planned.routes.iter().filter(|route| !route.is_empty()).count();
            println!(
                "a pass of {time:?} over {orders} orders: {employed} of {drivers} drivers have one after {took:?}"
            );
        }
    }
}

criterion_group!(routed, insertion, stopped, backlog, pass);
criterion_main!(routed);
