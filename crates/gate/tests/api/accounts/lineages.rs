//! Refresh tokens that somebody else has too: of what comes from one of them, one line is gone on with.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use posthaste_domain::Span;
use posthaste_http::limits::Limits;
use serde_json::json;

use super::people::{self, Login, PASSWORD};
use crate::stage::Stage;

const NEW: &str = "battery staple horse";

async fn is_over(stage: &Stage, login: &Login) {
    assert_eq!(login.try_refresh(stage).await.code(), "login_ended");
    assert_eq!(stage.get("/v1/account", &login.access()).await.code(), "login_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_lines_that_come_from_one_token_one_is_gone_on_with() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let stolen = people::log_in(&stage, "ada@example.org").await;
    let (owner, thief) = (stolen.refresh(&stage).await, stolen.refresh(&stage).await);
    let owner = owner.refresh(&stage).await;
    // At once: well within the grace.
    is_over(&stage, &thief).await;
    is_over(&stage, &owner).await;
    people::message(&stage, "ada@example.org", &["used a second time"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_who_keeps_pace_is_noticed_with_the_next_round() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let stolen = people::log_in(&stage, "ada@example.org").await;
    let (owner, thief) = (stolen.refresh(&stage).await, stolen.refresh(&stage).await);
    // The thief is first, and the owner a moment later: that may be a page that was clicked twice.
    let (thief, owner) = (thief.refresh(&stage).await, owner.refresh(&stage).await);
    thief.refresh(&stage).await;
    is_over(&stage, &owner).await;
    people::message(&stage, "ada@example.org", &["used a second time"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_signs_nobody_out_for_many_rounds() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let mut login = people::log_in(&stage, "ada@example.org").await;
    for round in 0..6 {
        let (one, other) = tokio::join!(login.try_refresh(&stage), login.try_refresh(&stage));
        assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK), "{round}: {one:?} {other:?}");
        login = Login { body: if round % 2 == 0 { one.body } else { other.body } };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn different_tokens_of_one_session_that_are_used_at_once_block_nobody() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    for _ in 0..10 {
        let login = people::log_in(&stage, "ada@example.org").await;
        let (one, other) = (login.refresh(&stage).await, login.refresh(&stage).await);
        let (one, other) = tokio::join!(one.try_refresh(&stage), other.try_refresh(&stage));
        for answer in [one, other] {
            assert!(answer.status == StatusCode::OK || answer.code() == "login_ended", "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_that_was_forgotten_long_ago_still_ends_its_session() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let old = people::log_in(&stage, "ada@example.org").await;
    let login = old.refresh(&stage).await;
    let bystander = people::log_in(&stage, "ada@example.org").await;
    sqlx::query("DELETE FROM refresh_tokens WHERE used_at IS NOT NULL")
        .execute(stage.database.pool.connections())
        .await
        .unwrap();
    let login = login.refresh(&stage).await;
    let made_up = Login { body: json!({"refresh_token": format!("{}A", old.refresh_token())}) };
    assert_eq!(made_up.try_refresh(&stage).await.code(), "login_ended");
    assert_eq!(stage.get("/v1/account", &login.access()).await.status, StatusCode::OK, "what is made up ends nothing");
    assert_eq!(old.try_refresh(&stage).await.code(), "login_ended");
    is_over(&stage, &login).await;
    bystander.refresh(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_leaves_nothing_to_whoever_has_tokens_of_the_same_session() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let stolen = people::log_in(&stage, "ada@example.org").await;
    let (owner, thief) = (stolen.refresh(&stage).await, stolen.refresh(&stage).await);
    let change = json!({"password": PASSWORD, "new_password": NEW, "refresh_in": "body"});
    let changed = stage.post("/v1/account/password", &owner.access(), &change).await;
    assert_eq!((changed.status, changed.header(header::CACHE_CONTROL)), (StatusCode::OK, "no-store"), "{changed:?}");
    is_over(&stage, &thief).await;
    is_over(&stage, &owner).await;
    let login = Login { body: changed.body };
    assert_ne!(login.id(), owner.id());
    let login = login.refresh(&stage).await;
    let sessions = stage.get("/v1/account/sessions", &login.access()).await;
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 1);
    let again = stage.post("/v1/account/password", &owner.access(), &change).await;
    assert_eq!(again.code(), "login_ended", "who is out changes nothing");

    // A browser gets the next cookie, and no token in the body.
    let change = json!({"password": NEW, "new_password": PASSWORD});
    let changed = stage.post("/v1/account/password", &login.access(), &change).await;
    assert!(changed.body["refresh_token"].is_null(), "{changed:?}");
    let cookie = changed.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
    let request = Request::post("/v1/sessions/refresh").header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    assert_eq!(stage.send(request).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_every_second_use_is_one_too_many() {
    let stage = Stage::with_identity(Limits::default(), |s| s.refresh_grace = Span::seconds(-1)).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let (one, other) = tokio::join!(login.try_refresh(&stage), login.try_refresh(&stage));
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [200, 401]);
    let listed = stage.call(Method::GET, "/v1/account", Some(&login.access()), None).await;
    assert_eq!(listed.code(), "login_ended");
}
