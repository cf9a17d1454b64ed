//! A policy in the shadow.

use posthaste_clock::testing::eventually_shown;
use posthaste_domain::ids::OrderId;
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use posthaste_storage::shadow::{Plan, list};

use super::stage::{Stage, place};
use crate::drivers::DriverCommand;

async fn stage(policy: Policy, shadow: Policy) -> Stage {
    let rules = ZoneRules { policy, shadow: Some(shadow), stale_after_seconds: 7200, ..ZoneRules::default() };
    Stage::with_rules(rules).await
}

/// The plans recorded of an order, oldest first, once they are enough.
async fn plans(stage: &Stage, order: OrderId, enough: impl Fn(&[Plan]) -> bool) -> Vec<Plan> {
    eventually_shown("the plans are recorded", async || {
        let mut plans = list(&stage.database.pool, stage.zone, None, 100).await.expect("plans");
        plans.retain(|p| p.plan.order == order);
        plans.reverse();
        if enough(&plans) { Ok(plans) } else { Err(plans) }
    })
    .await
}

fn of_both(plans: &[Plan]) -> bool {
    plans.iter().any(|p| p.plan.decided) && plans.iter().any(|p| !p.plan.decided)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_policies_plan_on_the_same_input_and_only_one_decides() {
    let stage = stage(Policy::LeastBusy, Policy::Routed).await;
    let near = stage.driver_on_shift(place(52.1, 13.099)).await;
    let far = stage.driver_on_shift(place(52.15, 13.15)).await;
    let first = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(first.id).await, near);
    // The deciding policy gives a second order to whoever has none; the one in the shadow would add it to the trip.
    let second = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(second.id).await, far);
    let plans = plans(&stage, second.id, of_both).await;
    let [decided, shadow] = [true, false].map(|d| plans.iter().find(|p| p.plan.decided == d).expect("a plan"));
    assert_eq!((decided.plan.policy, shadow.plan.policy), (Policy::LeastBusy, Policy::Routed));
    assert_eq!(decided.plan.at, shadow.plan.at);
    let [decided, shadow] = [&decided.plan, &shadow.plan].map(|p| p.meant.expect("a driver"));
    assert_eq!((decided.driver, shadow.driver), (far, near));
    assert!(shadow.dropoff_at < decided.dropoff_at, "{shadow:?} {decided:?}");
    assert!(plans.iter().all(|p| p.plan.meant.is_none_or(|m| m.offer_at <= m.pickup_at && m.pickup_at < m.dropoff_at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_policy_can_be_in_the_shadow_of_the_one_that_plans_ahead() {
    let stage = stage(Policy::Routed, Policy::LeastBusy).await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let first = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(first.id).await, driver);
    let second = stage.place(stage.fast_order()).await;
    assert_eq!(stage.accepted(second.id).await, driver);
    // They are taken: one order at a time.
    let plans = plans(&stage, second.id, of_both).await;
    let shadow = plans.iter().find(|p| !p.plan.decided).unwrap();
    assert_eq!((shadow.plan.policy, shadow.plan.meant), (Policy::LeastBusy, None));
    assert_eq!(shadow.plan.summary, "no driver: 1 overlaps");
    let decided = plans.iter().find(|p| p.plan.decided).unwrap();
    assert_eq!(decided.plan.meant.map(|m| m.driver), Some(driver));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_is_recorded_once_until_there_is_news() {
    let stage = stage(Policy::LeastBusy, Policy::Routed).await;
    let order = stage.place(stage.fast_order()).await;
    let none = plans(&stage, order.id, |plans| !plans.is_empty()).await;
    assert_eq!(none[0].plan.meant, None);
    assert_eq!(none[0].plan.summary, "nobody is at work in the zone");
    // Several looks later a driver comes.
    let later = stage.place(stage.fast_order()).await;
    plans(&stage, later.id, |plans| !plans.is_empty()).await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let (asked, offer) = stage.offered(order.id).await;
    assert_eq!(asked, driver);
    let all = plans(&stage, order.id, of_both).await;
    assert_eq!(all.iter().filter(|p| p.plan.meant.is_none()).count(), 1, "{all:#?}");
    stage.as_driver(driver, DriverCommand::Accept(offer)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_without_a_shadow_records_nothing() {
    let stage = Stage::open().await;
    stage.driver_on_shift(place(52.1, 13.099)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    assert_eq!(list(&stage.database.pool, stage.zone, None, 100).await.unwrap(), []);
}
