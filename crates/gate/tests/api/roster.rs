//! Planned shifts over REST.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use chrono::{Duration, Utc};
use serde_json::{Value, json};

use crate::stage::{Answer, Stage, driver_token};

async fn plan_once(stage: &Stage, path: &str, key: &str, body: &Value) -> Answer {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {}", stage.admin));
    let request = request.header("idempotency-key", key).header(header::CONTENT_TYPE, "application/json");
    stage.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_is_planned_once_read_by_its_driver_and_dropped() {
    let stage = Stage::new().await;
    let driver = stage.driver("Grace").await;
    let other = stage.driver("Ada").await;
    let path = format!("/v1/drivers/{driver}/shifts");
    let hour = |n| (Utc::now() + Duration::hours(n)).to_rfc3339();
    let body = json!({"start": hour(1), "end": hour(9), "place": {"lat": 52.5163, "lng": 13.3777}});
    let planned = plan_once(&stage, &path, "k-1", &body).await;
    assert_eq!(planned.status, StatusCode::CREATED, "{planned:?}");
    let again = plan_once(&stage, &path, "k-1", &body).await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &planned.body["id"]), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), "true");
    let overlapping = stage.post(&path, &stage.admin, &json!({"start": hour(8), "end": hour(10)})).await;
    assert_eq!((overlapping.status, overlapping.code()), (StatusCode::CONFLICT, "conflict"), "{overlapping:?}");
    let wrong = [json!({"start": hour(9), "end": hour(8)}), json!({"start": hour(20), "end": hour(60)})];
    for wrong in wrong {
        let refused = stage.post(&path, &stage.admin, &wrong).await;
        assert_eq!((refused.code(), refused.fields()), ("invalid", vec!["end"]), "{refused:?}");
    }
    let nowhere = json!({"start": hour(20), "end": hour(21), "place": {"lat": 95, "lng": 0}});
    assert_eq!(stage.post(&path, &stage.admin, &nowhere).await.fields(), ["place"]);
    let theirs = stage.get(&path, &driver_token(&driver)).await;
    assert_eq!(theirs.body["items"], json!([planned.body]), "{theirs:?}");
    assert_eq!(stage.get(&path, &driver_token(&other)).await.status, StatusCode::NOT_FOUND);
    let one = format!("{path}/{}", planned.body["id"].as_str().unwrap());
    assert_eq!(planned.header("location"), one);
    let others = format!("/v1/drivers/{other}/shifts/{}", planned.body["id"].as_str().unwrap());
    let missed = stage.call(Method::DELETE, &others, Some(&stage.admin), None).await;
    assert_eq!(missed.status, StatusCode::NOT_FOUND, "another driver's path does not reach it");
    let dropped = stage.call(Method::DELETE, &one, Some(&stage.admin), None).await;
    assert_eq!(dropped.status, StatusCode::NO_CONTENT, "{dropped:?}");
    assert_eq!(stage.get(&path, &stage.admin).await.body["items"], json!([]));
}
