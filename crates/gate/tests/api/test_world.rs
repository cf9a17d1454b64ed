//! The test world: orders of `ph_test_` keys, carried by simulated drivers, seen by nobody of the live world.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use posthaste_clock::Clock;
use posthaste_clock::testing::eventually_within;
use posthaste_domain::{Span, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::accounts::people;
use crate::sockets::Server;
use crate::stage::{Answer, Stage, driver_token, merchant_id, order_body, zone_body};
use crate::webhooks::receiver::Receiver;

/// How long a test order may take to its end on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(180);
const SCOPES: [&str; 6] =
    ["orders:read", "orders:write", "zones:read", "insight:read", "webhooks:read", "webhooks:write"];

/// A key of a merchant, for a world.
async fn key(stage: &Stage, login: &people::Login, world: &str) -> String {
    let make = json!({"name": format!("{world} backend"), "scopes": SCOPES, "world": world});
    let made = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.body["key"]["world"], world);
    made.body["secret"].as_str().unwrap().to_owned()
}

async fn place(stage: &Stage, key: &str, body: &Value) -> String {
    let placed = stage.post("/v1/orders", key, body).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    placed.id()
}

fn with_reference(reference: &str) -> Value {
    let mut body = order_body();
    body["reference"] = json!(reference);
    body
}

/// The order once it has one of these statuses.
async fn until_status(stage: &Stage, key: &str, order: &str, wanted: &[&str]) -> Value {
    eventually_within(PATIENCE, &format!("one of {wanted:?}"), async || {
        let read = stage.get(&format!("/v1/orders/{order}"), key).await;
        assert_eq!(read.status, StatusCode::OK, "{read:?}");
        read.body["status"].as_str().is_some_and(|status| wanted.contains(&status)).then_some(read.body)
    })
    .await
}

fn items(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_order_is_carried_to_its_door_and_can_be_followed_there() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = key(&stage, &login, "test").await;
    assert!(key.starts_with("ph_test_"), "{key}");
    let listed = stage.get("/v1/account/keys", &login.access()).await;
    let listed = &listed.body["items"][0];
    assert_eq!(listed["world"], "test");
    assert!(listed["hint"].as_str().unwrap().starts_with("ph_test_…"), "{listed}");

    let mut body = order_body();
    body["codes"] = json!({"pickup": true, "delivery": true});
    let order = place(&stage, &key, &body).await;
    let link = stage.get(&format!("/v1/orders/{order}/tracking-link"), &key).await;
    let token = link.body["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("trk_test_"), "{link:?}");
    let path = link.body["path"].as_str().unwrap();
    let mut places = Vec::new();
    eventually_within(PATIENCE, "it is delivered", async || {
        let seen = stage.call(Method::GET, path, None, None).await;
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        places.extend(seen.body["driver"]["position"]["lng"].as_f64());
        (seen.body["status"] == "delivered").then_some(())
    })
    .await;
    places.dedup();
    assert!(places.len() >= 3, "they are seen on their way: {places:?}");
    let timeline = stage.get(&format!("/v1/orders/{order}/timeline"), &key).await;
    let events: Vec<_> =
        timeline.body["items"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    let story =
        ["placed", "offered", "assigned", "departed", "arrived", "picked_up", "departed", "arrived", "delivered"];
    assert_eq!(events, story, "{timeline:?}");
}

/// Everybody of the live world, on every route that reads or lists.
#[tokio::test(flavor = "multi_thread")]
async fn neither_world_sees_anything_of_the_other() {
    let server = Server::new().await;
    let stage = &server.stage;
    let (_, login) = people::merchant(stage, "shop@example.org").await;
    let (test, live) = (key(stage, &login, "test").await, key(stage, &login, "live").await);
    let driver = stage.driver("Ines").await;
    // The same customer, for whom the test order is said to be.
    let test_order = place(stage, &test, &with_reference("both")).await;
    until_status(stage, &test, &test_order, &["assigned", "enroute_to_pickup", "picked_up", "delivered"]).await;
    // Before operations try to come near it, which is noted.
    let audit = stage.get("/v1/audit?limit=100", &stage.admin).await;
    assert!(audit.status == StatusCode::OK && !audit.body.to_string().contains(&test_order), "{audit:?}");

    let driver_token = driver_token(&driver);
    let everybody = [&stage.admin, &login.access(), &live, &stage.customer, &driver_token];
    for token in everybody {
        assert_eq!(items(&stage.get("/v1/orders", token).await), Vec::<String>::new());
        for path in ["", "/timeline", "/decision", "/tracking-link"] {
            let read = stage.get(&format!("/v1/orders/{test_order}{path}"), token).await;
            assert!([404, 403].contains(&read.status.as_u16()), "{path}: {read:?}");
        }
        let cancel = json!({"reason": "not mine"});
        let canceled = stage.post(&format!("/v1/orders/{test_order}/cancel"), token, &cancel).await;
        assert!([404, 403].contains(&canceled.status.as_u16()), "{canceled:?}");
    }
    assert_eq!(items(&stage.get("/v1/drivers", &stage.admin).await), [driver.as_str()]);
    let board = stage.get(&format!("/v1/zones/{}/board", stage.zone), &stage.admin).await;
    assert_eq!((&board.body["drivers_total"], &board.body["waiting_total"]), (&json!(1), &json!(0)));
    let route = stage.get(&format!("/v1/drivers/{driver}/route"), &driver_token).await;
    assert_eq!((&route.body["stops"], &route.body["offers"]), (&json!([]), &json!([])), "never offered: {route:?}");
    let (_socket, _, first) = server.begin("/v1/ws/operations", Some(&stage.admin), json!({})).await;
    assert!(!first.to_string().contains(&test_order), "{first}");
    let (_socket, _, first) = server.begin("/v1/ws/merchant", Some(&login.access()), json!({})).await;
    assert!(!first.to_string().contains(&test_order), "{first}");

    let live_order = place(stage, &live, &with_reference("both")).await;
    assert_eq!(items(&stage.get("/v1/orders", &test).await), [test_order.as_str()]);
    assert_eq!(items(&stage.get("/v1/orders?reference=both", &live).await), [live_order.as_str()]);
    for path in ["", "/timeline", "/decision", "/tracking-link"] {
        let read = stage.get(&format!("/v1/orders/{live_order}{path}"), &test).await;
        assert_eq!(read.status, StatusCode::NOT_FOUND, "{path}: {read:?}");
    }
    let canceled = stage.post(&format!("/v1/orders/{live_order}/cancel"), &test, &json!({"reason": "no"})).await;
    assert_eq!(canceled.status, StatusCode::NOT_FOUND);
    let now = Clock::system().wall();
    let stamp = |at: Timestamp| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (from, to) = (stamp(now - Span::hours(1)), stamp(now + Span::hours(1)));
    for token in [&stage.admin, &live, &test] {
        let told = stage.get(&format!("/v1/insight/performance?from={from}&to={to}"), token).await;
        assert_eq!(told.body["total"]["orders"]["placed"], 1, "each counts its own: {told:?}");
    }
    // The live driver, not a test driver, is asked.
    let asked = stage.get(&format!("/v1/orders/{live_order}/decision"), &stage.admin).await;
    assert_eq!(asked.body["driver_id"], driver, "{asked:?}");
    let rival = people::merchant(stage, "rival@example.org").await.1;
    let rivals = key(stage, &rival, "test").await;
    assert_eq!(items(&stage.get("/v1/orders", &rivals).await), Vec::<String>::new());
    assert_eq!(stage.get(&format!("/v1/orders/{test_order}"), &rivals).await.status, StatusCode::NOT_FOUND);
}

/// Requests are sorted before they are routed. Each world refuses what is of the other even if they were not.
#[tokio::test(flavor = "multi_thread")]
async fn each_world_refuses_what_proves_something_in_the_other() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let (test, live) = (key(&stage, &login, "test").await, key(&stage, &login, "live").await);
    let link = async |key: &str| {
        let order = place(&stage, key, &order_body()).await;
        let link = stage.get(&format!("/v1/orders/{order}/tracking-link"), key).await;
        link.body["path"].as_str().unwrap().to_owned()
    };
    let (test_link, live_link) = (link(&test).await, link(&live).await);
    let ask = async |router: axum::Router, path: &str, token: Option<&str>| {
        let request = Request::builder().uri(path);
        let request = match token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    };
    let test_router = || stage.worlds.test_router().unwrap();
    let live_router = || posthaste_gate::router(stage.app.clone());
    assert_eq!(ask(test_router(), "/v1/orders", Some(&test)).await, StatusCode::OK);
    for token in [&live, &login.access(), &stage.admin, &stage.merchant, &stage.customer] {
        assert_eq!(ask(test_router(), "/v1/orders", Some(token)).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(ask(live_router(), "/v1/orders", Some(&live)).await, StatusCode::OK);
    assert_eq!(ask(live_router(), "/v1/orders", Some(&test)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(test_router(), &test_link, None).await, StatusCode::OK);
    assert_eq!(ask(test_router(), &live_link, None).await, StatusCode::NOT_FOUND);
    assert_eq!(ask(live_router(), &live_link, None).await, StatusCode::OK);
    assert_eq!(ask(live_router(), &test_link, None).await, StatusCode::NOT_FOUND);
    // Over the front, both are found.
    for path in [&test_link, &live_link] {
        assert_eq!(stage.call(Method::GET, path, None, None).await.status, StatusCode::OK);
    }
    let forged = test_link.replacen("trk_test_", "trk_", 1);
    assert_eq!(stage.call(Method::GET, &forged, None, None).await.status, StatusCode::NOT_FOUND);
    // What a test key may not do in the live world, it may not do there either.
    for path in ["/v1/drivers", "/v1/accounts", "/v1/audit", "/v1/account"] {
        assert_eq!(stage.get(path, &test).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let keys = stage.get("/v1/account/keys", &login.access()).await;
    let made = keys.body["items"].as_array().unwrap().iter().find(|key| key["world"] == "test").unwrap().clone();
    let path = format!("/v1/account/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(stage.call(Method::DELETE, &path, Some(&login.access()), None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stage.get("/v1/orders", &test).await.code(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_opens_the_test_world_without_a_key_that_is_good() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    key(&stage, &login, "live").await;
    stage.worlds.clone().resume().await;
    for token in ["ph_test_", "ph_test_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let refused = stage.get("/v1/orders", token).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    }
    let link = stage.call(Method::GET, "/v1/tracking/trk_test_AAAA", None, None).await;
    assert_eq!(link.code(), "not_found");
    assert!(stage.worlds.test_router().is_none());
    let schemas: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'posthaste_test'")
        .fetch_one(stage.database.pool.connections())
        .await
        .unwrap();
    assert_eq!(schemas, 0, "a server where nobody uses it pays nothing");
    let key = key(&stage, &login, "test").await;
    assert!(stage.worlds.test_router().is_some());
    assert_eq!(stage.get("/v1/orders", &key).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_of_the_test_world_follow_those_of_the_live_one() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = key(&stage, &login, "test").await;
    let listed = stage.get("/v1/zones", &key).await;
    assert_eq!(listed.body, stage.get("/v1/zones", &stage.admin).await.body);
    let follows = async || {
        eventually_within(PATIENCE, "zones of both worlds are the same", async || {
            let (test, live) = (stage.get("/v1/zones", &key).await, stage.get("/v1/zones", &stage.admin).await);
            (test.body == live.body).then_some(())
        })
        .await;
    };
    let path = format!("/v1/zones/{}", stage.zone);
    let mut changed = zone_body("Old town");
    changed["rules"] = json!({"offer_seconds": 7});
    let replaced = stage.call(Method::PUT, &path, Some(&stage.admin), Some(&changed)).await;
    assert_eq!(replaced.status, StatusCode::OK, "{replaced:?}");
    stage.post("/v1/zones", &stage.admin, &zone_body("Centre")).await.id();
    follows().await;
    assert_eq!(stage.get(&path, &key).await.body["rules"]["offer_seconds"], 7);
    for id in items(&stage.get("/v1/zones", &stage.admin).await) {
        let path = format!("/v1/zones/{id}");
        assert_eq!(stage.call(Method::DELETE, &path, Some(&stage.admin), None).await.status, StatusCode::NO_CONTENT);
    }
    follows().await;
    assert_eq!(stage.post("/v1/orders", &key, &order_body()).await.code(), "outside_service_area");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_comes_to_the_end_that_its_reference_asks_for() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = key(&stage, &login, "test").await;
    let with_seller = |reference: &str| {
        let mut body = with_reference(reference);
        let part = json!({"lat": 52.5170, "lng": 13.3780, "merchant_id": merchant_id(2)});
        body["pickups"].as_array_mut().unwrap().push(part);
        body
    };
    let absent = place(&stage, &key, &with_reference("test:customer_absent A-1")).await;
    let nobody = place(&stage, &key, &with_reference("test:no_driver")).await;
    let confirmed = place(&stage, &key, &with_seller("A-2")).await;
    let rejected = place(&stage, &key, &with_seller("test:seller_rejects")).await;
    let done = until_status(&stage, &key, &absent, &["returned", "failed", "delivered"]).await;
    assert_eq!(done["status"], "returned", "{done:#}");
    let failed = done["tasks"].as_array().unwrap().iter().find(|task| task["status"] == "failed").unwrap();
    assert_eq!(failed["kind"], "delivery");
    let done = until_status(&stage, &key, &confirmed, &["delivered", "rejected", "failed"]).await;
    assert_eq!(done["status"], "delivered", "the other seller confirms on their own: {done:#}");
    let done = until_status(&stage, &key, &rejected, &["delivered", "rejected", "failed"]).await;
    let parts: Vec<_> = done["tasks"].as_array().unwrap().iter().map(|task| &task["status"]).collect();
    assert!(parts.contains(&&json!("rejected")), "{done:#}");
    let waits = stage.get(&format!("/v1/orders/{nobody}/timeline"), &key).await;
    let events: Vec<_> = waits.body["items"].as_array().unwrap().iter().map(|e| e["event"].clone()).collect();
    assert!(events.contains(&json!("offer_declined")) && !events.contains(&json!("assigned")), "{events:?}");
    // It is given up soon, whatever the zone says.
    until_status(&stage, &key, &nobody, &["expired"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_has_fifty_test_orders_under_way_and_first_answers_are_still_given() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = key(&stage, &login, "test").await;
    let body = with_reference("test:no_driver");
    let send = async |name: &str| {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/orders")
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", name);
        stage.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    let first = send("1").await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let names: Vec<_> = (2..=60).map(|n| n.to_string()).collect();
    let rest = futures_util::future::join_all(names.iter().map(|name| send(name))).await;
    let placed = rest.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let refused: Vec<_> = rest.iter().filter(|answer| answer.status != StatusCode::CREATED).collect();
    assert_eq!((placed, refused.len()), (49, 10), "at once, and not one too many");
    for answer in refused {
        assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "conflict"));
        assert!(answer.body["detail"].as_str().unwrap().contains("50 orders under way"), "{answer:?}");
    }
    let again = send("1").await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]));
    let path = format!("/v1/orders/{}/cancel", first.body["id"].as_str().unwrap());
    assert_eq!(stage.post(&path, &key, &json!({"reason": "room"})).await.status, StatusCode::OK);
    assert_eq!(send("61").await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn test_orders_under_way_go_on_after_a_restart() {
    let mut stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = key(&stage, &login, "test").await;
    let order = place(&stage, &key, &order_body()).await;
    until_status(&stage, &key, &order, &["picked_up", "enroute_to_dropoff"]).await;
    stage.restart_test_world().await;
    assert!(stage.worlds.test_router().is_none());
    // Nobody asks for anything: it opens because somebody has a key.
    stage.worlds.clone().resume().await;
    assert!(stage.worlds.test_router().is_some());
    let done = until_status(&stage, &key, &order, &["delivered", "failed", "expired"]).await;
    assert_eq!(done["status"], "delivered", "{done:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_test_keys_tell_of_test_orders_and_those_of_live_keys_of_live_ones() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let (test, live) = (key(&stage, &login, "test").await, key(&stage, &login, "live").await);
    let (test_receiver, live_receiver) = (Receiver::start().await, Receiver::start().await);
    for (key, receiver) in [(&test, &test_receiver), (&live, &live_receiver)] {
        let made = stage.post("/v1/webhooks/endpoints", key, &json!({"url": receiver.url})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }
    let _live_sender = crate::webhooks::start(&stage, 1.0);
    let test_order = place(&stage, &test, &order_body()).await;
    let live_order = place(&stage, &live, &order_body()).await;
    eventually_within(PATIENCE, "both are told", async || {
        let is_delivered = test_receiver.kinds().last().is_some_and(|kind| kind == "order.delivered");
        (is_delivered && !live_receiver.taken().is_empty()).then_some(())
    })
    .await;
    let orders = |receiver: &Receiver| {
        let mut orders: Vec<_> =
            receiver.taken().iter().map(|taken| taken.body["data"]["order_id"].as_str().unwrap().to_owned()).collect();
        orders.dedup();
        orders
    };
    assert_eq!((orders(&test_receiver), orders(&live_receiver)), (vec![test_order], vec![live_order]));
    let listed = stage.get("/v1/webhooks/endpoints", &live).await;
    assert_eq!(items(&listed).len(), 1, "{listed:?}");
}
