//! Signing in with Google: with a real OpenID provider in its place, and with one that misbehaves.

mod faults;
#[path = "../../../../../tests/provider/provider.rs"]
mod provider;
mod stand_in;
mod visits;

use axum::http::{Method, StatusCode};
use posthaste_http::limits::Limits;
use posthaste_identity::GoogleSettings;
use serde_json::{Value, json};

use super::people::{self, Login, PASSWORD};
use super::second_factor;
use crate::stage::{Answer, Stage};
use provider::{Browser, PUBLIC, Provider};
use visits::{Visit, begin, begin_link};

const PAGE: &str = "https://shop.example.org/signed-in?from=google";

fn google(issuer: &str) -> GoogleSettings {
    let origins = ["https://shop.example.org".to_owned()];
    GoogleSettings::new("posthaste", "a secret of tests".into(), issuer, PUBLIC, &origins, true).unwrap()
}

async fn stage(issuer: &str) -> Stage {
    Stage::with_identity(Limits::default(), |settings| settings.google = Some(google(issuer))).await
}

/// The same with a clock that stands until it is moved.
async fn stage_by_hand(issuer: &str) -> Stage {
    Stage::by_hand(Limits::default(), |settings| settings.google = Some(google(issuer))).await
}

/// All the way to the page: somebody who says that they are `who` at the provider.
async fn visit(stage: &Stage, who: &str, asked: Value) -> Visit {
    let visit = begin(stage, asked).await;
    let back = Browser::new().sign_in(&visit.url, who).await;
    visit.come_back(stage, &back).await;
    visit
}

fn as_customer() -> Value {
    json!({"return_to": PAGE, "register_as": "customer"})
}

async fn linked(stage: &Stage, login: &Login, who: &str) -> Answer {
    let visit = begin_link(stage, login).await;
    let back = Browser::new().sign_in(&visit.url, who).await;
    visit.come_back(stage, &back).await;
    visit.confirm_link(stage, login).await
}

async fn acts(stage: &Stage, subject: &str) -> Vec<String> {
    let entries = stage.get(&format!("/v1/audit?subject={subject}"), &stage.admin).await;
    let items = entries.body["items"].as_array().unwrap().iter();
    items.map(|entry| entry["act"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_registers_signs_in_again_and_sets_a_password() {
    let Some(provider) = Provider::start() else { return };
    let stage = stage(&provider.issuer).await;
    let first = visit(&stage, "ada@example.org", as_customer()).await.sign_in(&stage).await;
    assert_eq!((first.body["may_work"].as_bool(), &first.body["party"].as_str().unwrap()[..4]), (Some(true), "cus_"));
    let account = stage.get("/v1/account", &first.access()).await.body;
    assert_eq!((&account["name"], &account["email"]), (&json!("Ada Lovelace"), &json!("ada@example.org")));
    assert_eq!((&account["has_password"], &account["google"]["email"]), (&json!(false), &json!("ada@example.org")));
    people::message(&stage, "ada@example.org", &["signing in with Google"]).await;

    // The same person, whether or not they ask to be registered.
    let again = visit(&stage, "ada@example.org", json!({"return_to": PAGE})).await.sign_in(&stage).await;
    assert_eq!((&again.body["account_id"], again.id() == first.id()), (&first.body["account_id"], false));
    let sessions = stage.get("/v1/account/sessions", &again.access()).await;
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 2);
    assert_eq!(acts(&stage, &again.id()).await, ["login.opened"]);
    again.refresh(&stage).await;

    // No password opens it, and the link is the only way in until there is one.
    let none = stage.call(Method::POST, "/v1/sessions", None, Some(&people::credentials("ada@example.org"))).await;
    assert_eq!(none.code(), "wrong_credentials");
    let body = json!({"password": PASSWORD});
    assert_eq!(stage.post("/v1/account/step-up", &again.access(), &body).await.code(), "conflict");
    let refused = stage.call(Method::DELETE, "/v1/account/google", Some(&again.access()), None).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"));
    let asked = json!({"email": "ada@example.org"});
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&asked)).await;
    let code = people::code_in(&people::message(&stage, "ada@example.org", &["new password"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": PASSWORD});
    let set = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{set:?}");
    let login = people::log_in(&stage, "ada@example.org").await;
    let account = stage.get("/v1/account", &login.access()).await.body;
    assert_eq!((&account["has_password"], account["google"].is_object()), (&json!(true), true), "{account}");
    // Whoever holds a token alone takes nobody's way in away.
    let refused = stage.call(Method::DELETE, "/v1/account/google", Some(&login.access()), None).await;
    assert_eq!((refused.status, refused.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["password"]));
    let shown = json!({"password": PASSWORD});
    let gone = stage.call(Method::DELETE, "/v1/account/google", Some(&login.access()), Some(&shown)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    people::message(&stage, "ada@example.org", &["no longer be signed in to with Google"]).await;
    let over = visit(&stage, "ada@example.org", as_customer()).await.confirm(&stage, json!({})).await;
    assert_eq!((over.status, over.code()), (StatusCode::CONFLICT, "link_required"), "{over:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn merchants_wait_and_who_does_not_ask_to_be_registered_is_not() {
    let Some(provider) = Provider::start() else { return };
    let stage = stage(&provider.issuer).await;
    let unknown = visit(&stage, "shop@example.org", json!({"return_to": PAGE})).await;
    let refused = unknown.confirm(&stage, json!({})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "not_found"));
    let merchant = json!({"return_to": PAGE, "register_as": "merchant"});
    let login = visit(&stage, "shop@example.org", merchant).await.sign_in(&stage).await;
    assert_eq!(login.body["may_work"], false);
    let admin = json!({"return_to": PAGE, "register_as": "admin"});
    let refused = stage.call(Method::POST, "/v1/sessions/google", None, Some(&admin)).await;
    assert_eq!((refused.status, refused.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["register_as"]));
    let unverified = visit(&stage, "unverified@example.org", as_customer()).await;
    let refused = unverified.confirm(&stage, json!({})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "sign_in_failed"), "{refused:?}");
    let all = stage.get("/v1/accounts", &stage.admin).await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 1, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_there_is_linked_by_its_owner_and_not_by_its_address() {
    let Some(provider) = Provider::start() else { return };
    let stage = stage(&provider.issuer).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let refused = visit(&stage, "ada@example.org", as_customer()).await.confirm(&stage, json!({})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "link_required"));

    let login = people::log_in(&stage, "ada@example.org").await;
    // Another address at Google will do: what counts is who is signed in here.
    let answer = linked(&stage, &login, "ada@gmail.example").await;
    assert_eq!((answer.status, &answer.body["google"]["email"]), (StatusCode::OK, &json!("ada@gmail.example")));
    people::message(&stage, "ada@example.org", &["ada@gmail.example can sign in"]).await;
    let account = answer.body["id"].as_str().unwrap();
    assert_eq!(acts(&stage, account).await[0], "google.linked");
    let again = linked(&stage, &login, "ada@gmail.example").await;
    assert_eq!(again.status, StatusCode::OK, "the same again changes nothing: {again:?}");
    let other = linked(&stage, &login, "other@gmail.example").await;
    assert_eq!((other.status, other.code()), (StatusCode::CONFLICT, "conflict"), "one at a time");
    let in_again = visit(&stage, "ada@gmail.example", as_customer()).await.sign_in(&stage).await;
    assert_eq!(in_again.body["account_id"], json!(account));

    // One Google account opens one account.
    people::register(&stage, "customer", "eve@example.org").await;
    let eve = people::log_in(&stage, "eve@example.org").await;
    let taken = linked(&stage, &eve, "ada@gmail.example").await;
    assert_eq!((taken.status, taken.code()), (StatusCode::CONFLICT, "conflict"), "{taken:?}");
    assert!(stage.get("/v1/account", &eve.access()).await.body["google"].is_null());

    // What is begun in one session is not ended in another, and not by signing in.
    let visit = begin_link(&stage, &login).await;
    let back = Browser::new().sign_in(&visit.url, "eve@gmail.example").await;
    visit.come_back(&stage, &back).await;
    for refused in [visit.confirm_link(&stage, &eve).await, visit.confirm(&stage, json!({})).await] {
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "sign_in_failed"));
    }

    // Who has the mailbox has the last word: a password that is recovered takes the link away.
    let asked = json!({"email": "ada@example.org"});
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&asked)).await;
    let code = people::code_in(&people::message(&stage, "ada@example.org", &["for a new password"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": PASSWORD});
    assert_eq!(stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await.status, StatusCode::NO_CONTENT);
    let login = people::log_in(&stage, "ada@example.org").await;
    assert!(stage.get("/v1/account", &login.access()).await.body["google"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_and_a_ban_count_as_at_any_sign_in() {
    let Some(provider) = Provider::start() else { return };
    let stage = stage(&provider.issuer).await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    assert_eq!(linked(&stage, &login, "ada@example.org").await.status, StatusCode::OK);
    let (authenticator, _) = second_factor::turn_on(&stage, &login).await;

    let visit = visit(&stage, "ada@example.org", as_customer()).await;
    let without = visit.confirm(&stage, json!({})).await;
    assert_eq!((without.status, without.code()), (StatusCode::UNAUTHORIZED, "second_factor_required"));
    let wrong = visit.confirm(&stage, json!({"code": "12345x"})).await;
    assert_eq!(wrong.code(), "wrong_code");
    let right = visit.confirm(&stage, json!({"code": authenticator.code(0), "refresh_in": "body"})).await;
    assert_eq!(right.status, StatusCode::CREATED, "{right:?}");
    let over = visit.confirm(&stage, json!({"code": authenticator.code(1)})).await;
    assert_eq!(over.code(), "sign_in_failed", "a sign-in is good for once");
    // Without the second factor, the login that was there before does nothing that is sensitive.
    let refused = stage.call(Method::DELETE, "/v1/account/google", Some(&login.access()), None).await;
    assert_eq!(refused.code(), "step_up_required");

    let id = right.body["account_id"].as_str().unwrap();
    let ban = json!({"reason": "orders that were never paid"});
    assert_eq!(stage.post(&format!("/v1/accounts/{id}/ban"), &stage.admin, &ban).await.status, StatusCode::OK);
    let banned = begin(&stage, as_customer()).await;
    let back = Browser::new().sign_in(&banned.url, "ada@example.org").await;
    banned.come_back(&stage, &back).await;
    let refused = banned.confirm(&stage, json!({"code": authenticator.code(1)})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "banned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_ends_what_it_began_with_its_secret_and_the_code_of_the_link() {
    let Some(provider) = Provider::start() else { return };
    let stage = stage(&provider.issuer).await;
    let begun = begin(&stage, json!({"return_to": PAGE, "register_as": "driver", "ended_by": "app"})).await;
    assert_eq!(begun.cookie, None);
    let back = Browser::new().sign_in(&begun.url, "grace@example.org").await;
    let page = begun.come_back(&stage, &back).await;
    let code = page.query_pairs().find(|(name, _)| name == "google_code").unwrap().1.into_owned();
    let secret = begun.secret.clone().unwrap();
    for wrong in
        [json!({"google_code": code}), json!({"google_code": code, "secret": "another"}), json!({"secret": secret})]
    {
        let refused = begun.confirm(&stage, wrong.clone()).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "sign_in_failed"), "{wrong}");
    }
    let body = json!({"google_code": code, "secret": secret, "refresh_in": "body"});
    let tokens = begun.confirm(&stage, body).await;
    assert_eq!(tokens.status, StatusCode::CREATED, "{tokens:?}");
    assert!(tokens.body["refresh_token"].is_string() && tokens.headers.get("set-cookie").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn linking_and_unlinking_want_a_fresh_proof_and_nobody_elses_account() {
    let origins = [];
    let google = GoogleSettings::new("posthaste", "s".into(), "http://127.0.0.1:9", PUBLIC, &origins, true).unwrap();
    let stage = Stage::with_identity(Limits::default(), |settings| {
        settings.google = Some(google);
        settings.fresh_proof = posthaste_domain::Span::zero();
    })
    .await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let page = json!({"return_to": format!("{PUBLIC}/account")});
    // A stolen access token is not enough to add a way in.
    let refused = stage.post("/v1/account/google", &login.access(), &page).await;
    assert_eq!((refused.status, refused.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["password"]));
    let guessed = json!({"return_to": page["return_to"], "password": "not this password"});
    let refused = stage.post("/v1/account/google", &login.access(), &guessed).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "wrong_credentials"));
    let refused = stage.post("/v1/account/google", &stage.customer, &page).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    let refused = stage.call(Method::DELETE, "/v1/account/google", Some(&stage.customer), None).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    let nobody = stage.call(Method::POST, "/v1/account/google", None, Some(&page)).await;
    assert_eq!(nobody.code(), "unauthenticated");
}
