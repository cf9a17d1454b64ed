//! What orders hold of people ends, in rows and events, and everything else reads on as before.

use posthaste_domain::Timestamp;
use posthaste_domain::order::{Command, Order, Personal, Proof, Status};
use sqlx::{AssertSqlSafe, Row as _};

use super::story::{assigning, at, canceling, id, order, placing, step, window, written};
use crate::journal::CommitmentChange;
use crate::orders::{self, forget_people};
use crate::pool::Pool;
use crate::testing::TestDatabase;

const NAME: &str = "Zoë";

/// Rows of each table that hold a word.
async fn rows_with(pool: &Pool, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in ["orders", "order_events"] {
        let query = format!("SELECT t::text AS row FROM {table} AS t WHERE t::text LIKE '%{word}%'");
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&pool.0).await.unwrap();
        found.extend(rows.iter().map(|row| format!("{table}: {}", row.get::<String, _>("row"))));
    }
    found
}

/// Delivered with a proof, at the minute after it was placed.
async fn delivered(pool: &Pool, n: u128) -> Order {
    let mut order = order(n);
    let hour = 60 * i64::try_from(n).unwrap();
    written(pool, &[placing(&order)]).await;
    written(pool, &[assigning(&mut order, 7, window(hour, hour + 30))]).await;
    let proof = Proof { received_by: Some("a neighbour".into()), ..Proof::default() };
    for task in order.tasks.clone() {
        let code = task.code.as_ref().map(|code| code.digits().to_owned());
        let (task, driver, proof) = (task.id, id(7), Some(proof.clone()));
        let entry = step(&mut order, &[Command::Complete { task, driver, code, proof, command: None }]);
        let entry = if order.status().is_final() { entry.commitment(CommitmentChange::Release) } else { entry };
        written(pool, &[entry]).await;
    }
    assert_eq!(order.status(), Status::Delivered);
    order
}

async fn replayed(pool: &Pool, order: &Order) -> Order {
    let history = orders::timeline(pool, order.id, 0).await.unwrap();
    let history: Vec<_> = history.into_iter().map(|(recorded, _)| recorded).collect();
    Order::replay(&history).expect("a history that begins with its placing")
}

async fn all(pool: &Pool, what: Personal, before: Timestamp) -> Vec<u64> {
    let mut batches = Vec::new();
    loop {
        batches.push(forget_people(pool, what, before, 2).await.unwrap());
        if batches.last().is_some_and(|taken| *taken < 2) {
            return batches;
        }
    }
}

#[tokio::test]
async fn orders_that_are_over_forget_in_batches_and_read_on_at_the_same_version() {
    let pool = TestDatabase::new().await.pool;
    let mut over = Vec::new();
    for n in 1..=4 {
        over.push(delivered(&pool, n).await);
    }
    let mut canceled = order(5);
    written(&pool, &[placing(&canceled)]).await;
    written(&pool, &[canceling(&mut canceled)]).await;
    over.push(canceled);
    // As earlier releases stored it: the first event holds the state.
    let whole = serde_json::json!({"type": "placed", "order": order(1)});
    sqlx::query("UPDATE order_events SET payload = $1 WHERE order_id = $2 AND seq = 1")
        .bind(whole)
        .bind(uuid::Uuid::from_u128(1))
        .execute(&pool.0)
        .await
        .unwrap();
    let live = order(6);
    written(&pool, &[placing(&live)]).await;
    assert!(!rows_with(&pool, NAME).await.is_empty() && !rows_with(&pool, "a neighbour").await.is_empty());

    assert_eq!(all(&pool, Personal::Contacts, at(1)).await, [0], "all were settled in the first minute");
    assert_eq!(all(&pool, Personal::Contacts, at(2)).await, [2, 2, 1]);
    let left = rows_with(&pool, NAME).await;
    assert_eq!(left.len(), 1, "the live order alone: {left:?}");
    assert!(rows_with(&pool, "a test").await.is_empty(), "why it was canceled");
    assert!(!rows_with(&pool, "a neighbour").await.is_empty(), "proofs end by days of their own");
    assert_eq!(all(&pool, Personal::Proofs, at(2)).await, [2, 2, 1]);
    assert!(rows_with(&pool, "a neighbour").await.is_empty());

    for before in over {
        let mut expected = before.clone();
        Personal::ALL.into_iter().for_each(|what| expected.forget(what));
        let stored = orders::get(&pool, before.id).await.unwrap().unwrap();
        assert_eq!((&stored, stored.version), (&expected, before.version));
        assert_eq!(replayed(&pool, &before).await, expected);
    }
    assert_eq!(orders::get(&pool, live.id).await.unwrap(), Some(live));

    // What is settled later is taken later, and nothing is taken twice.
    for what in Personal::ALL {
        assert_eq!(all(&pool, what, at(10_000)).await, [0]);
    }
    delivered(&pool, 8).await;
    assert!(!rows_with(&pool, "a neighbour").await.is_empty());
    assert_eq!(all(&pool, Personal::Proofs, at(10_000)).await, [1]);
    assert!(rows_with(&pool, "a neighbour").await.is_empty());
}

#[tokio::test]
async fn two_servers_that_forget_at_once_take_each_order_once() {
    let pool = TestDatabase::new().await.pool;
    for n in 1..=6 {
        delivered(&pool, n).await;
    }
    let one = || forget_people(&pool, Personal::Contacts, at(2), 4);
    let (one, other) = tokio::join!(one(), one());
    assert_eq!(one.unwrap() + other.unwrap(), 6);
    assert!(rows_with(&pool, NAME).await.is_empty());
}
