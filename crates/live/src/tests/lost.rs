//! Drivers who are lost, or end their shifts, with work in hand; and orders that become urgent.

use std::sync::Arc;

use posthaste_clock::testing::eventually;
use posthaste_domain::Span;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Event, Order, Rejected, ReleaseReason, Status, TaskKind};
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::socket::{Hello, ServerMessage};

use super::stage::{Stage, admin, place, surely};
use super::streams::{next, read};
use crate::Refused;
use crate::drivers::ShiftChange;
use crate::streams::View;

/// Silence counts after a minute, loss after another.
async fn stage(policy: Policy) -> Stage {
    Stage::with_rules(ZoneRules {
        policy,
        stale_after_seconds: 60,
        lost_after_seconds: 60,
        offer_seconds: 600,
        ..ZoneRules::default()
    })
    .await
}

async fn heartbeat(stage: &Stage, driver: DriverId) {
    stage.system.drivers().presence(driver).await.expect("a slot").heartbeat();
}

/// Time passes until the order is as the story says; who is `there` gives signs of life, and nobody else does.
async fn until_lost(
    stage: &Stage,
    order: OrderId,
    there: Option<DriverId>,
    holds: impl Fn(&Order) -> bool,
) -> Arc<Order> {
    stage
        .as_time_passes(Span::seconds(5), "an order whose driver is lost", async || {
            if let Some(there) = there {
                heartbeat(stage, there).await;
            }
            stage.system.orders().get(order).await.ok().filter(|order| holds(order))
        })
        .await
}

async fn events(stage: &Stage, order: OrderId) -> Vec<Event> {
    let timeline = stage.system.doors.timeline(order, 0).await.expect("a timeline");
    timeline.into_iter().map(|(recorded, _)| recorded.event).collect()
}

async fn in_hand(stage: &Stage, driver: DriverId) -> Vec<OrderId> {
    stage.system.drivers().work(driver).await.expect("work").in_hand.iter().map(|o| o.id).collect()
}

async fn is_stale(stage: &Stage, driver: DriverId) -> bool {
    stage.system.drivers().get(driver).await.expect("a driver").stale
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_falls_silent_at_the_second_and_not_for_a_clock_that_runs_ahead() {
    let stage = stage(Policy::LeastBusy).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    stage.advance_product(Span::hours(3));
    stage.advance(Span::milliseconds(59_999));
    stage.heard(driver).await;
    assert!(!is_stale(&stage, driver).await);
    stage.advance(Span::milliseconds(1));
    stage.heard(driver).await;
    assert!(is_stale(&stage, driver).await);
    heartbeat(&stage, driver).await;
    stage.heard(driver).await;
    assert!(!is_stale(&stage, driver).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_driver_has_not_picked_up_goes_to_another_at_once() {
    for policy in [Policy::LeastBusy, Policy::Routed] {
        let stage = stage(policy).await;
        let lost = stage.driver_on_shift(place(52.1, 13.1)).await;
        let order = stage.place(stage.fast_order()).await;
        assert_eq!(stage.accepted(order.id).await, lost);
        let other = stage.driver_on_shift(place(52.1, 13.1)).await;
        let offered = until_lost(&stage, order.id, Some(other), |o| o.offer.is_some()).await;
        assert_eq!(offered.offer.map(|offer| offer.driver), Some(other), "{policy:?}");
        let taken_back = |e: &Event| matches!(e, Event::Unassigned { driver, reason: ReleaseReason::DriverLost, .. } if *driver == lost);
        assert!(events(&stage, order.id).await.iter().any(taken_back));
        let decisions =
            posthaste_storage::decisions::list(&stage.database.pool, order.id, None, 100).await.expect("decisions");
        let said = decisions.iter().find(|d| d.summary.starts_with("taken back from drv_"));
        assert_eq!(said.expect("it says why").detail["reason"], "driver_lost");
        stage.accepted(order.id).await;
        // They are heard of again: their route has it no more, and they can be given work.
        assert!(is_stale(&stage, lost).await);
        heartbeat(&stage, lost).await;
        stage.heard(lost).await;
        assert!(!is_stale(&stage, lost).await);
        assert_eq!(in_hand(&stage, lost).await, []);
        assert_eq!(in_hand(&stage, other).await, [order.id]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_driver_has_aboard_is_escalated_and_operations_give_it_to_another() {
    let stage = stage(Policy::LeastBusy).await;
    let lost = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    stage.complete(lost, order.id, TaskKind::Pickup).await.expect("picked up");
    let other = stage.driver_on_shift(place(52.1, 13.1)).await;
    let held = stage.system.orders().assign(order.id, other, admin()).await;
    assert!(matches!(held, Err(Refused::Order(Rejected::GoodsOnBoard))), "{held:?}");
    let mut operations = stage.system.streams().open(View::All).await.expect("a stream");
    operations.begin(Hello::default()).await.expect("begun");
    let escalated = until_lost(&stage, order.id, Some(other), |o| o.escalated.is_some()).await;
    assert_eq!(escalated.status(), Status::PickedUp);
    let stranded = |(_, message): &(_, ServerMessage)| matches!(message, ServerMessage::Alert(a) if a.kind == posthaste_protocol::words::AlertKind::OrderStranded && a.order_id == Some(order.id) && a.driver_id == Some(lost));
    while !next(&mut operations).await.iter().any(stranded) {}
    // Whoever looks later sees it too; the driver and the customer do not.
    let mut later = stage.system.streams().open(View::All).await.expect("a stream");
    let first = later.begin(Hello::default()).await.expect("begun");
    let (_, ServerMessage::Snapshot(snapshot)) = read(&first[0]) else { panic!("a snapshot") };
    assert!(format!("{snapshot:?}").contains("driver_lost"));
    assert_eq!(OrderView::of(&escalated, Audience::Driver(lost)).escalated, None);
    // After a restart, too.
    let stage = stage.crash_and_restart().await;
    assert!(stage.order(order.id).await.escalated.is_some());
    let given = stage.system.orders().assign(order.id, other, admin()).await.expect("given to another");
    assert_eq!((given.order.status(), given.order.escalated), (Status::PickedUp, None));
    assert!(!stage.system.orders().assign(order.id, other, admin()).await.expect("theirs already").changed);
    let not_theirs = stage.complete(lost, order.id, TaskKind::Delivery).await;
    assert!(matches!(not_theirs, Err(Refused::NotFound(_))), "{not_theirs:?}");
    assert_eq!(in_hand(&stage, lost).await, []);
    let gone = stage.place(stage.fast_order()).await;
    let refused = stage.system.orders().assign(gone.id, lost, admin()).await;
    assert!(matches!(refused, Err(Refused::DriverUnsuited(_))), "{refused:?}");
    stage.complete(other, order.id, TaskKind::Delivery).await.expect("delivered");
    stage.until_status(order.id, Status::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_driver_who_comes_back_with_the_goods_brings_them() {
    let stage = stage(Policy::Routed).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    stage.complete(driver, order.id, TaskKind::Pickup).await.expect("picked up");
    until_lost(&stage, order.id, None, |o| o.escalated.is_some()).await;
    heartbeat(&stage, driver).await;
    stage.until(order.id, |o| o.escalated.is_none()).await;
    let ended = |e: &Event| matches!(e, Event::EscalationEnded { .. });
    assert!(events(&stage, order.id).await.iter().any(ended));
    stage.complete(driver, order.id, TaskKind::Delivery).await.expect("delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shift_that_ends_leaves_the_work_or_hands_it_back() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let now = stage.now();
    let aboard = stage.place(stage.fast_order()).await;
    stage.accepted(aboard.id).await;
    stage.complete(driver, aboard.id, TaskKind::Pickup).await.expect("picked up");
    let hours = posthaste_domain::Span::hours;
    let ahead = stage.place(stage.slow_order(now + hours(5), now + hours(6))).await;
    assert_eq!(stage.accepted(ahead.id).await, driver);
    let off = |hand_back: bool| ShiftChange {
        hand_back: hand_back.then_some(ReleaseReason::ShiftEnded),
        ..Shift::Offline.into()
    };
    stage.system.drivers().shift(driver, off(false), admin()).await.expect("off");
    assert_eq!(in_hand(&stage, driver).await.len(), 2, "they carry what they have");
    stage.system.drivers().shift(driver, off(true), admin()).await.expect("and hands it back");
    stage.until_status(ahead.id, Status::Confirmed).await;
    let stranded = stage.until(aboard.id, |o| o.escalated.is_some()).await;
    assert_eq!(stranded.escalated.map(|e| e.reason), Some(ReleaseReason::ShiftEnded));
    assert_eq!(in_hand(&stage, driver).await, [aboard.id]);
    let other = stage.driver_on_shift(place(52.1, 13.1)).await;
    assert_eq!(stage.offered(ahead.id).await.0, other);
    // What they have aboard they may still deliver.
    stage.complete(driver, aboard.id, TaskKind::Delivery).await.expect("delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_went_offline_with_work_is_watched_over_after_a_restart_too() {
    let stage = stage(Policy::LeastBusy).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    stage.system.drivers().shift(driver, Shift::Offline.into(), admin()).await.expect("off");
    let stage = stage.crash_and_restart().await;
    assert_eq!(stage.order(order.id).await.working_driver(), Some(driver));
    until_lost(&stage, order.id, None, |o| o.status() == Status::Confirmed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_driver_begins_later_stays_theirs_until_then() {
    let stage = stage(Policy::LeastBusy).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let now = stage.now();
    let minutes = posthaste_domain::Span::minutes;
    let later = stage.place(stage.slow_order(now + minutes(12), now + minutes(40))).await;
    stage.accepted(later.id).await;
    stage.system.drivers().shift(driver, Shift::Offline.into(), admin()).await.expect("off");
    let order = until_lost(&stage, later.id, None, |o| o.status() == Status::Confirmed).await;
    let events = stage.system.doors.timeline(order.id, 0).await.expect("a timeline");
    let taken = events.iter().find(|(r, _)| matches!(r.event, Event::Unassigned { .. })).expect("taken back");
    assert!(taken.0.at >= now + minutes(10), "{} s on", (taken.0.at - now).num_seconds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_given_by_hand_to_a_silent_driver_is_taken_back_when_they_are_lost() {
    let stage = stage(Policy::LeastBusy).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    stage.advance(Span::seconds(60));
    stage.heard(driver).await;
    assert!(is_stale(&stage, driver).await);
    let order = stage.place(stage.fast_order()).await;
    stage.system.orders().assign(order.id, driver, admin()).await.expect("by hand");
    until_lost(&stage, order.id, None, |o| o.status() == Status::Confirmed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_operations_give_to_another_driver_changes_hands_at_once() {
    let stage = Stage::open().await;
    let first = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(order.id).await, first);
    let second = stage.driver_on_shift(place(52.15, 13.15)).await;
    let given = stage.system.orders().assign(order.id, second, admin()).await.expect("given");
    assert_eq!((given.order.status(), given.order.working_driver()), (Status::Assigned, Some(second)));
    eventually("both know", async || {
        (in_hand(&stage, first).await.is_empty() && in_hand(&stage, second).await == [order.id]).then_some(())
    })
    .await;
    stage.carried_to_the_door(second, order.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_becomes_urgent_is_decided_first_and_keeps_that_over_a_restart() {
    let stage = Stage::open().await;
    let mut large = stage.fast_order();
    large.size = 10;
    let earlier = stage.place(large.clone()).await;
    let later = stage.place(large).await;
    let done = stage.system.orders().prioritise(later.id, 7, admin()).await.expect("urgent");
    assert!(done.changed && done.order.priority == 7);
    assert!(!stage.system.orders().prioritise(later.id, 7, admin()).await.expect("again").changed);
    let stage = stage.crash_and_restart().await;
    assert_eq!(stage.order(later.id).await.priority, 7);
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    assert_eq!(stage.offered(later.id).await.0, driver);
    assert_eq!(stage.order(earlier.id).await.status(), Status::Confirmed);
    // It is in the timeline, which still knows how it was placed.
    let events = events(&stage, later.id).await;
    assert!(matches!(&events[0], Event::Placed { order } if order.priority == 0));
    assert!(matches!(events[1], Event::Prioritised { priority: 7 }));
    stage.accepted(later.id).await;
    stage.carried_to_the_door(driver, later.id).await;
    // Its actor may be on its way out.
    let over = surely(async || stage.system.orders().prioritise(later.id, 1, admin()).await).await;
    assert!(matches!(over, Err(Refused::Order(Rejected::Ended(Status::Delivered)))), "{over:?}");
}
