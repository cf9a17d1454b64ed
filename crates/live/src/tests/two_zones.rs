//! Two zones in one system, and drivers who work in both.

use posthaste_domain::Span;
use posthaste_domain::ids::{DriverId, Id, OrderId, RegionId, ZoneId};
use posthaste_domain::order::Status;
use posthaste_domain::zone::{NewZone, ZoneRules};

use super::routed::undecided;
use super::stage::{Stage, admin, place, square_at};
use crate::Refused;
use crate::drivers::DriverCommand;
use crate::orders::PlaceOrder;

fn rules() -> ZoneRules {
    ZoneRules { offer_seconds: 600, cool_down_seconds: 300, stale_after_seconds: 7200, ..ZoneRules::default() }
}

/// A zone in the west, another in the east, and a driver of both.
async fn stage() -> (Stage, ZoneId, DriverId) {
    let stage = Stage::with_rules(rules()).await;
    let east = stage.zone_with("East", square_at(13.3), rules()).await;
    let driver = stage.driver_in(vec![stage.zone, east], 10, place(52.1, 13.25)).await;
    (stage, east, driver)
}

fn order_in_the_east(stage: &Stage) -> PlaceOrder {
    let mut order = stage.fast_order();
    order.pickups[0].stop.place = place(52.1, 13.4);
    order.delivery.place = place(52.11, 13.41);
    order
}

/// The order waits, and is said to because the driver's time is another's.
async fn waits_for_the_other(stage: &Stage, order: OrderId) {
    let decision = undecided(stage, order).await;
    assert!(decision.driver.is_none() && decision.summary.contains("1 overlaps"), "{}", decision.summary);
    assert_eq!(stage.order(order).await.offer, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_of_two_zones_is_asked_by_one_and_then_by_the_other() {
    let (stage, east, driver) = stage().await;
    let here = stage.place(stage.fast_order()).await;
    assert_eq!(stage.offered(here.id).await.0, driver);
    let there = stage.place(order_in_the_east(&stage)).await;
    assert_eq!((here.zone, there.zone), (stage.zone, east));
    waits_for_the_other(&stage, there.id).await;
    stage.accepted(here.id).await;
    stage.carried_to_the_door(driver, here.id).await;
    stage.until_in_time(there.id, Span::seconds(1), |order| order.offer.is_some()).await;
    assert_eq!(stage.accepted(there.id).await, driver);
    stage.carried_to_the_door(driver, there.id).await;
    stage.until_status(there.id, Status::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_that_ask_the_same_driver_at_the_same_time_hold_their_time_once() {
    let (stage, _, driver) = stage().await;
    for _ in 0..5 {
        let (here, there) = tokio::join!(stage.place(stage.fast_order()), stage.place(order_in_the_east(&stage)));
        let mut open = vec![here.id, there.id];
        while !open.is_empty() {
            let asked = stage
                .as_time_passes(Span::seconds(1), "one of the zones asks", async || {
                    stage.system.drivers().work(driver).await.expect("work").offered.first().map(|order| order.id)
                })
                .await;
            let work = stage.system.drivers().work(driver).await.expect("work");
            assert_eq!((work.offered.len(), work.in_hand.len()), (1, 0), "one at a time");
            stage.accepted(asked).await;
            stage.carried_to_the_door(driver, asked).await;
            open.retain(|order| *order != asked);
        }
    }
    stage.until_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_zone_fails_while_its_driver_is_asked_from_the_other_zone_is_offered_after_it() {
    for part in ["dispatcher", "zone"] {
        let (stage, _, driver) = stage().await;
        let there = stage.place(order_in_the_east(&stage)).await;
        let (_, offer) = stage.offered(there.id).await;
        let here = stage.place(stage.fast_order()).await;
        waits_for_the_other(&stage, here.id).await;
        let cell = stage.system.doors.zones.cell(stage.zone).expect("the zone");
        let victim = if part == "zone" { cell.actor.cell() } else { cell.dispatcher.cell() };
        victim.expect("somebody sits there").kill();
        // The open offer is none of the failed zone's business.
        stage.advance(Span::seconds(60));
        stage.heard(driver).await;
        assert_eq!(stage.order(there.id).await.offer.map(|open| open.id), Some(offer), "{part}");
        stage.as_driver(driver, DriverCommand::Decline(offer)).await.expect("declined");
        let asked = stage.until_in_time(here.id, Span::seconds(1), |order| order.offer.is_some()).await;
        assert_eq!(asked.offer.map(|open| open.driver), Some(driver), "{part}");
        stage.accepted(here.id).await;
        stage.carried_to_the_door(driver, here.id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_is_taken_although_the_dispatcher_that_made_it_is_gone() {
    let (stage, east, driver) = stage().await;
    let there = stage.place(order_in_the_east(&stage)).await;
    let (_, offer) = stage.offered(there.id).await;
    for zone in [east, stage.zone] {
        let cell = stage.system.doors.zones.cell(zone).expect("the zone");
        cell.dispatcher.cell().expect("somebody sits there").kill();
    }
    stage.as_driver(driver, DriverCommand::Accept(offer)).await.expect("accepted");
    // Neither of those that come after it asks the driver for what they have no time for.
    let here = stage.place(stage.fast_order()).await;
    stage
        .as_time_passes(Span::seconds(1), "it is decided that it waits", async || {
            posthaste_storage::decisions::newest(&stage.database.pool, here.id).await.expect("decisions")
        })
        .await;
    waits_for_the_other(&stage, here.id).await;
    stage.carried_to_the_door(driver, there.id).await;
    stage.until_in_time(here.id, Span::seconds(1), |order| order.offer.is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_several_zones_tells_each_order_to_its_own_zone_and_once() {
    let stage = Stage::open().await;
    let zones = [stage.zone, stage.zone("East", 13.3).await, stage.zone("Far east", 13.6).await];
    let mut waiting = [Vec::new(), Vec::new(), Vec::new()];
    for n in 0..12 {
        let of = if n < 6 {
            0
        } else if n < 10 {
            1
        } else {
            2
        };
        let mut order = stage.fast_order();
        let east = [0.0, 0.3, 0.6][of];
        order.pickups[0].stop.place = place(52.1, 13.1 + east);
        order.delivery.place = place(52.11, 13.11 + east);
        let order = stage.place(order).await;
        assert_eq!(order.zone, zones[of]);
        waiting[of].push(order.id);
    }
    let stage = stage.crash_and_restart().await;
    stage.until_whole().await;
    for (zone, mut orders) in zones.into_iter().zip(waiting) {
        let cell = stage.system.doors.zones.cell(zone).expect("the zone");
        assert_eq!(cell.actor.told_so_far(), orders.len(), "nobody is told of what is another's, or twice");
        let mut known: Vec<_> = cell.waiting.lock().keys().copied().collect();
        known.sort_unstable();
        orders.sort_unstable();
        assert_eq!(known, orders);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_serves_zones_of_one_region() {
    let stage = Stage::open().await;
    let east = stage.zone("East", 13.3).await;
    let west = stage.registered(vec![stage.zone], 1).await.expect("a driver");
    assert_eq!(west.region, RegionId::FIRST);
    // Somebody has put it into another region.
    let region = RegionId::from_uuid(uuid::Uuid::from_u128(7));
    sqlx::query("UPDATE zones SET region_id = $1 WHERE id = $2")
        .bind(region.uuid())
        .bind(east.uuid())
        .execute(stage.database.pool.connections())
        .await
        .expect("stored");
    let stage = stage.crash_and_restart().await;
    let refused = stage.registered(vec![stage.zone, east], 1).await.expect_err("of two regions");
    assert!(matches!(refused, Refused::RegionsDiffer(_)), "{refused}");
    let driver = stage.registered(vec![east], 1).await.expect("a driver");
    let stored = posthaste_storage::drivers::get(&stage.database.pool, driver.id).await.expect("stored");
    assert_eq!(stored.expect("stored").region, region);
    // A zone that is changed stays in its region.
    let zone = stage.system.zones().get(east).expect("served").zone;
    let wanted =
        NewZone { name: "Far East".to_owned(), area: zone.area.clone(), rules: zone.rules, travel: zone.travel };
    stage.system.zones().replace(east, wanted, admin()).await.expect("changed");
    let stored = posthaste_storage::zones::get(&stage.database.pool, east).await.expect("stored").expect("stored").zone;
    assert_eq!((stored.region, stored.version), (region, 2));
}
