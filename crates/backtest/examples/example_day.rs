//! Makes the small day that comes with the repository, `docs/days/example`: an evening of 40 orders in a town of four by
//! three kilometres, all of it drawn from a seed.
//!
//! `cargo run -p posthaste-backtest --example example_day -- DIR [SEED]`; the day in the repository has the seed 1.

use posthaste_backtest::Point;
use posthaste_backtest::instance::{CourierRow, Instance, OrderRow, Parameters, RestaurantRow};

const ORDERS: u32 = 40;
const RESTAURANTS: u32 = 6;
const COURIERS: u32 = 10;
/// When the evening begins, in minutes of its own day: a replay begins at minute 0.
const BEGINS: u32 = 10;
const MINUTES: u32 = 180;

/// SplitMix64: the same numbers from the same seed for ever, on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap_or_default()
    }

    fn point(&mut self) -> Point {
        Point { x: f64::from(self.below(4_000)), y: f64::from(self.below(3_000)) }
    }
}

/// The day of a seed.
pub(crate) fn day(seed: u64) -> Instance {
    let mut chance = Chance(seed);
    let restaurants: Vec<_> =
        (1..=RESTAURANTS).map(|n| RestaurantRow { name: format!("r{n}"), place: chance.point() }).collect();
    // Half work the whole evening, half its middle.
    let couriers = (1..=COURIERS).map(|n| {
        let (on, off) = if n % 2 == 1 { (0, MINUTES + 60) } else { (30, MINUTES + 30) };
        let (on_time, off_time) = (f64::from(BEGINS + on), f64::from(BEGINS + off));
        CourierRow { name: format!("c{n}"), place: chance.point(), on_time, off_time }
    });
    let couriers = couriers.collect();
    // More in the middle of the evening than at its ends: the mean of two draws.
    let mut placements: Vec<u32> = (0..ORDERS).map(|_| (chance.below(MINUTES) + chance.below(MINUTES)) / 2).collect();
    placements.sort_unstable();
    let orders = placements.into_iter().zip(1..).map(|(minute, n)| OrderRow {
        name: format!("o{n}"),
        place: chance.point(),
        placement_time: f64::from(BEGINS + minute),
        restaurant: chance.below(RESTAURANTS) as usize,
        ready_time: f64::from(BEGINS + minute + 8 + chance.below(15)),
    });
    let orders = orders.collect();
    let parameters = Parameters { meters_per_minute: 260.0, pickup_service_minutes: 4.0, dropoff_service_minutes: 4.0 };
    Instance { parameters, couriers, restaurants, orders }
}

#[cfg_attr(test, expect(dead_code, reason = "the test wants the day alone"))]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "--help".to_owned());
    if directory.starts_with('-') {
        eprintln!("cargo run -p posthaste-backtest --example example_day -- DIR [SEED]");
        std::process::exit(2);
    }
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse::<u64>());
    let written = seed
        .map_err(|error| error.to_string())
        .and_then(|seed| day(seed).write(directory.as_ref()).map_err(|error| error.to_string()));
    if let Err(error) = written {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
