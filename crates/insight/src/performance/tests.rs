//! Utilisation from shifts and orders in hand. Whole stories, from the stored events, are told in `gate`'s tests.

use posthaste_domain::Span;
use posthaste_domain::ids::Id;
use posthaste_protocol::insight::{By, DriverTime};
use uuid::Uuid;

use super::*;

fn at(minute: i64) -> Timestamp {
    "2026-11-20T10:00:00Z".parse::<Timestamp>().expect("an instant") + Span::minutes(minute)
}

fn id<T: Id>(n: u128) -> T {
    T::from_uuid(Uuid::from_u128(n))
}

const ON: Shift = Shift::Available { until: None };
const BREAK: Shift = Shift::OnBreak { until: None };

/// Ten to one o'clock by the hour, seen at `now`.
fn seen_at(now: i64) -> Performance {
    Performance::new(Range::new(Some(at(0)), Some(at(180)), By::Hour, at(now)).expect("a range"), None, at(now))
}

/// Minutes on shift and in hand of each row, and in all.
fn minutes(performance: Performance) -> (Vec<(i64, i64)>, (i64, i64)) {
    let of = |figures: &Figures| {
        let DriverTime { on_shift_seconds, in_hand_seconds, .. } = figures.drivers.expect("drivers were told");
        (on_shift_seconds / 60, in_hand_seconds / 60)
    };
    let (rows, total) = performance.finish(true);
    (rows.iter().map(|row| of(&row.figures)).collect(), of(&total))
}

#[test]
fn an_open_shift_counts_until_now_and_began_before_the_range() {
    let mut seen = seen_at(90);
    seen.in_hand.insert(id(1), vec![(at(-20), at(15)), (at(10), at(20)), (at(80), at(999))]);
    seen.driver(id(1), &[id(7)], &[(at(-600), ON)]);
    assert_eq!(minutes(seen), (vec![(60, 20), (30, 10)], (90, 30)));
}

#[test]
fn a_break_is_not_on_shift_even_with_an_order_in_hand() {
    let mut seen = seen_at(500);
    seen.in_hand.insert(id(1), vec![(at(0), at(60))]);
    seen.driver(id(1), &[id(7)], &[(at(-5), ON), (at(20), BREAK), (at(50), ON), (at(70), Shift::Offline)]);
    assert_eq!(minutes(seen), (vec![(30, 30), (10, 0)], (40, 30)));
}

#[test]
fn a_shift_that_was_not_ended_is_over_when_its_driver_meant_to_stop() {
    let mut seen = seen_at(500);
    seen.driver(id(1), &[id(7)], &[(at(30), Shift::Available { until: Some(at(100)) })]);
    assert_eq!(minutes(seen), (vec![(30, 0), (40, 0)], (70, 0)));
}

#[test]
fn a_driver_of_two_zones_counts_in_both_and_once_in_all() {
    let mut seen = seen_at(500);
    seen.driver(id(1), &[id(7), id(8)], &[(at(0), ON), (at(60), Shift::Offline)]);
    seen.driver(id(2), &[id(8)], &[(at(0), Shift::Offline)]);
    assert_eq!(minutes(seen), (vec![(60, 0), (60, 0)], (60, 0)));
    let mut one = Performance { zone: Some(id(8)), ..seen_at(500) };
    one.driver(id(1), &[id(7), id(8)], &[(at(0), ON)]);
    one.driver(id(2), &[id(7)], &[(at(0), ON)]);
    assert_eq!(minutes(one), (vec![(60, 0), (60, 0), (60, 0)], (180, 0)));
}
