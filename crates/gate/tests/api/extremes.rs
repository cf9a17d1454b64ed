//! Values that can be written down and make no sense: a field is named, nothing is done, and the server is not to blame.

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::stage::{Answer, Stage, driver_token, order_body};

/// Instants that chrono reads: before and after what Postgres can hold, and what it holds to no purpose.
const INSTANTS: [&str; 6] = [
    "-262143-01-01T00:00:00Z",
    "-100000-01-01T00:00:00Z",
    "-4800-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z",
    "+262142-12-31T23:59:59Z",
];

#[track_caller]
fn names(answer: &Answer, field: &str, asked: &str) {
    assert!([400, 422].contains(&answer.status.as_u16()), "{asked}: {answer:?}");
    assert_eq!(answer.fields(), [field], "{asked}: {answer:?}");
}

/// A cursor as this server writes it, of an instant that it never wrote.
fn forged(micros: i64) -> String {
    let mut bytes = [7; 24];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_cursor_is_refused_by_every_list() {
    let stage = Stage::new().await;
    let shadow = format!("/v1/zones/{}/shadow/plans", stage.zone);
    for path in ["/v1/orders", "/v1/drivers", "/v1/accounts", "/v1/audit", "/v1/webhooks/endpoints", &shadow] {
        assert_eq!(stage.get(path, &stage.admin).await.status, 200, "{path}");
        for micros in [i64::MIN, -8_000_000_000_000_000_000, -1, 0, 8_000_000_000_000_000_000, i64::MAX] {
            let asked = format!("{path}?cursor={}", forged(micros));
            names(&stage.get(&asked, &stage.admin).await, "cursor", &asked);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_out_of_range_in_a_query_is_named() {
    let stage = Stage::new().await;
    let shadow = format!("/v1/zones/{}/shadow", stage.zone);
    for (path, field) in [
        ("/v1/orders", "placed_after"),
        ("/v1/orders", "placed_before"),
        ("/v1/insight/performance", "from"),
        ("/v1/insight/performance", "to"),
        (&shadow, "from"),
        (&shadow, "to"),
    ] {
        for at in INSTANTS {
            let asked = format!("{path}?{field}={}", at.replace('+', "%2B"));
            names(&stage.get(&asked, &stage.admin).await, field, &asked);
        }
    }
}

/// `body` with another value at `pointer`.
fn with(body: &Value, pointer: &str, value: &Value) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).expect("the field") = value.clone();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_out_of_range_in_a_body_is_named() {
    let stage = Stage::new().await;
    let driver = stage.driver("Grace Hopper").await;
    let now = stage.app.system().clock().now();
    let mut slow = order_body();
    let window = json!({"start": now, "end": now + posthaste_domain::Span::hours(2)});
    slow["speed"] = json!("slow");
    slow["delivery"]["window"] = window.clone();
    slow["pickups"][0]["window"] = window.clone();
    slow["pickups"][0]["ready_at"] = json!(now);
    let endpoint = json!({"url": "http://127.0.0.1:9/hook"});
    let endpoint = stage.post("/v1/webhooks/endpoints", &stage.merchant, &endpoint).await;
    let replay = format!("/v1/webhooks/endpoints/{}/replay", endpoint.id());
    let (shift, shifts) = (format!("/v1/drivers/{driver}/shift"), format!("/v1/drivers/{driver}/shifts"));
    let (span, until) = (json!({"from": now, "to": now}), json!({"state": "available", "until": now}));
    let (put, post) = (Method::PUT, Method::POST);
    let (admin, merchant) = (&stage.admin, &stage.merchant);
    for (method, path, by, body, pointer, field) in [
        (&post, "/v1/orders", merchant, &slow, "/delivery/window/start", "delivery.window.start"),
        (&post, "/v1/orders", merchant, &slow, "/delivery/window/end", "delivery.window.end"),
        (&post, "/v1/orders", merchant, &slow, "/pickups/0/window/start", "pickups[0].window.start"),
        (&post, "/v1/orders", merchant, &slow, "/pickups/0/ready_at", "pickups[0].ready_at"),
        (&put, &shift, &driver_token(&driver), &until, "/until", "until"),
        (&post, &shifts, admin, &window, "/start", "start"),
        (&post, &shifts, admin, &window, "/end", "end"),
        (&post, &replay, merchant, &span, "/from", "from"),
        (&post, &replay, merchant, &span, "/to", "to"),
    ] {
        for at in INSTANTS {
            let answer = stage.call(method.clone(), path, Some(by), Some(&with(body, pointer, &json!(at)))).await;
            names(&answer, field, &format!("{method} {path} {at}"));
        }
    }
    // Nothing came of any of it.
    assert_eq!(stage.get("/v1/orders", &stage.admin).await.body["items"], json!([]));
    assert_eq!(stage.get(&shifts, &stage.admin).await.body["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_their_bounds_are_refused() {
    let stage = Stage::new().await;
    let driver = json!({"name": "Grace", "vehicle": "bicycle", "capacity": 3, "zones": [stage.zone]});
    let mut zone = crate::stage::zone_body("North");
    zone["rules"] = json!({"offer_seconds": 30, "give_up_seconds": 60, "pickup_radius_meters": 5});
    zone["travel"] = json!({"detour_factor": 1.3, "meters_per_second": 6.0, "round_up_to_seconds": 5});
    let mut order = order_body();
    order["size"] = json!(1);
    order["priority"] = json!(0);
    order["delivery"]["service_seconds"] = json!(60);
    let endpoint = json!({"url": "http://127.0.0.1:9/hook"});
    let endpoint = stage.post("/v1/webhooks/endpoints", &stage.merchant, &endpoint).await.id();
    let rotate = format!("/v1/webhooks/endpoints/{endpoint}/secret");
    let hours = json!({"overlap_hours": 1});
    for (path, by, body, pointer) in [
        ("/v1/drivers", &stage.admin, &driver, "/capacity"),
        ("/v1/zones", &stage.admin, &zone, "/rules/offer_seconds"),
        ("/v1/zones", &stage.admin, &zone, "/rules/give_up_seconds"),
        ("/v1/zones", &stage.admin, &zone, "/travel/detour_factor"),
        ("/v1/zones", &stage.admin, &zone, "/travel/meters_per_second"),
        ("/v1/zones", &stage.admin, &zone, "/travel/round_up_to_seconds"),
        ("/v1/orders", &stage.merchant, &order, "/size"),
        ("/v1/orders", &stage.merchant, &order, "/priority"),
        ("/v1/orders", &stage.merchant, &order, "/delivery/service_seconds"),
        ("/v1/orders", &stage.merchant, &order, "/delivery/lat"),
        ("/v1/orders", &stage.merchant, &order, "/pickups/0/lng"),
        (&rotate, &stage.merchant, &hours, "/overlap_hours"),
    ] {
        for number in [json!(-1e300), json!(i64::MIN), json!(4_294_967_295_u32), json!(u64::MAX), json!(1e300)] {
            let answer = stage.post(path, by, &with(body, pointer, &number)).await;
            assert!([400, 422].contains(&answer.status.as_u16()), "{path} {pointer} {number}: {answer:?}");
            assert!(!answer.fields().is_empty(), "{path} {pointer} {number}: {answer:?}");
        }
    }
    for limit in ["-1", "4294967296", "99999999999999999999", "1e2", "NaN"] {
        names(&stage.get(&format!("/v1/orders?limit={limit}"), &stage.admin).await, "limit", limit);
    }
}
