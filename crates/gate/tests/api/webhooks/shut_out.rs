//! A merchant who is banned is told nothing more, and everything when they are let in again.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use posthaste_clock::testing::eventually;
use posthaste_gate::banned;
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{ENDPOINTS, endpoint, start};
use crate::accounts::people;
use crate::sockets::Server;
use crate::stage::{Stage, order_body};

async fn muted(stage: &Stage) -> Vec<bool> {
    sqlx::query_scalar("SELECT muted_at IS NOT NULL FROM webhook_endpoints ORDER BY id")
        .fetch_all(stage.database.pool.connections())
        .await
        .unwrap()
}

async fn collected(stage: &Stage, endpoint: &str) -> Vec<Value> {
    let answer = stage.get(&format!("{ENDPOINTS}/{endpoint}/messages"), &stage.admin).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_merchants_webhooks_wait_until_they_are_let_in_again() {
    let server = Server::new().await;
    let stage = &server.stage;
    let (mine, others) = (Receiver::start().await, Receiver::start().await);
    let (shop, login) = people::merchant(stage, "shop@example.org").await;
    let id = stage.post(ENDPOINTS, &login.access(), &json!({"url": mine.url, "types": []})).await.id();
    endpoint(stage, &others.url, &[]).await;
    let _sender = start(stage, 1.0);
    let order = stage.post("/v1/orders", &login.access(), &order_body()).await.id();
    eventually("they are told", async || (mine.kinds() == ["order.placed"]).then_some(())).await;

    let path = format!("/v1/accounts/{}", shop["id"].as_str().unwrap());
    let began = Instant::now();
    let banned = stage.post(&format!("{path}/ban"), &stage.admin, &json!({"reason": "fraud"})).await;
    assert_eq!(banned.status, StatusCode::OK, "{banned:?}");
    eventually("their endpoint is muted", async || (muted(stage).await == [true, false]).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(5), "without waiting for the timer: {:?}", began.elapsed());
    let cancel = format!("/v1/orders/{order}/cancel");
    let canceled = stage.post(&cancel, &stage.admin, &json!({"reason": "its shop is gone"})).await;
    assert_eq!(canceled.status, StatusCode::OK, "{canceled:?}");
    eventually("the event is collected", async || (collected(stage, &id).await.len() == 2).then_some(())).await;
    // Who is told of an order that was placed later was looked for later.
    stage.order().await;
    eventually("another is told", async || (others.kinds() == ["order.placed"]).then_some(())).await;
    assert_eq!(mine.kinds(), ["order.placed"], "nothing since the ban");

    let unbanned = stage.call(Method::POST, &format!("{path}/unban"), Some(&stage.admin), None).await;
    assert_eq!(unbanned.status, StatusCode::OK, "{unbanned:?}");
    eventually("they are told the rest", async || (mine.kinds() == ["order.placed", "order.canceled"]).then_some(()))
        .await;
    assert_eq!(muted(stage).await, [false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_that_nobody_signaled_mutes_endpoints_too() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    stage.post(ENDPOINTS, &login.access(), &json!({"url": "http://127.0.0.1:9/hook"})).await.id();
    endpoint(&stage, "http://127.0.0.1:9/other", &[]).await;
    let pool = stage.database.pool.connections();
    let ban = "UPDATE accounts SET banned_at = now(), ban_reason = 'fraud' WHERE email = 'shop@example.org'";
    assert_eq!(sqlx::query(ban).execute(pool).await.unwrap().rows_affected(), 1);
    for _ in 0..2 {
        banned::pass(&stage.app).await.expect("a pass");
        assert_eq!(muted(&stage).await, [true, false]);
    }
    let unban = "UPDATE accounts SET banned_at = NULL, ban_reason = NULL WHERE email = 'shop@example.org'";
    sqlx::query(unban).execute(pool).await.unwrap();
    banned::pass(&stage.app).await.expect("a pass");
    assert_eq!(muted(&stage).await, [false, false]);
}
