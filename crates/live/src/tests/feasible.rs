//! What can be done at all, and when: doors within reach, goods that are ready later, vehicles with room for one, zones that
//! are removed, and drivers who send their heartbeats in real time.

use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::testing::eventually_shown;
use posthaste_domain::Span;
use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_domain::order::{Command, Event, Order, Status};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use posthaste_storage::decisions;
use serde_json::json;

use super::stage::{Stage, admin, place};
use crate::drivers::DriverCommand;
use crate::orders::PlaceOrder;
use crate::{Cause, Refused, Settings};

fn merchant(stage: &Stage) -> Cause {
    Cause::new(Party::Merchant(stage.merchant), "test")
}

/// The fields of an order that are refused.
async fn refused(stage: &Stage, order: PlaceOrder) -> Vec<(String, String)> {
    match stage.system.orders().place(order, None, merchant(stage)).await {
        Err(Refused::InvalidOrder(wrong)) => wrong.into_iter().map(|w| (w.field, w.problem)).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

async fn driver_with(stage: &Stage, capacity: u32, zones: Vec<ZoneId>, at: Place) -> DriverId {
    stage.driver_in(zones, capacity, at).await
}

/// A zone of so many degrees around a place in the stage's zone.
async fn zone_around(stage: &Stage, name: &str, at: (f64, f64), degrees: f64) -> ZoneId {
    let ((lat, lng), d) = (at, degrees);
    let ring = [[lng - d, lat - d], [lng + d, lat - d], [lng + d, lat + d], [lng - d, lat + d], [lng - d, lat - d]];
    let rules = ZoneRules { stale_after_seconds: 7200, offer_seconds: 600, ..ZoneRules::default() };
    stage.zone_with(name, json!({"type": "Polygon", "coordinates": [ring]}), rules).await
}

async fn decided(stage: &Stage, order: OrderId, says: &str) {
    eventually_shown(&format!("a decision says {says}"), async || {
        match decisions::newest(&stage.database.pool, order).await.expect("decisions") {
            Some(decision) if decision.summary.contains(says) => Ok(()),
            newest => Err(newest),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_beyond_reach_and_a_window_that_no_way_meets_are_refused() {
    let stage = Stage::open().await;
    let mut sydney = stage.fast_order();
    sydney.delivery.place = place(-33.86, 151.2);
    let wrong = refused(&stage, sydney).await;
    assert!(wrong.len() == 1 && wrong[0].0 == "delivery" && wrong[0].1.contains(" km of way"), "{wrong:?}");
    let mut swapped = stage.fast_order();
    swapped.delivery.place = place(13.11, 52.11);
    assert!(refused(&stage, swapped).await[0].1.contains("swapped"));
    let mut late = stage.slow_order(stage.in_minutes(60), stage.in_minutes(90));
    late.pickups[0].ready_at = Some(stage.in_minutes(300));
    let fields: Vec<_> = refused(&stage, late).await.into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["pickups[0].ready_at", "delivery.window"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_need_not_leave_for_hours_is_not_asked_and_does_something_else_meanwhile() {
    let stage =
        Stage::with_rules(ZoneRules { stale_after_seconds: 7200, offer_seconds: 600, ..ZoneRules::default() }).await;
    let driver = driver_with(&stage, 1, vec![stage.zone], place(52.1, 13.1)).await;
    let mut tonight = stage.fast_order();
    tonight.pickups[0].ready_at = Some(stage.in_minutes(360));
    let tonight = stage.place(tonight).await;
    assert!(tonight.gives_up_at > stage.in_minutes(9 * 60), "it may wait for a driver from then on");
    decided(&stage, tonight.id, "not yet: nobody has to leave before").await;
    assert_eq!(stage.order(tonight.id).await.status(), Status::Confirmed);
    let now = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(now.id).await, driver);
    stage.carried_to_the_door(driver, now.id).await;

    // Just as well ready in a quarter of an hour: asked ten minutes before, which are seconds here.
    let mut soon = stage.fast_order();
    let ready = stage.in_minutes(11);
    soon.pickups[0].ready_at = Some(ready);
    let soon = stage.place(soon).await;
    let soon = stage.until_in_time(soon.id, Span::seconds(5), |o| o.offer.is_some()).await;
    let offer = soon.offer.expect("an offer");
    assert!(offer.made_at >= ready - Span::minutes(10) && offer.commitment.start() >= ready - Span::minutes(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_given_an_order_by_hand_is_held_from_when_they_have_to_leave() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut tonight = stage.fast_order();
    let ready = stage.in_minutes(360);
    tonight.pickups[0].ready_at = Some(ready);
    let tonight = stage.place(tonight).await;
    stage.system.orders().assign(tonight.id, driver, admin()).await.expect("assigned");
    let commitment = stage.order(tonight.id).await.assignment.expect("an assignment").commitment;
    assert!(commitment.start() > ready - Span::minutes(30), "{commitment:?}");
    let now = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(now.id).await, driver, "they have time until then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicle_with_room_for_one_takes_orders_whose_times_do_not_meet() {
    for policy in [Policy::LeastBusy, Policy::Routed] {
        let rules = ZoneRules {
            policy,
            stale_after_seconds: 7200,
            offer_seconds: 600,
            offer_lead_seconds: 3600,
            ..ZoneRules::default()
        };
        let stage = Stage::with_rules(rules).await;
        let driver = driver_with(&stage, 1, vec![stage.zone], place(52.1, 13.1)).await;
        let mut all = Vec::new();
        for (from, to) in [(60, 90), (90, 120), (300, 360)] {
            let order = stage.place(stage.slow_order(stage.in_minutes(from), stage.in_minutes(to))).await;
            if policy == Policy::LeastBusy {
                assert_eq!(stage.accepted(order.id).await, driver);
            } else {
                stage.system.orders().assign(order.id, driver, admin()).await.expect("by hand");
            }
            all.push(order.id);
        }
        // Two at one moment do not fit.
        let more = stage.place(stage.slow_order(stage.in_minutes(300), stage.in_minutes(330))).await;
        let full = stage.system.orders().assign(more.id, driver, admin()).await;
        assert!(matches!(full, Err(Refused::DriverUnsuited(_) | Refused::DriverBusy(_))), "{policy:?}: {full:?}");
        let work = stage.system.drivers().work(driver).await.expect("work");
        assert_eq!(work.in_hand.len(), all.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_a_removed_zone_goes_to_the_zone_around_it_and_so_does_what_comes_back_later() {
    let stage =
        Stage::with_rules(ZoneRules { stale_after_seconds: 7200, offer_seconds: 600, ..ZoneRules::default() }).await;
    let small = zone_around(&stage, "Small", (52.1, 13.1), 0.02).await;
    let of_the_small = driver_with(&stage, 10, vec![small], place(52.1, 13.1)).await;
    let taken = stage.place(stage.fast_order()).await;
    assert_eq!((taken.zone, stage.accepted(taken.id).await), (small, of_the_small));
    let waits = stage.place(stage.fast_order()).await;
    assert_eq!(waits.zone, small);
    let mut pending = stage.fast_order();
    pending.pickups[0].needs_confirmation = true;
    let pending = stage.place(pending).await;

    stage.system.zones().remove(small, admin()).await.expect("removed");
    for order in [waits.id, pending.id] {
        let moved = stage.until(order, |o| o.zone == stage.zone).await;
        assert_eq!(moved.placed_zone, Some(small));
    }
    assert_eq!(stage.order(taken.id).await.zone, small, "what is under way keeps its zone");
    let driver = driver_with(&stage, 10, vec![stage.zone], place(52.1, 13.1)).await;
    assert_eq!(stage.accepted(waits.id).await, driver);
    stage.carried_to_the_door(driver, waits.id).await;

    stage.system.orders().unassign(taken.id, admin()).await.expect("taken back");
    assert_eq!(stage.offered(taken.id).await.0, driver);
    let timeline = stage.system.doors.timeline(taken.id, 0).await.expect("a timeline");
    let (first, last) = (timeline[0].0.event.clone(), timeline.iter().map(|(recorded, _)| &recorded.event));
    let moves = last
        .filter(|event| matches!(event, Event::ZoneChanged { from, zone } if (*from, *zone) == (small, stage.zone)));
    assert_eq!(moves.count(), 1);
    assert!(matches!(first, Event::Placed { order } if order.zone == small), "history stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_zone_is_around_stays_until_there_is_one_also_over_a_restart() {
    let stage = Stage::open().await;
    let order = stage.place(stage.fast_order()).await;
    stage.system.zones().remove(stage.zone, admin()).await.expect("removed");
    let stage = stage.crash_and_restart().await;
    assert_eq!(stage.until_status(order.id, Status::Confirmed).await.zone, stage.zone);
    let other = zone_around(&stage, "Other", (52.1, 13.1), 0.05).await;
    stage.until(order.id, |o| o.zone == other).await;
    let driver = driver_with(&stage, 10, vec![other], place(52.1, 13.1)).await;
    assert_eq!(stage.accepted(order.id).await, driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_expected_in_the_past_and_no_promise_is_earlier_than_what_is_expected() {
    let stage = Stage::open().await;
    let begun = stage.place(stage.slow_order(stage.in_minutes(-60), stage.in_minutes(30))).await;
    let eta = stage.system.orders().eta(&begun).await.expect("an estimate");
    assert!(begun.placed_at <= eta.p50 && eta.p50 <= eta.p90, "{eta:?}");
    let mut many = stage.fast_order();
    for _ in 0..19 {
        let mut pickup = many.pickups[0].clone();
        pickup.seller = stage.system.clock().id();
        many.pickups.push(pickup);
    }
    let many: std::sync::Arc<Order> = stage.place(many).await;
    let expected = many.estimates.placed.expect("an estimate");
    assert!(many.placed_at <= expected.p50 && expected.p50 <= many.promised_at, "{expected:?} {}", many.promised_at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_clock_makes_nobody_silent() {
    // An hour of product time a second, and a heartbeat nobody missed.
    let clock = Clock::at_speed(3600.0, None).expect("a clock");
    let rules = ZoneRules { offer_seconds: 3600, ..ZoneRules::default() };
    let stage = Stage::at(clock, Settings::default(), rules).await;
    let driver = driver_with(&stage, 10, vec![stage.zone], place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    let (_, offer) = stage.offered(order.id).await;
    stage.as_driver(driver, DriverCommand::Accept(offer)).await.expect("accepted");
    let then = stage.in_minutes(60);
    stage.until(order.id, |_| stage.now() >= then).await;
    assert!(!stage.system.drivers().get(driver).await.expect("a driver").stale);
    assert_eq!(stage.order(order.id).await.working_driver(), Some(driver), "an hour of silence is a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_zone_leaves_memory_with_its_actors_once_it_has_no_orders() {
    let stage = Stage::open().await;
    let doors = &stage.system.doors;
    let (busy, idle) = (stage.zone, zone_around(&stage, "Idle", (52.02, 13.02), 0.01).await);
    let order = stage.place(stage.fast_order()).await;
    for zone in [busy, idle] {
        stage.system.zones().remove(zone, admin()).await.expect("removed");
    }
    let seat = doors.zones.cell(idle).expect("a cell").actor.cell().expect("an actor");
    crate::periodic::sweep(doors).await.expect("swept");
    assert!(doors.zones.cell(idle).is_some(), "an order may still be on its way to it");
    crate::periodic::sweep(doors).await.expect("swept");
    assert!(doors.zones.cell(idle).is_none());
    let left = tokio::time::timeout(Duration::from_secs(20), seat.wait(None));
    left.await.expect("its actor leaves").expect("without a failure");
    assert!(doors.zones.cell(busy).is_some(), "the order in it is finished by its drivers");
    stage
        .system
        .orders()
        .command(order.id, Command::Cancel { by: Party::System, reason: "a test".into() }, admin())
        .await
        .expect("canceled");
    crate::periodic::sweep(doors).await.expect("swept");
    crate::periodic::sweep(doors).await.expect("swept");
    assert!(doors.zones.cell(busy).is_none());
}
