//! Things that go wrong: guessers, clocks, forgers, and nobody who sends mail.

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::Span;
use posthaste_http::limits::Limits;
use posthaste_identity::Hashing;
use serde_json::{Value, json};

use super::people::{self, credentials};
use crate::stage::Stage;

fn wrong(email: &str) -> Value {
    json!({"email": email, "password": "a wrong password"})
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wrong_logins_are_refused_slow_down_nobody_and_lock_nobody_out() {
    let hashing = Hashing { memory_kib: 1024, passes: 1, at_once: 1, waiting: 8 };
    let stage = std::sync::Arc::new(Stage::with_identity(Limits::default(), |s| s.hashing = hashing).await);
    for email in ["ada@example.org", "bob@example.org"] {
        people::register(&stage, "customer", email).await;
    }
    let mut usual = credentials("ada@example.org");
    usual["refresh_in"] = json!("cookie");
    let device = people::from(&stage, [198, 51, 100, 7], "/v1/sessions", &usual).await;
    let cookie = device.header("set-cookie").split(';').next().unwrap().to_owned();
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..10_000u32 {
        let stage = std::sync::Arc::clone(&stage);
        tries.spawn(async move {
            // Many addresses, many emails: the throttle alone does not stop them.
            let [_, a, b, c] = n.to_be_bytes();
            let email = if n % 3 == 0 { "ada@example.org".to_owned() } else { format!("somebody{n}@example.org") };
            let answer = people::from(&stage, [10, a, b, c], "/v1/sessions", &wrong(&email)).await;
            if answer.status != StatusCode::UNAUTHORIZED {
                assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            }
            answer.status.as_u16()
        });
    }
    // Others go on meanwhile.
    for _ in 0..20 {
        let orders = stage.get("/v1/orders", &stage.merchant).await;
        assert_eq!(orders.status, StatusCode::OK);
    }
    let mut counts = std::collections::BTreeMap::new();
    while let Some(status) = tries.join_next().await {
        *counts.entry(status.unwrap()).or_insert(0) += 1;
    }
    assert!(counts.keys().all(|status| [401, 408, 429, 503].contains(status)), "{counts:?}");
    assert!(counts[&401] >= 9 && counts.get(&503).copied().unwrap_or_default() > 1000, "{counts:?}");
    // More than any flood leaves of guesses at one account, however many were turned away before a password was looked at.
    for n in 0..60 {
        people::from(&stage, [203, 0, 113, n], "/v1/sessions", &wrong("ada@example.org")).await;
    }
    let elsewhere = people::from(&stage, [198, 51, 100, 8], "/v1/sessions", &usual).await;
    assert_eq!(elsewhere.code(), "rate_limited", "the account is guarded: {elsewhere:?}");
    let request = axum::http::Request::post("/v1/sessions")
        .header("content-type", "application/json")
        .header("cookie", cookie)
        .body(axum::body::Body::from(usual.to_string()))
        .unwrap();
    let owner = stage.send(request).await;
    assert_eq!(owner.status, StatusCode::CREATED, "from their usual place the owner gets in: {owner:?}");
    let other = people::from(&stage, [198, 51, 100, 9], "/v1/sessions", &credentials("bob@example.org")).await;
    assert_eq!(other.status, StatusCode::CREATED, "others are not slowed down: {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_slows_himself_down_and_the_owner_gets_in() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let stranger = [192, 0, 2, 1];
    for _ in 0..5 {
        let refused = people::from(&stage, stranger, "/v1/sessions", &wrong("ada@example.org")).await;
        assert_eq!(refused.code(), "wrong_credentials");
    }
    let refused = people::from(&stage, stranger, "/v1/sessions", &credentials("ada@example.org")).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((30..=60).contains(&wait), "{wait}");
    let owner = people::from(&stage, [198, 51, 100, 7], "/v1/sessions", &credentials("ada@example.org")).await;
    assert_eq!(owner.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_from_everywhere_leaves_known_devices_alone() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let mut body = credentials("ada@example.org");
    body["refresh_in"] = json!("cookie");
    let device = people::from(&stage, [198, 51, 100, 7], "/v1/sessions", &body).await;
    let cookie = device.header("set-cookie").split(';').next().unwrap().to_owned();
    for n in 0..50 {
        people::from(&stage, [10, 0, 0, n], "/v1/sessions", &wrong("ada@example.org")).await;
    }
    let elsewhere = people::from(&stage, [198, 51, 100, 8], "/v1/sessions", &body).await;
    assert_eq!(elsewhere.code(), "rate_limited");
    let request = axum::http::Request::post("/v1/sessions")
        .header("content-type", "application/json")
        .header("cookie", cookie)
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    assert_eq!(stage.send(request).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_may_be_half_a_minute_apart_and_no_more() {
    let stage = Stage::with_identity(Limits::default(), |s| s.access_token = Span::seconds(-20)).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    assert_eq!(stage.get("/v1/account", &login.access()).await.status, StatusCode::OK, "expired 20 s ago");
    let stage = Stage::with_identity(Limits::default(), |s| s.access_token = Span::seconds(-40)).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let refused = stage.get("/v1/account", &login.access()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "token_expired"));
    login.refresh(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_refused() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let token = people::log_in(&stage, "ada@example.org").await.access();
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["party"] = json!("adm_01jd8v7cjxfm9sxv0q3e0b5z1c");
    let forged = URL_SAFE_NO_PAD.encode(claims.to_string());
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt","kid":""}"#);
    let mut cut = parts[2].to_owned();
    cut.pop();
    for token in [
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{none}.{forged}."),
        format!("{}.{}.{cut}", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}.x"),
        "x".repeat(5000),
    ] {
        let refused = stage.get("/v1/accounts", &token).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_production_takes_no_tokens_of_development_and_shows_no_mail() {
    let stage = Stage::new().await;
    assert_eq!(stage.call(Method::GET, "/dev/mail", None, None).await.status, StatusCode::OK);
    let limits = Limits::default();
    let settings = posthaste_identity::Settings {
        hashing: Hashing { memory_kib: 8, passes: 1, ..Hashing::default() },
        mailbox: Some(stage.mailbox.clone()),
        ..posthaste_identity::Settings::default()
    };
    let (pool, clock) = (stage.database.pool.clone(), posthaste_clock::Clock::system());
    let seal = posthaste_storage::sealed::Seal::new(b"a secret of tests");
    let outbox = without_carriers(&pool, &seal, &clock);
    let keys = crate::stage::keys();
    let parts = posthaste_identity::Parts { pool, clock, seal, keys, notifications: outbox, settings };
    let identity = posthaste_identity::Identity::open(parts).await.unwrap();
    let system = stage.app.system().clone();
    let webhooks = crate::stage::webhooks(&stage.database, &system);
    let app = crate::stage::app(&stage.database, system, identity, webhooks, limits);
    let mut stage = stage;
    stage.worlds = app.into();
    let refused = stage.get("/v1/orders", &stage.admin).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    assert_eq!(stage.call(Method::GET, "/dev/mail", None, None).await.status, StatusCode::NOT_FOUND);
    // And without a mail server nobody registers in vain.
    let refused = people::ask(&stage, "customer", "ada@example.org").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{refused:?}");
}

/// An outbox that nothing is carried from.
fn without_carriers(
    pool: &posthaste_storage::pool::Pool,
    seal: &posthaste_storage::sealed::Seal,
    clock: &posthaste_clock::Clock,
) -> posthaste_notifications::Notifications {
    let outside = posthaste_storage::installation::Outside::Open;
    let jobs = posthaste_jobs::Jobs::new(pool.clone(), seal.clone(), clock.clone(), outside);
    posthaste_notifications::Notifications::new(jobs, None, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_sealed_with_another_secret_is_not_opened() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.database.pool.clone(), posthaste_clock::Clock::system());
    let seal = posthaste_storage::sealed::Seal::new(b"another secret");
    let notifications = without_carriers(&pool, &seal, &clock);
    let settings = posthaste_identity::Settings::default();
    let keys = crate::stage::keys();
    let parts = posthaste_identity::Parts { pool, clock, seal, keys, notifications, settings };
    let refused = posthaste_identity::Identity::open(parts).await.err().unwrap();
    assert!(refused.to_string().contains("was the configured secret changed"), "{refused}");
}
