//! The least-busy pick among ten thousand drivers, in several mixes. Mark: 5 µs. Each mix cycles through orders all
//! over the city, so that no choice is in the cache because it was just made.
//!
//! `cargo bench -p posthaste-matching`

use std::hint::black_box;

use chrono::{TimeDelta, TimeZone, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use posthaste_domain::Timestamp;
use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_geography::{StraightLine, VehicleSpeed};
use posthaste_matching::{Board, DriverView, OrderView, Question, Stop, plan, scan};
use uuid::Uuid;

const DRIVERS: u32 = 10_000;
const ORDERS: usize = 512;

/// A sequence that looks random and is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) ^ (self.0 >> 13 & 0xffff)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A spot in a city of 30 by 30 kilometres.
    fn place(&mut self) -> Place {
        let (y, x) = (self.below(30_000) as f64, self.below(30_000) as f64);
        Place::new(48.07 + y / 111_195.0, 16.2 + x / 74_000.0).unwrap()
    }
}

fn at(minutes: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2025, 3, 3, 12, 0, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn driver(numbers: &mut Numbers, number: u32, held: &[(i64, i64)]) -> DriverView {
    let commitment = |(start, end): &(i64, i64)| Commitment {
        order: OrderId::from_uuid(id(numbers.next())),
        window: Window::new(at(*start), at(*end)).unwrap(),
        tentative: false,
        lane: None,
        size: 1,
        aboard: false,
    };
    let commitments: Vec<Commitment> = held.iter().map(commitment).collect();
    DriverView {
        id: DriverId::from_uuid(id(u64::from(number))),
        place: numbers.place(),
        shift: Shift::Available { until: number.is_multiple_of(3).then(|| at(240 + i64::from(number % 7) * 20)) },
        stale: number.is_multiple_of(50),
        vehicle: VehicleSpeed::new([0.7, 1.0, 1.0, 1.4][number as usize % 4]).unwrap(),
        fast: !number.is_multiple_of(10),
        slow: true,
        capacity: 2 + number % 5,
        open_orders: commitments.len() as u32,
        commitments,
    }
}

fn stop(place: Place) -> Stop {
    Stop { place, service: TimeDelta::minutes(2), ready_at: None }
}

fn orders(window: Option<(i64, i64)>) -> Vec<OrderView> {
    let mut numbers = Numbers(7);
    let mut order = |number: usize| OrderView {
        id: OrderId::from_uuid(id(1_000_000 + number as u64)),
        speed: if window.is_some() { Speed::Slow } else { Speed::Fast },
        size: 1 + number as u32 % 2,
        priority: 0,
        placed_at: at(0),
        promised_at: window.map_or(at(40), |(_, end)| at(end)),
        window: window.map(|(start, end)| Window::new(at(start), at(end)).unwrap()),
        pickups: vec![stop(numbers.place())],
        delivery: stop(numbers.place()),
        cooling: Vec::new(),
    };
    (0..ORDERS).map(&mut order).collect()
}

/// The commitments of the driver of a number, in minutes from now.
type Held = fn(u32) -> Vec<(i64, i64)>;
/// A name, the drivers' commitments, the orders' window, the pickup radius.
type Mix = (&'static str, Held, Option<(i64, i64)>, Option<u32>);

fn board(held: Held, radius: Option<u32>) -> Board {
    let mut numbers = Numbers(42);
    let mut board = Board::new(48.2, radius);
    for number in 0..DRIVERS {
        board.upsert_driver(driver(&mut numbers, number, &held(number)));
    }
    board
}

fn running(number: u32) -> (i64, i64) {
    (-10 - i64::from(number % 20), 5 + i64::from(number % 35))
}

fn slot(number: u32) -> (i64, i64) {
    let start = 120 + 60 * i64::from(number % 4);
    (start, start + 60)
}

fn picks(c: &mut Criterion) {
    let idle: Held = |_| Vec::new();
    let busy: Held = |n| if n.is_multiple_of(5) { vec![] } else { vec![running(n)] };
    let all_busy: Held = |n| vec![running(n)];
    let waiting: Held = |n| vec![slot(n)];
    let alike: Held = |_| vec![(120, 180)];
    let full: Held = |n| vec![(100, 170 + i64::from(n % 30)), (300, 330)];
    let mixes: [Mix; 10] = [
        ("all idle, fast", idle, None, None),
        ("all idle, fast, within 3 km", idle, None, Some(3_000)),
        ("all idle, slow", idle, Some((120, 180)), None),
        ("80 % on fast orders, fast", busy, None, None),
        ("80 % on fast orders, slow", busy, Some((120, 180)), None),
        ("none idle, fast, windows later", waiting, None, None),
        ("none idle, slow, all on fast orders", all_busy, Some((120, 180)), None),
        ("none idle, slow, all alike", alike, Some((180, 240)), None),
        ("nobody can, fast, all on fast orders", all_busy, None, None),
        ("nobody can, slow, window taken", full, Some((120, 180)), None),
    ];
    let travel = StraightLine::default();
    let mut group = c.benchmark_group("least busy of 10,000");
    for (name, held, window, radius) in mixes {
        let (mut board, orders) = (board(held, radius), orders(window));
        let expected = !name.starts_with("nobody");
        assert_eq!(board.choose(&orders[0], at(0), &travel).chosen.is_some(), expected, "{name}");
        let mut turn = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                turn = (turn + 1) % ORDERS;
                black_box(board.choose(&orders[turn], at(0), &travel))
            });
        });
    }
    let (board, orders) = (board(busy, None), orders(None));
    group.bench_function("for comparison: scan of 80 % on fast orders, fast", |b| {
        b.iter(|| {
            let question = Question { order: &orders[0], now: at(0), travel: &travel, radius_meters: None };
            black_box(scan::choose(&question, board.drivers()))
        });
    });
    group.finish();
}

fn changes(c: &mut Criterion) {
    let busy: Held = |n| if n.is_multiple_of(5) { vec![] } else { vec![running(n)] };
    let mut board = board(busy, None);
    let mut numbers = Numbers(3);
    let travel = StraightLine::default();
    let mut group = c.benchmark_group("board of 10,000");
    let ids: Vec<DriverId> = (0..DRIVERS).map(|number| DriverId::from_uuid(id(u64::from(number)))).collect();
    let steps: Vec<(DriverId, Place)> = (0..4_096)
        .map(|_| {
            let id = ids[numbers.below(u64::from(DRIVERS)) as usize];
            let place = board.driver(id).unwrap().place;
            let north = place.lat() + (numbers.below(1_000) as f64 - 500.0) * 1e-7;
            (id, Place::new(north, place.lng()).unwrap())
        })
        .collect();
    let mut turn = 0;
    group.bench_function("a driver moves 5 m", |b| {
        b.iter(|| {
            turn = (turn + 1) % steps.len();
            board.move_driver(steps[turn].0, steps[turn].1)
        });
    });
    group.bench_function("a driver is held and released", |b| {
        let window = Window::new(at(0), at(35)).unwrap();
        let order = OrderId::from_uuid(id(9));
        b.iter(|| {
            turn = (turn + 5) % ids.len();
            board.hold(ids[turn], order, window, 1);
            board.release(ids[turn], order)
        });
    });
    let orders = orders(None);
    group.bench_function("a plan for 100 orders, board cloned", |b| {
        b.iter(|| black_box(plan(&mut board.clone(), &orders[..100], at(0), &travel)));
    });
    group.bench_function("for comparison: the clone alone", |b| b.iter(|| black_box(board.clone())));
    group.finish();
}

criterion_group!(benches, picks, changes);
criterion_main!(benches);
