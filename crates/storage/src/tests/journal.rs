//! The journal: what it writes, what it refuses, and that one bad entry fails alone.

use std::sync::Arc;

use posthaste_domain::driver::Shift;
use posthaste_domain::order::{Command, Order, Recorded, Status};
use serde_json::json;

use super::story::{
    Wanted, answer, assigning, at, canceling, driver, id, offer, order, order_like, outcome, placing, registering,
    shifting, step, unassigning, window, write, written,
};
use crate::decisions::{self, NewDecision};
use crate::journal::{AppendError, Change, Entry};
use crate::testing::TestDatabase;
use crate::{drivers, idempotency, orders};

#[tokio::test]
async fn what_was_written_reads_back_equal() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order_like(7, &Wanted { customer: Some(5), reference: Some("R-7".into()), ..Wanted::default() });
    let first = placing(&order);
    let second = assigning(&mut order, 9, window(0, 30));
    written(&pool, std::slice::from_ref(&first)).await;
    written(&pool, std::slice::from_ref(&second)).await;
    assert_eq!(orders::get(&pool, order.id).await.unwrap(), Some(order.clone()));
    let timeline = orders::timeline(&pool, order.id, 0).await.unwrap();
    let mut expected = Vec::new();
    for entry in [first, second] {
        let Some(Change::Order(change)) = entry.change else { panic!("an order's step") };
        expected.extend(change.events.iter().cloned());
    }
    assert_eq!(timeline, expected);
    assert_eq!(orders::timeline(&pool, order.id, 2).await.unwrap(), expected[2..]);
    assert_eq!(timeline.last().unwrap().1, Status::Assigned);
}

#[tokio::test]
async fn the_first_state_is_stored_once_and_reads_back_after_later_steps() {
    let pool = TestDatabase::new().await.pool;
    let mut first = order(7);
    first.tasks[0].ready_at = Some(at(5));
    let entry = placing(&first);
    written(&pool, std::slice::from_ref(&entry)).await;
    let mut now = first.clone();
    written(&pool, &[assigning(&mut now, 9, window(0, 30))]).await;
    written(&pool, &[canceling(&mut now)]).await;

    let stored: String =
        sqlx::query_scalar("SELECT payload::text FROM order_events WHERE seq = 1").fetch_one(&pool.0).await.unwrap();
    assert!(stored.len() < 100 && !stored.contains("Ångström"), "{stored}");
    let timeline = orders::timeline(&pool, first.id, 0).await.unwrap();
    let Some(Change::Order(change)) = entry.change else { panic!("an order's step") };
    assert_eq!(timeline[0], change.events[0]);
    assert_eq!(replayed(&timeline), now);
}

#[tokio::test]
async fn a_first_event_that_holds_the_state_still_reads_back() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order(7);
    let entry = placing(&order);
    written(&pool, std::slice::from_ref(&entry)).await;
    let Some(Change::Order(change)) = entry.change else { panic!("an order's step") };
    // As it was stored before the state was left out.
    sqlx::query("UPDATE order_events SET payload = $1::json")
        .bind(serde_json::to_string(&change.events[0].0.event).unwrap())
        .execute(&pool.0)
        .await
        .unwrap();
    written(&pool, &[assigning(&mut order, 9, window(0, 30))]).await;
    let timeline = orders::timeline(&pool, order.id, 0).await.unwrap();
    assert_eq!(timeline[0], change.events[0]);
    assert_eq!(replayed(&timeline), order);
}

#[tokio::test]
async fn an_order_that_was_placed_and_moved_on_in_one_step_keeps_both() {
    let pool = TestDatabase::new().await.pool;
    let first = placing(&order(7));
    let mut order = order(7);
    let second = canceling(&mut order);
    let (Some(Change::Order(first)), Some(Change::Order(second))) = (first.change, second.change) else {
        panic!("steps of an order")
    };
    let events: Vec<_> = first.events.iter().chain(second.events.iter()).cloned().collect();
    written(&pool, &[Entry::order(0, second.order, events.clone())]).await;
    assert_eq!(orders::timeline(&pool, order.id, 0).await.unwrap(), events);
}

/// The state that the events lead to.
fn replayed(timeline: &[(Recorded, Status)]) -> Order {
    let mut order = order(99);
    for (recorded, _) in timeline {
        order.apply(&recorded.event, recorded.at);
    }
    order
}

#[tokio::test]
async fn a_stale_version_is_refused_and_changes_nothing() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order(1);
    written(&pool, &[placing(&order)]).await;
    let (mut mine, mut theirs) = (order.clone(), order.clone());
    let first = assigning(&mut mine, 1, window(0, 30));
    let second = assigning(&mut theirs, 2, window(0, 30));
    written(&pool, &[first]).await;
    let lost = outcome(&pool, second).await;
    assert!(matches!(lost, Err(AppendError::VersionConflict { expected: 1 })), "{lost:?}");
    order = orders::get(&pool, order.id).await.unwrap().unwrap();
    assert_eq!(order, mine);
    assert_eq!(orders::timeline(&pool, order.id, 0).await.unwrap().len(), 3);
    // The loser's claim on the second driver's time is not there either.
    let mut another = super::story::order(2);
    written(&pool, &[placing(&another)]).await;
    written(&pool, &[assigning(&mut another, 2, window(0, 30))]).await;
    // And the loser may decide again on what is there.
    written(&pool, &[unassigning(&mut order)]).await;
}

#[tokio::test]
async fn an_order_that_exists_is_not_created_again() {
    let pool = TestDatabase::new().await.pool;
    written(&pool, &[placing(&order(1))]).await;
    let again = outcome(&pool, placing(&order(1))).await;
    assert!(matches!(again, Err(AppendError::Duplicate)), "{again:?}");
}

#[tokio::test]
async fn a_step_of_an_order_that_does_not_exist_is_refused() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order(1);
    let lost = outcome(&pool, assigning(&mut order, 1, window(0, 30))).await;
    assert!(matches!(lost, Err(AppendError::VersionConflict { expected: 1 })), "{lost:?}");
    assert_eq!(orders::get(&pool, order.id).await.unwrap(), None);
    assert!(orders::timeline(&pool, order.id, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_bad_entry_among_a_hundred_fails_alone() {
    let pool = TestDatabase::new().await.pool;
    written(&pool, &[placing(&order(50))]).await;
    let entries: Vec<Entry> = (0..100).map(|n| placing(&order(n))).collect();
    for (n, outcome) in write(&pool, &entries).await.into_iter().enumerate() {
        match outcome {
            Err(AppendError::Duplicate) => assert_eq!(n, 50),
            other => assert!(n != 50 && other.is_ok(), "entry {n}: {other:?}"),
        }
    }
    for n in 0..100 {
        assert!(orders::get(&pool, id(n)).await.unwrap().is_some());
        assert_eq!(orders::timeline(&pool, id(n), 0).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn every_kind_of_bad_entry_is_named_for_what_it_is() {
    let pool = TestDatabase::new().await.pool;
    let (mut busy, mut rival, mut stale) = (order(1), order(2), order(3));
    written(&pool, &[placing(&busy), placing(&rival), placing(&stale), placing(&order(4)).idempotency(answer("k"))])
        .await;
    written(&pool, &[assigning(&mut busy, 9, window(0, 30))]).await;
    let mut ahead = stale.clone();
    written(&pool, &[canceling(&mut ahead)]).await;
    let mut unstorable = order(11);
    unstorable.reference = Some("nul \0 byte".into());
    let mut gap = placing(&order(12));
    let Some(Change::Order(change)) = &mut gap.change else { panic!("an order's step") };
    Arc::make_mut(&mut change.events)[0].0.seq = 2;
    let outcomes = write(
        &pool,
        &[
            placing(&order(5)),
            assigning(&mut rival, 9, window(29, 40)),
            canceling(&mut stale),
            placing(&order(4)),
            placing(&order(6)).idempotency(answer("k")),
            placing(&unstorable),
            gap,
            placing(&order(7)).idempotency(answer("l")),
        ],
    )
    .await;
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(AppendError::CommitmentOverlap)), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(AppendError::VersionConflict { expected: 1 })), "{outcomes:?}");
    assert!(matches!(outcomes[3], Err(AppendError::Duplicate)), "{outcomes:?}");
    assert!(matches!(outcomes[4], Err(AppendError::IdempotencyKeyUsed)), "{outcomes:?}");
    assert!(matches!(outcomes[5], Err(AppendError::Refused { .. })), "{outcomes:?}");
    assert!(matches!(outcomes[6], Err(AppendError::Inconsistent(_))), "{outcomes:?}");
    assert!(outcomes[7].is_ok(), "{outcomes:?}");
    for (n, stored) in [(5, true), (6, false), (7, true), (11, false), (12, false)] {
        assert_eq!(orders::get(&pool, id(n)).await.unwrap().is_some(), stored, "order {n}");
    }
    assert_eq!(orders::get(&pool, id(2)).await.unwrap().unwrap().status(), Status::Confirmed);
}

#[tokio::test]
async fn two_orders_never_hold_the_same_time_of_a_driver() {
    let pool = TestDatabase::new().await.pool;
    let mut all: Vec<_> = (0..5).map(order).collect();
    written(&pool, &all.iter().map(placing).collect::<Vec<_>>()).await;
    // Within one batch the first wins; touching ends do not overlap; other drivers are not concerned.
    let times = [window(0, 30), window(15, 45), window(30, 60), window(0, 60), window(59, 61)];
    let drivers = [9, 9, 9, 8, 9];
    let entries: Vec<_> = (0..5).map(|n| assigning(&mut all[n], drivers[n], times[n])).collect();
    let outcomes = write(&pool, &entries).await;
    let lost: Vec<_> = outcomes.iter().map(|o| matches!(o, Err(AppendError::CommitmentOverlap))).collect();
    assert_eq!(lost, [false, true, false, false, true], "{outcomes:?}");
    assert_eq!(orders::of_driver(&pool, id(9)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn time_given_back_can_be_taken_in_the_same_batch_in_any_order() {
    let pool = TestDatabase::new().await.pool;
    let (mut first, mut second) = (order(1), order(2));
    written(&pool, &[placing(&first), placing(&second)]).await;
    written(&pool, &[assigning(&mut first, 9, window(0, 30))]).await;
    written(&pool, &[assigning(&mut second, 9, window(10, 20)), canceling(&mut first)]).await;
    assert_eq!(orders::of_driver(&pool, id(9)).await.unwrap(), [second]);
}

#[tokio::test]
async fn an_order_that_changes_drivers_frees_the_time_of_the_first() {
    let pool = TestDatabase::new().await.pool;
    let (mut order, mut other) = (order(1), super::story::order(2));
    written(&pool, &[placing(&order), placing(&other)]).await;
    written(&pool, &[assigning(&mut order, 9, window(0, 30))]).await;
    // Unassigned and assigned again in one entry: the taking gives back what was held.
    let before = order.version;
    let mut moving = unassigning(&mut order);
    let to_second = assigning(&mut order, 8, window(0, 30));
    let (Some(Change::Order(all)), Some(Change::Order(last))) = (&mut moving.change, to_second.change) else {
        panic!("steps of an order")
    };
    all.events = all.events.iter().chain(last.events.iter()).cloned().collect();
    (all.order, all.commitment) = (last.order, last.commitment);
    assert_eq!(all.expected_version, before);
    written(&pool, &[moving]).await;
    written(&pool, &[assigning(&mut other, 9, window(0, 30))]).await;
    assert_eq!(orders::of_driver(&pool, id(8)).await.unwrap(), [order.clone()]);
    assert_eq!(orders::of_driver(&pool, id(9)).await.unwrap(), [other]);
    // And back to the first again, later.
    written(&pool, &[unassigning(&mut order)]).await;
    written(&pool, &[assigning(&mut order, 9, window(30, 60))]).await;
    assert_eq!(orders::of_driver(&pool, id(9)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_refused_entry_claimed_is_not_held_against_its_neighbours() {
    let pool = TestDatabase::new().await.pool;
    let (mut stale, mut sound) = (order(1), order(2));
    written(&pool, &[placing(&stale), placing(&sound)]).await;
    let mut ahead = stale.clone();
    written(&pool, &[canceling(&mut ahead)]).await;
    let entries = [
        assigning(&mut stale, 9, window(0, 30)).idempotency(answer("k")),
        assigning(&mut sound, 9, window(0, 30)).idempotency(answer("k")),
    ];
    let outcomes = write(&pool, &entries).await;
    assert!(matches!(outcomes[0], Err(AppendError::VersionConflict { .. })), "{outcomes:?}");
    assert!(outcomes[1].is_ok(), "{outcomes:?}");
}

#[tokio::test]
async fn of_two_requests_with_one_key_one_is_answered() {
    let pool = TestDatabase::new().await.pool;
    let entries = [placing(&order(1)).idempotency(answer("k")), placing(&order(2)).idempotency(answer("k"))];
    let outcomes = write(&pool, &entries).await;
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(AppendError::IdempotencyKeyUsed)), "{outcomes:?}");
    assert_eq!(idempotency::find(&pool, "mer_a", "k").await.unwrap(), Some(answer("k")));
    assert_eq!(idempotency::find(&pool, "mer_b", "k").await.unwrap(), None);
    assert_eq!(orders::get(&pool, id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn decisions_are_written_with_a_step_or_alone() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order(1);
    let decision = |summary: &str| NewDecision {
        order: id(1),
        driver: None,
        at: at(0),
        summary: summary.into(),
        detail: json!({"busy": 12, "who": ["a", "b"]}),
    };
    let several = Entry::decisions(vec![decision("no driver: 12 busy"), decision("no driver: 11 busy")]);
    written(&pool, &[placing(&order), several]).await;
    let offered = offer(&order, id(9), window(0, 30));
    let mut chosen = decision("the least busy of 3");
    chosen.driver = Some(id(9));
    written(&pool, &[step(&mut order, &[Command::Offer(offered)]).decision(chosen.clone())]).await;
    let newest = decisions::newest(&pool, order.id).await.unwrap().unwrap();
    assert_eq!((newest.driver, newest.summary.as_str()), (chosen.driver, "the least busy of 3"));
    assert_eq!(newest.detail, chosen.detail);
    let all = decisions::list(&pool, order.id, None, 10).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(decisions::list(&pool, order.id, Some(all[0].id), 1).await.unwrap(), all[1..2]);
    assert_eq!(decisions::newest(&pool, id(2)).await.unwrap(), None);
    assert_eq!(orders::of_driver(&pool, id(9)).await.unwrap(), [order], "found by the open offer too");
}

#[tokio::test]
async fn a_driver_goes_on_shift_through_the_journal() {
    let pool = TestDatabase::new().await.pool;
    let mut ravi = driver(1);
    written(&pool, &[registering(&ravi).idempotency(answer("k")), registering(&driver(2))]).await;
    let mut stale = ravi.clone();
    written(&pool, &[shifting(&mut ravi, Shift::Available { until: Some(at(480)) })]).await;
    assert_eq!(drivers::get(&pool, ravi.id).await.unwrap(), Some(ravi.clone()));
    let outcomes = write(&pool, &[shifting(&mut stale, Shift::Offline), registering(&driver(2))]).await;
    assert!(matches!(outcomes[0], Err(AppendError::VersionConflict { expected: 1 })), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(AppendError::Duplicate)), "{outcomes:?}");
    written(&pool, &[shifting(&mut ravi, Shift::OnBreak { until: None })]).await;
    assert_eq!(drivers::on_shift(&pool).await.unwrap(), [ravi.clone()]);
    let history = drivers::history(&pool, ravi.id, 1).await.unwrap();
    assert_eq!(history.iter().map(|h| h.seq).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn an_empty_batch_is_nothing() {
    let pool = TestDatabase::new().await.pool;
    assert!(write(&pool, &[]).await.is_empty());
}
