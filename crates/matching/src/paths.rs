//! What `tests/paths/run` counts the instructions of: who takes an order, of a thousand drivers.

use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, VehicleSpeed};
use uuid::Uuid;

use crate::{Board, DriverView, OrderView, Stop};

/// How often it is chosen: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: u32 = 100;
const DRIVERS: u32 = 1000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000) + Span::minutes(minutes)
}

/// A spot in a city of 30 by 20 kilometres, everywhere about as likely.
fn spot(n: u32) -> Place {
    let (y, x) = (n.wrapping_mul(7919) % 300, n.wrapping_mul(104_729) % 300);
    Place::new(52.4 + f64::from(y) * 0.001, 13.2 + f64::from(x) * 0.001).expect("on the globe")
}

fn driver(n: u32) -> DriverView {
    let busy = Commitment {
        order: OrderId::from_uuid(Uuid::from_u128(n.into())),
        window: Window::new(at(-5), at(20)).expect("ends after it starts"),
        tentative: false,
        lane: None,
        size: 1,
        aboard: false,
    };
    let commitments: Vec<_> = (!n.is_multiple_of(4)).then_some(busy).into_iter().collect();
    DriverView {
        id: DriverId::from_uuid(Uuid::from_u128(n.into())),
        place: spot(n),
        shift: Shift::Available { until: None },
        stale: false,
        vehicle: VehicleSpeed::NORMAL,
        fast: true,
        slow: true,
        capacity: 3,
        open_orders: u32::from(!commitments.is_empty()),
        commitments,
    }
}

fn order(n: u32) -> OrderView {
    let stop = |n| Stop { place: spot(n), service: Span::minutes(2), ready_at: None };
    OrderView {
        id: OrderId::from_uuid(Uuid::from_u128(u128::from(n) + 10_000)),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        placed_at: at(0),
        promised_at: at(45),
        window: None,
        pickups: vec![stop(n + 5000)],
        delivery: stop(n + 9000),
        cooling: Vec::new(),
    }
}

#[inline(never)]
fn counted_choices(board: &mut Board, orders: &[OrderView]) -> usize {
    let travel = StraightLine::default();
    orders.iter().filter(|order| board.choose(order, at(0), &travel).chosen.is_some()).count()
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn choices() {
    let mut board = Board::new(52.5, Some(10_000));
    (0..DRIVERS).for_each(|n| board.upsert_driver(driver(n)));
    let orders: Vec<_> = (0..TIMES).map(order).collect();
    assert_eq!(counted_choices(&mut board, &orders), orders.len());
}
