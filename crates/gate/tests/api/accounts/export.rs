//! What is kept of somebody, for themselves: all of it, page after page, and nothing of others. What others may see of whom
//! is walked in `audiences.rs`.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use posthaste_domain::Span;
use posthaste_http::limits::Limits;
use posthaste_protocol::accounts::Secret;
use serde_json::{Value, json};

use super::people::{self, PASSWORD};
use crate::stage::{Stage, order_body};

/// All entries, with pages of so many, by their kinds.
async fn exported(stage: &Stage, token: &str, limit: usize) -> BTreeMap<String, Vec<Value>> {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut path = format!("/v1/account/export?limit={limit}");
    loop {
        let page = stage.get(&path, token).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        let items = page.body["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        for item in items {
            let kind = item["kind"].as_str().unwrap();
            kinds.entry(kind.to_owned()).or_default().push(item[kind].clone());
        }
        let Some(cursor) = page.body["next_cursor"].as_str() else { return kinds };
        assert_eq!(items.len(), limit, "a page is full where there are more");
        path = format!("/v1/account/export?limit={limit}&cursor={cursor}");
    }
}

fn counts(of: &BTreeMap<String, Vec<Value>>) -> Vec<(&str, usize)> {
    of.iter().map(|(kind, entries)| (kind.as_str(), entries.len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_has_all_of_it_and_nobody_elses() {
    let stage = Stage::new().await;
    let (shop, login) = people::merchant(&stage, "shop@example.org").await;
    people::merchant(&stage, "rival@example.org").await;
    stage.order().await;
    let scopes = json!(["orders:read"]);
    for name in ["one", "two"] {
        stage.post("/v1/account/keys", &login.access(), &json!({"name": name, "scopes": scopes})).await;
    }
    stage.post("/v1/webhooks/endpoints", &login.access(), &json!({"url": "https://shop.example/in"})).await.id();
    for _ in 0..5 {
        let placed = stage.post("/v1/orders", &login.access(), &order_body()).await;
        assert_eq!(placed.status, StatusCode::CREATED);
    }
    let all = exported(&stage, &login.access(), 100).await;
    let kinds: Vec<_> = all.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["account", "act", "api_key", "order", "session", "webhook_endpoint"]);
    let of = |kind: &str| all[kind].len();
    assert_eq!((of("account"), of("api_key"), of("order"), of("session"), of("webhook_endpoint")), (1, 2, 5, 1, 1));
    assert_eq!(all["account"][0]["id"], shop["id"]);
    assert!(all["order"].iter().all(|order| order["merchant_id"] == shop["party"]));
    let acts: Vec<_> =
        all["act"].iter().map(|act| (act["act"].as_str().unwrap(), act["own"].as_bool().unwrap())).collect();
    assert!(acts.contains(&("account.activated", false)) && acts.contains(&("api_key.created", true)), "{acts:?}");
    assert!(acts.contains(&("account.exported", true)), "{acts:?}");
    let text = json!(all).to_string();
    for secret in ["rival@example.org", "ph_live_\"", "whsec", "argon2", "adm_", "development token"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    // However it is cut into pages, it is the same.
    for limit in [1, 2, 3, 7] {
        let mut again = exported(&stage, &login.access(), limit).await;
        // Each export stands in the log itself.
        again.get_mut("act").unwrap().retain(|act| act["act"] != "account.exported");
        let mut first = all.clone();
        first.get_mut("act").unwrap().retain(|act| act["act"] != "account.exported");
        assert_eq!(again, first, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_has_shifts_and_tracks_a_customer_orders_and_an_admin_the_account() {
    let stage = Stage::new().await;
    let (dana, login) = people::driver(&stage, "dana@example.org").await;
    let path = format!("/v1/drivers/{}", dana["party"].as_str().unwrap());
    let now = stage.app.system().clock().now();
    let planned = json!({"start": now + Span::hours(1), "end": now + Span::hours(9)});
    stage.post(&format!("{path}/shifts"), &stage.admin, &planned).await.id();
    let on = json!({"state": "available", "place": {"lat": 52.516, "lng": 13.378}});
    stage.call(Method::PUT, &format!("{path}/shift"), Some(&login.access()), Some(&on)).await;
    let driver = dana["party"].as_str().unwrap().parse::<posthaste_domain::ids::DriverId>().unwrap();
    let points: Vec<_> = (0..250)
        .map(|n| posthaste_storage::positions::Position {
            driver,
            place: posthaste_domain::place::Place::new(52.5, 13.4).unwrap(),
            at: now - Span::minutes(n + 1),
            received_at: now,
            heading_degrees: None,
            speed_meters_per_second: Some(4.5),
        })
        .collect();
    posthaste_storage::tracks::append(&stage.database.pool, &points).await.unwrap();
    let all = exported(&stage, &login.access(), 2).await;
    let kinds: Vec<_> = counts(&all).into_iter().filter(|(kind, _)| !["act", "session"].contains(kind)).collect();
    assert_eq!(kinds[..4], [("account", 1), ("driver", 1), ("driver_event", 2), ("planned_shift", 1)]);
    let tracked: usize = all["track"].iter().map(|track| track["points"].as_array().unwrap().len()).sum();
    assert!((250..260).contains(&tracked), "{tracked}");
    let by: Vec<_> = all["driver_event"].iter().map(|event| event["by"].as_str().unwrap()).collect();
    assert_eq!(by, [dana["party"].as_str().unwrap(), "operations"], "newest first");

    people::register(&stage, "customer", "ada@example.org").await;
    let ada = people::log_in(&stage, "ada@example.org").await;
    let mut body = order_body();
    body["customer_id"] = ada.body["party"].clone();
    stage.post("/v1/orders", &stage.merchant, &body).await.id();
    stage.order().await;
    let all = exported(&stage, &ada.access(), 50).await;
    assert_eq!((all["order"].len(), all["account"].len(), all.len()), (1, 1, 4), "{all:?}");

    stage.app.identity().create_admin("root@example.org", "Root", &Secret(PASSWORD.to_owned())).await.unwrap();
    let root = people::log_in(&stage, "root@example.org").await;
    let kinds = exported(&stage, &root.access(), 50).await;
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["account", "act", "session"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_wants_a_fresh_proof_and_a_cursor_of_its_own() {
    let stage = Stage::with_identity(Limits::default(), |s| s.fresh_proof = Span::seconds(-1)).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let refused = stage.get("/v1/account/export", &login.access()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "step_up_required"));
    let wrong = stage.get("/v1/account/export?limit=0&cursor=next", &login.access()).await;
    assert_eq!(wrong.fields(), ["limit", "cursor"]);
    for token in [&stage.admin, &stage.merchant] {
        assert_eq!(stage.get("/v1/account/export", token).await.code(), "forbidden");
    }
}
