//! Registering by telephone: the code goes to the number as a text.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use posthaste_clock::testing::eventually;
use serde_json::{Value, json};

use super::people::{self, PASSWORD, code_in, message};
use crate::stage::{Answer, Stage};

const NUMBER: &str = "+4930123456";

fn registration(email: &str, phone: Option<&str>) -> Value {
    let mut body =
        json!({"role": "customer", "email": email, "password": PASSWORD, "name": "Ada", "verify_by": "phone"});
    if let Some(phone) = phone {
        body["phone"] = json!(phone);
    }
    body
}

async fn ask(stage: &Stage, email: &str, phone: &str) -> Answer {
    let body = registration(email, Some(phone));
    stage.call(Method::POST, "/v1/accounts", None, Some(&body)).await
}

async fn send_back(stage: &Stage, asked: &Answer, code: &str) -> Answer {
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await
}

async fn register(stage: &Stage, email: &str, phone: &str) -> Value {
    let asked = ask(stage, email, phone).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(stage, phone, &["is your posthaste code"]).await);
    let verified = send_back(stage, &asked, &code).await;
    assert_eq!(verified.status, StatusCode::CREATED, "{verified:?}");
    verified.body
}

async fn try_log_in(stage: &Stage, name: &str) -> Answer {
    stage.call(Method::POST, "/v1/sessions", None, Some(&people::credentials(name))).await
}

/// Messages to somebody so far.
async fn letters(stage: &Stage, to: &str) -> usize {
    let all = posthaste_notifications::carrier::read_mailbox(stage.mailbox.clone(), 100).await.unwrap();
    all.iter().filter(|text| text.lines().next().is_some_and(|line| line.ends_with(&format!(" {to}")))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_by_telephone_gets_a_text_and_no_email() {
    let stage = Stage::new().await;
    let asked = ask(&stage, "ada@example.org", NUMBER).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let text = message(&stage, NUMBER, &["is your posthaste code"]).await;
    assert!(text.starts_with("Text to: "), "{text}");
    let shown = stage.worlds.clone();
    let request = axum::http::Request::get("/dev/mail").body(axum::body::Body::empty()).unwrap();
    let page = shown.answer(request).await.unwrap();
    let page = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
    assert!(String::from_utf8_lossy(&page).contains(&code_in(&text)), "shown in development");
    let right = code_in(&text);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    assert_eq!(send_back(&stage, &asked, wrong).await.body["attempts_left"], json!(4));
    let account = send_back(&stage, &asked, &right).await;
    assert_eq!(account.status, StatusCode::CREATED, "{account:?}");
    assert_eq!(
        [&account.body["phone"], &account.body["phone_verified"], &account.body["email_verified"]],
        [&json!(NUMBER), &json!(true), &json!(false)]
    );
    assert_eq!(letters(&stage, "ada@example.org").await, 0, "the address may be somebody else's");
    for name in [NUMBER, "ada@example.org"] {
        assert_eq!(try_log_in(&stage, name).await.status, StatusCode::CREATED, "{name}");
    }
    // By email as ever.
    let bob = people::register(&stage, "customer", "bob@example.org").await;
    assert_eq!((&bob["email_verified"], &bob["phone_verified"]), (&json!(true), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_number_is_named_and_nothing_is_sent() {
    let stage = Stage::new().await;
    for phone in [None, Some(""), Some("030 123456"), Some("+49 30 123456"), Some("+0123456789"), Some("+12")] {
        let body = registration("ada@example.org", phone);
        let refused = stage.call(Method::POST, "/v1/accounts", None, Some(&body)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["phone"]), "{phone:?}: {refused:?}");
    }
    let mut body = registration("ada@example.org", Some(NUMBER));
    body["verify_by"] = json!("pigeon");
    let refused = stage.call(Method::POST, "/v1/accounts", None, Some(&body)).await;
    assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["verify_by"]), "{refused:?}");
    let waiting = "SELECT count(*) FROM jobs WHERE kind IN ('email', 'text')";
    let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(stage.database.pool.connections()).await.unwrap();
    assert_eq!(waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_number_registered_is_told_to_its_holder_alone() {
    let stage = Stage::new().await;
    register(&stage, "ada@example.org", NUMBER).await;
    let count = || stage.app.identity().passwords_hashed();
    let mut answers = Vec::new();
    for phone in [NUMBER, "+4940123456"] {
        let before = count();
        let asked = ask(&stage, "eve@example.org", phone).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED);
        assert_eq!(count(), before + 1, "the same work for {phone}");
        let refused = send_back(&stage, &asked, "00000x").await;
        assert_eq!((refused.code(), &refused.body["attempts_left"]), ("wrong_code", &json!(4)), "{phone}");
        answers.push(asked.body.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
    }
    assert_eq!(answers[0], answers[1]);
    message(&stage, NUMBER, &["have a posthaste account with this number already"]).await;
    message(&stage, "+4940123456", &["is your posthaste code"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_somebody_only_claims_is_its_owners_to_register() {
    let stage = Stage::new().await;
    let squatter = register(&stage, "ada@example.org", NUMBER).await;
    // Nothing that the address's owner asks for is turned away, nor does a letter of the squatter's reach her.
    let forgot = json!({"email": "ada@example.org"});
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&forgot)).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    let owner = people::register(&stage, "customer", "ada@example.org").await;
    assert_ne!(owner["party"], squatter["party"]);
    assert_eq!(letters(&stage, "ada@example.org").await, 1, "the code of her own registration");
    let login = people::log_in(&stage, "ada@example.org").await;
    assert_eq!(login.body["account_id"], owner["id"], "the address is hers");
    let theirs = try_log_in(&stage, NUMBER).await;
    assert_eq!((theirs.status, &theirs.body["account_id"]), (StatusCode::CREATED, &squatter["id"]), "{theirs:?}");

    // And the other way round: somebody who claims an address with an account learns nothing and gets none of it.
    let other = register(&stage, "ada@example.org", "+4940123456").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    assert_eq!(login.body["account_id"], owner["id"]);
    assert_ne!(other["id"], owner["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_by_telephone_is_recovered_by_text_and_told_by_text_until_its_address_is_verified() {
    let stage = Stage::new().await;
    register(&stage, "ada@example.org", NUMBER).await;
    let mut codes = BTreeSet::from([code_in(&message(&stage, NUMBER, &["is your posthaste code"]).await)]);
    for body in [json!({"email": NUMBER}), json!({"email": "ada@example.org", "send_by": "text"})] {
        let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&body)).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
        // Each text has another code; the newest is the one that belongs to this.
        let code = eventually("a text with another code", async || {
            let code = code_in(&message(&stage, NUMBER, &["is your posthaste code"]).await);
            codes.insert(code.clone()).then_some(code)
        })
        .await;
        assert_eq!(code.len(), 9);
        let reset = json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": PASSWORD});
        let done = stage.call(Method::POST, "/v1/password/reset", None, Some(&reset)).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT, "{done:?}");
    }
    message(&stage, NUMBER, &["Your password was replaced"]).await;
    assert_eq!(letters(&stage, "ada@example.org").await, 0);

    let login = people::log_in(&stage, NUMBER).await;
    let change = json!({"password": PASSWORD, "email": "ada@example.org"});
    let asked = stage.post("/v1/account/email", &login.access(), &change).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(&stage, "ada@example.org", &["is your code"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    let verified = stage.post("/v1/account/email/verify", &login.access(), &body).await;
    assert_eq!((verified.status, &verified.body["email_verified"]), (StatusCode::OK, &json!(true)), "{verified:?}");
    assert_eq!(try_log_in(&stage, "ada@example.org").await.status, StatusCode::CREATED);
    assert_eq!(try_log_in(&stage, NUMBER).await.code(), "wrong_credentials", "the address is its name now");
    // The number is free to register with.
    assert_eq!(ask(&stage, "bob@example.org", NUMBER).await.status, StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_to_one_number_and_to_its_neighbours_are_few_whoever_asks() {
    let stage = Stage::new().await;
    let mut sent = 0;
    for n in 0..8u8 {
        // Another address and another email each time.
        let body = registration(&format!("somebody{n}@example.org"), Some(NUMBER));
        let answer = people::from(&stage, [10, 0, 0, n], "/v1/accounts", &body).await;
        if answer.status == StatusCode::ACCEPTED {
            sent += 1;
        } else {
            assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
            assert!(answer.header("retry-after").parse::<u32>().unwrap() > 1, "{answer:?}");
        }
    }
    assert_eq!(sent, 5);
    let mut neighbours = 0;
    for n in 0..40u8 {
        let body = registration(&format!("neighbour{n}@example.org"), Some(&format!("+88215551{n:03}")));
        let answer = people::from(&stage, [10, 0, 1, n], "/v1/accounts", &body).await;
        neighbours += usize::from(answer.status == StatusCode::ACCEPTED);
    }
    // One a minute more may have become free meanwhile.
    assert!((20..=23).contains(&neighbours), "{neighbours}");
    let other = registration("x@example.org", Some("+4940123456"));
    let other = people::from(&stage, [10, 0, 2, 1], "/v1/accounts", &other).await;
    assert_eq!(other.status, StatusCode::ACCEPTED, "others are not slowed down");
}
