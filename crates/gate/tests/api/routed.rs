//! A zone that plans routes, as drivers and operations see it.

use axum::http::{Method, StatusCode};
use posthaste_domain::party::Party;
use serde_json::json;

use crate::sockets::Server;
use crate::stage::{merchant_id, token, zone_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_is_sent_their_route_with_times_and_a_reason_and_its_order_says_why_them() {
    let server = Server::new().await;
    let stage = &server.stage;
    let zones = stage.get("/v1/zones", &stage.admin).await;
    let mut zone = zone_body("Centre");
    zone["rules"]["policy"] = json!("routed");
    let path = format!("/v1/zones/{}", zones.body["items"][0]["id"].as_str().expect("a zone"));
    let answer = stage.call(Method::PUT, &path, Some(&stage.admin), Some(&zone)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");

    let (driver, mut socket) = server.driver("Grace").await;
    let order = stage.order().await["id"].as_str().expect("an id").to_owned();
    let offer = socket.until("offer").await;
    assert_eq!(offer["data"]["order"]["id"], json!(order));
    let decision = format!("/v1/orders/{order}/decision");
    let why = stage.get(&decision, &stage.admin).await;
    assert_eq!((why.status, &why.body["driver_id"]), (StatusCode::OK, &json!(driver)), "{why:?}");
    assert_eq!(why.body["detail"]["policy"], "routed");
    let alternatives = why.body["detail"]["alternatives"].as_array().expect("a list");
    assert_eq!(alternatives[0]["driver_id"], json!(driver));
    assert!(alternatives[0]["costs_seconds"].as_i64() > Some(0), "{why:?}");
    assert!(why.body["summary"].as_str().is_some_and(|s| s.starts_with(&driver)), "{why:?}");
    assert_eq!(stage.get(&decision, &stage.merchant).await.status, StatusCode::OK, "it is the merchant's order");
    let another = token(Party::Merchant(merchant_id(99)));
    assert_eq!(stage.get(&decision, &another).await.status, StatusCode::NOT_FOUND);

    socket.say("accept", Some("c-1"), json!({"offer_id": offer["data"]["id"]})).await;
    let planned = loop {
        let route = socket.until("route").await;
        // A plan may come before their answer: then its stops are not theirs yet.
        if route["data"]["plan"].is_object() && route["data"]["stops"][1].is_object() {
            break route["data"].clone();
        }
    };
    assert_eq!(planned["plan"]["reason"], "new_order", "{planned}");
    let times: Vec<_> = planned["stops"].as_array().expect("stops").iter().map(|s| s["planned_at"].as_str()).collect();
    assert!(times.len() == 2 && times.iter().all(Option::is_some) && times.is_sorted(), "{planned}");

    let cancel = format!("/v1/orders/{order}/cancel");
    let canceled = stage.post(&cancel, &stage.merchant, &json!({"reason": "closed early"})).await;
    assert_eq!(canceled.status, StatusCode::OK, "{canceled:?}");
    let left = loop {
        let route = socket.until("route").await;
        if route["data"]["stops"] == json!([]) {
            break route["data"].clone();
        }
    };
    assert_eq!(left["plan"]["reason"], "order_gone", "{left}");
}
