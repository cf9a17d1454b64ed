//! Registering twice, forgetting passwords, changing what an account is reached by; and what strangers learn of it.

use axum::http::{Method, StatusCode};
use posthaste_clock::testing::eventually;
use posthaste_domain::Span;
use posthaste_http::limits::Limits;
use serde_json::{Value, json};

use super::people::{self, Login, PASSWORD, code_in, message};
use super::second_factor;
use crate::stage::Stage;

const NEW: &str = "battery staple horse";
const NUMBER: &str = "+4930123456";

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_account_is_told_to_the_owner_of_the_address_alone() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let known = people::ask(&stage, "customer", "Ada@Example.org").await;
    let unknown = people::ask(&stage, "customer", "bob@example.org").await;
    assert_eq!((known.status, unknown.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED));
    let names = |answer: &crate::stage::Answer| answer.body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
    message(&stage, "Ada@Example.org", &["has an account already"]).await;
    for asked in [&known, &unknown] {
        let body = json!({"challenge_id": asked.body["challenge_id"], "code": "000000"});
        let refused = stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await;
        assert_eq!((refused.code(), &refused.body["attempts_left"]), ("wrong_code", &json!(4)));
    }
    for email in ["ada@example.org", "nobody@example.org"] {
        let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&json!({"email": email}))).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED);
        let body = json!({"challenge_id": asked.body["challenge_id"], "code": "000000", "password": NEW});
        let refused = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
        assert_eq!((refused.code(), &refused.body["attempts_left"]), ("wrong_code", &json!(4)), "{email}");
        let body = json!({"email": email, "password": "a wrong password"});
        let refused = stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "wrong_credentials"));
        assert!(refused.body["detail"].is_null(), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_costs_the_same_work_for_nobody_as_for_somebody() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let before = stage.app.identity().passwords_hashed();
        let body = json!({"email": email, "password": "a wrong password"});
        let refused = people::from(&stage, [192, 0, 2, 1], "/v1/sessions", &body).await;
        assert_eq!(refused.code(), "wrong_credentials");
        assert_eq!(stage.app.identity().passwords_hashed(), before + 1, "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_one_registration_is_no_good_for_another() {
    let stage = Stage::new().await;
    let thief = people::ask(&stage, "customer", "ada@example.org").await;
    let thiefs_code = code_in(&message(&stage, "ada@example.org", &["is your code"]).await);
    let mine = people::ask(&stage, "merchant", "ada@example.org").await;
    let body = json!({"challenge_id": mine.body["challenge_id"], "code": thiefs_code});
    let answer = stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await;
    // One in a million that both codes are the same.
    assert_eq!(answer.code(), "wrong_code");
    let body = json!({"challenge_id": thief.body["challenge_id"], "code": thiefs_code});
    let verify = || stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body));
    let (one, other) = tokio::join!(verify(), verify());
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert!(both == [201, 404] || both == [201, 409], "a code is good for once: {both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_take_few_tries_end_and_are_not_sent_without_end() {
    let stage = Stage::by_hand(Limits::default(), |s| s.code = Span::minutes(2)).await;
    let asked = people::ask(&stage, "customer", "ada@example.org").await;
    let right = code_in(&message(&stage, "ada@example.org", &["is your code"]).await);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let send = |code: &str| {
        let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
        let stage = &stage;
        async move { stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await }
    };
    for left in (0..5).rev() {
        assert_eq!(send(wrong).await.body["attempts_left"], json!(left));
    }
    assert_eq!(send(&right).await.status, StatusCode::NOT_FOUND, "the right one comes too late");

    for (email, waits, status) in [
        ("bob@example.org", Span::milliseconds(119_999), StatusCode::CREATED),
        ("zoe@example.org", Span::seconds(120), StatusCode::NOT_FOUND),
    ] {
        let asked = people::ask(&stage, "customer", email).await;
        let code = code_in(&message(&stage, email, &["is your code"]).await);
        stage.advance(waits);
        let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
        let answer = stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await;
        assert_eq!(answer.status, status, "after {waits}");
    }

    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(people::ask(&stage, "customer", "eve@example.org").await);
    }
    let last = answers.last().unwrap();
    assert_eq!((last.status, last.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert!(last.header("retry-after").parse::<u32>().unwrap() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_by_a_code_and_everybody_is_signed_out() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let thief = people::log_in(&stage, "ada@example.org").await;
    let body = json!({"email": "ada@example.org"});
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&body)).await;
    let code = code_in(&message(&stage, "ada@example.org", &["new password"]).await);
    let mut body = json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": "short"});
    let refused = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
    assert_eq!(refused.fields(), ["password"], "and the code is still good");
    body["password"] = json!(NEW);
    let reset = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{reset:?}");
    assert_eq!(stage.get("/v1/account", &thief.access()).await.code(), "login_ended");
    assert_eq!(thief.try_refresh(&stage).await.code(), "login_ended");
    let again = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let old = stage.call(Method::POST, "/v1/sessions", None, Some(&people::credentials("ada@example.org"))).await;
    assert_eq!(old.code(), "wrong_credentials");
    let body = json!({"email": "ada@example.org", "password": NEW});
    assert_eq!(stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await.status, StatusCode::CREATED);
    message(&stage, "ada@example.org", &["password was replaced"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn password_and_email_are_changed_with_proof_of_the_old_ones() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    people::register(&stage, "customer", "bob@example.org").await;
    let (login, other) =
        (people::log_in(&stage, "ada@example.org").await, people::log_in(&stage, "ada@example.org").await);
    let access = login.access();
    let wrong = json!({"password": "a wrong password", "new_password": NEW});
    assert_eq!(stage.post("/v1/account/password", &access, &wrong).await.code(), "wrong_credentials");
    let right = json!({"password": PASSWORD, "new_password": NEW, "refresh_in": "body"});
    let changed = stage.post("/v1/account/password", &access, &right).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let access = people::Login { body: changed.body }.access();
    assert_eq!(stage.get("/v1/account", &other.access()).await.code(), "login_ended");

    let wrong = json!({"password": PASSWORD, "email": "ada@example.com"});
    assert_eq!(stage.post("/v1/account/email", &access, &wrong).await.code(), "wrong_credentials");
    let asked = stage.post("/v1/account/email", &access, &json!({"password": NEW, "email": "ada@example.com"})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(&stage, "ada@example.com", &["is your code"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    let bob = people::log_in(&stage, "bob@example.org").await;
    let refused = stage.post("/v1/account/email/verify", &bob.access(), &body).await;
    assert_eq!(refused.code(), "wrong_code", "somebody else's challenge");
    let changed = stage.post("/v1/account/email/verify", &access, &body).await;
    assert_eq!((changed.status, &changed.body["email"]), (StatusCode::OK, &json!("ada@example.com")), "{changed:?}");
    message(&stage, "ada@example.org", &["was changed"]).await;
    let body = json!({"email": "ada@example.com", "password": NEW});
    assert_eq!(stage.call(Method::POST, "/v1/sessions", None, Some(&body)).await.status, StatusCode::CREATED);

    // Bob's address is taken: its owner is told, and no code of that change exists.
    let asked = stage.post("/v1/account/email", &access, &json!({"password": NEW, "email": "bob@example.org"})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    message(&stage, "bob@example.org", &["has an account already"]).await;
}

/// Asks for a code to a number, with the password; what is to be sent back.
async fn ask_for_number(stage: &Stage, login: &Login, number: &str) -> Value {
    let body = json!({"phone": number, "password": PASSWORD});
    let asked = stage.post("/v1/account/phone", &login.access(), &body).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let code = code_in(&message(stage, number, &["posthaste code"]).await);
    json!({"challenge_id": asked.body["challenge_id"], "code": code})
}

/// Messages that were ever written.
async fn written(stage: &Stage) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE kind IN ('email', 'text')");
    count.fetch_one(stage.database.pool.connections()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_number_counts_once_its_code_came_back_and_recovers_passwords_a_day_later() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let login = people::log_in(&stage, "ada@example.org").await;
    let refused = stage.post("/v1/account/phone", &login.access(), &json!({"phone": "0301234"})).await;
    assert_eq!(refused.fields(), ["phone"]);
    let body = ask_for_number(&stage, &login, NUMBER).await;
    let verified = stage.post("/v1/account/phone/verify", &login.access(), &body).await;
    assert_eq!((&verified.body["phone"], &verified.body["phone_verified"]), (&json!(NUMBER), &json!(true)));

    // Whoever set it may be a thief: the answer is as ever, and no text is written.
    let forgot = json!({"email": "ada@example.org", "send_by": "text"});
    let before = written(&stage).await;
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&forgot)).await;
    assert_eq!((asked.status, written(&stage).await), (StatusCode::ACCEPTED, before), "{asked:?}");

    let a_day_ago = "UPDATE accounts SET phone_verified_at = phone_verified_at - interval '24 hours'";
    sqlx::query(a_day_ago).execute(stage.database.pool.connections()).await.unwrap();
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&forgot)).await;
    assert_eq!((asked.status, written(&stage).await), (StatusCode::ACCEPTED, before + 1), "{asked:?}");
    let code = eventually("a text with another code", async || {
        let code = code_in(&message(&stage, NUMBER, &["posthaste code"]).await);
        (body["code"] != json!(code)).then_some(code)
    })
    .await;
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code, "password": NEW});
    let reset = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{reset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_sets_no_telephone_number_and_the_owner_is_told_of_every_one() {
    let stage = Stage::new().await;
    people::register(&stage, "customer", "ada@example.org").await;
    let (login, other) =
        (people::log_in(&stage, "ada@example.org").await, people::log_in(&stage, "ada@example.org").await);
    let before = written(&stage).await;
    for (password, expected) in [(None, "invalid"), (Some("a wrong password"), "wrong_credentials")] {
        let mut body = json!({"phone": NUMBER});
        if let Some(password) = password {
            body["password"] = json!(password);
        }
        let refused = stage.post("/v1/account/phone", &login.access(), &body).await;
        assert_eq!(refused.code(), expected, "{refused:?}");
    }
    assert_eq!(written(&stage).await, before, "no code is sent");
    let body = ask_for_number(&stage, &login, NUMBER).await;
    let verified = stage.post("/v1/account/phone/verify", &login.access(), &body).await;
    assert_eq!(verified.status, StatusCode::OK, "{verified:?}");
    message(&stage, "ada@example.org", &["telephone number of your account was changed"]).await;
    assert_eq!(stage.get("/v1/account", &other.access()).await.code(), "login_ended", "as for the email address");
    assert_eq!(stage.get("/v1/account", &login.access()).await.status, StatusCode::OK);

    // Where the second factor is on, it is wanted beside the password.
    second_factor::turn_on(&stage, &login).await;
    let body = json!({"phone": "+4940123456", "password": PASSWORD});
    let refused = stage.post("/v1/account/phone", &login.access(), &body).await;
    assert_eq!(refused.code(), "step_up_required", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_the_registration_is_verified_by_who_is_signed_in() {
    let stage = Stage::new().await;
    let body = json!({"role": "customer", "email": "ada@example.org", "password": PASSWORD, "name": "Ada",
        "phone": NUMBER});
    let asked = stage.call(Method::POST, "/v1/accounts", None, Some(&body)).await;
    let code = code_in(&message(&stage, "ada@example.org", &["is your code"]).await);
    let body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    let made = stage.call(Method::POST, "/v1/accounts/verify", None, Some(&body)).await;
    assert_eq!((made.status, &made.body["phone_verified"]), (StatusCode::CREATED, &json!(false)), "{made:?}");
    let login = people::log_in(&stage, "ada@example.org").await;
    let another = stage.post("/v1/account/phone", &login.access(), &json!({"phone": "+4940123456"})).await;
    assert_eq!(another.fields(), ["password"]);
    let asked = stage.post("/v1/account/phone", &login.access(), &json!({"phone": NUMBER})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_guessed_first_is_refused_wherever_one_is_chosen() {
    let stage = Stage::new().await;
    let mut asked = json!({"role": "customer", "email": "lovelace@example.org", "name": "Augusta Kingsworth"});
    for common in ["1234567890", "password123", "qwertyuiop", "Password1!", "kingsworth1", "lovelace@1"] {
        asked["password"] = json!(common);
        let refused = stage.call(Method::POST, "/v1/accounts", None, Some(&asked)).await;
        assert_eq!((refused.code(), refused.fields()), ("invalid", vec!["password"]), "{common}: {refused:?}");
    }
    assert_eq!(written(&stage).await, 0);
    people::register(&stage, "customer", "lovelace@example.org").await;
    let login = people::log_in(&stage, "lovelace@example.org").await;
    for own in ["Password1!", "lovelace@1"] {
        let change = json!({"password": PASSWORD, "new_password": own});
        let refused = stage.post("/v1/account/password", &login.access(), &change).await;
        assert_eq!(refused.fields(), ["new_password"], "{own}: {refused:?}");
    }
    let forgot = json!({"email": "lovelace@example.org"});
    let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&forgot)).await;
    let code = code_in(&message(&stage, "lovelace@example.org", &["new password"]).await);
    let mut body = json!({"challenge_id": asked.body["challenge_id"], "code": code});
    for own in ["Password1!", "lovelace@1"] {
        body["password"] = json!(own);
        let refused = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
        assert_eq!(refused.fields(), ["password"], "{own}: {refused:?}");
    }
    body["password"] = json!(NEW);
    let reset = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "the code is still good: {reset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_worth_an_account_is_eight_letters_however_they_are_typed() {
    let stage = Stage::new().await;
    let ways: [fn(&str) -> String; 4] = [
        str::to_owned,
        str::to_lowercase,
        |code| format!(" {} ", code.replace('-', " ")),
        |code| code.replace('-', "").replace('0', "O"),
    ];
    for (n, typed) in ways.into_iter().enumerate() {
        let email = format!("ada{n}@example.org");
        people::register(&stage, "customer", &email).await;
        let asked = stage.call(Method::POST, "/v1/password/forgot", None, Some(&json!({"email": email}))).await;
        let code = code_in(&message(&stage, &email, &["new password"]).await);
        assert_eq!((code.len(), code.chars().nth(4)), (9, Some('-')), "{code}");
        let mut body = json!({"challenge_id": asked.body["challenge_id"], "code": "K7QM-2XHD", "password": NEW});
        let wrong = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
        assert_eq!(wrong.code(), "wrong_code");
        body["code"] = json!(typed(&code));
        let reset = stage.call(Method::POST, "/v1/password/reset", None, Some(&body)).await;
        assert_eq!(reset.status, StatusCode::NO_CONTENT, "{body}: {reset:?}");
    }
}
