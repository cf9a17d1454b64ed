//! What insight looks back on is complete, each once, however many chunks it comes in.

use posthaste_domain::Timestamp;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId};

use super::story::{
    Wanted, assigning, at, canceling, driver, id, order, order_like, placing, registering, window, written,
};
use crate::drivers::{DriverEvent, DriverRecorded};
use crate::journal::Entry;
use crate::performance::{for_each_carried_over, for_each_placed, for_each_shift};
use crate::pool::Pool;
use crate::testing::TestDatabase;

async fn placed(pool: &Pool, from: Timestamp, to: Timestamp, merchant: Option<u128>) -> Vec<OrderId> {
    let mut found = Vec::new();
    let complete = for_each_placed(pool, (from, to), merchant.map(id), 10_000, |h| found.push(h.order.id)).await;
    assert!(complete.unwrap());
    found
}

#[tokio::test]
async fn orders_placed_in_a_time_come_once_each_and_in_order() {
    let pool = TestDatabase::new().await.pool;
    // Six hundred in ten minutes: chunks end between orders of the same instant.
    let wanted = |n: u128| Wanted { merchant: n % 3, minute: i64::try_from(n / 60).unwrap(), ..Wanted::default() };
    let entries: Vec<Entry> = (0..600).map(|n| placing(&order_like(n + 1, &wanted(n)))).collect();
    written(&pool, &entries).await;
    let all: Vec<OrderId> = (1..=600).map(id).collect();
    assert_eq!(placed(&pool, at(0), at(10), None).await, all);
    assert_eq!(placed(&pool, at(2), at(4), None).await, all[120..240]);
    assert_eq!(placed(&pool, at(0), at(10), Some(2)).await.len(), 200);
    let mut some = 0;
    assert!(!for_each_placed(&pool, (at(0), at(10)), None, 599, |_| some += 1).await.unwrap());
    assert_eq!(some, 599);
}

#[tokio::test]
async fn an_order_comes_with_what_its_drivers_did() {
    let pool = TestDatabase::new().await.pool;
    let mut one = order(1);
    let entries = [placing(&one), assigning(&mut one, 7, window(0, 30)), canceling(&mut one)];
    for entry in entries {
        written(&pool, &[entry]).await;
    }
    let mut found = Vec::new();
    assert!(for_each_placed(&pool, (at(0), at(1)), None, 10, |history| found.push(history)).await.unwrap());
    assert_eq!(found.len(), 1);
    let names: Vec<_> = found[0].events.iter().map(|(_, event)| event.name()).collect();
    assert_eq!(names, ["offered", "assigned", "canceled"]);
    assert_eq!(found[0].order, one);
}

#[tokio::test]
async fn what_was_placed_before_a_time_comes_when_it_is_live_or_was_settled_within() {
    let pool = TestDatabase::new().await.pool;
    // Each is canceled a minute after it was placed, but for the last.
    let mut orders: Vec<_> =
        (0..5).map(|n| order_like(n + 1, &Wanted { minute: i64::try_from(n).unwrap(), ..Wanted::default() })).collect();
    written(&pool, &orders.iter().map(placing).collect::<Vec<_>>()).await;
    let canceled: Vec<Entry> = orders.iter_mut().take(4).map(canceling).collect();
    written(&pool, &canceled).await;
    let carried = async |from: i64, to: i64, most: u64| {
        let mut found: Vec<OrderId> = Vec::new();
        let complete = for_each_carried_over(&pool, at(from), at(to), most, |h| found.push(h.order.id)).await.unwrap();
        (found, complete)
    };
    // Settled at 2, placed at 1; what was placed at 2 or later is not carried over.
    assert_eq!(carried(2, 10, 9).await, (vec![id(2)], true));
    assert_eq!(carried(9, 10, 9).await, (vec![id(5)], true));
    assert_eq!(carried(4, 5, 9).await, (vec![id(4)], true));
    assert_eq!(carried(4, 4, 9).await, (vec![], true));
    assert!(carried(5, 9, 1).await.1);
    assert_eq!(carried(5, 9, 0).await, (vec![], false));
}

/// A driver whose shift changes at the minutes.
fn changing(n: u128, minutes: &[i64]) -> [Entry; 2] {
    let new = driver(n);
    let registered = registering(&new);
    let mut driver = new;
    let change = |(index, minute): (usize, &i64)| {
        let shift = if index % 2 == 0 { Shift::Available { until: None } } else { Shift::Offline };
        driver.version += 1;
        driver.shift = shift;
        let event = DriverEvent::ShiftChanged { shift, command: None };
        DriverRecorded { seq: driver.version, at: at(*minute), by: posthaste_domain::party::Party::System, event }
    };
    let events: Vec<_> = minutes.iter().enumerate().map(change).collect();
    [registered, Entry::driver(1, driver, events)]
}

#[tokio::test]
async fn shifts_begin_with_the_one_that_was_on_when_the_time_began() {
    let pool = TestDatabase::new().await.pool;
    written(&pool, &[registering(&driver(9))]).await;
    for entry in changing(1, &[1, 10, 20, 30, 40]).into_iter().chain(changing(2, &[50])) {
        written(&pool, &[entry]).await;
    }
    let mut found = Vec::new();
    for_each_shift(&pool, at(15), at(40), |shifts| found.push(shifts)).await.unwrap();
    let minutes: Vec<(DriverId, Vec<i64>)> = found
        .iter()
        .map(|s| (s.driver, s.changes.iter().map(|(changed, _)| (*changed - at(0)).num_minutes()).collect()))
        .collect();
    assert_eq!(minutes, [(id(1), vec![10, 20, 30]), (id(2), vec![]), (id(9), vec![])]);
    assert_eq!(found[0].changes[0].1, Shift::Offline);
    assert_eq!(found[0].zones, driver(1).zones);
}

#[tokio::test]
async fn every_driver_comes_once() {
    let pool = TestDatabase::new().await.pool;
    let entries: Vec<Entry> = (1..=1_200).map(|n| registering(&driver(n))).collect();
    written(&pool, &entries).await;
    let mut found = Vec::new();
    for_each_shift(&pool, at(0), at(40), |shifts| found.push(shifts.driver)).await.unwrap();
    assert_eq!(found, (1..=1_200).map(id).collect::<Vec<DriverId>>());
}
