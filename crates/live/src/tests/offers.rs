//! From a placed order to the door, and what may happen in between.

use posthaste_clock::testing::eventually;
use posthaste_domain::Span;
use posthaste_domain::driver::Shift;
use posthaste_domain::order::{Command, FailReason, Rejected, Status, TaskKind, TaskStatus};
use posthaste_domain::party::Party;
use posthaste_domain::zone::ZoneRules;

use super::routed::undecided;
use super::stage::{Stage, admin, place};
use crate::drivers::DriverCommand;
use crate::{Cause, Refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_from_the_shop_to_the_door() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.09)).await;
    let order = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(order.id).await, driver);
    let (task, _) = stage.task(order.id, TaskKind::Pickup).await;
    stage.as_driver(driver, DriverCommand::Arrive(task)).await.unwrap();
    assert_eq!(stage.order(order.id).await.status(), Status::ArrivedAtPickup);
    stage.carried_to_the_door(driver, order.id).await;
    let order = stage.order(order.id).await;
    assert_eq!(order.status(), Status::Delivered);
    stage.until(order.id, |_| stage.system.orders().live() == 0).await;
    let timeline = stage.system.doors.timeline(order.id, 0).await.unwrap();
    let seqs: Vec<_> = timeline.iter().map(|(recorded, _)| recorded.seq).collect();
    assert_eq!(seqs, (1..=order.version).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_offer_goes_to_the_next_driver() {
    let stage = Stage::open().await;
    let near = stage.driver_on_shift(place(52.1, 13.1)).await;
    let far = stage.driver_on_shift(place(52.15, 13.15)).await;
    let order = stage.place(stage.fast_order()).await;
    let (first, offer) = stage.offered(order.id).await;
    assert_eq!(first, near);
    stage.as_driver(near, DriverCommand::Decline(offer)).await.unwrap();
    let again = stage.as_driver(near, DriverCommand::Decline(offer)).await.unwrap();
    assert!(!again.changed, "declining twice is done once");
    let order = stage.until(order.id, |o| o.offer.is_some_and(|offer| offer.driver == far)).await;
    assert!(order.cooling.iter().any(|c| c.driver == near));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_moves_the_offer_on_and_the_late_answer_is_refused() {
    let stage = Stage::open().await;
    stage.driver_on_shift(place(52.1, 13.1)).await;
    stage.driver_on_shift(place(52.15, 13.15)).await;
    let order = stage.place(stage.fast_order()).await;
    let (silent, offer) = stage.offered(order.id).await;
    stage.heard(silent).await;
    stage.advance(Span::seconds(20) - Span::milliseconds(1));
    // Whoever is asked after the alarms of a moment has heard of them before.
    let untouched = stage.system.orders().prioritise(order.id, 1, admin()).await.expect("urgent").order;
    assert_eq!(untouched.offer.map(|open| open.id), Some(offer), "it is theirs up to the deadline");
    stage.advance(Span::milliseconds(1));
    stage.until(order.id, |o| o.offer.is_some_and(|offer| offer.driver != silent)).await;
    let late = stage.as_driver(silent, DriverCommand::Accept(offer)).await;
    assert!(matches!(late, Err(Refused::Order(Rejected::OfferGone))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_visibly_until_a_driver_appears() {
    let stage = Stage::open().await;
    let order = stage.place(stage.fast_order()).await;
    assert_eq!(stage.order(order.id).await.status(), Status::Confirmed);
    eventually("it waits where operations look", async || {
        let board = stage.system.zones().board(stage.zone).unwrap();
        (board.waiting_total == 1 && board.waiting[0].id == order.id).then_some(())
    })
    .await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    assert_eq!(stage.offered(order.id).await.0, driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_busy_driver_is_asked_and_time_is_never_taken_twice() {
    let stage = Stage::open().await;
    let one = stage.driver_on_shift(place(52.1, 13.1)).await;
    let two = stage.driver_on_shift(place(52.19, 13.19)).await;
    let (start, end) = (stage.in_minutes(60), stage.in_minutes(120));
    let first = stage.place(stage.slow_order(start, end)).await;
    assert_eq!(stage.accepted(first.id).await, one, "the nearer of two idle drivers");
    let second = stage.place(stage.slow_order(start, end)).await;
    assert_eq!(stage.accepted(second.id).await, two, "the other, though farther: the time is taken");
    let third = stage.place(stage.slow_order(start, end)).await;
    let decision = undecided(&stage, third.id).await;
    assert!(decision.driver.is_none() && decision.summary.contains("2 overlaps"), "{}", decision.summary);
    let touching = stage.place(stage.slow_order(end, stage.in_minutes(180))).await;
    stage.accepted(touching.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_codes_are_counted_and_lock_the_task() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    let (task, right) = stage.task(order.id, TaskKind::Pickup).await;
    let wrong = if right.as_deref() == Some("0000") { "1111" } else { "0000" };
    let attempt = |code: &str| {
        let code = Some(code.to_owned());
        stage.as_driver(driver, DriverCommand::Complete { task, kind: TaskKind::Pickup, code, proof: None })
    };
    for left in (1..5).rev() {
        let refused = attempt(wrong).await.unwrap_err();
        assert!(matches!(refused, Refused::WrongCode { attempts_left } if attempts_left == left), "{refused}");
    }
    assert!(matches!(attempt(wrong).await, Err(Refused::Order(Rejected::CodeLocked { .. }))));
    let locked = attempt(&right.clone().unwrap()).await;
    assert!(matches!(locked, Err(Refused::Order(Rejected::CodeLocked { .. }))), "not even the right one");
    stage.system.orders().command(order.id, Command::UnlockCode { task }, admin()).await.unwrap();
    attempt(&right.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_sellers_reject_and_the_order_ends() {
    let stage = Stage::with_rules(ZoneRules { confirmation_seconds: 30, ..ZoneRules::default() }).await;
    let mut new = stage.fast_order();
    new.pickups[0].needs_confirmation = true;
    let order = stage.place(new).await;
    assert_eq!(order.status(), Status::Pending);
    stage.advance(Span::seconds(30));
    let order = stage.until_status(order.id, Status::Rejected).await;
    assert_eq!(order.ended_because.as_deref(), Some("not confirmed in time"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_order_is_dispatched() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut new = stage.fast_order();
    new.pickups[0].needs_confirmation = true;
    let order = stage.place(new).await;
    let confirm = Command::Confirm { seller: stage.merchant, ready_at: None };
    stage.system.orders().command(order.id, confirm, admin()).await.unwrap();
    assert_eq!(stage.offered(order.id).await.0, driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_frees_the_driver_at_every_stage() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    for stop_at in ["offered", "assigned", "picked up"] {
        let order = stage.place(stage.fast_order()).await;
        stage.offered(order.id).await;
        if stop_at != "offered" {
            stage.accepted(order.id).await;
        }
        if stop_at == "picked up" {
            stage.complete(driver, order.id, TaskKind::Pickup).await.unwrap();
        }
        let by = Party::Merchant(stage.merchant);
        let cancel = Command::Cancel { by, reason: "changed their mind".to_owned() };
        let done = stage.system.orders().command(order.id, cancel, Cause::new(by, "test")).await.unwrap();
        if stop_at == "picked up" {
            assert_eq!(done.order.status(), Status::Returning, "goods on board go back");
            stage.complete(driver, order.id, TaskKind::Return).await.unwrap();
            assert_eq!(stage.order(order.id).await.status(), Status::Returned);
        } else {
            assert_eq!(done.order.status(), Status::Canceled);
        }
    }
    let next = stage.place(stage.fast_order()).await;
    assert_eq!(stage.offered(next.id).await.0, driver, "their time is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakdown_before_the_pickup_gives_the_order_to_another() {
    let stage = Stage::open().await;
    let unlucky = stage.driver_on_shift(place(52.1, 13.1)).await;
    let other = stage.driver_on_shift(place(52.15, 13.15)).await;
    let order = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(order.id).await, unlucky);
    let (task, _) = stage.task(order.id, TaskKind::Pickup).await;
    let fail = DriverCommand::Fail { task, reason: FailReason::VehicleBreakdown, note: None };
    stage.as_driver(unlucky, fail).await.unwrap();
    stage.until(order.id, |o| o.offer.is_some_and(|offer| offer.driver == other)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_customer_sends_the_goods_back() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    stage.complete(driver, order.id, TaskKind::Pickup).await.unwrap();
    let (door, _) = stage.task(order.id, TaskKind::Delivery).await;
    let fail =
        DriverCommand::Fail { task: door, reason: FailReason::CustomerAbsent, note: Some("no answer".to_owned()) };
    stage.as_driver(driver, fail).await.unwrap();
    let order = stage.order(order.id).await;
    assert_eq!(order.status(), Status::Returning);
    assert_eq!(order.delivery().unwrap().status, TaskStatus::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_driver_loses_their_offers_and_comes_back_when_heard() {
    let stage =
        Stage::with_rules(ZoneRules { stale_after_seconds: 60, offer_seconds: 3600, ..ZoneRules::default() }).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    assert_eq!(stage.offered(order.id).await.0, driver);
    stage.until_in_time(order.id, Span::seconds(1), |o| o.status() == Status::Confirmed).await;
    assert!(stage.system.drivers().get(driver).await.unwrap().stale);
    stage.system.drivers().presence(driver).await.unwrap().heartbeat();
    assert_eq!(stage.offered(order.id).await.0, driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_assign_and_take_back_by_hand() {
    let stage = Stage::open().await;
    let order = stage.place(stage.fast_order()).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    stage.system.drivers().shift(driver, Shift::OnBreak { until: None }.into(), admin()).await.unwrap();
    let order = stage.until_status(order.id, Status::Confirmed).await;
    let done = stage.system.orders().assign(order.id, driver, admin()).await.unwrap();
    assert_eq!(done.order.status(), Status::Assigned);
    let other = stage.place(stage.fast_order()).await;
    let busy = stage.system.orders().assign(other.id, driver, admin()).await;
    assert!(matches!(busy, Err(Refused::DriverBusy(_))), "{busy:?}");
    let back = stage.system.orders().unassign(order.id, admin()).await.unwrap();
    assert_eq!(back.order.status(), Status::Confirmed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_behind_many_that_nobody_can_take_gets_its_driver() {
    let stage = Stage::open().await;
    for _ in 0..300 {
        stage.place(stage.fast_order()).await;
    }
    let mut huge = stage.fast_order();
    huge.size = 1000;
    huge.priority = 10;
    for _ in 0..300 {
        stage.place(huge.clone()).await;
    }
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let offered = || async {
        let offered = stage.system.drivers().work(driver).await.expect("their work").offered;
        offered.first().map(|o| o.size)
    };
    let size = eventually("they are offered what they can carry", async || offered().await);
    assert_eq!(size.await, 1);
}
