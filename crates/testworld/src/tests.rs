//! Test drivers and made-up orders, by the rules of orders, with no clock and no database.

use std::sync::Arc;

use posthaste_domain::contact::Contact;
use posthaste_domain::ids::{DriverId, Id, MerchantId, OfferId, OrderId, ZoneId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{
    CodeRule, Command, Event, NewOrder, NewPickup, NewStop, Order, Speed, Status, TaskStatus,
};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_live::drivers::{DriverCommand, Work};
use proptest::prelude::*;
use uuid::Uuid;

use crate::driver::{Step, next};
use crate::way;

fn id<I: Id>(n: u128) -> I {
    I::from_uuid(Uuid::from_u128(n))
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000) + Span::seconds(second)
}

fn stop(place: (f64, f64), window: Option<(Timestamp, Timestamp)>) -> NewStop {
    let place = Place::new(52.5 + place.0, 13.4 + place.1).unwrap();
    NewStop { place, contact: Contact::default(), service_seconds: None, window }
}

fn order(places: &[(f64, f64)], codes: CodeRule, reference: &str, window: Option<(Timestamp, Timestamp)>) -> Order {
    let (door, shops) = places.split_last().unwrap();
    let pickup = |(n, at): (usize, &(f64, f64))| NewPickup {
        seller: id(7 + n as u128),
        needs_confirmation: false,
        ready_at: None,
        stop: stop(*at, window),
    };
    let new = NewOrder {
        id: id::<OrderId>(0x0193_5555_7000_8000_0000_0000_0000_0000),
        merchant: id::<MerchantId>(7),
        customer: None,
        reference: Some(reference.to_owned()),
        speed: if window.is_some() { Speed::Slow } else { Speed::Fast },
        size: 1,
        priority: 0,
        pickups: shops.iter().enumerate().map(pickup).collect(),
        delivery: stop(*door, window),
        codes,
        entropy: (0..places.len()).map(|n| 1111 * u32::try_from(n).unwrap()).collect(),
        zone: id::<ZoneId>(3),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    };
    match new.place(at(0)) {
        Ok(Event::Placed { order }) => (*order).clone(),
        other => panic!("{other:?}"),
    }
}

fn to_order(command: DriverCommand, driver: DriverId, now: Timestamp) -> Command {
    match command {
        DriverCommand::Accept(offer) => Command::Accept { offer, driver },
        DriverCommand::Decline(offer) => {
            Command::Decline { offer, driver, cool_until: now + Span::minutes(5), silent: false }
        }
        DriverCommand::Depart(task) => Command::Depart { driver, task },
        DriverCommand::Arrive(task) => Command::Arrive { driver, task },
        DriverCommand::Complete { task, code, proof, .. } => {
            Command::Complete { driver, task, code, proof, command: None }
        }
        DriverCommand::Fail { task, reason, note } => Command::Fail { driver, task, reason, note, cool_until: now },
    }
}

/// What a test driver made of an order, and how many seconds it took them. Nothing that they ask for is refused.
fn carried(mut order: Order, most_seconds: i64) -> (Order, i64) {
    let driver = id::<DriverId>(9);
    let mut place = order.tasks[0].place;
    for second in 0..most_seconds {
        let now = at(second);
        if order.status() == Status::Confirmed {
            let commitment = Window::new(now, now + Span::hours(1)).unwrap();
            let deadline = now + Span::seconds(30);
            let offer = Offer { id: id::<OfferId>(5), driver, made_at: now, deadline, commitment, lane: None };
            order.apply(&Event::Offered { offer }, now);
        }
        for _ in 0..8 {
            let all = vec![Arc::new(order.clone())];
            let work = match (order.status().is_final(), order.offer) {
                (true, _) => return (order, second),
                (false, Some(_)) => Work { offered: all, ..Work::default() },
                (false, None) if order.assignment.is_some() => Work { in_hand: all, ..Work::default() },
                _ => Work::default(),
            };
            let step = next(driver, now, Some(place), &work, &[]);
            let Some(command) = step.command() else {
                if let Step::Ride(goal) = step {
                    place = way::toward(place, goal, Span::seconds(1));
                }
                break;
            };
            let events = order.decide(&to_order(command, driver, now), now);
            for event in events.unwrap_or_else(|refused| panic!("{step:?} is refused: {refused}\n{order:#?}")) {
                order.apply(&event, now);
            }
        }
    }
    (order, most_seconds)
}

fn nearby() -> impl Strategy<Value = (f64, f64)> {
    (-0.03..0.03, -0.03..0.03)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_order_comes_to_the_end_that_its_reference_asks_for(
        places in prop::collection::vec(nearby(), 2..5),
        (pickup, delivery) in any::<(bool, bool)>(),
        (reference, end) in prop::sample::select(vec![
            ("A-17", Status::Delivered), ("test:customer_absent", Status::Returned), ("test:lost", Status::Failed),
            ("test:wrong_address x", Status::Returned), ("test:store_closed", Status::Failed),
        ]),
    ) {
        let (order, _) = carried(order(&places, CodeRule { pickup, delivery }, reference, None), 1_000);
        prop_assert_eq!(order.status(), end, "{}", reference);
    }
}

#[test]
fn a_way_across_the_town_takes_less_than_a_minute() {
    let (order, seconds) = carried(order(&[(0.0, 0.0), (0.03, 0.03)], CodeRule::default(), "A-17", None), 300);
    assert_eq!(order.status(), Status::Delivered);
    assert!((20..60).contains(&seconds), "{seconds}");
}

#[test]
fn a_slow_order_is_not_picked_up_before_its_window() {
    let window = Some((at(600), at(4_200)));
    let early = order(&[(0.0, 0.0), (0.01, 0.0)], CodeRule::default(), "A-17", window);
    let (waits, _) = carried(early.clone(), 599);
    assert_eq!(waits.status(), Status::Assigned);
    let (done, seconds) = carried(early, 1_000);
    assert_eq!(done.status(), Status::Delivered);
    assert!(done.pickups().all(|task| task.done_at.is_some_and(|done| done >= at(600))) && seconds >= 600, "{seconds}");
}

#[test]
fn an_order_that_nobody_is_to_take_is_declined() {
    let (order, _) = carried(order(&[(0.0, 0.0), (0.01, 0.0)], CodeRule::default(), "test:no_driver", None), 50);
    assert_eq!((order.status(), order.assignment, order.cooling.len()), (Status::Confirmed, None, 1));
}

#[test]
fn who_finds_a_code_locked_waits_and_who_has_nothing_to_do_rides_to_the_nearest_pickup() {
    let driver = id::<DriverId>(9);
    let mut locked = order(&[(0.0, 0.0), (0.01, 0.0)], CodeRule::default(), "A-17", None);
    let commitment = Window::new(at(0), at(3600)).unwrap();
    let by = posthaste_domain::order::AssignedBy::Hand;
    locked.apply(&Event::Assigned { driver, offer: None, by, commitment, lane: None, estimate: None }, at(0));
    let task = locked.tasks[0].id;
    locked.apply(&Event::Arrived { task }, at(1));
    locked.tasks[0].locked_until = Some(at(100));
    let (place, work) = (Some(locked.tasks[0].place), |order: &Order| Work {
        in_hand: vec![Arc::new(order.clone())],
        ..Work::default()
    });
    assert_eq!(locked.tasks[0].status, TaskStatus::Arrived);
    assert_eq!(next(driver, at(99), place, &work(&locked), &[]), Step::Wait);
    assert!(matches!(next(driver, at(101), place, &work(&locked), &[]), Step::Complete { code: Some(_), .. }));

    let near = |north: f64| Place::new(52.5 + north, 13.4).unwrap();
    let nothing = Work::default();
    assert_eq!(next(driver, at(0), place, &nothing, &[near(0.3), near(0.1)]), Step::Ride(near(0.1)));
    assert_eq!(next(driver, at(0), place, &nothing, &[near(0.0)]), Step::Wait);
    assert_eq!(next(driver, at(0), None, &nothing, &[near(0.1)]), Step::Wait);
}
