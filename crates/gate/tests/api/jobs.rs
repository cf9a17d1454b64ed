//! Jobs, as whoever is on call sees them. That nobody else does, `access` shows.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::stage::{Stage, dead_job};

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_listed_tried_again_and_dropped_and_it_is_noted_who_did() {
    let stage = Stage::new().await;
    let (dropped, again) = (dead_job(&stage).await, dead_job(&stage).await);
    let first = stage.get("/v1/jobs?state=dead&kind=test.nobody&limit=1", &stage.admin).await;
    assert_eq!((first.status, &first.body["items"][0]["id"]), (StatusCode::OK, &json!(again)), "{first:?}");
    assert_eq!(first.body["items"][0]["can_be_retried"], true);
    let next = format!("/v1/jobs?state=dead&cursor={}", first.body["next_cursor"].as_str().unwrap());
    let second = stage.get(&next, &stage.admin).await;
    assert_eq!((second.body["items"].as_array().unwrap().len(), &second.body["items"][0]["id"]), (1, &json!(dropped)));
    assert!(!first.body.to_string().contains("payload"), "what is in it is not shown");

    let path = format!("/v1/jobs/{again}/retry");
    let tried = stage.post(&path, &stage.admin, &json!({})).await;
    assert_eq!((tried.status, &tried.body["state"]), (StatusCode::ACCEPTED, &json!("waiting")), "{tried:?}");
    assert_eq!(stage.post(&path, &stage.admin, &json!({})).await.code(), "conflict");
    let delete = async |id: &str| stage.call(Method::DELETE, &format!("/v1/jobs/{id}"), Some(&stage.admin), None).await;
    assert_eq!(delete(&again).await.code(), "conflict", "it waits");
    assert_eq!(delete(&dropped).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&dropped).await.code(), "not_found");
    assert_eq!(stage.get(&format!("/v1/jobs/{dropped}"), &stage.admin).await.code(), "not_found");

    let kinds = stage.get("/v1/jobs/kinds", &stage.admin).await;
    let of = |kind: &str| kinds.body["items"].as_array().unwrap().iter().find(|one| one["kind"] == kind).unwrap();
    assert_eq!((&of("test.nobody")["waiting"], &of("test.nobody")["dead"]), (&json!(1), &json!(0)), "{kinds:?}");
    assert_eq!(of("email")["waiting"], 0, "those are there of which there is none");

    let audit = stage.get("/v1/audit?limit=100", &stage.admin).await;
    let acts: Vec<_> =
        audit.body["items"].as_array().unwrap().iter().map(|entry| entry["act"].as_str().unwrap()).collect();
    for act in ["POST /v1/jobs/{id}/retry", "DELETE /v1/jobs/{id}"] {
        assert!(acts.contains(&act), "{act}: {acts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_question_about_jobs_is_named() {
    let stage = Stage::new().await;
    let wrong = stage.get("/v1/jobs?state=lost&limit=0&cursor=x", &stage.admin).await;
    assert_eq!((wrong.code(), wrong.fields()), ("invalid", vec!["state", "limit", "cursor"]), "{wrong:?}");
    let long = stage.get(&format!("/v1/jobs?kind={}", "x".repeat(201)), &stage.admin).await;
    assert_eq!(long.fields(), ["kind"]);
    assert_eq!(stage.get("/v1/jobs/nonsense", &stage.admin).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.get("/v1/jobs?kind=nothing", &stage.admin).await.body["items"], json!([]));
}
