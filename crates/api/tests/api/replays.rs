//! The same request sent twice is done once.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::stage::{Answer, Stage, order_body, zone_body};

async fn send(stage: &Stage, path: &str, token: &str, key: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .unwrap();
    stage.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_give_the_first_answer_and_place_nothing() {
    let stage = Stage::new().await;
    let first = send(&stage, "/v1/orders", &stage.merchant, "k1", &order_body()).await;
    let again = send(&stage, "/v1/orders", &stage.merchant, "k1", &order_body()).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header(header::LOCATION), again.header(header::LOCATION));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(stage.get("/v1/orders", &stage.merchant).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused_and_another_callers_key_is_its_own() {
    let stage = Stage::new().await;
    send(&stage, "/v1/orders", &stage.merchant, "k1", &order_body()).await;
    let mut other = order_body();
    other["reference"] = json!("other");
    let refused = send(&stage, "/v1/orders", &stage.merchant, "k1", &other).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "idempotency_mismatch"), "{refused:?}");
    let theirs = send(&stage, "/v1/orders", &stage.other_merchant, "k1", &other).await;
    assert_eq!(theirs.status, StatusCode::CREATED, "{theirs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_while_the_first_is_running_is_told_to_wait() {
    let stage = Stage::new().await;
    let body = order_body();
    let (first, second) = tokio::join!(
        send(&stage, "/v1/orders", &stage.merchant, "k1", &body),
        send(&stage, "/v1/orders", &stage.merchant, "k1", &body),
    );
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    assert_eq!((second.status.as_u16(), second.code()), (409, "idempotency_running"), "{second:?}");
    assert_eq!(second.header(header::RETRY_AFTER), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_visible_ascii_is_named() {
    let stage = Stage::new().await;
    for key in ["a b", "", &"x".repeat(256)] {
        let refused = send(&stage, "/v1/orders", &stage.merchant, key, &order_body()).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["idempotency-key"]), "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_made_once_too() {
    let stage = Stage::new().await;
    let first = send(&stage, "/v1/zones", &stage.admin, "z1", &zone_body("North")).await;
    let again = send(&stage, "/v1/zones", &stage.admin, "z1", &zone_body("North")).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED), "{again:?}");
    assert_eq!(first.body["id"], again.body["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drivers_command_sent_twice_with_its_key_is_done_once() {
    let stage = Stage::new().await;
    let driver = stage.driver("Grace").await;
    let order = stage.order().await;
    let path = format!("/v1/orders/{}/assign", order["id"].as_str().unwrap());
    stage.post(&path, &stage.admin, &json!({"driver_id": driver})).await;
    let path = format!("/v1/drivers/{driver}/tasks/{}/departed", order["tasks"][0]["id"].as_str().unwrap());
    let token = crate::stage::driver_token(&driver);
    let first = send(&stage, &path, &token, "c1", &json!({})).await;
    let again = send(&stage, &path, &token, "c1", &json!({})).await;
    assert_eq!((first.status, &first.body["changed"]), (StatusCode::OK, &json!(true)), "{first:?}");
    assert_eq!((again.status, &again.body["changed"]), (StatusCode::OK, &json!(false)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drivers_are_registered_once_too() {
    let stage = Stage::new().await;
    let new = json!({"name": "Grace", "vehicle": "van", "zones": [stage.zone]});
    let first = send(&stage, "/v1/drivers", &stage.admin, "d1", &new).await;
    let again = send(&stage, "/v1/drivers", &stage.admin, "d1", &new).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED), "{again:?}");
    assert_eq!((&first.body, first.header(header::LOCATION)), (&again.body, again.header(header::LOCATION)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_given_even_where_the_same_request_would_now_be_refused() {
    let stage = Stage::new().await;
    let first = send(&stage, "/v1/orders", &stage.merchant, "k1", &order_body()).await;
    let path = format!("/v1/zones/{}", stage.zone);
    let removed = stage.call(Method::DELETE, &path, Some(&stage.admin), None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{removed:?}");
    let refused = send(&stage, "/v1/orders", &stage.merchant, "k2", &order_body()).await;
    assert_eq!(refused.code(), "outside_service_area", "{refused:?}");
    let again = send(&stage, "/v1/orders", &stage.merchant, "k1", &order_body()).await;
    assert_eq!((again.status, again.body), (StatusCode::CREATED, first.body));
}
