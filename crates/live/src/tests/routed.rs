//! A zone that plans routes.

use posthaste_clock::testing::{eventually, eventually_shown};
use posthaste_domain::Span;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Command, Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use posthaste_protocol::drivers::StopView;
use posthaste_protocol::socket::{Hello, ServerMessage};
use posthaste_protocol::words::RouteReason;
use posthaste_storage::decisions::Decision;
use serde_json::json;

use super::stage::{Stage, place};
use super::streams::next;
use crate::drivers::{DriverCommand, Work};
use crate::streams::Subscription;

pub(super) async fn stage() -> Stage {
    Stage::with_rules(ZoneRules {
        policy: Policy::Routed,
        offer_seconds: 60,
        stale_after_seconds: 7200,
        ..ZoneRules::default()
    })
    .await
}

pub(super) async fn work_of(
    stage: &Stage,
    driver: posthaste_domain::ids::DriverId,
    holds: impl Fn(&Work) -> bool,
) -> Work {
    eventually_shown("the driver's work is as the story says", async || {
        let work = stage.system.drivers().work(driver).await.expect("work");
        if holds(&work) { Ok(work) } else { Err(work) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_orders_of_one_shop_ride_together_and_their_driver_sees_planned_stops() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let first = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(first.id).await, driver);
    // The second is offered while they have the first: with `least_busy` it would wait.
    let second = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(second.id).await, driver);
    let lanes: Vec<_> = [first.id, second.id].map(|id| stage.system.orders().get(id)).into_iter().collect();
    let mut seen = Vec::new();
    for lane in lanes {
        seen.push(lane.await.unwrap().assignment.unwrap().lane);
    }
    assert!(seen[0].is_some() && seen[1].is_some() && seen[0] != seen[1], "{seen:?}");
    let work = work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops.len() == 4)).await;
    let view = crate::views::route(driver, &work);
    let kinds: Vec<_> = view.stops.iter().map(|s| s.task.kind).collect();
    assert_eq!(kinds, [TaskKind::Pickup, TaskKind::Pickup, TaskKind::Delivery, TaskKind::Delivery]);
    let times: Vec<_> = view.stops.iter().map(|s| s.planned_at.expect("a planned time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(view.plan.is_some());
    for id in [first.id, second.id] {
        stage.complete(driver, id, TaskKind::Pickup).await.expect("picked up");
    }
    for id in [first.id, second.id] {
        stage.complete(driver, id, TaskKind::Delivery).await.expect("delivered");
        stage.until_status(id, Status::Delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_that_a_driver_gets_says_why_it_is_another() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let mut socket = stage.system.streams().open(crate::streams::driver(driver)).await.unwrap();
    socket.begin(Hello::default()).await.unwrap();
    let kept = stage.place(stage.fast_order()).await;
    stage.accepted(kept.id).await;
    until_told(&mut socket, RouteReason::NewOrder, 2).await;
    let gone = stage.place(stage.fast_order()).await;
    stage.accepted(gone.id).await;
    until_told(&mut socket, RouteReason::NewOrder, 4).await;
    let cancel = Command::Cancel { by: Party::System, reason: "closed".into() };
    stage.system.orders().command(gone.id, cancel, super::stage::admin()).await.expect("canceled");
    let stops = until_told(&mut socket, RouteReason::OrderGone, 2).await;
    assert!(stops.iter().all(|s| s.order_id == kept.id && s.planned_at.is_some()), "{stops:?}");
}

/// Reads on to a route of so many stops that was told for this reason.
async fn until_told(socket: &mut Subscription, reason: RouteReason, stops: usize) -> Vec<StopView> {
    loop {
        for (_, message) in next(socket).await {
            if let ServerMessage::Route(route) = message
                && route.stops.len() == stops
                && route.plan.is_some_and(|plan| plan.reason == reason)
            {
                return route.stops;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_aboard_is_handed_over_as_it_was_planned_and_after_a_crash_the_nearest_door_first() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let mut orders = Vec::new();
    for lng in [13.13, 13.105, 13.11] {
        let mut order = stage.fast_order();
        order.delivery.place = place(52.1, lng);
        let order = stage.place(order).await;
        assert_eq!(stage.accepted(order.id).await, driver);
        orders.push(order.id);
    }
    for id in &orders {
        stage.complete(driver, *id, TaskKind::Pickup).await.expect("picked up");
    }
    let nearest_first = [orders[1], orders[2], orders[0]];
    let sequence = |w: &Work| {
        let view = crate::views::route(driver, w);
        view.stops.iter().map(|s| (s.order_id, s.task.kind)).collect::<Vec<_>>()
    };
    let wanted = nearest_first.map(|id| (id, TaskKind::Delivery));
    work_of(&stage, driver, |w| w.planned.is_some() && sequence(w) == wanted).await;
    stage.checkpoint().await;
    let stage = stage.crash_and_restart().await;
    work_of(&stage, driver, |w| w.planned.is_some() && sequence(w) == wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_been_sent_to_a_shop_is_not_sent_elsewhere_before_they_have_been_there() {
    let stage = Stage::with_rules(ZoneRules {
        policy: Policy::Routed,
        interleave: false,
        stale_after_seconds: 7200,
        ..ZoneRules::default()
    })
    .await;
    let driver = stage.driver_on_shift(place(52.1, 13.0)).await;
    let first = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(first.id).await, driver);
    // Where they stand there is a short one; they have not said yet that they left.
    let mut order = stage.fast_order();
    order.pickups[0].stop.place = place(52.1, 13.0);
    order.delivery.place = place(52.1, 13.001);
    let short = stage.place(order).await;
    let planned = work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops.len() == 2)).await;
    assert_eq!(planned.planned.unwrap().stops[0].order, first.id);
    stage.complete(driver, first.id, TaskKind::Pickup).await.expect("picked up");
    assert!(stage.order(short.id).await.offer.is_none());
    stage.complete(driver, first.id, TaskKind::Delivery).await.expect("delivered");
    stage.until_in_time(short.id, Span::seconds(5), |order| order.offer.is_some()).await;
    assert_eq!(stage.accepted(short.id).await, driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_offered_only_when_its_driver_has_to_leave() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let mut order = stage.fast_order();
    let ready = stage.in_minutes(5);
    order.pickups[0].ready_at = Some(ready);
    let order = stage.place(order).await;
    let offered = stage.until_in_time(order.id, Span::seconds(5), |o| o.offer.is_some()).await;
    assert_eq!(offered.offer.map(|offer| offer.driver), Some(driver));
    let made = stage.order(order.id).await.offer.unwrap().made_at;
    let before = (ready - made).num_seconds();
    // Not sooner. How much later is the machine's business, as time passes here however far the planner has come.
    assert!(before < 240, "offered {before} s before it is ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_order_is_planned_anew_at_once_and_every_decision_says_why() {
    let stage = stage().await;
    let near = stage.driver_on_shift(place(52.1, 13.1)).await;
    let far = stage.driver_on_shift(place(52.15, 13.15)).await;
    let order = stage.place(stage.fast_order()).await;
    let (first, offer) = stage.offered(order.id).await;
    assert_eq!(first, near);
    let decision = posthaste_storage::decisions::newest(&stage.database.pool, order.id).await.unwrap().unwrap();
    assert_eq!(decision.driver, Some(near));
    assert_eq!(decision.detail["policy"], "routed");
    assert_eq!(decision.detail["alternatives"][1]["driver_id"], far.to_string());
    stage.as_driver(near, DriverCommand::Decline(offer)).await.unwrap();
    stage.until(order.id, |o| o.offer.is_some_and(|offer| offer.driver == far)).await;
}

/// What is said of an order that nobody was asked about.
pub(super) async fn undecided(stage: &Stage, order: OrderId) -> Decision {
    eventually("a decision is recorded", async || {
        posthaste_storage::decisions::newest(&stage.database.pool, order).await.unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_nobody_can_take_waits_and_says_which_constraint_forbids_it() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut order = stage.fast_order();
    order.size = 11;
    let order = stage.place(order).await;
    let decision = undecided(&stage, order.id).await;
    assert_eq!(decision.driver, None);
    assert!(decision.summary.contains("has no room for it"), "{}", decision.summary);
    let each = json!([{ "driver_id": driver, "forbidden_by": "capacity" }]);
    assert_eq!(decision.detail["candidates"], each, "{}", decision.detail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_farther_from_the_pickup_than_the_zone_allows_is_not_asked() {
    let rules = ZoneRules {
        policy: Policy::Routed,
        pickup_radius_meters: Some(1_000),
        stale_after_seconds: 7200,
        ..ZoneRules::default()
    };
    let stage = Stage::with_rules(rules).await;
    let far = stage.driver_on_shift(place(52.12, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    let decision = undecided(&stage, order.id).await;
    assert!(decision.summary.contains("too far away"), "{}", decision.summary);
    let near = stage.driver_on_shift(place(52.101, 13.1)).await;
    assert_eq!(stage.offered(order.id).await.0, near);
    assert_ne!(near, far);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_planned_again_after_a_crash() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let (first, second) = (stage.place(stage.fast_order()).await, stage.place(stage.fast_order()).await);
    for id in [first.id, second.id] {
        assert_eq!(stage.accepted(id).await, driver);
    }
    stage.checkpoint().await;
    let stage = stage.crash_and_restart().await;
    let work = work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops.len() == 4)).await;
    assert_eq!(work.in_hand.len(), 2);
    let third = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(third.id).await, driver);
}
