//! Each kind of actor is killed in mid-work, and the work goes on.

use posthaste_clock::testing::eventually;
use posthaste_domain::Span;
use posthaste_domain::order::{Status, TaskKind};

use super::stage::{Stage, place, surely};
use crate::drivers::DriverCommand;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_order_is_reloaded_and_goes_on() {
    let stage = Stage::open().await;
    stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    let driver = stage.accepted(order.id).await;
    stage.system.orders().door.present(order.id).unwrap().kill();
    stage.until_status(order.id, Status::Assigned).await;
    // While it restarts, callers hear that it is unavailable; then all is as before.
    surely(async || stage.complete(driver, order.id, TaskKind::Pickup).await).await.expect("picked up");
    assert_eq!(stage.order(order.id).await.status(), Status::PickedUp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_waiting_order_still_finds_its_driver_and_keeps_its_deadline() {
    let stage = Stage::open().await;
    let order = stage.place(stage.fast_order()).await;
    stage.system.orders().door.present(order.id).unwrap().kill();
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let (first, _) = stage.offered(order.id).await;
    assert_eq!(first, driver);
    stage.system.orders().door.present(order.id).unwrap().kill();
    // No answer up to the deadline, which the reloaded order still knows.
    let order = stage.until_in_time(order.id, Span::seconds(1), |o| !o.cooling.is_empty()).await;
    assert_eq!(order.cooling[0].driver, driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_driver_keeps_their_orders_and_their_calendar() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    stage.system.drivers().door.present(driver).unwrap().kill();
    let second = stage.place(stage.fast_order()).await;
    eventually("they are reloaded with what they had", async || {
        stage.system.drivers().work(driver).await.ok().filter(|work| work.in_hand.len() == 1)
    })
    .await;
    stage.carried_to_the_door(driver, order.id).await;
    assert_eq!(stage.offered(second.id).await.0, driver, "and gets new work when they are free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_zones_dispatchers_journals_and_hubs_are_replaced() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    for part in ["zone", "dispatcher", "journal", "hub"] {
        let order = stage.place(stage.fast_order()).await;
        let doors = &stage.system.doors;
        let cell = doors.zones.cell(stage.zone).unwrap();
        let victim = match part {
            "zone" => cell.actor.cell(),
            "dispatcher" => cell.dispatcher.cell(),
            "journal" => doors.journal.seat.cell(),
            _ => doors.hub.cell(),
        };
        victim.expect("somebody sits there").kill();
        let (_, offer) = stage.offered(order.id).await;
        let accepted = surely(async || stage.as_driver(driver, DriverCommand::Accept(offer)).await).await;
        accepted.unwrap_or_else(|refused| panic!("after the {part} was killed: {refused}"));
        stage.carried_to_the_door(driver, order.id).await;
    }
}
