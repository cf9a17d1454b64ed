//! Idle drivers are sent to shops ahead of work.

use posthaste_domain::Span;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::{Command, Status};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;

use super::routed::work_of;
use super::stage::{Stage, admin, place};
use crate::drivers::Standby;

/// Where a driver is sent, as time passes: the zone looks now and then.
async fn standby_in_time(stage: &Stage, driver: DriverId, holds: impl Fn(&Standby) -> bool) -> Standby {
    stage
        .as_time_passes(Span::seconds(5), "an idle driver is sent somewhere", async || {
            let work = stage.system.drivers().work(driver).await.expect("work");
            work.standby.filter(|standby| holds(standby))
        })
        .await
}

fn shop() -> Place {
    place(52.12, 13.12)
}

/// A zone that has seen many orders of one shop, none of which waits any more.
async fn stage() -> Stage {
    let stage = Stage::with_rules(ZoneRules {
        policy: Policy::Routed,
        send_ahead: true,
        offer_seconds: 600,
        stale_after_seconds: 7200,
        ..ZoneRules::default()
    })
    .await;
    for _ in 0..20 {
        let mut order = stage.fast_order();
        order.pickups[0].stop.place = shop();
        let order = stage.place(order).await;
        let cancel = Command::Cancel { by: Party::Merchant(stage.merchant), reason: "a test".to_owned() };
        stage.system.orders().command(order.id, cancel, admin()).await.expect("canceled");
        stage.until_status(order.id, Status::Canceled).await;
    }
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_driver_is_sent_where_orders_come_from_and_called_back_by_an_order() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let work = work_of(&stage, driver, |w| w.standby.is_some()).await;
    let standby = crate::views::route(driver, &work).standby.expect("the driver sees it");
    assert_eq!((standby.lat, standby.lng), (shop().lat(), shop().lng()));
    assert_eq!(standby.merchant_id, Some(stage.merchant));
    assert!(standby.until > stage.now() && work.in_hand.is_empty());
    // It is no order: they are offered work as before, and then have better to do.
    let order = stage.place(stage.fast_order()).await;
    // As soon as they have to leave for it.
    stage.until_in_time(order.id, Span::seconds(5), |order| order.offer.is_some()).await;
    assert_eq!(stage.accepted(order.id).await, driver);
    let work = work_of(&stage, driver, |w| !w.in_hand.is_empty()).await;
    assert_eq!(work.standby, None);
    stage.carried_to_the_door(driver, order.id).await;
    standby_in_time(&stage, driver, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_is_sent_counts_as_there_and_their_advice_ends_with_their_shift() {
    let stage = stage().await;
    let first = stage.driver_on_shift(place(52.1, 13.1)).await;
    work_of(&stage, first, |w| w.standby.is_some()).await;
    let second = stage.driver_on_shift(place(52.101, 13.1)).await;
    // Once the first is gone, and not before, the second is needed there.
    stage.advance(Span::minutes(2));
    assert_eq!(stage.system.drivers().work(second).await.expect("work").standby, None);
    stage.system.drivers().shift(first, Shift::OnBreak { until: None }.into(), admin()).await.expect("a break");
    let gone_at = stage.now();
    assert_eq!(stage.system.drivers().work(first).await.expect("work").standby, None);
    let sent = standby_in_time(&stage, second, |_| true).await;
    assert!(sent.until - Span::seconds(1_800) >= gone_at, "sent before they were needed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advice_ends_when_its_time_is_over_and_is_given_anew() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let first = standby_in_time(&stage, driver, |_| true).await.until;
    stage.advance_product(first - stage.now() - Span::milliseconds(1));
    let work = stage.system.drivers().work(driver).await.expect("work");
    assert_eq!(work.standby.map(|standby| standby.until), Some(first), "a moment before its end");
    stage.advance_product(Span::milliseconds(1));
    let again = standby_in_time(&stage, driver, |standby| standby.until != first).await;
    // An alarm of what is over changes nothing.
    let actor = stage.system.drivers().door.present(driver).expect("their actor");
    let ends = crate::drivers::DriverMsg::Internal(crate::drivers::Alarm::StandbyEnds(first));
    actor.cast(ends).expect("told");
    let work = stage.system.drivers().work(driver).await.expect("work");
    assert_eq!(work.standby.map(|standby| standby.until), Some(again.until));
}
