//! What is learned from orders, and who listens to it.

use posthaste_clock::testing::{eventually, eventually_shown};
use posthaste_domain::Span;
use posthaste_domain::ids::MerchantId;
use posthaste_domain::order::{Status, TaskKind};
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use posthaste_estimates::{Observation, Quantity, Question, Sample, hour_of};
use posthaste_geography::{TravelModel, VehicleSpeed};

use super::stage::{Stage, place};
use crate::drivers::DriverCommand;
use crate::orders::PlaceOrder;
use crate::zones::order_view;

async fn stage() -> Stage {
    Stage::with_rules(ZoneRules {
        policy: Policy::Routed,
        offer_seconds: 60,
        stale_after_seconds: 7200,
        ..ZoneRules::default()
    })
    .await
}

/// An order whose goods are said to have been ready for some minutes.
fn ready_before(stage: &Stage, minutes: i64) -> PlaceOrder {
    let mut order = stage.fast_order();
    order.pickups[0].ready_at = Some(stage.in_minutes(-minutes));
    order.pickups[0].stop.service_seconds = Some(0);
    order
}

fn lateness(stage: &Stage, seller: MerchantId) -> Question {
    Question::of_seller(Quantity::Lateness, stage.zone, Some(seller), stage.now())
}

/// Waits until so many orders of the seller were learned from, and gives the median then.
async fn median_of(stage: &Stage, question: Question, orders: usize) -> i32 {
    let answer = eventually_shown("so many orders are learned from", async || {
        let answer = stage.system.learned().explain(question);
        if answer.samples[1].1 == orders { Ok(answer) } else { Err(answer) }
    });
    answer.await.quantiles.median()
}

/// Eight orders of which the driver, who came in time, gets the goods ten minutes late; the hour in which they were to be
/// ready.
async fn eight_late_orders(stage: &Stage) -> u8 {
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut orders = Vec::new();
    for _ in 0..8 {
        let order = stage.place(ready_before(stage, 7)).await;
        assert_eq!(stage.accepted(order.id).await, driver);
        orders.push(order.id);
    }
    for id in &orders {
        let (task, _) = stage.task(*id, TaskKind::Pickup).await;
        stage.as_driver(driver, DriverCommand::Arrive(task)).await.expect("arrived");
    }
    let ready = stage.order(orders[7]).await.tasks[0].ready_at.expect("a ready time");
    stage.advance(ready + Span::minutes(10) - stage.now());
    for id in &orders {
        stage.carried_to_the_door(driver, *id).await;
    }
    for id in &orders {
        stage.until_status(*id, Status::Delivered).await;
    }
    hour_of(ready)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchant_who_is_always_late_is_planned_and_promised_late_after_a_restart_too() {
    let stage = stage().await;
    let before = stage.place(ready_before(&stage, 0)).await;
    let said = before.estimates.placed.expect("an estimate");
    assert!(before.placed_at < said.p50 && said.p50 < said.p90, "{said:?}");
    let question = lateness(&stage, stage.merchant);
    assert_eq!(stage.system.learned().quantiles(question).median(), 0, "nothing is known of them");
    assert!((stage.system.learned().explain(question).prior_share - 1.0).abs() < 1e-9);
    let canceled = posthaste_domain::order::Command::Cancel {
        by: posthaste_domain::party::Party::System,
        reason: "out of the way".into(),
    };
    stage.system.orders().command(before.id, canceled, super::stage::admin()).await.expect("canceled");

    let hour = eight_late_orders(&stage).await;
    let question = Question { hour, ..question };
    let learned = median_of(&stage, question, 8).await;
    assert!((540..660).contains(&learned), "ten minutes: {learned} s");
    let stage = stage.crash_and_restart().await;
    let recalled = median_of(&stage, question, 8).await;
    assert_eq!(recalled, learned, "a restart forgets nothing");

    let order = stage.place(ready_before(&stage, 0)).await;
    let stated = order.tasks[0].ready_at.unwrap();
    let view = order_view(&order, stage.system.learned(), stage.now()).expect("a view");
    assert_eq!(view.pickups[0].ready_at, Some(stated + Span::seconds(i64::from(learned))), "the solver's");
    let now_said = order.estimates.placed.expect("an estimate");
    assert!(now_said.p50 > stated + Span::seconds(i64::from(learned)), "nothing is at a door before it is ready");
    let later = (now_said.p50 - order.placed_at) - (said.p50 - before.placed_at);
    assert!(later > Span::minutes(1), "the customer's is only {later} later");
    assert_eq!(order.tasks[0].ready_at, Some(stated), "what the seller said stays what they said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_keeps_what_was_said_of_it() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let order = stage.place(stage.fast_order()).await;
    let placed = order.estimates.placed.expect("said when it was placed");
    stage.accepted(order.id).await;
    let assigned = stage.order(order.id).await.estimates.assigned.expect("said when it was assigned");
    assert!(assigned.p90 < placed.p90, "a driver is less to wait for than none: {assigned:?}, {placed:?}");
    let eta = stage.system.orders().eta(&*stage.order(order.id).await).await.expect("an estimate now");
    assert!(eta.p50 < eta.p90 && (eta.p50 - assigned.p50).abs() < Span::minutes(10), "{eta:?}, {assigned:?}");
    stage.carried_to_the_door(driver, order.id).await;
    let stored = posthaste_storage::orders::get(&stage.database.pool, order.id).await.unwrap().unwrap();
    assert_eq!((stored.estimates.placed, stored.estimates.assigned), (Some(placed), Some(assigned)));
    assert_eq!(stage.system.orders().eta(&stored).await, None, "it is over");
    let timeline = posthaste_storage::orders::timeline(&stage.database.pool, order.id, 0).await.unwrap();
    let mut replayed = (*order).clone();
    timeline.iter().for_each(|(recorded, _)| replayed.apply(&recorded.event, recorded.at));
    assert_eq!(replayed, stored, "events alone lead to the state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pace_of_ways_is_that_of_drivers_who_drove_them() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    // By the zone's model five minutes away. They say that they are there after a little more than half of it.
    let model = stage.system.zones().get(stage.zone).unwrap().zone.travel;
    let mut order = stage.fast_order();
    let meters = 300.0 * model.meters_per_second / model.detour_factor;
    order.delivery.place = place(52.1 + meters / 111_195.0, 13.1);
    let order = stage.place(order).await;
    stage.accepted(order.id).await;
    stage.complete(driver, order.id, TaskKind::Pickup).await.expect("picked up");
    let (door, _) = stage.task(order.id, TaskKind::Delivery).await;
    stage.as_driver(driver, DriverCommand::Depart(door)).await.expect("departed");
    stage.advance(Span::seconds(170));
    stage.as_driver(driver, DriverCommand::Arrive(door)).await.expect("arrived");
    stage.advance(Span::seconds(60));
    stage.complete(driver, order.id, TaskKind::Delivery).await.expect("delivered");
    let pace = Question::of_zone(Quantity::Pace, stage.zone, stage.order(order.id).await.placed_at);
    let told = |stage: &Stage| stage.system.learned().explain(pace).samples.iter().map(|(_, n, _)| *n).max();
    eventually("the way was seen", async || (told(&stage) == Some(1)).then_some(())).await;
    let departure = stage.order(order.id).await.tasks[1].departure.expect("it is kept");
    assert_eq!(departure.from, Some(place(52.1, 13.1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_are_planned_at_the_pace_that_was_learned() {
    let stage = stage().await;
    let cell = stage.system.doors.zones.cell(stage.zone).expect("a zone");
    let now = stage.now();
    let seconds = |at| {
        let travel = cell.travel(at);
        i64::from(travel.seconds(place(52.1, 13.1), place(52.1, 13.2), VehicleSpeed::default()))
    };
    let model = seconds(now);
    let half_again =
        Observation { question: Question::of_zone(Quantity::Pace, stage.zone, now), sample: Sample::exact(1500) };
    stage.system.learned().tell(&[half_again; 64]);
    eventually("it is planned with", async || (seconds(now) != model).then_some(())).await;
    assert!((seconds(now) - model * 3 / 2).abs() <= model / 20, "{} s instead of {model}", seconds(now));
}
