//! Many tries at once, and changes that come between a check and what it was for.

use std::future::Future;

use axum::http::StatusCode;
use futures_util::future::join_all;
use posthaste_clock::testing::eventually;
use posthaste_domain::ids::{AccountId, Id};
use posthaste_http::limits::Limits;
use posthaste_identity::Hashing;
use serde_json::{Value, json};

use super::people::{self, credentials};
use crate::stage::{Answer, Stage};

/// Hashes that take a while, and room for everybody to wait.
async fn slow() -> Stage {
    let hashing = Hashing { memory_kib: 4096, passes: 2, at_once: 2, waiting: 100 };
    Stage::with_identity(Limits::default(), |s| s.hashing = hashing).await
}

fn counted(answers: &[Answer]) -> (usize, usize) {
    let count = |code: &str| answers.iter().filter(|answer| answer.code() == code).count();
    (count("wrong_credentials"), count("rate_limited"))
}

/// Holds the account's row until so many requests of `others` wait for it, changes it, and lets them go on.
pub(super) async fn changed_meanwhile<T>(
    stage: &Stage,
    account: &Value,
    waiting: i64,
    change: &str,
    others: impl Future<Output = T>,
) -> T {
    let id = account["id"].as_str().unwrap().parse::<AccountId>().unwrap().uuid();
    let mut transaction = stage.database.pool.connections().begin().await.unwrap();
    sqlx::query("SELECT FROM accounts WHERE id = $1 FOR UPDATE").bind(id).execute(&mut *transaction).await.unwrap();
    let meanwhile = async {
        let count = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("all of them wait for the row", async || {
            let waits = sqlx::query_scalar::<_, i64>(count).fetch_one(stage.database.pool.connections()).await.unwrap();
            (waits >= waiting).then_some(())
        })
        .await;
        for statement in change.split(';') {
            sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    };
    tokio::join!(others, meanwhile).0
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_that_are_sent_at_once_get_no_more_tries_than_others() {
    let stage = slow().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let wrong = json!({"email": "ada@example.org", "password": "a wrong password"});
    let answers = join_all((0..30).map(|_| people::from(&stage, [192, 0, 2, 1], "/v1/sessions", &wrong))).await;
    assert_eq!(counted(&answers), (5, 25), "{answers:?}");
    let right = credentials("ada@example.org");
    let owner = people::from(&stage, [198, 51, 100, 7], "/v1/sessions", &right).await;
    assert_eq!(owner.status, StatusCode::CREATED, "{owner:?}");

    let wrong = json!({"password": "a wrong password"});
    let access = login.access();
    let answers = join_all((0..30).map(|_| stage.post("/v1/account/step-up", &access, &wrong))).await;
    assert_eq!(counted(&answers), (5, 25), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_types_the_right_password_is_not_throttled_however_often() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    for _ in 0..60 {
        people::log_in(&stage, "ada@example.org").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_the_old_password_that_races_with_a_new_one_loses() {
    let stage = Stage::new().await;
    let ada = people::register(&stage, "customer", "ada@example.org").await;
    // Another's hash: what somebody chose who has recovered the account.
    people::register(&stage, "customer", "bob@example.org").await;
    let change = "UPDATE accounts SET password = '$argon2id$v=19$m=64,t=1,p=1$MTIzNDU2Nzg5MDEyMzQ1Ng$\
                  MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI' WHERE email_key = 'ada@example.org'";
    let body = credentials("ada@example.org");
    let login = people::from(&stage, [192, 0, 2, 1], "/v1/sessions", &body);
    let refused = changed_meanwhile(&stage, &ada, 1, change, login).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "wrong_credentials"), "{refused:?}");
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM logins").fetch_one(stage.database.pool.connections()).await.unwrap();
    assert_eq!(open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_second_factor_that_races_with_turning_it_on_loses() {
    let stage = Stage::new().await;
    let ada = people::register(&stage, "customer", "ada@example.org").await;
    let change = "UPDATE accounts SET totp_secret = 'x', totp_confirmed_at = now() WHERE email_key = 'ada@example.org'";
    let body = credentials("ada@example.org");
    let login = people::from(&stage, [192, 0, 2, 1], "/v1/sessions", &body);
    let refused = changed_meanwhile(&stage, &ada, 1, change, login).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "second_factor_required"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_on_where_only_the_hash_of_the_same_password_was_made_anew() {
    let stage = Stage::new().await;
    let ada = people::register(&stage, "customer", "ada@example.org").await;
    people::register(&stage, "customer", "bob@example.org").await;
    // Both have the same password, under different hashes.
    let change = "UPDATE accounts SET password = (SELECT password FROM accounts WHERE email_key = 'bob@example.org')
                  WHERE email_key = 'ada@example.org'";
    let body = credentials("ada@example.org");
    let login = people::from(&stage, [192, 0, 2, 1], "/v1/sessions", &body);
    let opened = changed_meanwhile(&stage, &ada, 1, change, login).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_hashed_anew_when_the_numbers_have_changed() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let stored = async || -> String {
        let stored = sqlx::query_scalar("SELECT password FROM accounts").fetch_one(stage.database.pool.connections());
        stored.await.unwrap()
    };
    let old = stored().await;
    let changed = stage.beside(|s| s.hashing.memory_kib = 128).await;
    people::log_in(&changed, "ada@example.org").await;
    let new = stored().await;
    assert!(old.contains("m=64,") && new.contains("m=128,"), "{old} {new}");
    people::log_in(&changed, "ada@example.org").await;
    assert_eq!(stored().await, new, "once");
    let wrong = json!({"email": "ada@example.org", "password": "a wrong password"});
    assert_eq!(people::from(&changed, [192, 0, 2, 1], "/v1/sessions", &wrong).await.code(), "wrong_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_activate_somebody_as_different_drivers_one_does() {
    let stage = Stage::new().await;
    let (grace, ada) = (stage.driver("Grace").await, stage.driver("Ada").await);
    let account = people::register(&stage, "driver", "dana@example.org").await;
    let path = format!("/v1/accounts/{}/activate", account["id"].as_str().unwrap());
    let activate = async |party: &str| stage.post(&path, &stage.admin, &json!({"party": party})).await;
    let both = async { tokio::join!(activate(&grace), activate(&ada)) };
    let (one, other) = changed_meanwhile(&stage, &account, 2, "SELECT 1", both).await;
    let (done, refused) = if one.status == StatusCode::OK { (one, other) } else { (other, one) };
    assert_eq!((done.status, refused.code()), (StatusCode::OK, "conflict"), "{done:?} {refused:?}");
    let found = stage.get(&format!("/v1/accounts/{}", account["id"].as_str().unwrap()), &stage.admin).await;
    assert_eq!(found.body["party"], done.body["party"], "what was answered is what counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_shut_out_while_it_is_activated_stays_out() {
    let stage = Stage::new().await;
    let account = people::register(&stage, "merchant", "shop@example.org").await;
    let path = format!("/v1/accounts/{}/activate", account["id"].as_str().unwrap());
    let change = "UPDATE accounts SET banned_at = now(), ban_reason = 'a fraud'";
    let body = json!({});
    let activate = stage.post(&path, &stage.admin, &body);
    let refused = changed_meanwhile(&stage, &account, 1, change, activate).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"), "{refused:?}");
    let found = stage.get(&format!("/v1/accounts/{}", account["id"].as_str().unwrap()), &stage.admin).await;
    assert!(found.body["activated_at"].is_null(), "{found:?}");
}
