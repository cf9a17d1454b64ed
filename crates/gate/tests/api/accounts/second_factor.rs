//! The second factor and fresh proofs.

use axum::http::{Method, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_http::limits::Limits;
use posthaste_protocol::accounts::Secret;
use serde_json::json;
use sha1::Sha1;

use super::people::{self, Login, PASSWORD};
use crate::stage::Stage;

/// An authenticator, made from the secret as it is typed.
pub(crate) struct Authenticator(Vec<u8>, Clock);

impl Authenticator {
    fn new(secret: &str, clock: &Clock) -> Self {
        let digits = secret.bytes().map(|b| if b.is_ascii_digit() { b - b'2' + 26 } else { b - b'A' });
        let (mut bytes, mut bits, mut value) = (Vec::new(), 0, 0u32);
        for digit in digits {
            (value, bits) = (value << 5 | u32::from(digit), bits + 5);
            if bits >= 8 {
                bits -= 8;
                bytes.push((value >> bits & 0xFF) as u8);
            }
        }
        Self(bytes, clock.clone())
    }

    /// The code of now, or of so many steps from now.
    pub(crate) fn code(&self, later: i64) -> String {
        let step = self.1.wall().timestamp() / 30 + later;
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).unwrap();
        mac.update(&step.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let at = usize::from(digest[19] & 15);
        let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF;
        format!("{:06}", number % 1_000_000)
    }
}

/// Turns it on with the code of the step before, so that the present one is left.
pub(crate) async fn turn_on(stage: &Stage, login: &Login) -> (Authenticator, Vec<String>) {
    turn_on_at(stage, login, -1).await
}

/// With the code of so many steps from now.
async fn turn_on_at(stage: &Stage, login: &Login, step: i64) -> (Authenticator, Vec<String>) {
    let without = stage.call(Method::POST, "/v1/account/second-factor", Some(&login.access()), None).await;
    assert_eq!(without.fields(), ["password"], "a stolen token keeps nobody out: {without:?}");
    let offer = stage.post("/v1/account/second-factor", &login.access(), &json!({"password": PASSWORD})).await;
    assert_eq!(offer.status, StatusCode::OK, "{offer:?}");
    assert!(offer.body["qr_svg"].as_str().unwrap().contains("<svg"));
    let authenticator = Authenticator::new(offer.body["secret"].as_str().unwrap(), &stage.clock);
    let wrong = json!({"code": "12345x"});
    let refused = stage.post("/v1/account/second-factor/confirm", &login.access(), &wrong).await;
    assert_eq!(refused.code(), "wrong_code");
    assert_eq!(stage.get("/v1/account", &login.access()).await.body["second_factor"], false);
    let body = json!({"code": authenticator.code(step)});
    let on = stage.post("/v1/account/second-factor/confirm", &login.access(), &body).await;
    assert_eq!(on.status, StatusCode::OK, "{on:?}");
    let codes = on.body["recovery_codes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned());
    (authenticator, codes.collect())
}

async fn log_in_with(stage: &Stage, email: &str, code: &str) -> crate::stage::Answer {
    let body = json!({"email": email, "password": PASSWORD, "code": code, "refresh_in": "body"});
    stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_wants_the_second_factor_once_and_no_code_twice() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let (authenticator, codes) = turn_on(&stage, &login).await;
    assert_eq!(codes.len(), 10);
    let without = stage.call(Method::POST, "/v1/sessions", None, Some(&people::credentials("ada@example.org"))).await;
    assert_eq!((without.status, without.code()), (StatusCode::UNAUTHORIZED, "second_factor_required"));
    let code = authenticator.code(0);
    let at_once = || log_in_with(&stage, "ada@example.org", &code);
    let (one, other) = tokio::join!(at_once(), at_once());
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [201, 422], "one of two with the same code");
    assert_eq!(at_once().await.code(), "wrong_code", "nor later");

    let recovered = log_in_with(&stage, "ada@example.org", &codes[0].to_uppercase()).await;
    assert_eq!(recovered.status, StatusCode::CREATED, "{recovered:?}");
    people::message(&stage, "ada@example.org", &["recovery codes was used"]).await;
    assert_eq!(log_in_with(&stage, "ada@example.org", &codes[0]).await.code(), "wrong_code");
    let login = Login { body: recovered.body };
    for method_and_path in [(Method::POST, "/v1/account/recovery-codes"), (Method::DELETE, "/v1/account/second-factor")]
    {
        let (method, path) = method_and_path;
        let refused = stage.call(method.clone(), path, Some(&login.access()), None).await;
        assert_eq!(refused.fields(), ["password"], "{path}: a stolen token is not enough");
        let wrong = json!({"password": "a wrong password"});
        let refused = stage.call(method, path, Some(&login.access()), Some(&wrong)).await;
        assert_eq!(refused.code(), "wrong_credentials", "{path}");
    }
    let shown = json!({"password": PASSWORD});
    let renewed = stage.post("/v1/account/recovery-codes", &login.access(), &shown).await;
    assert_eq!(renewed.status, StatusCode::OK, "{renewed:?}");
    people::message(&stage, "ada@example.org", &["recovery codes of your account were replaced"]).await;
    assert_eq!(log_in_with(&stage, "ada@example.org", &codes[1]).await.code(), "wrong_code", "the old ones are over");
    let off = stage.call(Method::DELETE, "/v1/account/second-factor", Some(&login.access()), Some(&shown)).await;
    assert_eq!(off.status, StatusCode::NO_CONTENT);
    people::log_in(&stage, "ada@example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_read_as_people_type_them() {
    let stage = Stage::new().await;
    let asked = people::ask(&stage, "customer", "ada@example.org").await;
    let code = people::code_in(&people::message(&stage, "ada@example.org", &["is your code"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": format!("{}-{}", &code[..3], &code[3..])});
    let verified = stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await;
    assert_eq!(verified.status, StatusCode::CREATED, "{verified:?}");

    let login = people::log_in(&stage, "ada@example.org").await;
    let offer = stage.post("/v1/account/second-factor", &login.access(), &json!({"password": PASSWORD})).await;
    let authenticator = Authenticator::new(offer.body["secret"].as_str().unwrap(), &stage.clock);
    let code = authenticator.code(-1);
    // As authenticators show it.
    let body = json!({"code": format!("{} {}", &code[..3], &code[3..])});
    let on = stage.post("/v1/account/second-factor/confirm", &login.access(), &body).await;
    assert_eq!(on.status, StatusCode::OK, "{on:?}");
    let arabic = |c: char| char::from_u32('\u{660}' as u32 + c.to_digit(10).unwrap()).unwrap();
    let shown: String = authenticator.code(0).chars().map(arabic).collect();
    let answer = log_in_with(&stage, "ada@example.org", &shown).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let recovery = on.body["recovery_codes"][0].as_str().unwrap().replace('-', " ").to_uppercase();
    let answer = log_in_with(&stage, "ada@example.org", &recovery).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_factors_are_not_guessed() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    turn_on(&stage, &people::log_in(&stage, "ada@example.org").await).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(log_in_with(&stage, "ada@example.org", "99999x").await);
    }
    let codes: Vec<_> = answers.iter().map(|a| a.code()).collect();
    assert_eq!(codes, ["wrong_code", "wrong_code", "wrong_code", "wrong_code", "wrong_code", "rate_limited"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sensitive_wants_a_fresh_proof() {
    let stage = Stage::by_hand(Limits::default(), |s| s.fresh_proof = Span::seconds(60)).await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let key = json!({"name": "backend", "scopes": ["orders:read"]});
    stage.advance(Span::seconds(59));
    assert_eq!(stage.post("/v1/account/keys", &login.access(), &key).await.status, StatusCode::CREATED);
    stage.advance(Span::seconds(2));
    let refused = stage.post("/v1/account/keys", &login.access(), &key).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "step_up_required"));
    let wrong = json!({"password": "a wrong password"});
    let refused = stage.post("/v1/account/step-up", &login.access(), &wrong).await;
    assert_eq!(refused.code(), "wrong_credentials");
    let stepped = stage.post("/v1/account/step-up", &login.access(), &json!({"password": PASSWORD})).await;
    let access = stepped.body["access_token"].as_str().unwrap();
    assert_eq!(stage.post("/v1/account/keys", access, &key).await.status, StatusCode::CREATED);

    // Once the second factor is on, the password alone is none.
    let fresh = Login { body: json!({"access_token": access}) };
    let (authenticator, _) = turn_on(&stage, &fresh).await;
    let refused = stage.post("/v1/account/keys", access, &key).await;
    assert_eq!(refused.code(), "step_up_required", "{refused:?}");
    let refused = stage.post("/v1/account/step-up", access, &json!({"password": PASSWORD})).await;
    assert_eq!(refused.code(), "second_factor_required");
    let stepped = stage.post("/v1/account/step-up", access, &json!({"code": authenticator.code(0)})).await;
    let access = stepped.body["access_token"].as_str().unwrap();
    assert_eq!(stage.post("/v1/account/keys", access, &key).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_may_be_required_to_have_it() {
    let stage = Stage::with_identity(Limits::default(), |s| s.admins_need_second_factor = true).await;
    let identity = stage.app.identity();
    identity.create_admin("root@example.org", "Root", &Secret(PASSWORD.to_owned())).await.unwrap();
    let login = people::log_in(&stage, "root@example.org").await;
    // They are led: everything else says what is missing.
    let elsewhere = [
        (Method::GET, "/v1/accounts"),
        (Method::GET, "/v1/zones"),
        (Method::POST, "/v1/account/password"),
        (Method::POST, "/v1/account/email"),
        (Method::POST, "/v1/account/recovery-codes"),
        (Method::DELETE, "/v1/account/second-factor"),
        (Method::DELETE, "/v1/account"),
        (Method::GET, "/v1/account/export"),
        (Method::GET, "/v1/ws/operations"),
    ];
    for (method, path) in elsewhere {
        let refused = stage.call(method, path, Some(&login.access()), None).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "second_factor_missing"), "{path}");
    }
    for path in ["/v1/account", "/v1/account/sessions"] {
        assert_eq!(stage.get(path, &login.access()).await.status, StatusCode::OK, "{path}");
    }
    turn_on(&stage, &login).await;
    let login = login.refresh(&stage).await;
    assert_eq!(stage.get("/v1/accounts", &login.access()).await.status, StatusCode::OK);
    let twice = identity.create_admin("Root@example.org", "Root", &Secret(PASSWORD.to_owned())).await;
    assert!(matches!(twice, Err(posthaste_identity::Refused::Conflict(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_turns_it_off_does_not_work_on_without_it() {
    let stage = Stage::with_identity(Limits::default(), |s| s.admins_need_second_factor = true).await;
    let identity = stage.app.identity();
    identity.create_admin("root@example.org", "Root", &Secret(PASSWORD.to_owned())).await.unwrap();
    let login = people::log_in(&stage, "root@example.org").await;
    turn_on(&stage, &login).await;
    let login = login.refresh(&stage).await;
    assert_eq!(stage.get("/v1/accounts", &login.access()).await.status, StatusCode::OK);
    let shown = json!({"password": PASSWORD});
    let off = stage.call(Method::DELETE, "/v1/account/second-factor", Some(&login.access()), Some(&shown)).await;
    assert_eq!(off.status, StatusCode::NO_CONTENT);
    let login = login.refresh(&stage).await;
    assert_eq!(login.body["may_work"], false);
    let refused = stage.get("/v1/accounts", &login.access()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "second_factor_missing"));
    // Another one does not bring back what was shown of the first.
    let other = people::log_in(&stage, "root@example.org").await;
    turn_on_at(&stage, &other, 1).await;
    assert_eq!(login.refresh(&stage).await.body["may_work"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_made_with_a_second_factor_that_works() {
    let stage = Stage::with_identity(Limits::default(), |s| s.admins_need_second_factor = true).await;
    let (identity, password) = (stage.app.identity(), Secret(PASSWORD.to_owned()));
    let made = identity.create_admin_with_second_factor("root@example.org", "Root", &password).await.unwrap();
    let (account, given) = (made.0, made.1.expect("a second factor"));
    assert!(account.second_factor);
    let lines: Vec<_> = given.qr_text.expose().lines().collect();
    assert!(lines.len() > 15 && lines.iter().all(|line| line.chars().all(|c| " ▀▄█".contains(c))), "{lines:?}");
    assert!(given.uri.expose().contains(given.secret.expose()));
    let without = stage.call(Method::POST, "/v1/sessions", None, Some(&people::credentials("root@example.org"))).await;
    assert_eq!(without.code(), "second_factor_required");
    let code = Authenticator::new(given.secret.expose(), &stage.clock).code(0);
    let login = Login { body: log_in_with(&stage, "root@example.org", &code).await.body };
    assert_eq!(stage.get("/v1/accounts", &login.access()).await.status, StatusCode::OK);
    let recovered = log_in_with(&stage, "root@example.org", given.recovery_codes[9].expose()).await;
    assert_eq!(recovered.body["may_work"], true, "{recovered:?}");
}
