//! The board against the rule: whatever happens to it, it chooses whom a scan of everybody chooses.

mod city;

use std::collections::BTreeMap;

use city::{at, driver, driver_id, order, place, radius, travel, window};
use posthaste_domain::Timestamp;
use posthaste_domain::ids::DriverId;
use posthaste_domain::place::Place;
use posthaste_geography::StraightLine;
use posthaste_matching::{Board, Decision, DriverView, OrderView, Question, Reason, scan};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Upsert(DriverView),
    Move(u32, Place),
    Remove(u32),
    Hold(u32, u32, i64, i64, u32),
    Release(u32, u32),
    Radius(Option<u32>),
    Ask(OrderView, i64),
}

fn step(drivers: u32) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => driver(0..drivers).prop_map(Step::Upsert),
        4 => (0..drivers, place()).prop_map(|(id, place)| Step::Move(id, place)),
        1 => (0..drivers).prop_map(Step::Remove),
        2 => (0..drivers, 0..50u32, 0..40i64, 1..20i64, 0..3u32)
            .prop_map(|(id, order, start, length, size)| Step::Hold(id, order, start * 5, (start + length) * 5, size)),
        1 => (0..drivers, 0..50u32).prop_map(|(id, order)| Step::Release(id, order)),
        1 => radius().prop_map(Step::Radius),
        6 => (order(10_000..10_100, drivers), -10..300i64).prop_map(|(order, now)| Step::Ask(order, now)),
    ]
}

fn question<'q>(order: &'q OrderView, now: Timestamp, travel: &'q StraightLine, radius: Option<u32>) -> Question<'q> {
    Question { order, now, travel, radius_meters: radius }
}

/// What must hold of a decision beyond the right choice.
fn is_honest(
    decision: &Decision,
    question: &Question<'_>,
    drivers: &BTreeMap<DriverId, DriverView>,
) -> Result<(), TestCaseError> {
    prop_assert!(decision.passed.len() <= 50);
    for passed in &decision.passed {
        prop_assert_ne!(Some(passed.driver), decision.chosen.or(decision.later).map(|choice| choice.driver));
        let expected = match question.judge(&drivers[&passed.driver]) {
            Ok(fit) => fit.passed().reason,
            Err(reason) => reason,
        };
        prop_assert_eq!(passed.reason, expected);
    }
    if decision.chosen.or(decision.later).is_none() {
        let all = scan::explain(question, drivers.values());
        prop_assert_eq!(&decision.counts, &all.counts);
        prop_assert_eq!(decision.passed.len(), drivers.len().min(50));
        let meters = |id: DriverId| drivers[&id].place.meters_to(question.order.first_stop());
        for (named, expected) in decision.passed.iter().zip(&all.passed) {
            prop_assert!((meters(named.driver) - meters(expected.driver)).abs() < 0.01);
        }
    }
    Ok(())
}

fn run(steps: Vec<Step>, travel: &StraightLine, forward: bool) -> Result<(), TestCaseError> {
    let mut board = Board::new(48.2, None);
    let mut truth: BTreeMap<DriverId, DriverView> = BTreeMap::new();
    let mut latest = i64::MIN;
    for step in steps {
        match step {
            Step::Upsert(driver) => {
                truth.insert(driver.id, driver.clone());
                board.upsert_driver(driver);
            }
            Step::Move(id, place) => {
                let known = truth.get_mut(&driver_id(id)).map(|driver| driver.place = place).is_some();
                prop_assert_eq!(board.move_driver(driver_id(id), place), known);
            }
            Step::Remove(id) => prop_assert_eq!(board.remove_driver(driver_id(id)), truth.remove(&driver_id(id))),
            Step::Hold(id, order, start, end, size) => {
                let order = city::order_id(order);
                if let Some(driver) = truth.get_mut(&driver_id(id)) {
                    driver.hold(order, window(start, end), size);
                }
                board.hold(driver_id(id), order, window(start, end), size);
            }
            Step::Release(id, order) => {
                let order = city::order_id(order);
                let released = truth.get_mut(&driver_id(id)).is_some_and(|driver| driver.release(order));
                prop_assert_eq!(board.release(driver_id(id), order), released);
            }
            Step::Radius(radius) => board.set_radius(radius),
            Step::Ask(order, now) => {
                latest = if forward { latest.max(now) } else { now };
                let now = at(latest);
                let question = question(&order, now, travel, board.radius_meters());
                let expected = scan::choose(&question, truth.values()).map(|fit| fit.choice());
                let decision = board.choose(&order, now, travel);
                prop_assert_eq!(decision.chosen.or(decision.later), expected);
                is_honest(&decision, &question, &truth)?;
                prop_assert_eq!(board.explain(&order, now, travel), scan::explain(&question, truth.values()));
            }
        }
        prop_assert_eq!(board.len(), truth.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_board_chooses_as_the_rule_does_while_time_goes_on(
        steps in prop::collection::vec(step(30), 1..120), travel in travel()
    ) {
        run(steps, &travel, true)?;
    }

    #[test]
    fn the_board_chooses_as_the_rule_does_whatever_instant_is_asked_about(
        steps in prop::collection::vec(step(12), 1..60), travel in travel()
    ) {
        run(steps, &travel, false)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_large_board_chooses_as_the_rule_does(
        crowd in prop::collection::vec(driver(0..1_500), 1_300),
        pattern in prop::collection::vec(city::commitments(), 1..6),
        share in prop_oneof![Just(0u32), Just(60), Just(100)],
        steps in prop::collection::vec(step(1_500), 40), travel in travel(),
    ) {
        // Many drivers with one of a few calendars: large groups of equals.
        let alike = crowd.into_iter().zip(0u32..).map(|(mut driver, number)| {
            driver.id = driver_id(number);
            if number % 100 < share {
                driver.commitments = pattern[number as usize % pattern.len()].clone();
                driver.open_orders = 1 + number % 2;
            }
            Step::Upsert(driver)
        });
        run(alike.chain(steps).collect(), &travel, true)?;
    }
}

#[test]
fn a_decision_is_written_with_its_reasons_and_their_numbers() {
    let reason = Reason::TooFar { meters: 1_200, limit_meters: 1_000 };
    let written = serde_json::to_value(reason).unwrap();
    assert_eq!(written, serde_json::json!({"reason": "too_far", "meters": 1_200, "limit_meters": 1_000}));
}
