//! The sender on a real database, where a story over REST would have to wait for days or to change the configuration.

use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_domain::ids::{Id, WebhookEndpointId, WebhookMessageId};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::TestDatabase;
use tokio::net::TcpListener;

use crate::messages::store::{New, add, list, settle};
use crate::sending::upkeep::remove;
use crate::signing::Secret;
use crate::{Allowed, Webhooks, endpoints};

const OPEN: Allowed = Allowed { private: true, plain_http: true };

fn webhooks(database: &TestDatabase, seal: &str, allowed: Allowed) -> Webhooks {
    Webhooks::new(database.pool.clone(), Clock::system(), Seal::new(seal.as_bytes()), allowed, Outside::Open)
}

/// An endpoint whose secret is sealed with the secret "right".
async fn endpoint(database: &TestDatabase, url: &str) -> WebhookEndpointId {
    let webhooks = webhooks(database, "right", OPEN);
    let id = webhooks.clock().id();
    let sealed = webhooks.sealed(id, &Secret::random()).unwrap();
    let choice = endpoints::Choice { url: url.to_owned(), description: String::new(), types: Vec::new() };
    let merchant = webhooks.clock().id();
    let mut transaction = database.pool.connections().begin().await.unwrap();
    let made = endpoints::store::create(&mut transaction, id, merchant, &choice, &sealed, webhooks.now(), 10).await;
    transaction.commit().await.unwrap();
    made.unwrap().unwrap().id
}

/// A test message that was made at `at` and is due.
async fn message(database: &TestDatabase, endpoint: WebhookEndpointId, at: Timestamp) -> WebhookMessageId {
    let id = WebhookMessageId::at(at, rand::random());
    let new = New { id, endpoint, order: None, sequence: 0, kind: "webhook.test".to_owned(), at };
    let mut connection = database.pool.connections().acquire().await.unwrap();
    add(&mut connection, std::slice::from_ref(&new), at).await.unwrap();
    settle(&mut connection, endpoint, &[new.lane()], at).await.unwrap();
    id
}

/// The problem of the first attempt at an endpoint's only message.
async fn first_problem(database: &TestDatabase, endpoint: WebhookEndpointId) -> String {
    let all = list(&database.pool, endpoint, None, None, 10).await.unwrap();
    first_problem_of(database, endpoint, all[0].id).await
}

async fn first_problem_of(database: &TestDatabase, endpoint: WebhookEndpointId, message: WebhookMessageId) -> String {
    for _ in 0..1000 {
        let all = list(&database.pool, endpoint, None, None, 10).await.unwrap();
        let mine = all.iter().find(|one| one.id == message);
        if let Some(problem) = mine.and_then(|message| message.last_problem.clone()) {
            return problem;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never tried")
}

#[tokio::test]
async fn what_the_configuration_no_longer_allows_is_not_dialled() {
    let database = TestDatabase::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (host, allowed, said) in [
        ("127.0.0.1", Allowed { private: false, plain_http: true }, "private"),
        ("localhost", Allowed { private: false, plain_http: true }, "private"),
        ("127.0.0.1", Allowed { private: true, plain_http: false }, "https"),
    ] {
        let id = endpoint(&database, &format!("http://{host}:{port}/")).await;
        message(&database, id, Clock::system().now()).await;
        let sender = webhooks(&database, "right", allowed).start().unwrap();
        let problem = first_problem(&database, id).await;
        assert!(problem.contains(said), "{problem}");
        sender.stop(Duration::from_secs(5)).await;
    }
    let dialled = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(dialled.is_err(), "somebody called");
}

#[tokio::test]
async fn a_secret_that_cannot_be_opened_is_no_fault_of_the_endpoint() {
    let database = TestDatabase::new().await;
    let id = endpoint(&database, "http://127.0.0.1:1/").await;
    message(&database, id, Clock::system().now()).await;
    let sender = webhooks(&database, "wrong", OPEN).start().unwrap();
    assert_eq!(first_problem(&database, id).await, "the server could not make the message");
    let seen = endpoints::store::get(&database.pool, id, None).await.unwrap().unwrap();
    assert_eq!((seen.failures, seen.failing_since), (0, None));
    sender.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_held_waits_with_no_attempt_and_is_sent_or_set_aside() {
    let database = TestDatabase::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let id = endpoint(&database, &url).await;
    let now = Clock::system().now();
    message(&database, id, now).await;
    let held = |outside| {
        let seal = Seal::new(b"right");
        Webhooks::new(database.pool.clone(), Clock::system(), seal, OPEN, outside)
    };
    let sender = held(Outside::Held).start().unwrap();
    // An event becomes a message in the look after the one that would have sent the message before it.
    let merchant: uuid::Uuid = sqlx::query_scalar("SELECT merchant_id FROM webhook_endpoints WHERE id = $1")
        .bind(id.uuid())
        .fetch_one(database.pool.connections())
        .await
        .unwrap();
    for made in [2, 3] {
        sqlx::query(
            "INSERT INTO webhook_outbox (merchant_id, order_id, sequence, name, at) VALUES ($1, $2, 1, 'placed', $3)",
        )
        .bind(merchant)
        .bind(uuid::Uuid::now_v7())
        .bind(now)
        .execute(database.pool.connections())
        .await
        .unwrap();
        let all = async || list(&database.pool, id, None, None, 10).await.unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while all().await.len() < made {
            assert!(std::time::Instant::now() < deadline, "it becomes a message");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(all().await.iter().all(|message| message.attempts == 0));
    }
    sender.stop(Duration::from_secs(5)).await;
    let claims: i64 = sqlx::query_scalar("SELECT sum(claims) FROM webhook_messages")
        .fetch_one(database.pool.connections())
        .await
        .unwrap();
    assert_eq!(claims, 0, "nobody meant to send");
    let waits = crate::held::waiting(&database.pool).await.unwrap();
    assert_eq!(waits.count, 3);
    assert!(waits.since.is_some());

    assert_eq!(crate::held::set_aside(&database.pool, &Clock::system()).await.unwrap(), 3);
    assert_eq!(
        crate::held::waiting(&database.pool).await.unwrap(),
        posthaste_storage::installation::Waiting::default()
    );
    let after = message(&database, id, now).await;
    let sender = held(Outside::Open).start().unwrap();
    let dialled = tokio::time::timeout(Duration::from_secs(30), listener.accept()).await;
    assert!(dialled.is_ok(), "what is made later is sent");
    drop(dialled);
    drop(listener);
    first_problem_of(&database, id, after).await;
    sender.stop(Duration::from_secs(5)).await;
    let all = list(&database.pool, id, None, None, 10).await.unwrap();
    assert!(all.iter().filter(|message| message.id != after).all(|message| message.attempts == 0), "{all:?}");
}

#[tokio::test]
async fn old_messages_go_and_what_waits_stays() {
    let database = TestDatabase::new().await;
    let now = Clock::system().now();
    let before = now - Span::days(30);
    let id = endpoint(&database, "http://127.0.0.1:1/").await;
    let old = before - Span::days(1);
    let delivered = message(&database, id, old).await;
    sqlx::query("UPDATE webhook_messages SET state = 'delivered', settled_at = $1, due_at = NULL WHERE id = $2")
        .bind(old)
        .bind(delivered.uuid())
        .execute(database.pool.connections())
        .await
        .unwrap();
    let waiting = message(&database, id, old).await;
    let young = message(&database, id, now).await;
    let left = async || {
        let all = list(&database.pool, id, None, None, 10).await.unwrap();
        all.iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(remove(&database.pool, before).await.unwrap(), 1);
    assert_eq!(left().await, [young, waiting], "an active endpoint still gets what waits");

    let state = |state: &'static str| {
        sqlx::query("UPDATE webhook_endpoints SET state = $1").bind(state).execute(database.pool.connections())
    };
    state("paused").await.unwrap();
    assert_eq!(remove(&database.pool, before).await.unwrap(), 1);
    assert_eq!(left().await, [young], "thirty days are enough for a paused one");
    state("deleted").await.unwrap();
    assert_eq!(remove(&database.pool, before).await.unwrap(), 1);
    let endpoints: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_endpoints")
        .fetch_one(database.pool.connections())
        .await
        .unwrap();
    assert_eq!(endpoints, 0, "a deleted one leaves nothing");
}
