//! Forged tokens, stolen and replayed answers, and a provider that is down, slow or out of its mind.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use posthaste_domain::Span;
use serde_json::{Value, json};

use super::provider::PUBLIC;
use super::stand_in::{How, StandIn};
use super::visits::{Visit, begin};
use super::{PAGE, as_customer, people, stage, stage_by_hand};
use crate::stage::{Answer, Stage};

/// All the way to the page.
async fn visit(stage: &Stage, provider: &StandIn) -> Visit {
    let visit = begin(stage, as_customer()).await;
    let back = provider.sign_in(&visit.url);
    visit.come_back(stage, &back).await;
    visit
}

fn assert_failed(what: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "sign_in_failed"), "{what}: {answer:?}");
}

fn assert_unavailable(what: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{what}: {answer:?}");
    assert_eq!(answer.header("retry-after"), "5", "{what}");
}

async fn accounts(stage: &Stage) -> usize {
    stage.get("/v1/accounts", &stage.admin).await.body["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_in_anything_opens_nothing() {
    let provider = StandIn::start().await;
    let stage = stage(&provider.issuer).await;
    let now = chrono::Utc::now().timestamp();
    for (what, claims) in [
        ("another nonce", json!({"nonce": "another"})),
        ("no nonce", json!({"nonce": null})),
        ("another audience", json!({"aud": "somebody else"})),
        ("several audiences", json!({"aud": ["posthaste", "somebody else"]})),
        ("another party", json!({"azp": "somebody else"})),
        ("another issuer", json!({"iss": "https://accounts.google.com"})),
        ("expired", json!({"exp": now - 3600})),
        ("from the future", json!({"iat": now + 3600})),
        ("an address that nobody verified", json!({"email_verified": false})),
        ("an address whose verification is a text", json!({"email_verified": "true"})),
        ("no address", json!({"email": null})),
    ] {
        provider.tell(|told| told.claims = claims);
        let visit = visit(&stage, &provider).await;
        assert_failed(what, &visit.confirm(&stage, json!({})).await);
    }
    for (what, head, forged) in [
        ("unsigned", json!({"alg": "none"}), Value::Null),
        ("by the public key", json!({"alg": "HS256"}), Value::Null),
        ("by an unknown key", json!({"kid": "two"}), Value::Null),
        ("changed afterwards", Value::Null, json!({"sub": "somebody else"})),
    ] {
        provider.tell(|told| (told.claims, told.head, told.forged) = (Value::Null, head, forged));
        let visit = visit(&stage, &provider).await;
        assert_failed(what, &visit.confirm(&stage, json!({})).await);
        assert_failed("and it is over", &visit.confirm(&stage, json!({})).await);
    }
    assert_eq!(accounts(&stage).await, 0);
    // Forged tokens make nobody read the keys again and again.
    assert_eq!(provider.asked("keys"), 1);
    provider.tell(|told| (told.head, told.forged) = (Value::Null, Value::Null));
    visit(&stage, &provider).await.sign_in(&stage).await;
    assert_eq!(accounts(&stage).await, 1);
    let failed = stage.get("/v1/audit", &stage.admin).await.body;
    assert!(failed.to_string().contains("\"login.failed\""), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_good_once_for_the_browser_that_began_and_for_ten_minutes() {
    let provider = StandIn::start().await;
    let stage = stage(&provider.issuer).await;
    let begun = begin(&stage, as_customer()).await;
    assert_failed("not back yet", &begun.confirm(&stage, json!({})).await);
    let back = provider.sign_in(&begun.url);

    let stranger = Visit { cookie: None, url: String::new(), state: begun.state.clone(), secret: None };
    assert_failed("no cookie", &stranger.try_back(&stage, &back).await);
    let another = begin(&stage, as_customer()).await;
    assert_failed("another's cookie", &another.try_back(&stage, &back).await);
    for wrong in ["?code=a-code", "", "?state=&code=a-code", "?state=x&code=a-code"] {
        let path = format!("/v1/sessions/google/callback{wrong}");
        assert_failed(wrong, &begun.try_back(&stage, &path).await);
    }
    let endless = format!("/v1/sessions/google/callback?code=x&state={}", "x".repeat(4000));
    let refused = begun.try_back(&stage, &endless).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (StatusCode::UNPROCESSABLE_ENTITY, vec!["state"]),
        "an endless state"
    );

    begun.come_back(&stage, &back).await;
    assert_failed("back again", &begun.try_back(&stage, &back).await);
    assert_failed("no cookie", &stranger.confirm(&stage, json!({})).await);
    assert_failed("a guessed secret", &stranger.confirm(&stage, json!({"secret": "guess"})).await);
    assert_failed("another's cookie", &another.confirm(&stage, json!({"state": begun.state})).await);
    assert_failed("another's code", &another.confirm(&stage, json!({"google_code": "a-code"})).await);
    assert_eq!(provider.asked("token"), 0, "nobody asked Google");

    let (one, other) = tokio::join!(begun.confirm(&stage, json!({})), begun.confirm(&stage, json!({})));
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [201, 401], "{one:?} {other:?}");
    assert_eq!(accounts(&stage).await, 1);

    let late = visit(&stage, &provider).await;
    let over = "UPDATE google_sign_ins SET expires_at = now() - interval '1 second'";
    sqlx::query(over).execute(stage.database.pool.connections()).await.unwrap();
    assert_failed("too late", &late.confirm(&stage, json!({})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_agree_is_sent_back_to_the_page_and_told() {
    let provider = StandIn::start().await;
    let stage = stage(&provider.issuer).await;
    for (query, says) in [
        ("error=access_denied", "denied"),
        ("error=server_error&code=a-code", "failed"),
        ("code=a-code&iss=https%3A%2F%2Fevil.example", "failed"),
        ("nothing=1", "failed"),
    ] {
        let begun = begin(&stage, as_customer()).await;
        let path = format!("/v1/sessions/google/callback?state={}&{query}", begun.state);
        let back = begun.try_back(&stage, &path).await;
        assert_eq!(back.status, StatusCode::SEE_OTHER);
        let page = back.header("location");
        assert!(page.starts_with(PAGE) && page.contains(&format!("google={says}&state=")), "{query}: {page}");
        assert_failed("it is over", &begun.confirm(&stage, json!({})).await);
    }
    for page in ["https://evil.example/", "/signed-in", "https://shop.example.org@evil.example/", ""] {
        let body = json!({"return_to": page});
        let refused = stage.call(Method::POST, "/v1/sessions/google", None, Some(&body)).await;
        assert_eq!((refused.status, refused.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["return_to"]), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_out_of_its_mind_is_not_now_and_passwords_go_on() {
    let provider = StandIn::start().await;
    let stage = stage_by_hand(&provider.issuer).await;
    let wrong = [How::Status(500), How::Status(404), How::Garbage, How::SomethingElse, How::Endless, How::Elsewhere];
    let pause = || stage.advance(Span::seconds(2));
    let ask = async || stage.call(Method::POST, "/v1/sessions/google", None, Some(&as_customer())).await;
    provider.tell(|told| told.discovery = How::Garbage);
    assert_unavailable("discovery", &ask().await);
    for _ in 0..5 {
        assert_unavailable("soon after", &ask().await);
    }
    stage.advance(Span::milliseconds(1_999));
    assert_unavailable("a moment too soon", &ask().await);
    assert_eq!(provider.asked("discovery"), 1, "nobody is asked again and again");
    people::register(&stage, "customer", "grace@example.org").await;
    people::log_in(&stage, "grace@example.org").await;

    let sound = json!({"issuer": provider.issuer});
    for (what, metadata) in [
        ("another issuer", json!({"issuer": "https://accounts.google.com"})),
        ("no URL", json!({"issuer": provider.issuer, "token_endpoint": "here"})),
        ("another scheme", json!({"issuer": provider.issuer, "jwks_uri": "file:///etc/passwd"})),
    ] {
        pause();
        provider.tell(|told| (told.discovery, told.metadata) = (How::Well, metadata));
        assert_unavailable(what, &ask().await);
    }
    pause();
    provider.tell(|told| (told.keys, told.metadata) = (How::Endless, sound));
    assert_unavailable("keys", &ask().await);
    pause();
    // Its clock is as ours.
    let now = stage.clock.wall().timestamp();
    provider.tell(|told| (told.keys, told.claims) = (How::Well, json!({"iat": now, "exp": now + 3600})));

    // Where only the last step fails, the same is sent again and works.
    let visit = visit(&stage, &provider).await;
    for how in wrong {
        provider.tell(|told| told.token = how);
        assert_unavailable(&format!("{how:?}"), &visit.confirm(&stage, json!({})).await);
    }
    provider.tell(|told| told.token = How::Well);
    visit.sign_in(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_slow_or_down_holds_nobody_for_long() {
    let provider = StandIn::start().await;
    let stage = stage(&provider.issuer).await;
    let visit = visit(&stage, &provider).await;
    provider.tell(|told| told.token = How::Never);
    let began = Instant::now();
    assert_unavailable("slow", &visit.confirm(&stage, json!({})).await);
    assert!((4..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    drop(provider);

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = super::stage(&format!("http://{port}")).await;
    let began = Instant::now();
    assert_unavailable("down", &down.call(Method::POST, "/v1/sessions/google", None, Some(&as_customer())).await);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn beginning_is_limited_and_a_server_without_google_says_so() {
    let provider = StandIn::start().await;
    let stage = stage(&provider.issuer).await;
    let ask = async || stage.call(Method::POST, "/v1/sessions/google", None, Some(&as_customer())).await;
    let mut answers = Vec::new();
    for _ in 0..31 {
        answers.push(ask().await.status.as_u16());
    }
    assert_eq!((answers[29], answers[30]), (200, 429), "{answers:?}");
    assert_eq!(ask().await.code(), "rate_limited");

    let without = Stage::new().await;
    people::register(&without, "customer", "ada@example.org").await;
    let login = people::log_in(&without, "ada@example.org").await;
    let (state, page) = (json!({"state": "x"}), json!({"return_to": PUBLIC}));
    for (method, path, token, body) in [
        (Method::POST, "/v1/sessions/google", None, Some(&page)),
        (Method::GET, "/v1/sessions/google/callback?state=x&code=y", None, None),
        (Method::POST, "/v1/sessions/google/confirm", None, Some(&state)),
        (Method::POST, "/v1/account/google", Some(login.access()), Some(&page)),
        (Method::POST, "/v1/account/google/confirm", Some(login.access()), Some(&state)),
    ] {
        let refused = without.call(method, path, token.as_deref(), body).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
        assert!(refused.body["detail"].as_str().unwrap().contains("google_client_id"), "{refused:?}");
    }
    // There is nothing to take away, which is fine.
    let gone = without.call(Method::DELETE, "/v1/account/google", Some(&login.access()), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
}
