//! What a restart brings back.

use posthaste_domain::Span;
use posthaste_domain::driver::Shift;
use posthaste_domain::order::{Status, TaskKind};
use posthaste_domain::zone::ZoneRules;

use super::stage::{Stage, admin, place};
use crate::drivers::DriverCommand;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_work_goes_on_after_a_restart() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    let stage = stage.crash_and_restart().await;
    assert_eq!(stage.order(order.id).await.status(), Status::Assigned);
    let in_hand = stage.system.drivers().work(driver).await.unwrap().in_hand;
    assert_eq!(in_hand.len(), 1);
    assert!(matches!(stage.system.drivers().get(driver).await.unwrap().driver.shift, Shift::Available { .. }));
    stage.carried_to_the_door(driver, order.id).await;
    let stage = stage.crash_and_restart().await;
    let again = {
        let settled = stage.order(order.id).await;
        let task = settled.delivery().unwrap().id;
        let command = DriverCommand::Complete { task, kind: TaskKind::Delivery, code: None, proof: None };
        stage.as_driver(driver, command).await.unwrap()
    };
    assert!(!again.changed, "a command sent again after the crash is done once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_offers_and_deadlines_survive_a_restart() {
    let stage = Stage::with_rules(ZoneRules {
        offer_seconds: 120,
        confirmation_seconds: 120,
        stale_after_seconds: 7200,
        ..ZoneRules::default()
    })
    .await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut unconfirmed = stage.fast_order();
    unconfirmed.pickups[0].needs_confirmation = true;
    let unconfirmed = stage.place(unconfirmed).await;
    let order = stage.place(stage.fast_order()).await;
    let (_, offer) = stage.offered(order.id).await;
    let stage = stage.crash_and_restart().await;
    stage.as_driver(driver, DriverCommand::Accept(offer)).await.expect("the offer is still open");
    assert_eq!(stage.order(unconfirmed.id).await.status(), Status::Pending);
    stage.advance(Span::seconds(120));
    stage.until_status(unconfirmed.id, Status::Rejected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_before_the_restart_is_dispatched_after_it() {
    let stage = Stage::open().await;
    let order = stage.place(stage.fast_order()).await;
    let stage = stage.crash_and_restart().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    assert_eq!(stage.offered(order.id).await.0, driver);
    stage.system.zones().remove(stage.zone, admin()).await.unwrap();
    let stage = stage.crash_and_restart().await;
    stage.accepted(order.id).await;
    stage.carried_to_the_door(driver, order.id).await;
}
