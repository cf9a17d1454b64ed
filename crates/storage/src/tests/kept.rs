//! What is kept for a while: keys, decisions, the clock.

use posthaste_domain::party::Party;
use posthaste_domain::zone::Policy;

use super::story::{answer, at, id, order, placing, written};
use crate::decisions::{self, NewDecision};
use crate::idempotency::{FirstAnswer, Once};
use crate::journal::Entry;
use crate::sealed::Seal;
use crate::testing::TestDatabase;
use crate::{clock, idempotency, shadow};

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
async fn an_answer_with_a_secret_opens_for_the_same_request_alone() {
    let pool = TestDatabase::new().await.pool;
    let (seal, who) = (Seal::new(b"a secret"), Party::Merchant(id(1)));
    let once = Once::new(who, "k".to_owned(), [1; 32]);
    assert_eq!(once.first_answer(&pool, &seal).await.unwrap(), None);
    let mut connection = pool.connections().acquire().await.unwrap();
    assert!(once.keep(&mut connection, &seal, (201, "whsec_1"), at(0)).await.unwrap());
    assert!(!once.keep(&mut connection, &seal, (201, "whsec_2"), at(1)).await.unwrap(), "used before");
    let given = FirstAnswer::Given { status: 201, body: "whsec_1".to_owned() };
    assert_eq!(once.first_answer(&pool, &seal).await.unwrap(), Some(given));
    let other = Once::new(who, "k".to_owned(), [2; 32]);
    assert_eq!(other.first_answer(&pool, &seal).await.unwrap(), Some(FirstAnswer::OfAnother));
    let elsewhere = Seal::new(b"another secret");
    assert_eq!(once.first_answer(&pool, &elsewhere).await.unwrap(), Some(FirstAnswer::Unreadable));
    let somebody = Once::new(Party::Merchant(id(2)), "k".to_owned(), [1; 32]);
    assert_eq!(somebody.first_answer(&pool, &seal).await.unwrap(), None);
    let kept = idempotency::find(&pool, &who.to_string(), "k").await.unwrap().unwrap();
    assert!(!kept.response.contains("whsec"), "{kept:?}");
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

#[tokio::test]
async fn old_plans_of_the_shadow_are_forgotten_and_pages_follow_each_other() {
    let pool = TestDatabase::new().await.pool;
    let plan = |minute: i64| shadow::NewPlan {
        order: id(1),
        zone: id(9),
        at: at(minute / 2),
        policy: Policy::Routed,
        decided: minute % 2 == 0,
        meant: (minute % 3 > 0).then(|| shadow::Meant {
            driver: id(5),
            offer_at: at(minute),
            pickup_at: at(minute + 1),
            dropoff_at: at(minute + 2),
        }),
        summary: "why".into(),
        detail: serde_json::json!({"n": minute}),
    };
    let plans: Vec<_> = (0..10).map(plan).collect();
    shadow::insert(&pool, &plans).await.unwrap();
    let first = shadow::list(&pool, id(9), None, 6).await.unwrap();
    let last = first.last().map(|p| (p.plan.at, p.id));
    let second = shadow::list(&pool, id(9), last, 6).await.unwrap();
    let mut read: Vec<_> = first.into_iter().chain(second).map(|p| p.plan).collect();
    read.reverse();
    assert_eq!(read, plans);
    assert_eq!(shadow::list(&pool, id(8), None, 6).await.unwrap(), []);
    assert_eq!(shadow::forget_before(&pool, at(3)).await.unwrap(), 6);
}
