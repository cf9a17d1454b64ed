//! Codes that are still open when what they were sent to, or for, has changed; and how long their askers wait.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::people::{self, PASSWORD, code_in, message};
use crate::stage::{Answer, Stage};

const NEW: &str = "battery staple horse";

async fn forgot(stage: &Stage, email: &str) -> Value {
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&json!({"email": email}))).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(stage, email, &["new password"]).await);
    json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": NEW})
}

async fn reset(stage: &Stage, body: &Value) -> Answer {
    stage.call(Method::POST, "/v1/password/reset", None, Some(body)).await
}

/// Asks for another email address; what is to be sent back.
async fn move_to(stage: &Stage, access: &str, email: &str) -> Value {
    let asked = stage.post("/v1/account/email", access, &json!({"password": PASSWORD, "email": email})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(stage, email, &["is your code"]).await);
    json!({"challenge_id": asked.body["challenge_id"], "code": code})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_in_the_old_mailbox_is_of_no_use_once_the_address_is_another() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let in_old_mailbox = forgot(&stage, "ada@example.org").await;
    let moved = move_to(&stage, &login.access(), "ada@example.com").await;
    let second = move_to(&stage, &login.access(), "eve@example.com").await;
    let changed = stage.post("/v1/account/email/verify", &login.access(), &moved).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(reset(&stage, &in_old_mailbox).await.status, StatusCode::NOT_FOUND);
    let again = stage.post("/v1/account/email/verify", &login.access(), &second).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "nor is another change that was begun");
    people::log_in(&stage, "ada@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_with_the_old_password_ends_with_it() {
    let stage = Stage::new().await;
    for email in ["ada@example.org", "bob@example.org"] {
        people::register(&stage, "customer", email).await;
    }
    let thief = people::log_in(&stage, "ada@example.org").await;
    let first = forgot(&stage, "ada@example.org").await;
    let moved = move_to(&stage, &thief.access(), "thief@example.com").await;
    let bobs = forgot(&stage, "bob@example.org").await;
    assert_eq!(reset(&stage, &first).await.status, StatusCode::NO_CONTENT);
    let body = json!({"email": "ada@example.org", "password": NEW, "refresh_in": "body"});
    let owner = stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await;
    let access = owner.body["access_token"].as_str().unwrap();
    let changed = stage.post("/v1/account/email/verify", access, &moved).await;
    assert_eq!(changed.status, StatusCode::NOT_FOUND, "{changed:?}");
    assert_eq!(reset(&stage, &bobs).await.status, StatusCode::NO_CONTENT, "others' codes are not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_open_when_the_password_was_changed_does_not_change_it_back() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let open = forgot(&stage, "ada@example.org").await;
    let change = json!({"password": PASSWORD, "new_password": "horse staple battery"});
    assert_eq!(stage.post("/v1/account/password", &login.access(), &change).await.status, StatusCode::OK);
    assert_eq!(reset(&stage, &open).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_sooner_than_others_that_an_address_is_known() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let began = Instant::now();
        people::ask(&stage, "customer", email).await;
        let asked = began.elapsed();
        let began = Instant::now();
        stage.call(Method::POST, "/v1/password/forgot", None, Some(&json!({"email": email}))).await;
        // Slower is a slow machine; what must not be is that either is answered when its work is done.
        let least = Duration::from_millis(150);
        assert!(asked >= least && began.elapsed() >= least, "{email}: {asked:?}");
    }
}
