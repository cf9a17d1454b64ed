//! What is kept for a while: keys, decisions, the clock.

use super::story::{answer, at, id, order, placing, written};
use crate::decisions::{self, NewDecision};
use crate::journal::Entry;
use crate::testing::TestDatabase;
use crate::{clock, idempotency};

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let pool = TestDatabase::new().await.pool;
    let mut younger = answer("younger");
    younger.at = at(60);
    written(&pool, &[placing(&order(1)).idempotency(answer("k")), placing(&order(2)).idempotency(younger.clone())])
        .await;
    assert_eq!(idempotency::forget(&pool, at(24 * 60)).await.unwrap(), 0);
    assert_eq!(idempotency::forget(&pool, at(24 * 60 + 1)).await.unwrap(), 1);
    assert_eq!(idempotency::find(&pool, "mer_a", "k").await.unwrap(), None);
    assert_eq!(idempotency::find(&pool, "mer_a", "younger").await.unwrap(), Some(younger));
    // The key is free again.
    written(&pool, &[placing(&order(3)).idempotency(answer("k"))]).await;
}

#[tokio::test]
async fn old_decisions_are_forgotten() {
    let pool = TestDatabase::new().await.pool;
    let decision = |minute| NewDecision {
        order: id(1),
        driver: None,
        at: at(minute),
        summary: "no driver".into(),
        detail: serde_json::Value::Null,
    };
    written(&pool, &[Entry::decisions((0..10).map(decision).collect())]).await;
    assert_eq!(decisions::forget_before(&pool, at(4)).await.unwrap(), 4);
    assert_eq!(decisions::list(&pool, id(1), None, 100).await.unwrap().len(), 6);
}

#[tokio::test]
async fn the_saved_clock_never_runs_backwards() {
    let pool = TestDatabase::new().await.pool;
    assert_eq!(clock::load(&pool).await.unwrap(), None);
    for minute in [5, 7, 6] {
        clock::save(&pool, at(minute)).await.unwrap();
    }
    assert_eq!(clock::load(&pool).await.unwrap(), Some(at(7)));
}
