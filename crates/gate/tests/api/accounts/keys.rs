//! Merchants' keys.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use posthaste_domain::Span;
use posthaste_gate::access::{Access, RULES};
use posthaste_http::auth::KeyScope;
use posthaste_http::limits::Limits;
use posthaste_http::quota::Quotas;
use serde_json::{Value, json};

use super::people;
use crate::sockets::Server;
use crate::stage::{Stage, order_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_for_its_merchant_until_it_is_revoked() {
    let stage = Stage::new().await;
    let (shop, login) = people::merchant(&stage, "shop@example.org").await;
    let (_, rival) = people::merchant(&stage, "rival@example.org").await;
    let make = json!({"name": "backend", "scopes": ["orders:read", "orders:write"]});
    let made = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let key = made.body["secret"].as_str().unwrap().to_owned();
    assert!(key.starts_with("ph_live_") && key.len() > 50, "{key}");

    let placed = stage.post("/v1/orders", &key, &order_body()).await;
    assert_eq!((placed.status, &placed.body["merchant_id"]), (StatusCode::CREATED, &shop["party"]), "{placed:?}");
    let order = format!("/v1/orders/{}", placed.body["id"].as_str().unwrap());
    assert_eq!(stage.get(&order, &key).await.status, StatusCode::OK);
    for (path, code, why) in [
        ("/v1/zones", "scope_required", "zones:read"),
        ("/v1/account", "forbidden", "sign in"),
        ("/v1/drivers", "forbidden", "merchant"),
    ] {
        let refused = stage.get(path, &key).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, code), "{path}");
        assert!(refused.body["detail"].as_str().unwrap().contains(why), "{refused:?}");
    }
    let socket = stage.get(&format!("/v1/ws/merchant?access_token={key}"), "").await;
    assert_eq!(socket.code(), "unauthenticated");
    let request = Request::builder().uri(format!("/v1/ws/merchant?access_token={key}")).body(Body::empty()).unwrap();
    let socket = stage.send(request).await;
    assert_eq!(socket.code(), "unauthenticated", "no key stands in an address: {socket:?}");
    for path in ["/v1/ws/driver", "/v1/ws/operations"] {
        assert_eq!(stage.get(path, &key).await.code(), "forbidden", "{path}");
    }

    let make = json!({"name": "theirs", "scopes": ["orders:read"]});
    let theirs = stage.post("/v1/account/keys", &rival.access(), &make).await;
    let their_key = theirs.body["secret"].as_str().unwrap();
    assert_eq!(stage.get(&order, their_key).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.post("/v1/orders", their_key, &order_body()).await.status, StatusCode::FORBIDDEN);

    let listed = stage.get("/v1/account/keys", &login.access()).await;
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert!(items[0]["last_used_at"].is_string() && !listed.body.to_string().contains(&key));
    let path = format!("/v1/account/keys/{}", items[0]["id"].as_str().unwrap());
    let refused = stage.call(Method::DELETE, &path, Some(&rival.access()), None).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get(&order, &key).await.status, StatusCode::OK);
    let revoked = stage.call(Method::DELETE, &path, Some(&login.access()), None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    let refused = stage.get(&order, &key).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    let stored: Vec<String> = sqlx::query_scalar("SELECT to_jsonb(api_keys)::text FROM api_keys")
        .fetch_all(stage.database.pool.connections())
        .await
        .unwrap();
    assert!(stored.iter().all(|row| !row.contains(&key[8..])), "the secret is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_key_is_named_and_without_a_test_world_its_keys_are_refused() {
    let mut stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let make = json!({"name": " ", "scopes": ["orders:read", "orders:read", "everything"]});
    let refused = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!(refused.fields(), ["name", "scopes[1]", "scopes[2]"]);
    stage.worlds = stage.app.clone().into();
    let make = json!({"name": "try", "scopes": ["orders:read"], "world": "test"});
    let refused = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"));
    for key in ["ph_live_", "ph_test_x", "ph_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(stage.get("/v1/orders", key).await.code(), "unauthenticated");
    }
}

async fn make(stage: &Stage, login: &people::Login, scopes: &[&str]) -> String {
    let make = json!({"name": "backend", "scopes": scopes});
    let made = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    made.body["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_the_routes_of_its_scope_and_no_other() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let all: Vec<_> = KeyScope::ALL.iter().map(|scope| scope.name()).collect();
    let mut good = Vec::new();
    for scope in KeyScope::ALL {
        let but: Vec<_> = all.iter().copied().filter(|name| *name != scope.name()).collect();
        good.push((scope, make(&stage, &login, &[scope.name()]).await, make(&stage, &login, &but).await));
    }
    let everything = make(&stage, &login, &all).await;
    for rule in RULES.iter().filter(|rule| matches!(rule.access, Access::Roles(_) | Access::Account(_))) {
        let path = rule
            .path
            .replace("/orders/{id}", "/orders/ord_01jd8v7cjxfm9sxv0q3e0b5z1c")
            .replace("/endpoints/{id}", "/endpoints/whe_01jd8v7cjxfm9sxv0q3e0b5z1c")
            .replace("/messages/{id}", "/messages/whm_01jd8v7cjxfm9sxv0q3e0b5z1c")
            .replace("/zones/{id}", "/zones/zon_01jd8v7cjxfm9sxv0q3e0b5z1c");
        let ask = async |key: &str| {
            let method: Method = rule.method.parse().unwrap();
            let body = (method != Method::GET).then(|| json!({}));
            stage.call(method, &path, Some(key), body.as_ref()).await
        };
        let Some(scope) = rule.key else {
            let refused = ask(&everything).await;
            assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}: {refused:?}");
            continue;
        };
        let (_, fits, others) = good.iter().find(|(of, ..)| *of == scope).unwrap();
        let admitted = ask(fits).await;
        assert!(
            !["unauthenticated", "forbidden", "scope_required", "step_up_required"].contains(&admitted.code()),
            "{path}: {admitted:?}"
        );
        let refused = ask(others).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "scope_required"), "{path}: {refused:?}");
        assert!(refused.body["detail"].as_str().unwrap().contains(&format!("`{}`", scope.name())), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sensitive_about_endpoints_wants_a_fresh_proof_or_a_key() {
    // No proof is ever fresh here.
    let stage = Stage::with_identity(Limits::default(), |s| s.fresh_proof = Span::seconds(-1)).await;
    let (shop, login) = people::merchant(&stage, "shop@example.org").await;
    let key = "ph_live_0123456789012345678901234567890123456789";
    sqlx::query(
        "INSERT INTO api_keys (id, account_id, created_at, name, hint, hash, scopes)
        SELECT gen_random_uuid(), id, now(), 'backend', '', sha256($1::text::bytea), '{webhooks:write,webhooks:read}'
        FROM accounts",
    )
    .bind(key)
    .execute(stage.database.pool.connections())
    .await
    .unwrap();
    let endpoints = "/v1/webhooks/endpoints";
    let make = json!({"url": "https://shop.example/hooks"});
    let made = stage.post(endpoints, key, &make).await;
    assert_eq!((made.status, &made.body["merchant_id"]), (StatusCode::CREATED, &shop["party"]), "{made:?}");
    let one = format!("{endpoints}/{}", made.id());
    let put = json!({"url": "https://elsewhere.example/", "types": [], "enabled": true});
    let admin = posthaste_protocol::accounts::Secret(people::PASSWORD.to_owned());
    stage.app.identity().create_admin("root@example.org", "Root", &admin).await.unwrap();
    let root = people::log_in(&stage, "root@example.org").await;
    let acts = [
        (Method::POST, endpoints.to_owned(), make),
        (Method::PUT, one.clone(), put),
        (Method::POST, format!("{one}/secret"), json!({})),
        (Method::DELETE, one.clone(), Value::Null),
    ];
    for (method, path, body) in &acts {
        for (who, token) in [("owner", login.access()), ("admin", root.access())] {
            let refused = stage.call(method.clone(), path, Some(&token), Some(body)).await;
            let got = (refused.status, refused.code());
            assert_eq!(got, (StatusCode::FORBIDDEN, "step_up_required"), "{method} {path} by the {who}: {refused:?}");
        }
    }
    let kept = stage.get(&one, &login.access()).await;
    assert_eq!((kept.status, &kept.body["url"]), (StatusCode::OK, &json!("https://shop.example/hooks")), "{kept:?}");
    for (path, body) in
        [(format!("{one}/test"), json!({})), (format!("{one}/replay"), json!({"from": "2026-01-01T00:00:00Z"}))]
    {
        let done = stage.post(&path, &login.access(), &body).await;
        assert!(done.status.is_success(), "no proof for this: {done:?}");
    }
    for (method, path, body) in &acts {
        let done = stage.call(method.clone(), path, Some(key), Some(body)).await;
        assert!(done.status.is_success(), "{method} {path}: {done:?}");
    }
    let audit = stage.get("/v1/audit", &stage.admin).await;
    let noted = |act: &str| {
        let entries = audit.body["items"].as_array().unwrap().iter().filter(|entry| entry["act"] == act);
        entries.map(|entry| entry["actor"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for act in ["POST /v1/webhooks/endpoints/{id}/secret", "DELETE /v1/webhooks/endpoints/{id}"] {
        let actors = noted(act);
        assert!(actors.len() == 1 && actors[0].contains("key_"), "{act} was noted once, with the key: {actors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_owner_with_a_fresh_proof_makes_changes_and_removes_endpoints() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let (_, rival) = people::merchant(&stage, "rival@example.org").await;
    let made =
        stage.post("/v1/webhooks/endpoints", &login.access(), &json!({"url": "https://shop.example/hooks"})).await;
    let path = format!("/v1/webhooks/endpoints/{}", made.id());
    let theirs = make(&stage, &rival, &["webhooks:read", "webhooks:write"]).await;
    for token in [&theirs, &rival.access()] {
        for (method, path) in
            [(Method::GET, path.clone()), (Method::POST, format!("{path}/secret")), (Method::DELETE, path.clone())]
        {
            let refused = stage.call(method, &path, Some(token), None).await;
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}: {refused:?}");
        }
    }
    let rotated = stage.post(&format!("{path}/secret"), &login.access(), &json!({})).await;
    assert_ne!(rotated.body["secret"], made.body["secret"], "{rotated:?}");
    let removed = stage.call(Method::DELETE, &path, Some(&login.access()), None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{removed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_follows_its_merchants_orders_over_a_socket_until_it_is_revoked_or_the_merchant_banned() {
    let server = Server::new().await;
    let stage = &server.stage;
    let (shop, login) = people::merchant(stage, "shop@example.org").await;
    let make = async |scopes: &[&str], world: &str| {
        let make = json!({"name": "backend", "scopes": scopes, "world": world});
        let made = stage.post("/v1/account/keys", &login.access(), &make).await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (text(&made.body["secret"]), text(&made.body["key"]["id"]))
    };
    let ((live, live_id), (test, _)) =
        (make(&["orders:read", "orders:write"], "live").await, make(&["orders:read", "orders:write"], "test").await);
    let (deaf, _) = make(&["orders:write"], "live").await;
    assert!(server.try_connect("/v1/ws/merchant", Some(&deaf)).await.is_err(), "without orders:read");
    let (mut on_live, _, first) = server.begin("/v1/ws/merchant", Some(&live), json!({})).await;
    assert_eq!(first["type"], "snapshot", "{first}");
    let (mut on_test, _, first) = server.begin("/v1/ws/merchant", Some(&test), json!({})).await;
    assert_eq!(first["type"], "snapshot", "{first}");
    let placed = stage.post("/v1/orders", &test, &order_body()).await.id();
    let (message, next) = (on_test.until("order").await, stage.post("/v1/orders", &live, &order_body()).await.id());
    assert_eq!(message["data"]["order"]["id"], placed.as_str(), "{message}");
    let message = on_live.until("order").await;
    assert_eq!(message["data"]["order"]["id"], next.as_str(), "nothing of the test world came before: {message}");
    // A login of the live world does not carry on a socket of the test world.
    on_test.say("token", Some("t"), json!({"access_token": login.access()})).await;
    assert_eq!(on_test.answer("t").await["type"], "error");

    let revoked = stage.call(Method::DELETE, &format!("/v1/account/keys/{live_id}"), Some(&login.access()), None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(on_live.closed().await, 4002);
    let path = format!("/v1/accounts/{}/ban", shop["id"].as_str().unwrap());
    let began = std::time::Instant::now();
    assert_eq!(stage.post(&path, &stage.admin, &json!({"reason": "fraud"})).await.status, StatusCode::OK);
    assert_eq!(on_test.closed().await, 4002);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_a_quota_of_its_own_and_all_of_a_merchants_have_one_together() {
    let quotas = Quotas { caller_per_minute: 12, address_per_minute: 0 };
    let stage = Stage::with(Limits { quotas, ..Limits::default() }).await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let mut keys = Vec::new();
    for n in 0..6 {
        let make = json!({"name": format!("till {n}"), "scopes": ["orders:read"]});
        keys.push(stage.post("/v1/account/keys", &login.access(), &make).await.body["secret"].clone());
    }
    let mut taken = Vec::new();
    for key in &keys {
        let mut fine = 0;
        for _ in 0..15 {
            let answer = stage.get("/v1/orders", key.as_str().unwrap()).await;
            if answer.status != StatusCode::OK {
                assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
                break;
            }
            fine += 1;
        }
        taken.push(fine);
    }
    // Six requests made the keys, and one comes back every five seconds.
    assert!((12..=14).contains(&taken[0]), "a key's own: {taken:?}");
    assert!(taken[1] >= 12, "another key is not concerned: {taken:?}");
    let all: i32 = taken.iter().sum();
    assert!((42..=54).contains(&all) && taken[5] < 12, "48 together, six of which were the owner's: {taken:?}");
    let refused = stage.get("/v1/orders", keys[5].as_str().unwrap()).await;
    assert!(refused.header("ratelimit").starts_with("\"merchant\";r=0"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_none_left_makes_up_keys_without_a_look_into_the_database() {
    let quotas = Quotas { caller_per_minute: 0, address_per_minute: 3 };
    let stage = Stage::with(Limits { quotas, ..Limits::default() }).await;
    let ask = async |key: &str| {
        let request = Request::get("/v1/orders").header("host", "x").header("authorization", format!("Bearer {key}"));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo("192.0.2.1:1".parse::<SocketAddr>().unwrap()));
        stage.send(request).await
    };
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let make = json!({"name": "backend", "scopes": ["orders:read"]});
    let key = stage.post("/v1/account/keys", &login.access(), &make).await.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(ask(&key).await.status, StatusCode::OK);
    for n in 0..3 {
        assert_eq!(ask(&format!("ph_live_{n}")).await.code(), "unauthenticated");
    }
    // With the table gone, a look would be a fault.
    let pool = stage.database.pool.connections();
    sqlx::query("ALTER TABLE api_keys RENAME TO away").execute(pool).await.unwrap();
    for n in 3..9 {
        let refused = ask(&format!("ph_live_{n}")).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"), "{refused:?}");
    }
    sqlx::query("ALTER TABLE away RENAME TO api_keys").execute(pool).await.unwrap();
    assert_eq!(ask(&key).await.status, StatusCode::OK, "who is known is known");
}
