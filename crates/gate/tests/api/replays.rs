//! The same request sent twice is done once.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::accounts::people;
use crate::stage::{Answer, Stage, order_body, zone_body};

async fn send(stage: &Stage, path: &str, token: &str, key: &str, body: &Value) -> Answer {
    send_text(stage, path, token, key, body.to_string()).await
}

async fn send_text(stage: &Stage, path: &str, token: &str, key: &str, body: String) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body))
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
async fn what_says_the_same_in_other_bytes_is_the_same_request() {
    let stage = Stage::new().await;
    let first = send(&stage, "/v1/orders", &stage.merchant, "k1", &order_body()).await;
    let customer = &order_body()["customer_id"];
    let other = format!(
        r#"{{ "speed" : "fast", "delivery": {{"lng": 13.40940, "lat": 5.25208e1}}, "customer_id": {customer},
            "pickups": [ {{"lng":13.3777,"lat":52.5163}} ] }}"#
    );
    let again = send_text(&stage, "/v1/orders", &stage.merchant, "k1", other.clone()).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::CREATED, "true"), "{again:?}");
    assert_eq!(again.body, first.body);
    let refused = send_text(&stage, "/v1/orders", &stage.merchant, "k1", other.replace("fast", "slow")).await;
    assert_eq!(refused.code(), "idempotency_mismatch", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_an_earlier_version_kept_is_known_by_the_bytes() {
    let stage = Stage::new().await;
    let body = order_body().to_string();
    let first = send_text(&stage, "/v1/orders", &stage.merchant, "k1", body.clone()).await;
    let earlier = posthaste_http::idempotency::fingerprint(&Method::POST, "/v1/orders", body.as_bytes());
    let changed = sqlx::query("UPDATE idempotency_keys SET fingerprint = $1 WHERE key = 'k1' AND fingerprint <> $1")
        .bind(earlier.as_slice())
        .execute(stage.database.pool.connections())
        .await
        .unwrap();
    let again = send_text(&stage, "/v1/orders", &stage.merchant, "k1", body.clone()).await;
    assert_eq!((again.status, again.body), (StatusCode::CREATED, first.body));
    let other = send_text(&stage, "/v1/orders", &stage.merchant, "k1", format!(" {body}")).await;
    assert_eq!((changed.rows_affected(), other.code()), (1, "idempotency_mismatch"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_while_the_first_is_running_is_told_to_wait() {
    let stage = Stage::new().await;
    let body = order_body();
    // Which of two that come at once is the first is anybody's guess, and the second may come when the first is over.
    for n in 0..20 {
        let key = format!("k{n}");
        let (one, other) = tokio::join!(
            send(&stage, "/v1/orders", &stage.merchant, &key, &body),
            send(&stage, "/v1/orders", &stage.merchant, &key, &body),
        );
        let (first, second) = if one.status == StatusCode::CREATED { (one, other) } else { (other, one) };
        assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
        if second.status == StatusCode::CREATED {
            continue;
        }
        assert_eq!((second.status.as_u16(), second.code()), (409, "idempotency_running"), "{second:?}");
        assert_eq!(second.header(header::RETRY_AFTER), "1");
        return;
    }
    panic!("no second request met the first");
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

/// What is kept for keys, as the database has it.
async fn kept(stage: &Stage) -> Vec<String> {
    sqlx::query_scalar("SELECT response FROM idempotency_keys ORDER BY created_at")
        .fetch_all(stage.database.pool.connections())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_made_twice_with_one_key_is_made_once_and_its_secret_is_shown_again() {
    let stage = Stage::new().await;
    let (path, body) = ("/v1/webhooks/endpoints", json!({"url": "https://shop.example/hooks"}));
    let (one, other) = tokio::join!(
        send(&stage, path, &stage.merchant, "k1", &body),
        send(&stage, path, &stage.merchant, "k1", &body)
    );
    assert_eq!((one.status, other.status), (StatusCode::CREATED, StatusCode::CREATED), "{one:?} {other:?}");
    assert_eq!(one.body, other.body);
    assert_eq!(one.header(header::LOCATION), other.header(header::LOCATION));
    assert_eq!(one.header(header::LOCATION), format!("{path}/{}", one.id()));
    let mut replayed = [one.header("idempotent-replayed"), other.header("idempotent-replayed")];
    replayed.sort_unstable();
    assert_eq!(replayed, ["", "true"]);
    let secret = one.body["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(stage.get(path, &stage.merchant).await.body["items"].as_array().unwrap().len(), 1);
    assert!(
        !kept(&stage).await.iter().any(|row| row.contains(&secret[6..20]) || row.contains("shop.example")),
        "sealed"
    );

    let changed = json!({"url": "https://shop.example/other"});
    let refused = send(&stage, path, &stage.merchant, "k1", &changed).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "idempotency_mismatch"), "{refused:?}");
    let theirs = send(&stage, path, &stage.other_merchant, "k1", &body).await;
    assert_eq!(
        (theirs.status, theirs.header("idempotent-replayed")),
        (StatusCode::CREATED, ""),
        "another's key is its own"
    );
    assert_ne!(theirs.body["secret"], one.body["secret"]);
    // Also where there is no room for another, and where it is gone: the answer is the first.
    for n in 0..9 {
        let more = json!({"url": format!("https://shop.example/{n}")});
        assert_eq!(stage.post(path, &stage.merchant, &more).await.status, StatusCode::CREATED);
    }
    let again = send(&stage, path, &stage.merchant, "k1", &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &one.body), "{again:?}");
    assert_eq!(send(&stage, path, &stage.merchant, "k2", &body).await.code(), "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_answer_was_lost_is_asked_for_again_and_ends_no_secret() {
    let stage = Stage::new().await;
    let made =
        stage.post("/v1/webhooks/endpoints", &stage.merchant, &json!({"url": "https://shop.example/hooks"})).await;
    let path = format!("/v1/webhooks/endpoints/{}/secret", made.id());
    let first = send(&stage, &path, &stage.merchant, "k1", &json!({})).await;
    let again = send(&stage, &path, &stage.merchant, "k1", &json!({"overlap_hours": 24})).await;
    assert_eq!((first.status, again.status), (StatusCode::OK, StatusCode::OK), "{first:?} {again:?}");
    assert_eq!((&first.body, again.header("idempotent-replayed")), (&again.body, "true"));
    let sealed = "SELECT previous_secret FROM webhook_endpoints";
    let previous: Vec<u8> = sqlx::query_scalar(sealed).fetch_one(stage.database.pool.connections()).await.unwrap();
    let refused = send(&stage, &path, &stage.merchant, "k1", &json!({"overlap_hours": 0})).await;
    assert_eq!(refused.code(), "idempotency_mismatch", "{refused:?}");
    let still: Vec<u8> = sqlx::query_scalar(sealed).fetch_one(stage.database.pool.connections()).await.unwrap();
    assert_eq!(previous, still, "the secret that was valid before is valid still");
    let refused = send(&stage, &path, &stage.other_merchant, "k1", &json!({})).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_key_made_twice_with_one_idempotency_key_is_one() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let (path, body) = ("/v1/account/keys", json!({"name": "backend", "scopes": ["orders:read"]}));
    let token = login.access();
    let (one, other) = tokio::join!(send(&stage, path, &token, "k1", &body), send(&stage, path, &token, "k1", &body));
    assert_eq!((one.status, other.status), (StatusCode::CREATED, StatusCode::CREATED), "{one:?} {other:?}");
    assert_eq!(one.body, other.body);
    let secret = one.body["secret"].as_str().unwrap();
    assert_eq!(stage.get("/v1/orders", secret).await.status, StatusCode::OK);
    assert_eq!(stage.get(path, &login.access()).await.body["items"].as_array().unwrap().len(), 1);
    assert!(!kept(&stage).await.iter().any(|row| row.contains(&secret[8..20]) || row.contains("backend")), "sealed");
    let changed = json!({"name": "backend", "scopes": ["orders:read", "orders:write"]});
    assert_eq!(send(&stage, path, &login.access(), "k1", &changed).await.code(), "idempotency_mismatch");
    // A key of idempotency shows nothing to a key of the same merchant.
    assert_eq!(send(&stage, path, secret, "k1", &body).await.status, StatusCode::FORBIDDEN);
}

/// Requests that make something which a caller who asks twice would have twice. What else is posted is done to
/// something that is there, or cannot be done twice (codes, offers), or has nobody whom a key could belong to.
#[test]
fn every_request_that_makes_something_takes_an_idempotency_key() {
    let takes = |path: &str| {
        let operation = crate::document::operations().into_iter().find(|(m, p, _)| m == "POST" && p == path);
        let operation = operation.unwrap_or_else(|| panic!("{path} is not there")).2;
        operation["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["name"] == "Idempotency-Key"))
    };
    for path in [
        "/v1/orders",
        "/v1/drivers",
        "/v1/drivers/{id}/shifts",
        "/v1/zones",
        "/v1/webhooks/endpoints",
        "/v1/webhooks/endpoints/{id}/secret",
        "/v1/account/keys",
    ] {
        assert!(takes(path), "{path}");
    }
    let makes = |operation: &Value| !operation["responses"]["201"].is_null();
    let without: Vec<_> = crate::document::operations()
        .into_iter()
        .filter(|(method, path, operation)| method == "POST" && makes(operation) && !takes(path))
        .map(|(_, path, _)| path)
        .collect();
    let logins = ["/v1/accounts/verify", "/v1/sessions", "/v1/sessions/google/confirm"];
    assert_eq!(without, logins, "codes that are good for once, and logins");
}
