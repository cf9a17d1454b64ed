//! What operations do by hand.

use axum::http::{Method, StatusCode};
use posthaste_clock::testing::eventually;
use serde_json::json;

use crate::stage::{Stage, driver_token};

#[tokio::test(flavor = "multi_thread")]
async fn operations_change_a_priority_and_see_it_in_the_timeline() {
    let stage = Stage::new().await;
    let order = stage.order().await;
    let path = format!("/v1/orders/{}/priority", order["id"].as_str().unwrap());
    let put = |body| {
        let (stage, path) = (&stage, path.clone());
        async move { stage.call(Method::PUT, &path, Some(&stage.admin), Some(&body)).await }
    };
    let changed = put(json!({"priority": 5})).await;
    assert_eq!((changed.status, &changed.body["priority"]), (StatusCode::OK, &json!(5)), "{changed:?}");
    for wrong in [json!({"priority": 40_000}), json!({"priority": "high"}), json!({}), json!({"priority": 1, "x": 2})] {
        let refused = put(wrong).await;
        assert!(refused.status.is_client_error(), "{refused:?}");
    }
    let id = order["id"].as_str().unwrap();
    assert_eq!(stage.get(&format!("/v1/orders/{id}"), &stage.admin).await.body["priority"], 5);
    let inner = async |token: &str| {
        let timeline = stage.get(&format!("/v1/orders/{id}/timeline"), token).await.body;
        let entries = timeline["items"].as_array().unwrap().clone();
        entries.into_iter().find(|e| e["event"] == "prioritised").unwrap()["data"].clone()
    };
    assert_eq!(inner(&stage.admin).await["priority"], 5);
    assert!(inner(&stage.customer).await.is_null(), "not the customer's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_handed_back_with_the_end_of_a_shift_and_not_with_anything_else() {
    let stage = Stage::new().await;
    let driver = stage.driver("Grace").await;
    let order = stage.order().await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let assigned = stage.post(&format!("{path}/assign"), &stage.admin, &json!({"driver_id": driver})).await;
    assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
    let shift = format!("/v1/drivers/{driver}/shift");
    let (token, wrong) = (driver_token(&driver), json!({"state": "available", "hand_back": true}));
    let refused = stage.call(Method::PUT, &shift, Some(&token), Some(&wrong)).await;
    assert_eq!((refused.code(), refused.fields()), ("invalid", vec!["hand_back"]), "{refused:?}");
    let off = json!({"state": "offline", "hand_back": true});
    let off = stage.call(Method::PUT, &shift, Some(&token), Some(&off)).await;
    assert_eq!((off.status, &off.body["state"]), (StatusCode::OK, &json!("offline")), "{off:?}");
    eventually("the order waits again", async || {
        let now = stage.get(&path, &stage.admin).await.body;
        assert!(now["status"] == "assigned" || now["status"] == "confirmed", "{now}");
        (now["status"] == "confirmed").then_some(())
    })
    .await;
}
