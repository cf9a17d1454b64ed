//! The outbox of webhooks: written with the events, for merchants with endpoints, and not without the events.

use posthaste_domain::ids::{Id, MerchantId};
use posthaste_domain::order::Order;

use super::story::{Wanted, assigning, id, order, order_like, placing, window, written};
use crate::journal::{AppendError, write};
use crate::pool::Pool;
use crate::testing::TestDatabase;

async fn endpoint(pool: &Pool, merchant: MerchantId, state: &str) {
    sqlx::query(
        "INSERT INTO webhook_endpoints
            (id, merchant_id, created_at, url, description, types, state, state_since, secret)
        VALUES (gen_random_uuid(), $1, now(), 'https://shop.example/', '', '{}', $2, now(), '')",
    )
    .bind(merchant.uuid())
    .bind(state)
    .execute(&pool.0)
    .await
    .unwrap();
}

/// What is told of an order to a merchant, as (sequence, name).
async fn told(pool: &Pool, order: &Order, merchant: MerchantId) -> Vec<(i64, String)> {
    sqlx::query_as("SELECT sequence, name FROM webhook_outbox WHERE order_id = $1 AND merchant_id = $2 ORDER BY number")
        .bind(order.id.uuid())
        .bind(merchant.uuid())
        .fetch_all(&pool.0)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_event_is_told_once_to_each_of_its_merchants_that_listens() {
    let pool = TestDatabase::new().await.pool;
    let mut order = order_like(7, &Wanted { seller: 40, ..Wanted::default() });
    let silent = order_like(8, &Wanted { seller: 41, ..Wanted::default() });
    for (merchant, state) in [
        (order.merchant, "active"),
        (order.merchant, "paused"),
        (id(40), "active"),
        (id(41), "disabled"),
        (id(42), "active"),
    ] {
        endpoint(&pool, merchant, state).await;
    }
    written(&pool, &[placing(&order), placing(&silent)]).await;
    written(&pool, &[assigning(&mut order, 9, window(0, 30))]).await;
    let all = told(&pool, &order, order.merchant).await;
    let numbers: Vec<_> = all.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(numbers, (1..=order.version as i64).collect::<Vec<_>>());
    assert_eq!(all[0].1, "placed");
    assert_eq!(told(&pool, &order, id(40)).await, all, "the seller of a part");
    assert_eq!(told(&pool, &silent, silent.merchant).await, [(1, "placed".to_owned())]);
    for (order, merchant) in [(&silent, 41), (&silent, 40), (&order, 42)] {
        assert_eq!(told(&pool, order, id(merchant)).await, [], "switched off, or not concerned");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_told() {
    let pool = TestDatabase::new().await.pool;
    let (first, good) = (order(1), order(2));
    endpoint(&pool, first.merchant, "active").await;
    written(&pool, &[placing(&first)]).await;
    let outcomes = write(&pool, &[placing(&first), placing(&good)]).await;
    assert!(matches!(outcomes[0], Err(AppendError::Duplicate)) && outcomes[1].is_ok(), "{outcomes:?}");
    assert_eq!(told(&pool, &first, first.merchant).await.len(), 1);
    assert_eq!(told(&pool, &good, good.merchant).await.len(), 1);
}
