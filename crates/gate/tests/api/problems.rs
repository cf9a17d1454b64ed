//! Whatever goes wrong is a problem that names what was wrong.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_domain::party::Party;
use posthaste_http::auth::Keys;
use posthaste_http::limits::Limits;
use posthaste_protocol::problem::{Code, Problem};
use serde_json::{Value, json};

use crate::stage::{Stage, keys, merchant_id, order_body, webhooks, zone_body};

fn raw(stage: &Stage, content_type: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri("/v1/orders");
    request = request.header(header::AUTHORIZATION, format!("Bearer {}", stage.merchant));
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_an_order_is_named() {
    let stage = Stage::new().await;
    let changed = |change: fn(&mut Value)| {
        let mut body = order_body();
        change(&mut body);
        body
    };
    let cases: [(Value, &[&str]); 9] = [
        (changed(|b| b["size"] = json!(0)), &["size"]),
        (changed(|b| b["pickups"] = json!([])), &["pickups"]),
        (changed(|b| b["speed"] = json!("slow")), &["delivery.window"]),
        (changed(|b| b["speed"] = json!("medium")), &["speed"]),
        (changed(|b| b["delivery"]["lat"] = json!(91)), &["delivery.lat"]),
        (changed(|b| b["delivery"]["lat"] = json!("north")), &["delivery.lat"]),
        (changed(|b| b["tip"] = json!(1)), &["tip"]),
        (changed(|b| b["merchant_id"] = json!(merchant_id(7))), &["merchant_id"]),
        (
            changed(|b| {
                b["size"] = json!(2000);
                b["reference"] = json!("x".repeat(501));
                b["delivery"]["contact"] = json!({"note": "x".repeat(501)});
            }),
            &["size", "reference", "delivery.contact.note"],
        ),
    ];
    for (body, fields) in cases {
        let answer = stage.post("/v1/orders", &stage.merchant, &body).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid"), "{answer:?}");
        assert_eq!(answer.fields(), fields, "{answer:?}");
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_stored_is_refused_and_not_tried() {
    let stage = Stage::new().await;
    let mut body = order_body();
    body["reference"] = json!("a\u{0}b");
    let answer = stage.post("/v1/orders", &stage.merchant, &body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "malformed"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_outside_every_zone_is_named() {
    let stage = Stage::new().await;
    let mut body = order_body();
    body["pickups"][0]["lat"] = json!(10.0);
    let answer = stage.post("/v1/orders", &stage.merchant, &body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (422, "outside_service_area"), "{answer:?}");
    assert!(answer.fields()[0].starts_with("pickups[0]"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_understood_says_why() {
    let stage = Stage::new().await;
    let json = Some("application/json");
    let cases = [
        (raw(&stage, Some("text/plain"), "{}"), 415, "unsupported_media_type"),
        (raw(&stage, None, "{}"), 415, "unsupported_media_type"),
        (raw(&stage, json, "{\"speed\":"), 400, "malformed"),
        (raw(&stage, json, "not json"), 400, "malformed"),
        (raw(&stage, json, ""), 400, "malformed"),
        (raw(&stage, Some("application/json; charset=utf-8"), "{}"), 422, "invalid"),
        (raw(&stage, json, " ".repeat(300 * 1024)), 413, "too_large"),
    ];
    for (request, status, code) in cases {
        let answer = stage.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{answer:?}");
        assert!(answer.body["request_id"].is_string(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_accepted_is_told_apart_from_one_that_has_expired() {
    let stage = Stage::new().await;
    let party = Party::Merchant(merchant_id(1));
    let wall = Clock::system().wall();
    let expired = keys().mint(party, wall - Span::hours(2), Span::hours(1)).unwrap();
    let foreign = Keys::new(&[9; 40]).unwrap().mint(party, wall, Span::hours(1)).unwrap();
    for (token, code) in [(expired.as_str(), "token_expired"), (&foreign, "unauthenticated"), ("x", "unauthenticated")]
    {
        let answer = stage.get("/v1/orders", token).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, code));
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
    }
    let in_query = format!("/v1/orders?access_token={}", stage.merchant);
    let answer = stage.call(Method::GET, &in_query, None, None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "a token in the query counts only for sockets");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let stage = Stage::new().await;
    let answer = stage.get("/v1/nothing", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"));
    let answer = stage.call(Method::PATCH, "/v1/orders", Some(&stage.admin), None).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (405, "method_not_allowed"));
    let answer = stage.get("/v1/orders/drv_01jd8v7cjxfm9sxv0q3e0b5z1c", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.code(), answer.fields()), (400, "malformed", vec!["id"]), "{answer:?}");
    let path = format!("/v1/orders/{}/tasks/x/unlock-code", "ord_01jd8v7cjxfm9sxv0q3e0b5z1c");
    let answer = stage.post(&path, &stage.admin, &json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (400, vec!["task"]), "{answer:?}");
    let answer = stage.get("/v1/orders/ord_01jd8v7cjxfm9sxv0q3e0b5z1c", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_of_every_problem_leads_to_a_page() {
    let stage = Stage::new().await;
    for code in Code::ALL {
        let kind = Problem::new(*code).kind;
        let page = stage.call(Method::GET, &kind, None, None).await;
        assert_eq!(
            (page.status, page.header(header::CONTENT_TYPE)),
            (StatusCode::OK, "text/html; charset=utf-8"),
            "{kind}"
        );
        assert!(page.header(header::CONTENT_SECURITY_POLICY).contains("style-src"), "{kind}: it is shown");
    }
    for path in ["/problems/nothing", "/problems/Invalid", "/problems/%3Cscript%3E", "/problems/"] {
        let answer = stage.call(Method::GET, path, None, None).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_with_a_browser_is_shown_the_api() {
    let stage = Stage::new().await;
    let answer = stage.call(Method::GET, "/", None, None).await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/docs/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_part_of_a_query_is_named() {
    let stage = Stage::new().await;
    let answer = stage.get("/v1/orders?limit=101&cursor=x&status=lost&speed=warp", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (422, "invalid"));
    assert_eq!(answer.fields(), ["status", "speed", "limit", "cursor"]);
    let answer = stage.get("/v1/orders?colour=red", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (400, vec!["colour"]), "{answer:?}");
    let answer = stage.get("/v1/drivers?shift=asleep&zone_id=x", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["zone_id", "shift"]), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let stage = Stage::new().await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(stage.order().await["id"].clone());
    }
    placed.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/orders?limit=2".to_owned();
    loop {
        let page = stage.get(&path, &stage.merchant).await;
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|o| o["id"].clone()));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/orders?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, placed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_id_comes_back_in_header_and_problem() {
    let stage = Stage::new().await;
    let request = Request::builder().uri("/v1/orders").header("x-request-id", "abc-1").body(Body::empty()).unwrap();
    let answer = stage.send(request).await;
    assert_eq!((answer.header("x-request-id"), &answer.body["request_id"]), ("abc-1", &json!("abc-1")));
    let answer = stage.call(Method::GET, "/health/live", None, None).await;
    assert!(answer.header("x-request-id").starts_with("req_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_server_takes_is_refused_at_once_with_a_time_to_come_back() {
    let stage = Stage::new().await;
    let limits = Limits { concurrent_requests: 0, ..Limits::default() };
    let (system, identity) = (stage.app.system().clone(), stage.app.identity().clone());
    let webhooks = webhooks(&stage.database, &system);
    let full = crate::stage::app(&stage.database, system, identity, webhooks, limits);
    let mut stage = stage;
    (stage.worlds, stage.app) = (full.clone().into(), full);
    let answer = stage.get("/v1/orders", &stage.admin).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "unavailable"));
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
    let alive = stage.call(Method::GET, "/health/live", None, None).await;
    assert_eq!(alive.status, StatusCode::OK, "a full server is not ill");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_server_says_when_to_try_again() {
    let stage = Stage::new().await;
    assert_eq!(stage.call(Method::GET, "/health/ready", None, None).await.status, StatusCode::OK);
    stage.database.pool.close().await;
    for path in ["/v1/orders", "/health/ready"] {
        let answer = stage.get(path, &stage.admin).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "unavailable"), "{path}: {answer:?}");
        assert!(!answer.header(header::RETRY_AFTER).is_empty());
    }
    assert_eq!(stage.call(Method::GET, "/health/live", None, None).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_and_drivers_name_their_wrong_fields() {
    let stage = Stage::new().await;
    let mut zone = zone_body("Other");
    zone["rules"] = json!({"offer_seconds": 0});
    let answer = stage.post("/v1/zones", &stage.admin, &zone).await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["rules.offer_seconds"]), "{answer:?}");
    let answer = stage.post("/v1/zones", &stage.admin, &zone_body("Centre")).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (409, "conflict"), "{answer:?}");
    let driver = json!({"name": "", "vehicle": "van", "zones": ["zon_01jd8v7cjxfm9sxv0q3e0b5z1c"]});
    let answer = stage.post("/v1/drivers", &stage.admin, &driver).await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["name", "zones[0]"]), "{answer:?}");
}
