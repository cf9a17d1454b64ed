//! A policy in a zone's shadow.

use axum::http::{Method, StatusCode};
use posthaste_clock::testing::eventually_shown;
use serde_json::{Value, json};

use super::stage::{Answer, Stage, zone_body};

/// The stage's zone, with another policy in its shadow.
async fn shadowed(stage: &Stage, shadow: &str) -> (String, Answer) {
    let zones = stage.get("/v1/zones", &stage.admin).await;
    let id = zones.body["items"][0]["id"].as_str().expect("a zone").to_owned();
    let mut zone = zone_body("Centre");
    zone["rules"]["shadow"] = json!(shadow);
    let answer = stage.call(Method::PUT, &format!("/v1/zones/{id}"), Some(&stage.admin), Some(&zone)).await;
    (id, answer)
}

async fn once(stage: &Stage, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually_shown(path, async || {
        let answer = stage.get(path, &stage.admin).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        if holds(&answer.body) { Ok(answer.body) } else { Err(answer.body) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_policies_are_compared_and_their_plans_listed() {
    let stage = Stage::new().await;
    let (zone, answer) = shadowed(&stage, "routed").await;
    assert_eq!((answer.status, &answer.body["rules"]["shadow"]), (StatusCode::OK, &json!("routed")), "{answer:?}");
    let driver = stage.driver("Ada").await;
    let order = stage.order().await["id"].clone();
    let compared = once(&stage, &format!("/v1/zones/{zone}/shadow"), |body| body["compared"] == json!(1)).await;
    assert_eq!((&compared["policy"], &compared["shadow"]), (&json!("least_busy"), &json!("routed")));
    assert_eq!((&compared["same_driver"], &compared["orders"]), (&json!(1), &json!(1)), "{compared}");
    assert!(compared["shadow_click_to_door"]["mean_seconds"].as_i64() > Some(0), "{compared}");
    let path = format!("/v1/zones/{zone}/shadow/plans?limit=1");
    let first = stage.get(&path, &stage.admin).await;
    let cursor = first.body["next_cursor"].as_str().expect("two plans at least").to_owned();
    let second = stage.get(&format!("{path}&cursor={cursor}"), &stage.admin).await;
    let plans = [&first.body["items"][0], &second.body["items"][0]];
    assert_ne!(plans[0], plans[1]);
    let policies = |decided: bool| plans.iter().find(|p| p["decided"] == json!(decided)).map(|p| &p["policy"]);
    assert_eq!((policies(true), policies(false)), (Some(&json!("least_busy")), Some(&json!("routed"))), "{plans:?}");
    for plan in plans {
        assert_eq!((&plan["order_id"], &plan["meant"]["driver_id"]), (&order, &json!(driver)), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_another_policy_and_for_operations_only() {
    let stage = Stage::new().await;
    let (zone, answer) = shadowed(&stage, "least_busy").await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["rules.shadow"]), "{answer:?}");
    for path in ["shadow", "shadow/plans"].map(|path| format!("/v1/zones/{zone}/{path}")) {
        assert_eq!(stage.get(&path, &stage.merchant).await.code(), "forbidden");
        let nowhere = path.replace(&zone, "zon_01jd8v7cjxfm9sxv0q3e0b5z1c");
        assert_eq!(stage.get(&nowhere, &stage.admin).await.status, StatusCode::NOT_FOUND);
    }
    let wrong = stage.get(&format!("/v1/zones/{zone}/shadow/plans?limit=0&cursor=x"), &stage.admin).await;
    assert_eq!(wrong.fields(), ["limit", "cursor"]);
    let reversed = format!("/v1/zones/{zone}/shadow?from=2026-05-04T10:00:00Z&to=2026-05-04T09:00:00Z");
    assert_eq!(stage.get(&reversed, &stage.admin).await.fields(), ["from"]);
}
