//! Sessions: listed, refreshed, stolen, ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use posthaste_clock::testing::eventually;
use posthaste_domain::Span;
use posthaste_http::limits::Limits;
use serde_json::json;

use super::people;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn two_refreshes_at_once_are_one_session_and_nobody_is_locked_out() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let (one, other) = tokio::join!(login.try_refresh(&stage), login.try_refresh(&stage));
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK), "{one:?} {other:?}");
    assert_eq!((&one.body["login_id"], &other.body["login_id"]), (&json!(login.id()), &json!(login.id())));
    assert_ne!(one.body["refresh_token"], other.body["refresh_token"]);
    // Whichever of the two answers is kept: see `lineages` for both.
    let next = people::Login { body: one.body }.refresh(&stage).await;
    assert_eq!(stage.get("/v1/account", &next.access()).await.status, StatusCode::OK);
    let sessions = stage.get("/v1/account/sessions", &login.access()).await;
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_used_again_after_the_grace_ends_the_session_and_its_owner_is_told() {
    let stage = Stage::with_identity(Limits::default(), |s| s.refresh_grace = Span::zero()).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let stolen = people::log_in(&stage, "ada@example.org").await;
    let other = people::log_in(&stage, "ada@example.org").await;
    let next = stolen.refresh(&stage).await;
    let refused = stolen.try_refresh(&stage).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "login_ended"));
    let refused = next.try_refresh(&stage).await;
    assert_eq!(refused.code(), "login_ended", "the whole family is over");
    let refused = stage.get("/v1/account", &next.access()).await;
    assert_eq!(refused.code(), "login_ended", "access tokens too");
    people::message(&stage, "ada@example.org", &["used a second time"]).await;
    other.refresh(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_is_bounded_in_uses_too() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    for _ in 0..3 {
        assert_eq!(login.try_refresh(&stage).await.status, StatusCode::OK);
    }
    assert_eq!(login.try_refresh(&stage).await.code(), "login_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    people::register(&stage, "customer", "bob@example.org").await;
    let (phone, laptop) =
        (people::log_in(&stage, "ada@example.org").await, people::log_in(&stage, "ada@example.org").await);
    let bob = people::log_in(&stage, "bob@example.org").await;
    let listed = stage.get("/v1/account/sessions", &phone.access()).await;
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|s| s["id"].clone()).collect::<Vec<_>>(), [laptop.id(), phone.id()]);
    assert_eq!(items.iter().map(|s| s["current"].clone()).collect::<Vec<_>>(), [false, true]);

    let path = format!("/v1/account/sessions/{}", laptop.id());
    let refused = stage.call(Method::DELETE, &path, Some(&bob.access()), None).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get("/v1/account", &laptop.access()).await.status, StatusCode::OK);
    let ended = stage.call(Method::DELETE, &path, Some(&phone.access()), None).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(stage.get("/v1/account", &laptop.access()).await.code(), "login_ended");
    assert_eq!(laptop.try_refresh(&stage).await.code(), "login_ended");

    let tablet = people::log_in(&stage, "ada@example.org").await;
    let ended = stage.call(Method::DELETE, "/v1/account/sessions", Some(&phone.access()), None).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(stage.get("/v1/account", &tablet.access()).await.code(), "login_ended");
    assert_eq!(stage.get("/v1/account", &phone.access()).await.status, StatusCode::OK);
    assert_eq!(stage.get("/v1/account", &bob.access()).await.status, StatusCode::OK);

    let tablet = people::log_in(&stage, "ada@example.org").await;
    let path = "/v1/account/sessions?including_this=perhaps";
    let unclear = stage.call(Method::DELETE, path, Some(&phone.access()), None).await;
    assert_eq!(unclear.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.get("/v1/account", &tablet.access()).await.status, StatusCode::OK);
    let path = "/v1/account/sessions?including_this=true";
    assert_eq!(stage.call(Method::DELETE, path, Some(&phone.access()), None).await.status, StatusCode::NO_CONTENT);
    for login in [&phone, &tablet] {
        assert_eq!(stage.get("/v1/account", &login.access()).await.code(), "login_ended");
        assert_eq!(login.try_refresh(&stage).await.code(), "login_ended");
    }
    assert_eq!(stage.get("/v1/account", &bob.access()).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_get_the_refresh_token_in_a_cookie_alone() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let body = json!({"email": "ADA@example.org", "password": people::PASSWORD});
    let login = stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await;
    assert_eq!(login.status, StatusCode::CREATED, "{login:?}");
    assert!(login.body["refresh_token"].is_null());
    assert_eq!(login.header(header::CACHE_CONTROL), "no-store");
    let cookie = login.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
    let send = |path: &str, cookie: &str| {
        let request = Request::post(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
        stage.send(request)
    };
    let next = send("/v1/sessions/refresh", &cookie).await;
    assert_eq!(next.status, StatusCode::OK, "{next:?}");
    let cookie = next.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
    let ended = send("/v1/sessions/end", &cookie).await;
    assert!(ended.header(header::SET_COOKIE).contains("Max-Age=0"));
    let refused = send("/v1/sessions/refresh", &cookie).await;
    assert_eq!(refused.code(), "login_ended");
    assert!(refused.header(header::SET_COOKIE).contains("Max-Age=0"), "a cookie that is over is taken away");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_load_and_nobody_is_signed_out() {
    let stage = Stage::with_identity(Limits::default(), |s| s.publish_before = Span::zero()).await;
    const ROTATIONS: usize = 5;
    let names = ["ada", "bob", "eve"].map(|name| format!("{name}@example.org"));
    for name in &names {
        people::register(&stage, "customer", name).await;
    }
    let before = people::log_in(&stage, &names[0]).await;
    let (done, rotated) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Everybody works and refreshes all the time; whatever is refused fails the test.
    let work = async |name: &str| {
        let mut login = people::log_in(&stage, name).await;
        while rotated.load(Ordering::Relaxed) < ROTATIONS {
            for _ in 0..3 {
                let answer = stage.get("/v1/account", &login.access()).await;
                assert_eq!(answer.status, StatusCode::OK, "{name}: {answer:?}");
            }
            // What was signed before the last rotation is good too.
            let next = login.refresh(&stage).await;
            assert_eq!(stage.get("/v1/account", &login.access()).await.status, StatusCode::OK, "{name}");
            login = next;
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let rotations = async {
        for n in 0..ROTATIONS {
            stage.app.identity().rotate_keys(&posthaste_identity::Origin::local()).await.unwrap();
            // Some work between this one and the next.
            let enough = done.load(Ordering::Relaxed) + 6;
            eventually("work goes on", async || (done.load(Ordering::Relaxed) >= enough).then_some(())).await;
            rotated.store(n + 1, Ordering::Relaxed);
        }
    };
    let all = async { tokio::join!(rotations, work(&names[0]), work(&names[1]), work(&names[2])) };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("work goes on");
    assert!(done.load(Ordering::Relaxed) >= 6 * ROTATIONS);
    let after = before.refresh(&stage).await;
    let kid = |token: &str| {
        use base64::Engine;
        let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&head).unwrap()["kid"].clone()
    };
    assert_ne!(kid(&before.access()), kid(&after.access()));
    let published = stage.call(Method::GET, "/.well-known/jwks.json", None, None).await;
    let keys = published.body["keys"].as_array().unwrap();
    for token in [before.access(), after.access()] {
        assert!(keys.iter().any(|key| key["kid"] == kid(&token)), "{published:?}");
        assert_eq!(stage.get("/v1/account", &token).await.status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_stranger_stands_in_a_letter() {
    const PHISHING: &str = "X). Your account is locked, visit https://evil.example/unlock now (Mozilla";
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let body = json!({"password": people::PASSWORD, "new_password": "battery staple horse"});
    let request = Request::post("/v1/account/password")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", login.access()))
        .header(header::USER_AGENT, PHISHING);
    let changed = stage.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let letter = people::message(&stage, "ada@example.org", &["Your password was changed"]).await;
    assert!(letter.contains("(a program)"), "{letter}");
    assert!(!["locked", "evil", "https", "Mozilla"].iter().any(|word| letter.contains(word)), "{letter}");
}
