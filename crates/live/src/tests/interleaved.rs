//! Everybody does everything at once: orders are placed, canceled, offered, taken, declined, given by hand and taken back,
//! in any order. In the end nothing holds what is over, and nobody was told to try again who should have been told no.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_clock::testing::eventually_shown;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Command, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::stage::{Stage, admin, place};
use crate::drivers::DriverCommand;
use crate::{Cause, Refused};

/// What somebody does next.
async fn act(
    stage: &Stage,
    drivers: &[DriverId],
    orders: &Mutex<Vec<OrderId>>,
    rng: &mut StdRng,
) -> Result<(), Refused> {
    let any_order = |rng: &mut StdRng| {
        let orders = orders.lock();
        (!orders.is_empty()).then(|| orders[rng.random_range(0..orders.len())])
    };
    let driver = drivers[rng.random_range(0..drivers.len())];
    match rng.random_range(0..10) {
        0..=2 => {
            let mut new = stage.fast_order();
            new.delivery.place = place(52.1, 13.1 + f64::from(rng.random_range(1..40)) / 1000.0);
            let order = stage.place(new).await;
            orders.lock().push(order.id);
            Ok(())
        }
        3 | 4 => {
            let Some(order) = any_order(rng) else { return Ok(()) };
            let cancel = Command::Cancel { by: Party::System, reason: "changed their mind".to_owned() };
            stage.system.orders().command(order, cancel, admin()).await.map(drop)
        }
        5 | 6 => {
            let work = stage.system.drivers().work(driver).await?;
            let Some(offer) = work.offered.first().and_then(|order| order.offer) else { return Ok(()) };
            // In the meantime anything may have happened to it.
            let command = if rng.random() { DriverCommand::Accept(offer.id) } else { DriverCommand::Decline(offer.id) };
            stage.as_driver(driver, command).await.map(drop)
        }
        7 => {
            let Some(order) = any_order(rng) else { return Ok(()) };
            stage.system.orders().assign(order, driver, admin()).await.map(drop)
        }
        8 => {
            let Some(order) = any_order(rng) else { return Ok(()) };
            stage.system.orders().unassign(order, admin()).await.map(drop)
        }
        _ => {
            let Some(order) = any_order(rng) else { return Ok(()) };
            let priority = i16::from(rng.random::<i8>());
            stage.system.orders().prioritise(order, priority, admin()).await.map(drop)
        }
    }
}

async fn everybody_at_once(policy: Policy, seed: u64) {
    let rules = ZoneRules {
        policy,
        offer_seconds: 3000,
        cool_down_seconds: 0,
        stale_after_seconds: 7200,
        give_up_seconds: 36_000,
        ..ZoneRules::default()
    };
    let stage = Arc::new(Stage::running(rules).await);
    let mut drivers = Vec::new();
    for n in 0..4 {
        drivers.push(stage.driver_on_shift(place(52.1 + f64::from(n) / 1000.0, 13.1)).await);
    }
    let orders = Arc::new(Mutex::new(Vec::new()));
    let actors = (0..6).map(|n| {
        let (stage, orders, drivers) = (Arc::clone(&stage), Arc::clone(&orders), drivers.clone());
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed * 100 + n);
            for _ in 0..60 {
                if let Err(Refused::Unavailable(why)) = act(&stage, &drivers, &orders, &mut rng).await {
                    panic!("seed {seed}: nothing is away, and somebody is told to try again: {why}");
                }
            }
        })
    });
    for actor in actors.collect::<Vec<_>>() {
        actor.await.expect("they go on");
    }
    let all = orders.lock().clone();
    for order in all {
        let cancel = Command::Cancel { by: Party::System, reason: "over".to_owned() };
        match stage.system.orders().command(order, cancel, admin()).await {
            Ok(_) | Err(Refused::Order(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    stage.until_whole().await;
    eventually_shown(&format!("nothing is held, seed {seed}, {policy:?}"), async || {
        what_is_held(&stage, &drivers).await.map_or(Ok(()), Err)
    })
    .await;
    let next = stage.place(stage.fast_order()).await;
    let driver = stage.accepted(next.id).await;
    stage.complete(driver, next.id, TaskKind::Pickup).await.expect("picked up");
}

/// What anybody still holds for orders that are all over; nothing when that is nothing.
async fn what_is_held(stage: &Stage, drivers: &[DriverId]) -> Option<String> {
    for driver in drivers {
        let work = stage.system.drivers().work(*driver).await.expect("work");
        if !work.in_hand.is_empty() || !work.offered.is_empty() {
            return Some(format!("{driver} has {work:?}"));
        }
        let live = stage.system.drivers().get(*driver).await.expect("a driver");
        if live.open_orders > 0 {
            return Some(format!("{driver} counts {} open orders", live.open_orders));
        }
    }
    let cell = stage.system.doors.zones.cell(stage.zone).expect("a zone");
    let board = cell.board.lock();
    for line in board.drivers() {
        let is_free = line.open_orders == 0 && line.commitments.is_empty();
        if !is_free {
            return Some(format!("the board's line is {line:?}"));
        }
    }
    drop(board);
    let waiting = cell.waiting.lock().len();
    (waiting > 0).then(|| format!("{waiting} wait"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_holds_what_is_over_where_drivers_have_one_order_at_a_time() {
    for seed in 1..=3 {
        everybody_at_once(Policy::LeastBusy, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_holds_what_is_over_where_routes_are_planned() {
    for seed in 4..=6 {
        everybody_at_once(Policy::Routed, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_canceled_while_they_are_offered_hold_nobodys_time() {
    for round in 0..8u64 {
        let stage = Arc::new(Stage::running(ZoneRules { stale_after_seconds: 7200, ..ZoneRules::default() }).await);
        let mut drivers = Vec::new();
        for n in 0..4 {
            drivers.push(stage.driver_on_shift(place(52.1 + f64::from(n) / 1000.0, 13.1)).await);
        }
        let placed = (0..16).map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.place(stage.fast_order()).await.id })
        });
        let mut orders = Vec::new();
        for order in placed.collect::<Vec<_>>() {
            orders.push(order.await.expect("placed"));
        }
        tokio::time::sleep(Duration::from_micros(round * 700)).await;
        let canceled = orders.into_iter().map(|order| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let cancel = Command::Cancel { by: Party::System, reason: "over".to_owned() };
                let cause = Cause::new(Party::System, "test");
                stage.system.orders().command(order, cancel, cause).await.map(drop)
            })
        });
        for cancel in canceled.collect::<Vec<_>>() {
            cancel.await.expect("answered").expect("canceled");
        }
        let last = stage.place(stage.fast_order()).await;
        stage.offered(last.id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_that_meets_a_cancel_hears_that_the_offer_is_gone() {
    let stage = Arc::new(Stage::running(ZoneRules { stale_after_seconds: 7200, ..ZoneRules::default() }).await);
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    for round in 0..40u64 {
        let order = stage.place(stage.fast_order()).await.id;
        let (_, offer) = stage.offered(order).await;
        let canceling = {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let cancel = Command::Cancel { by: Party::System, reason: "over".to_owned() };
                stage.system.orders().command(order, cancel, admin()).await
            })
        };
        tokio::time::sleep(Duration::from_micros(round * 60)).await;
        match stage.as_driver(driver, DriverCommand::Accept(offer)).await {
            Ok(_) | Err(Refused::Order(_)) => {}
            Err(other) => panic!("round {round}: {other}"),
        }
        match canceling.await.expect("answered") {
            Ok(_) | Err(Refused::Order(_)) => {}
            Err(other) => panic!("round {round}: {other}"),
        }
    }
}
