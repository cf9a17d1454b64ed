//! The sender on a real database, where a story over REST would have to wait for days or to change the configuration.

use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::testing::{eventually, eventually_shown};
use posthaste_domain::ids::{Id, MerchantId, WebhookEndpointId, WebhookMessageId};
use posthaste_domain::{Span, Timestamp};
use posthaste_jobs::Jobs;
use posthaste_storage::feed::Feed;
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::messages::store::{New, add, list};
use crate::sending::distribute::{distribute_all, take_over};
use crate::sending::upkeep::remove;
use crate::signing::Secret;
use crate::{Allowed, Webhooks, endpoints};

const OPEN: Allowed = Allowed { private: true, plain_http: true };

async fn webhooks(database: &TestDatabase, seal: &str, allowed: Allowed) -> Webhooks {
    of(database, seal, allowed, Outside::Open).await
}

/// The queue of the database.
fn jobs(database: &TestDatabase) -> Jobs {
    Jobs::new(database.pool.clone(), Seal::new(b"right"), Clock::system(), Outside::Open)
}

async fn of(database: &TestDatabase, seal: &str, allowed: Allowed, outside: Outside) -> Webhooks {
    let feed = Feed::open(&database.pool).await.unwrap();
    let jobs = Jobs::new(database.pool.clone(), Seal::new(seal.as_bytes()), Clock::system(), outside);
    Webhooks::new(jobs, allowed, feed)
}

/// An endpoint whose secret is sealed with the secret "right".
async fn endpoint(database: &TestDatabase, url: &str) -> WebhookEndpointId {
    let merchant = Clock::system().id();
    endpoint_of(database, merchant, url, &[]).await
}

async fn endpoint_of(database: &TestDatabase, merchant: MerchantId, url: &str, types: &[&str]) -> WebhookEndpointId {
    let webhooks = webhooks(database, "right", OPEN).await;
    let id = webhooks.clock().id();
    let sealed = webhooks.sealed(id, &Secret::random()).unwrap();
    let types = types.iter().map(|kind| (*kind).to_owned()).collect();
    let choice = endpoints::Choice { url: url.to_owned(), description: String::new(), types };
    let mut transaction = database.pool.connections().begin().await.unwrap();
    let made = endpoints::store::create(&mut transaction, id, merchant, &choice, &sealed, webhooks.now(), 10).await;
    transaction.commit().await.unwrap();
    made.unwrap().unwrap().id
}

/// An event of an order, as the journal writes it into the feed.
async fn happens(database: &TestDatabase, order: uuid::Uuid, seq: i64, name: &str, merchants: &[MerchantId]) {
    let merchants: Vec<_> = merchants.iter().map(|merchant| merchant.uuid()).collect();
    sqlx::query(
        "INSERT INTO order_feed (number, order_id, seq, name, status, merchants, at)
        SELECT coalesce(max(number), 0) + 1, $1, $2, $3, 'pending', $4, $5 FROM order_feed",
    )
    .bind(order)
    .bind(seq)
    .bind(name)
    .bind(merchants)
    .bind(Clock::system().now())
    .execute(database.pool.connections())
    .await
    .unwrap();
}

/// What an endpoint is told of, as (order, sequence, type), by these.
async fn told(database: &TestDatabase, endpoint: WebhookEndpointId) -> Vec<(uuid::Uuid, u64, String)> {
    let all = list(&database.pool, endpoint, None, None, 100).await.unwrap();
    let all = all.into_iter().map(|message| (message.order_id.unwrap().uuid(), message.sequence, message.kind));
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all
}

/// Makes messages of all that is stored.
async fn distribute(database: &TestDatabase) {
    let mark = Feed::open(&database.pool).await.unwrap().mark();
    distribute_all(&jobs(database), mark).await.unwrap();
}

/// A test message that was made at `at` and is due.
async fn message(database: &TestDatabase, endpoint: WebhookEndpointId, at: Timestamp) -> WebhookMessageId {
    let id = WebhookMessageId::at(at, rand::random());
    let new = New { id, endpoint, order: None, sequence: 0, kind: "webhook.test".to_owned(), at };
    let mut connection = database.pool.connections().acquire().await.unwrap();
    add(&jobs(database), &mut connection, std::slice::from_ref(&new), at).await.unwrap();
    id
}

/// The problem of the first attempt at an endpoint's only message.
async fn first_problem(database: &TestDatabase, endpoint: WebhookEndpointId) -> String {
    let all = list(&database.pool, endpoint, None, None, 10).await.unwrap();
    first_problem_of(database, endpoint, all[0].id).await
}

async fn first_problem_of(database: &TestDatabase, endpoint: WebhookEndpointId, message: WebhookMessageId) -> String {
    eventually("it is tried", async || {
        let all = list(&database.pool, endpoint, None, None, 10).await.unwrap();
        all.into_iter().find(|one| one.id == message).and_then(|message| message.last_problem)
    })
    .await
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
        let sender = webhooks(&database, "right", allowed).await.start().unwrap();
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
    let sender = webhooks(&database, "wrong", OPEN).await.start().unwrap();
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
    let holds = of(&database, "right", OPEN, Outside::Held).await;
    let sender = holds.start().unwrap();
    // An event becomes a message in the look after the one that would have sent the message before it.
    let merchant: uuid::Uuid = sqlx::query_scalar("SELECT merchant_id FROM webhook_endpoints WHERE id = $1")
        .bind(id.uuid())
        .fetch_one(database.pool.connections())
        .await
        .unwrap();
    let merchant = MerchantId::from_uuid(merchant);
    for made in [2, 3] {
        happens(&database, uuid::Uuid::now_v7(), 1, "placed", &[merchant]).await;
        holds.feed().see_what_is_stored(&database.pool).await;
        let all = async || list(&database.pool, id, None, None, 10).await.unwrap();
        eventually("it becomes a message", async || (all().await.len() >= made).then_some(())).await;
        assert!(all().await.iter().all(|message| message.attempts == 0));
    }
    sender.stop(Duration::from_secs(5)).await;
    let claims: i64 =
        sqlx::query_scalar("SELECT sum(claim)::bigint FROM jobs").fetch_one(database.pool.connections()).await.unwrap();
    assert_eq!(claims, 0, "nobody meant to send");
    let waits = crate::held::waiting(&database.pool).await.unwrap();
    assert_eq!(waits.count, 3);
    assert!(waits.since.is_some());

    // One more that is no message yet: as much of the feed as can be read is set aside, too.
    happens(&database, uuid::Uuid::now_v7(), 1, "placed", &[merchant]).await;
    happens(&database, uuid::Uuid::now_v7(), 1, "placed", &[Clock::system().id()]).await;
    assert_eq!(crate::held::waiting(&database.pool).await.unwrap().count, 4, "nobody listens to the other");
    let mark = Feed::open(&database.pool).await.unwrap().mark();
    assert_eq!(crate::held::set_aside(&jobs(&database), mark).await.unwrap(), 4);
    assert_eq!(
        crate::held::waiting(&database.pool).await.unwrap(),
        posthaste_storage::installation::Waiting::default()
    );
    let after = message(&database, id, now).await;
    let sender = of(&database, "right", OPEN, Outside::Open).await.start().unwrap();
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
async fn an_event_is_told_once_to_each_of_its_merchants_that_listens_and_to_nobody_else() {
    let database = TestDatabase::new().await;
    let [owner, seller, stranger]: [MerchantId; 3] = std::array::from_fn(|_| Clock::system().id());
    let order = uuid::Uuid::now_v7();
    let url = "http://127.0.0.1:1/";
    let all = endpoint_of(&database, owner, url, &[]).await;
    let some = endpoint_of(&database, owner, url, &["order.delivered"]).await;
    let of_seller = endpoint_of(&database, seller, url, &[]).await;
    let paused = endpoint_of(&database, seller, url, &[]).await;
    let off = endpoint_of(&database, seller, url, &[]).await;
    let of_stranger = endpoint_of(&database, stranger, url, &[]).await;
    for (endpoint, state) in [(paused, "paused"), (off, "disabled")] {
        sqlx::query("UPDATE webhook_endpoints SET state = $1 WHERE id = $2")
            .bind(state)
            .bind(endpoint.uuid())
            .execute(database.pool.connections())
            .await
            .unwrap();
    }
    let events = ["placed", "assigned", "delivered"];
    for (seq, name) in (1..).zip(events) {
        happens(&database, order, seq, name, &[owner, seller]).await;
        happens(&database, uuid::Uuid::now_v7(), 1, "placed", &[Clock::system().id()]).await;
    }
    distribute(&database).await;
    distribute(&database).await;
    let kind = |name: &str| format!("order.{name}");
    let whole: Vec<_> = (1..).zip(events).map(|(seq, name)| (order, seq, kind(name))).collect();
    for endpoint in [all, of_seller, paused] {
        assert_eq!(told(&database, endpoint).await, whole, "{endpoint}");
    }
    assert_eq!(told(&database, some).await, [(order, 3, kind("delivered"))]);
    for endpoint in [off, of_stranger] {
        assert_eq!(told(&database, endpoint).await, [], "{endpoint}");
    }
    let mut due = Vec::new();
    for endpoint in [all, some, of_seller, paused] {
        let messages = list(&database.pool, endpoint, None, None, 100).await.unwrap();
        due.extend(messages.into_iter().filter(|message| message.due_at.is_some()).map(|message| message.sequence));
    }
    assert_eq!(due, [1, 3, 1, 1], "of each endpoint the first");
}

/// However late an event becomes a message: an endpoint that was made after it, or was off meanwhile, is not told of it.
#[tokio::test]
async fn an_endpoint_is_told_of_what_happens_while_it_listens() {
    let database = TestDatabase::new().await;
    let merchant: MerchantId = Clock::system().id();
    let [first, second, third, fourth] = std::array::from_fn(|_| uuid::Uuid::now_v7());
    let happens = async |order| happens(&database, order, 1, "placed", &[merchant]).await;
    let old = endpoint_of(&database, merchant, "http://127.0.0.1:1/", &[]).await;
    happens(first).await;
    let new = endpoint_of(&database, merchant, "http://127.0.0.1:1/", &[]).await;
    happens(second).await;
    let now = Clock::system().now();
    let switch = async |on| {
        let url = "http://127.0.0.1:1/".to_owned();
        let choice = endpoints::Choice { url, description: String::new(), types: Vec::new() };
        endpoints::store::replace(&database.pool, old, None, &choice, on, now).await.unwrap().unwrap();
    };
    distribute(&database).await;
    switch(false).await;
    happens(third).await;
    switch(true).await;
    // What changes nothing about its being on leaves nothing out.
    happens(fourth).await;
    switch(true).await;
    distribute(&database).await;
    let orders =
        async |endpoint| told(&database, endpoint).await.into_iter().map(|(order, ..)| order).collect::<Vec<_>>();
    assert_eq!(orders(old).await, [first, second, fourth]);
    assert_eq!(orders(new).await, [second, third, fourth]);
}

#[tokio::test]
async fn what_the_release_before_has_left_is_told_first() {
    let database = TestDatabase::new().await;
    let merchant: MerchantId = Clock::system().id();
    let endpoint = endpoint_of(&database, merchant, "http://127.0.0.1:1/", &[]).await;
    let order = uuid::Uuid::now_v7();
    for seq in 1..=3 {
        sqlx::query(
            "INSERT INTO webhook_outbox (merchant_id, order_id, sequence, name, at) VALUES ($1, $2, $3, 'placed', now())",
        )
        .bind(merchant.uuid())
        .bind(order)
        .bind(seq)
        .execute(database.pool.connections())
        .await
        .unwrap();
    }
    happens(&database, order, 4, "assigned", &[merchant]).await;
    assert_eq!(crate::held::waiting(&database.pool).await.unwrap().count, 4);
    let closed = of(&database, "right", OPEN, Outside::Held).await.start().unwrap();
    eventually("they become messages", async || (told(&database, endpoint).await.len() >= 4).then_some(())).await;
    closed.stop(Duration::from_secs(5)).await;
    let seqs: Vec<_> = told(&database, endpoint).await.into_iter().map(|(_, seq, _)| seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    take_over(&jobs(&database)).await.unwrap();
    assert_eq!(told(&database, endpoint).await.len(), 4);
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
    assert_eq!(remove(&jobs(&database), before).await.unwrap(), 1);
    assert_eq!(left().await, [young, waiting], "an active endpoint still gets what waits");

    let state = |state: &'static str| {
        sqlx::query("UPDATE webhook_endpoints SET state = $1").bind(state).execute(database.pool.connections())
    };
    state("paused").await.unwrap();
    assert_eq!(remove(&jobs(&database), before).await.unwrap(), 1);
    assert_eq!(left().await, [young], "thirty days are enough for a paused one");
    state("deleted").await.unwrap();
    assert_eq!(remove(&jobs(&database), before).await.unwrap(), 1);
    let endpoints: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_endpoints")
        .fetch_one(database.pool.connections())
        .await
        .unwrap();
    assert_eq!(endpoints, 0, "a deleted one leaves nothing");
}

/// What a server of the release before has left: messages without jobs, the first of each order due, and an endpoint that is
/// paused.
#[tokio::test]
async fn messages_of_the_release_before_are_sent_in_order_and_a_paused_endpoint_stays_so() {
    let database = TestDatabase::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let (mut read, mut asked) = ([0; 4096], 0);
            // Head and body come at once or one after the other: whoever has sent both is answered.
            while asked < 300 {
                let more = connection.read(&mut read).await.unwrap();
                assert!(more > 0, "it is asked and not left");
                asked += more;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            connection.write_all(answer).await.unwrap();
        }
    });
    let (open, paused) = (endpoint(&database, &url).await, endpoint(&database, &url).await);
    let order = uuid::Uuid::now_v7();
    for endpoint in [open, paused] {
        for sequence in 1..=2_i64 {
            let insert = "INSERT INTO webhook_messages (id, endpoint_id, lane, order_id, sequence, type, at, created_at, state, due_at)
                VALUES ($1, $2, $3, $3, $4, 'order.placed', now(), now(), 'waiting', CASE WHEN $4 = 1 THEN now() END)";
            let insert =
                sqlx::query(insert).bind(uuid::Uuid::now_v7()).bind(endpoint.uuid()).bind(order).bind(sequence);
            insert.execute(database.pool.connections()).await.unwrap();
        }
    }
    let test = uuid::Uuid::now_v7();
    let insert = "INSERT INTO webhook_messages (id, endpoint_id, lane, sequence, type, at, created_at, state, due_at)
        VALUES ($1, $2, $1, 0, 'webhook.test', now(), now(), 'waiting', now())";
    sqlx::query(insert).bind(test).bind(open.uuid()).execute(database.pool.connections()).await.unwrap();
    sqlx::query("UPDATE webhook_endpoints SET state = 'paused' WHERE id = $1")
        .bind(paused.uuid())
        .execute(database.pool.connections())
        .await
        .unwrap();
    let sender = webhooks(&database, "right", OPEN).await.start().unwrap();
    let seen = async |endpoint| {
        let all = list(&database.pool, endpoint, None, None, 10).await.unwrap();
        let seen =
            all.into_iter().map(|one| (one.sequence, one.attempts, one.settled_at.is_some(), one.due_at.is_some()));
        seen.collect::<Vec<_>>()
    };
    // The test arrives. The order's first cannot be made, as there is no such order, and is tried again; its second waits for it.
    let wanted = [(0, 1, true, false), (2, 0, false, false), (1, 1, false, true)];
    eventually_shown("the one is sent and the other tried", async || {
        let all = seen(open).await;
        if all == wanted { Ok(()) } else { Err(all) }
    })
    .await;
    sender.stop(Duration::from_secs(5)).await;
    assert_eq!(seen(paused).await, [(2, 0, false, false), (1, 0, false, true)]);
}
