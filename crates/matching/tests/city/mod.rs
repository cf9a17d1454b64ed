//! Random drivers and orders of a small city, in coarse numbers, so that ties and touching ends are common.

use chrono::{TimeDelta, TimeZone, Utc};
use posthaste_domain::Timestamp;
use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use posthaste_domain::offer::CoolDown;
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_geography::{StraightLine, VehicleSpeed};
use posthaste_matching::{DriverView, OrderView, Stop};
use proptest::prelude::*;
use uuid::Uuid;

/// Minutes after the day began.
pub(crate) fn at(minutes: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2025, 3, 3, 8, 0, 0).unwrap() + TimeDelta::minutes(minutes)
}

pub(crate) fn driver_id(number: u32) -> DriverId {
    DriverId::from_uuid(Uuid::from_u128(u128::from(number)))
}

pub(crate) fn order_id(number: u32) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(u128::from(number)))
}

pub(crate) fn window(start: i64, end: i64) -> Window {
    Window::new(at(start), at(end)).unwrap()
}

/// A spot in the city, in steps of about 100 metres.
pub(crate) fn place() -> impl Strategy<Value = Place> {
    (0..150i32, 0..150i32).prop_map(|(y, x)| spot(y, x))
}

pub(crate) fn spot(y: i32, x: i32) -> Place {
    Place::new(48.15 + f64::from(y) * 0.001, 16.3 + f64::from(x) * 0.0015).unwrap()
}

pub(crate) fn travel() -> impl Strategy<Value = StraightLine> {
    prop_oneof![
        Just(StraightLine::default()),
        Just(StraightLine { round_up_to_seconds: Some(60), ..StraightLine::default() }),
        Just(StraightLine { round_up_to_seconds: Some(3_600), ..StraightLine::default() }),
    ]
}

fn shift() -> impl Strategy<Value = Shift> {
    prop_oneof![
        8 => Just(Shift::Available { until: None }),
        3 => (0..100i64).prop_map(|until| Shift::Available { until: Some(at(until * 5)) }),
        1 => Just(Shift::OnBreak { until: None }),
        1 => Just(Shift::Offline),
    ]
}

/// Commitments that mostly do not overlap; some do, as by hand.
pub(crate) fn commitments() -> impl Strategy<Value = Vec<Commitment>> {
    let gaps = prop::collection::vec((-1..12i64, 1..24i64, 1000..9000u32), 0..4);
    prop_oneof![2 => Just(Vec::new()), 3 => gaps].prop_flat_map(|gaps| {
        (Just(gaps), 0..40i64).prop_map(|(gaps, start)| {
            let mut from = start;
            let held = gaps.into_iter().map(|(gap, length, order)| {
                from = (from + gap).max(0);
                let window = window(from * 5, (from + length) * 5);
                from += length;
                Commitment {
                    order: order_id(order),
                    window,
                    tentative: order % 2 == 0,
                    lane: None,
                    size: order % 3,
                    aboard: order % 7 == 0,
                }
            });
            held.collect()
        })
    })
}

pub(crate) fn driver(ids: std::ops::Range<u32>) -> impl Strategy<Value = DriverView> {
    let who = (ids, place(), shift(), prop::bool::weighted(0.1), prop::bool::weighted(0.9), prop::bool::weighted(0.8));
    let speed = prop_oneof![4 => Just(1.0), 1 => Just(0.4), 1 => Just(1.7)];
    (who, speed, prop_oneof![0..6u32, 30..50u32], 0..2u32, commitments()).prop_map(
        |((id, place, shift, stale, fast, slow), factor, capacity, more, commitments)| DriverView {
            id: driver_id(id),
            place,
            shift,
            stale,
            vehicle: VehicleSpeed::new(factor).unwrap(),
            fast,
            slow,
            capacity,
            open_orders: commitments.iter().filter(|c| !c.tentative).count() as u32 + more,
            commitments,
        },
    )
}

fn stop() -> impl Strategy<Value = Stop> {
    (place(), 0..6i64, prop::option::of(0..60i64)).prop_map(|(place, service, ready)| Stop {
        place,
        service: TimeDelta::minutes(service),
        ready_at: ready.map(|ready| at(ready * 5)),
    })
}

pub(crate) fn order(ids: std::ops::Range<u32>, drivers: u32) -> impl Strategy<Value = OrderView> {
    let numbers = (ids, prop_oneof![4 => 0..4u32, 1 => 20..50u32], -1..2i16, 0..30i64, 0..60i64);
    let window = prop_oneof![
        1 => Just(None),
        1 => (0..60i64, 1..30i64).prop_map(|(start, length)| Some(window(start * 5, (start + length) * 5))),
    ];
    let cooling = prop::collection::vec((0..drivers, 0..60i64), 0..4);
    (numbers, window, prop::collection::vec(stop(), 0..3), stop(), cooling, prop::bool::weighted(0.05)).prop_map(
        |((id, size, priority, placed, promised), window, pickups, delivery, cooling, odd)| OrderView {
            id: order_id(id),
            speed: if window.is_some() != odd { Speed::Slow } else { Speed::Fast },
            size,
            priority,
            placed_at: at(placed),
            promised_at: at(promised * 5),
            window,
            pickups,
            delivery,
            cooling: cooling
                .into_iter()
                .map(|(driver, until)| CoolDown { driver: driver_id(driver), until: at(until * 5) })
                .collect(),
        },
    )
}

pub(crate) fn radius() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![2 => Just(None), 1 => (500..9_000u32).prop_map(Some)]
}
