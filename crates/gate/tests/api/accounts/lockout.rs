//! Strangers who try to keep somebody out of their own account.

use std::net::IpAddr;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::people::{self, code_in, credentials, message};
use crate::stage::Stage;

const STRANGER: [u8; 4] = [192, 0, 2, 1];
const OWNER: [u8; 4] = [198, 51, 100, 7];

fn wrong(email: &str) -> Value {
    json!({"email": email, "password": "a wrong password"})
}

/// Until one login of the account fails for whoever is not known.
async fn attack_from_everywhere(stage: &Stage, email: &str) {
    for n in 0..=50 {
        people::from(stage, [10, 0, 0, n], "/v1/sessions", &wrong(email)).await;
    }
    let refused = people::from(stage, [10, 0, 1, 0], "/v1/sessions", &credentials(email)).await;
    assert_eq!(refused.code(), "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_uses_up_all_codes_leaves_recovery_to_the_owner() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let email = json!({"email": "ada@example.org"});
    let mut refused = 0;
    for _ in 0..40 {
        let answer = people::from(&stage, STRANGER, "/v1/password/forgot", &email).await;
        refused += usize::from(answer.code() == "rate_limited");
    }
    assert_eq!(refused, 35);
    let asked = people::from(&stage, OWNER, "/v1/password/forgot", &email).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_for_one_purpose_are_not_used_up_by_another() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let register = json!({"role": "customer", "email": "ada@example.org", "password": people::PASSWORD, "name": "X"});
    for _ in 0..6 {
        people::from(&stage, OWNER, "/v1/accounts", &register).await;
    }
    let refused = people::from(&stage, OWNER, "/v1/accounts", &register).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    // The same house, even: a stranger behind the owner's own address.
    let asked = people::from(&stage, OWNER, "/v1/password/forgot", &json!({"email": "ada@example.org"})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(&stage, "ada@example.org", &["new password"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": "battery staple horse"});
    let reset = people::from(&stage, OWNER, "/v1/password/reset", &body).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{reset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_whole_site_of_addresses_keeps_nobody_out() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    for n in 0..120_u16 {
        let corner: IpAddr = format!("2001:db8:1:{n:x}::1").parse().unwrap();
        people::from_ip(&stage, corner, "/v1/sessions", &wrong("ada@example.org")).await;
        people::from_ip(&stage, corner, "/v1/password/forgot", &json!({"email": "ada@example.org"})).await;
    }
    let login = people::from(&stage, OWNER, "/v1/sessions", &credentials("ada@example.org")).await;
    assert_eq!(login.status, StatusCode::CREATED, "{login:?}");
    let asked = people::from(&stage, OWNER, "/v1/password/forgot", &json!({"email": "ada@example.org"})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_app_shows_that_its_device_is_known_and_nobody_elses_token_does() {
    let stage = Stage::new().await;
    for email in ["ada@example.org", "bob@example.org"] {
        people::register(&stage, "customer", email).await;
    }
    let [phone, tablet, lost] = [
        people::log_in(&stage, "ada@example.org").await,
        people::log_in(&stage, "ada@example.org").await,
        people::log_in(&stage, "ada@example.org").await,
    ];
    let bob = people::log_in(&stage, "bob@example.org").await;
    let used = phone.refresh_token();
    let phone = phone.refresh(&stage).await;
    people::end(&stage, &tablet).await;
    let path = format!("/v1/account/sessions/{}", lost.id());
    stage.call(Method::DELETE, &path, Some(&phone.access()), None).await;

    attack_from_everywhere(&stage, "ada@example.org").await;
    for (whose, token, status) in [
        ("somebody else's", bob.refresh_token(), StatusCode::TOO_MANY_REQUESTS),
        ("made up", "phr_x".to_owned(), StatusCode::TOO_MANY_REQUESTS),
        ("of a device that its owner shut out", lost.refresh_token(), StatusCode::TOO_MANY_REQUESTS),
    ] {
        let mut body = credentials("ada@example.org");
        body["known_by"] = json!(token);
        assert_eq!(people::from(&stage, OWNER, "/v1/sessions", &body).await.status, status, "{whose}");
    }
    for (which, token) in [("in use", phone.refresh_token()), ("used", used), ("signed out", tablet.refresh_token())] {
        // Each time anew, as whoever shows the password ends the siege.
        attack_from_everywhere(&stage, "ada@example.org").await;
        let mut body = credentials("ada@example.org");
        body["known_by"] = json!(token);
        let login = people::from(&stage, OWNER, "/v1/sessions", &body).await;
        assert_eq!(login.status, StatusCode::CREATED, "{which}: {login:?}");
    }
    // It shows a device, not a person.
    attack_from_everywhere(&stage, "ada@example.org").await;
    let mut body = wrong("ada@example.org");
    body["known_by"] = json!(phone.refresh_token());
    let codes = [(); 6].map(|()| people::from(&stage, OWNER, "/v1/sessions", &body));
    let answers = futures_util::future::join_all(codes).await;
    assert_eq!(answers.iter().filter(|answer| answer.code() == "wrong_credentials").count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_whose_account_was_tried_and_does_not_grow_with_the_tries() {
    let stage = Stage::new().await;
    let ada = people::register(&stage, "customer", "ada@example.org").await;
    for _ in 0..20 {
        people::from(&stage, STRANGER, "/v1/sessions", &wrong("ada@example.org")).await;
        people::from(&stage, STRANGER, "/v1/sessions", &wrong("my password, typed where the email belongs")).await;
    }
    let asked = people::from(&stage, STRANGER, "/v1/password/forgot", &json!({"email": "ada@example.org"})).await;
    let body =
        json!({"challenge_id": asked.body["challenge_id"], "code": "00000x", "password": "battery staple horse"});
    for _ in 0..3 {
        people::from(&stage, STRANGER, "/v1/password/reset", &body).await;
    }
    let subject = ada["id"].as_str().unwrap();
    let entries = stage.get(&format!("/v1/audit?subject={subject}"), &stage.admin).await;
    let acts = |entries: &Value| -> Vec<String> {
        let items = entries["items"].as_array().unwrap().iter();
        items.map(|entry| entry["act"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["code.failed", "code.requested", "login.throttled", "login.failed", "account.registered"];
    assert_eq!(acts(&entries.body), expected);
    assert!(entries.body["items"][3]["address"] == "192.0.2.1", "{entries:?}");
    let all = stage.get("/v1/audit?limit=100", &stage.admin).await;
    let failed = acts(&all.body).into_iter().filter(|act| act == "login.failed").count();
    assert_eq!(failed, 2, "one for ada, one for nobody");
    assert!(!all.body.to_string().contains("my password"), "what was typed is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_few_wrong_codes_however_many_it_asks_for_and_others_go_on() {
    let stage = Stage::new().await;
    let mut tried = Vec::new();
    for n in 0..6 {
        let email = json!({"email": format!("somebody{n}@example.org")});
        let asked = people::from(&stage, STRANGER, "/v1/password/forgot", &email).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
        let body =
            json!({"challenge_id": asked.body["challenge_id"], "code": "000000", "password": "battery staple horse"});
        for _ in 0..4 {
            tried.push(people::from(&stage, STRANGER, "/v1/password/reset", &body).await);
        }
    }
    let limited = tried.iter().filter(|answer| answer.code() == "rate_limited").count();
    // In a slow run one or two more have become free.
    assert!((2..=4).contains(&limited), "twenty of twenty-four: {limited}");
    assert!(tried.iter().take(20).all(|answer| answer.code() == "wrong_code"));
    let last = tried.last().unwrap();
    assert_eq!((last.status, last.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"), "{last:?}");
    people::register_from(&stage, IpAddr::from(OWNER), "customer", "ada@example.org").await;
}
