//! Plans against their properties (`PROPERTIES.md`), and the story of a few orders told by hand.

mod city;

use chrono::TimeDelta;
use city::{at, driver, driver_id, order, order_id, radius, spot, travel, window};
use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::offer::CoolDown;
use posthaste_domain::order::Speed;
use posthaste_geography::{StraightLine, VehicleSpeed};
use posthaste_matching::rule::LEAD;
use posthaste_matching::{Board, DriverView, OrderView, Plan, Reason, Stop, check, plan};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_plan_has_every_property(
        drivers in prop::collection::vec(driver(0..25), 0..40),
        orders in prop::collection::vec(order(10_000..10_040, 25), 0..25),
        travel in travel(), radius in radius(), now in 0..200i64,
    ) {
        let mut board = Board::new(48.2, radius);
        drivers.into_iter().for_each(|driver| board.upsert_driver(driver));
        let before = board.clone();
        let made = plan(&mut board, &orders, at(now), &travel);
        prop_assert_eq!(check::plan(&before, &orders, &made, &travel), Ok(()));
    }

    #[test]
    fn the_same_board_gives_the_same_plan_whatever_its_history(
        drivers in prop::collection::vec(driver(0..25), 0..40),
        orders in prop::collection::vec(order(10_000..10_040, 25), 0..25),
        travel in travel(), now in 0..200i64, earlier in -100..200i64,
    ) {
        let mut old = Board::new(48.2, None);
        for driver in drivers {
            old.upsert_driver(driver);
            if let Some(order) = orders.first() {
                old.choose(order, at(earlier), &travel);
            }
        }
        let mut new = Board::new(10.0, None);
        let mut seated: Vec<DriverView> = old.drivers().cloned().collect();
        seated.sort_by_key(|driver| driver.place.lat().to_bits());
        seated.into_iter().for_each(|driver| new.upsert_driver(driver));
        let (one, other) = (plan(&mut old, &orders, at(now), &travel), plan(&mut new, &orders, at(now), &travel));
        for (one, other) in one.decisions.iter().zip(&other.decisions) {
            prop_assert_eq!(one.given, other.given);
            prop_assert_eq!(one.decision.chosen, other.decision.chosen);
            prop_assert_eq!(one.decision.later, other.decision.later);
        }
    }
}

fn idle(number: u32, x: i32) -> DriverView {
    DriverView {
        id: driver_id(number),
        place: spot(0, x),
        shift: Shift::Available { until: None },
        stale: false,
        vehicle: VehicleSpeed::NORMAL,
        fast: true,
        slow: true,
        capacity: 3,
        open_orders: 0,
        commitments: Vec::new(),
    }
}

fn committed(mut driver: DriverView, start: i64, end: i64) -> DriverView {
    let order = order_id(900 + driver.open_orders);
    driver.commitments.push(Commitment {
        order,
        window: window(start, end),
        tentative: false,
        lane: None,
        size: 1,
        aboard: false,
    });
    driver.open_orders += 1;
    driver
}

fn stop(x: i32) -> Stop {
    Stop { place: spot(0, x), service: TimeDelta::minutes(2), ready_at: None }
}

fn fast(number: u32) -> OrderView {
    OrderView {
        id: order_id(number),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        placed_at: at(0),
        promised_at: at(40),
        window: None,
        pickups: vec![stop(0)],
        delivery: stop(5),
        cooling: Vec::new(),
    }
}

fn slow(number: u32, start: i64, end: i64) -> OrderView {
    OrderView { speed: Speed::Slow, window: Some(window(start, end)), promised_at: at(end), ..fast(number) }
}

fn board(drivers: impl IntoIterator<Item = DriverView>) -> Board {
    let mut board = Board::new(48.0, None);
    drivers.into_iter().for_each(|driver| board.upsert_driver(driver));
    board
}

fn chosen(board: &mut Board, order: &OrderView, minutes: i64) -> Option<u32> {
    let decision = board.choose(order, at(minutes), &StraightLine::default());
    decision.chosen.map(|choice| (0..100).find(|number| driver_id(*number) == choice.driver).unwrap())
}

fn reason(board: &mut Board, order: &OrderView, minutes: i64) -> Reason {
    board.choose(order, at(minutes), &StraightLine::default()).passed[0].reason
}

#[test]
fn the_nearest_of_the_idle_is_chosen_and_then_the_lower_id() {
    let mut board = board([idle(3, 40), idle(2, 10), idle(1, 10)]);
    assert_eq!(chosen(&mut board, &fast(1), 0), Some(1));
}

#[test]
fn fewer_open_orders_count_before_committed_time_and_that_before_distance() {
    let mut board = board([
        committed(committed(idle(1, 0), 200, 205), 210, 215),
        committed(idle(2, 1), 200, 260),
        committed(idle(3, 90), 200, 220),
    ]);
    assert_eq!(chosen(&mut board, &fast(1), 0), Some(3));
}

#[test]
fn commitments_that_touch_do_not_overlap() {
    let mut board = board([committed(idle(1, 0), 100, 160)]);
    assert_eq!(chosen(&mut board, &slow(1, 160, 200), 0), Some(1));
    assert_eq!(chosen(&mut board, &slow(1, 60, 100), 0), Some(1));
    assert_eq!(chosen(&mut board, &slow(1, 159, 200), 0), None);
    assert!(matches!(reason(&mut board, &slow(1, 159, 200), 0), Reason::Overlaps { .. }));
}

#[test]
fn a_driver_too_far_to_be_done_before_their_next_commitment_is_passed_over() {
    let mut board = board([committed(idle(1, 140), 50, 90), committed(committed(idle(2, 2), 50, 90), 100, 120)]);
    assert_eq!(chosen(&mut board, &fast(1), 0), Some(2));
}

#[test]
fn an_overdue_driver_gets_nothing_that_starts_now_but_may_get_a_later_window() {
    let mut board = board([committed(idle(1, 0), 0, 30)]);
    assert!(matches!(reason(&mut board, &fast(1), 30), Reason::Overdue { .. }));
    assert_eq!(chosen(&mut board, &slow(1, 60, 120), 30), Some(1));
    assert_eq!(chosen(&mut board, &fast(1), 29), None);
}

#[test]
fn a_driver_who_declined_is_asked_again_when_their_pause_is_over() {
    let mut board = board([idle(1, 0)]);
    let order = OrderView { cooling: vec![CoolDown { driver: driver_id(1), until: at(5) }], ..fast(1) };
    assert_eq!(reason(&mut board, &order, 4), Reason::CoolingDown { until: at(5) });
    assert_eq!(chosen(&mut board, &order, 5), Some(1));
}

#[test]
fn a_shift_that_ends_before_the_pickup_is_done_does_not_count() {
    let until = |minutes| Shift::Available { until: Some(at(minutes)) };
    let order = OrderView { pickups: vec![Stop { ready_at: Some(at(20)), ..stop(0) }], ..fast(1) };
    let mut early = board([DriverView { shift: until(21), ..idle(1, 0) }]);
    assert_eq!(reason(&mut early, &order, 0), Reason::ShiftEnds { at: at(21) });
    let mut late = board([DriverView { shift: until(22), ..idle(1, 0) }]);
    assert_eq!(chosen(&mut late, &order, 10), Some(1));
}

#[test]
fn a_plan_gives_two_orders_to_two_drivers_and_the_urgent_one_chooses_first() {
    let mut board = board([idle(1, 0), idle(2, 30)]);
    let orders = [fast(1), OrderView { priority: 1, ..fast(2) }, fast(3)];
    let made = plan(&mut board, &orders, at(0), &StraightLine::default());
    let drivers: Vec<_> = made.decisions.iter().map(|turn| turn.decision.chosen.map(|c| c.driver)).collect();
    assert_eq!(made.decisions.iter().map(|turn| turn.given).collect::<Vec<_>>(), [1, 0, 2]);
    assert_eq!(drivers, [Some(driver_id(1)), Some(driver_id(2)), None]);
    assert_eq!(made.decisions[2].decision.counts, [("overlaps", 2)]);
}

#[test]
fn what_was_held_can_be_given_back() {
    let mut board = board([idle(1, 0)]);
    assert!(board.hold(driver_id(1), order_id(1), window(0, 40), 3));
    assert_eq!(chosen(&mut board, &fast(2), 0), None);
    assert!(board.release(driver_id(1), order_id(1)));
    assert!(!board.release(driver_id(1), order_id(1)));
    assert_eq!(chosen(&mut board, &fast(2), 0), Some(1));
}

/// A plan of two drivers and three orders, of which the third finds nobody; and what it was made of.
fn sound() -> (Board, Vec<OrderView>, Plan) {
    let before = board([idle(1, 0), idle(2, 30)]);
    let orders = vec![fast(1), fast(2), fast(3)];
    let made = plan(&mut before.clone(), &orders, at(0), &StraightLine::default());
    assert_eq!(refused(&before, &orders, &made), None);
    (before, orders, made)
}

/// Why a plan is refused.
fn refused(before: &Board, orders: &[OrderView], plan: &Plan) -> Option<String> {
    check::plan(before, orders, plan, &StraightLine::default()).err()
}

#[test]
fn a_plan_that_leaves_an_order_out_or_answers_out_of_turn_is_refused() {
    let (before, orders, made) = sound();
    let mut wrong = [made.clone(), made.clone(), made.clone(), made];
    wrong[0].decisions.pop();
    wrong[1].decisions[2].given = 0;
    wrong[2].decisions[0].decision.order = order_id(9);
    let mut orders_too = orders.clone();
    orders_too[2].priority = 1;
    for (plan, orders) in wrong.iter().zip([&orders, &orders, &orders, &orders_too]) {
        let why = check::answers_each_order_once(orders, plan).expect_err("it is broken");
        assert!(why.contains("out of turn"), "{why}");
        assert_eq!(refused(&before, orders, plan), Some(why));
    }
}

#[test]
fn a_plan_that_gives_an_order_to_one_who_cannot_take_it_is_refused() {
    let (before, orders, made) = sound();
    let off = board([DriverView { shift: Shift::Offline, ..idle(1, 0) }, idle(2, 30)]);
    assert!(refused(&off, &orders, &made).is_some_and(|why| why.contains("Offline")));
    let gone = board([idle(2, 30)]);
    assert!(refused(&gone, &orders, &made).is_some_and(|why| why.contains("is not on the board")));
    // Nor may it say of them what is not so.
    let mut other = made;
    other.decisions[0].decision.chosen.as_mut().unwrap().travel_seconds += 1;
    assert!(refused(&before, &orders, &other).is_some_and(|why| why.contains("was given as")));
}

#[test]
fn a_plan_that_holds_time_or_room_twice_is_refused() {
    let (before, orders, mut made) = sound();
    let first = made.decisions[0].decision.chosen;
    made.decisions[1].decision.chosen = first;
    let twice = check::holds_no_time_twice(&before, &orders, &made).expect_err("the same time");
    assert_eq!(refused(&before, &orders, &made), Some(twice));
    let busy = board([committed(idle(1, 0), 10, 20), idle(2, 30)]);
    assert!(check::holds_no_time_twice(&busy, &orders, &made).is_err(), "it was taken before");
    let full = board([DriverView { capacity: 1, ..idle(1, 0) }, idle(2, 30)]);
    let why = check::stays_within_capacity(&full, &orders, &made).expect_err("two orders of size 1");
    assert!(why.contains("would have 2 aboard") && why.contains("1 fit"), "{why}");
}

#[test]
fn a_plan_that_prefers_another_or_leaves_what_somebody_can_take_is_refused() {
    let (before, orders, made) = sound();
    let mut farther = made.clone();
    farther.decisions[0].decision = board([idle(2, 30)]).choose(&orders[0], at(0), &StraightLine::default());
    farther.decisions[1].decision = board([idle(1, 0)]).choose(&orders[1], at(0), &StraightLine::default());
    assert!(refused(&before, &orders, &farther).is_some_and(|why| why.contains("is preferred")));
    let mut left = made.clone();
    left.decisions[1].decision = left.decisions[2].decision.clone();
    left.decisions[1].decision.order = orders[1].id;
    assert!(refused(&before, &orders, &left).is_some_and(|why| why.contains("was left, though")));
    let mut unexplained = made;
    unexplained.decisions[2].decision.counts = vec![("offline", 2)];
    assert!(refused(&before, &orders, &unexplained).is_some_and(|why| why.contains("was explained by")));
}

fn ready(number: u32, minutes: i64) -> OrderView {
    let pickup = Stop { ready_at: Some(at(minutes)), ..stop(0) };
    OrderView { pickups: vec![pickup], promised_at: at(minutes + 30), ..fast(number) }
}

#[test]
fn nobody_is_asked_before_they_have_to_leave_and_their_time_is_free_until_then() {
    // Ten steps of about 111 m are 251 s of way.
    let mut board = board([idle(1, 10)]);
    let decision = board.choose(&ready(1, 360), at(0), &StraightLine::default());
    let later = decision.later.expect("the driver would take it");
    assert_eq!(decision.chosen, None);
    let leaves = at(360) - TimeDelta::seconds(later.travel_seconds) - LEAD;
    assert_eq!((later.commitment.start(), later.commitment.end()), (leaves, at(390)));
    assert!(decision.summary().starts_with("not yet: nobody has to leave before 2025-03-03 13:4"));
    let made = plan(&mut board, &[ready(1, 360), fast(2)], at(0), &StraightLine::default());
    let asked: Vec<_> = made.decisions.iter().filter_map(|turn| turn.decision.chosen.map(|_| turn.given)).collect();
    assert_eq!(asked, [1], "what is wanted now is asked about");
    let minutes = (leaves - at(0)).num_minutes();
    assert!(board.release(driver_id(1), order_id(2)));
    assert_eq!(chosen(&mut board, &ready(1, 360), minutes), None);
    assert_eq!(chosen(&mut board, &ready(1, 360), minutes + 1), Some(1));
}

#[test]
fn what_begins_later_is_no_matter_for_who_is_late_or_busy_now() {
    let mut late = board([committed(idle(1, 0), 0, 30)]);
    assert!(late.choose(&ready(1, 360), at(31), &StraightLine::default()).later.is_some());
    let mut busy = board([committed(idle(1, 0), 0, 60)]);
    assert!(busy.choose(&ready(1, 360), at(31), &StraightLine::default()).later.is_some());
    assert!(matches!(reason(&mut busy, &ready(1, 60), 31), Reason::Overlaps { .. }));
}

#[test]
fn no_order_without_a_window_holds_a_driver_for_more_than_four_hours() {
    let far = DriverView { place: spot(0, 1_000), ..idle(1, 0) };
    let slack = OrderView { promised_at: at(24 * 60), ..fast(1) };
    let held = board([idle(1, 0)]).choose(&slack, at(0), &StraightLine::default()).chosen.unwrap().commitment;
    assert_eq!(held, window(0, 240));
    assert!(matches!(reason(&mut board([far]), &slack, 0), Reason::TooLong { limit_seconds: 14_400, .. }));
}

#[test]
fn a_driver_with_room_for_one_has_two_whose_times_do_not_meet_and_not_two_that_do() {
    let one = || DriverView { capacity: 1, ..idle(1, 0) };
    let mut board = board([committed(one(), 30, 60)]);
    assert_eq!(chosen(&mut board, &slow(1, 60, 90), 0), Some(1));
    assert_eq!(chosen(&mut board, &slow(1, 300, 360), 0), Some(1));
    assert_eq!(chosen(&mut board, &slow(1, 59, 90), 0), None);
    let mut aboard = committed(one(), 300, 360);
    aboard.commitments[0].aboard = true;
    board.upsert_driver(aboard);
    assert_eq!(reason(&mut board, &fast(1), 0), Reason::NoCapacity { needs: 1, left: 0 });
}
