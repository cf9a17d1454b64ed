//! Webhooks: what a merchant sets, and what is sent, to receivers that behave and to those that do not. Sent with a fast
//! clock of its own, so that a schedule of a day is seen in seconds.

pub(crate) mod receiver;
mod shut_out;

use axum::http::{Method, StatusCode};
use posthaste_clock::Clock;
use posthaste_clock::testing::eventually;
use posthaste_domain::party::Party;
use posthaste_jobs::Jobs;
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_webhooks::{Allowed, RETRY_SECONDS, Sender, Webhooks};
use serde_json::{Value, json};

use self::receiver::{Behaviour, Receiver};
use crate::accounts::people;
use crate::sockets::Server;
use crate::stage::{Answer, Stage, merchant_id, order_body, token};

const ENDPOINTS: &str = "/v1/webhooks/endpoints";

/// Sends what the stage's merchants are to be told. The clock runs at `speed`.
pub(crate) fn start(stage: &Stage, speed: f64) -> Sender {
    let clock = Clock::at_speed(speed, None).unwrap();
    let allowed = Allowed { private: true, plain_http: true };
    let seal = Seal::new(b"a secret of tests");
    let feed = stage.app.system().feed().clone();
    Webhooks::new(Jobs::new(stage.database.pool.clone(), seal, clock, Outside::Open), allowed, feed).start().unwrap()
}

/// What tells merchants of endpoints that stopped.
fn telling(stage: &Stage) -> posthaste_gate::stopped::Telling {
    let (streams, identity) = (stage.app.system().streams().clone(), stage.app.identity().clone());
    posthaste_gate::stopped::Telling { streams, identity }
}

async fn endpoint(stage: &Stage, url: &str, types: &[&str]) -> String {
    stage.post(ENDPOINTS, &stage.merchant, &json!({"url": url, "types": types})).await.id()
}

async fn read(stage: &Stage, id: &str) -> Value {
    stage.get(&format!("{ENDPOINTS}/{id}"), &stage.merchant).await.body
}

async fn messages(stage: &Stage, endpoint: &str) -> Vec<Value> {
    let answer = stage.get(&format!("{ENDPOINTS}/{endpoint}/messages?limit=100"), &stage.merchant).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["items"].as_array().unwrap().clone()
}

async fn act(stage: &Stage, path: &str, body: &Value) -> Answer {
    stage.post(path, &stage.merchant, body).await
}

async fn until_messages(stage: &Stage, endpoint: &str, state: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} messages are {state}");
    eventually(&what, async || {
        let all = messages(stage, endpoint).await;
        (all.iter().filter(|message| message["state"] == state).count() == count).then_some(all)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_chosen_events_of_ones_own_orders_arrive() {
    let stage = Stage::new().await;
    let (all, chosen, others) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&stage, &all.url, &[]).await;
    endpoint(&stage, &chosen.url, &["order.canceled"]).await;
    let other = json!({"url": others.url});
    assert_eq!(stage.post(ENDPOINTS, &stage.other_merchant, &other).await.status, StatusCode::CREATED);
    let _sender = start(&stage, 1.0);
    let order = stage.order().await["id"].as_str().unwrap().to_owned();
    let canceled = act(&stage, &format!("/v1/orders/{order}/cancel"), &json!({"reason": "ordered twice"})).await;
    assert_eq!(canceled.status, StatusCode::OK, "{canceled:?}");
    eventually("the cancellation arrives", async || (chosen.kinds() == ["order.canceled"]).then_some(())).await;
    eventually("both arrive", async || (all.kinds() == ["order.placed", "order.canceled"]).then_some(())).await;
    assert_eq!(others.kinds(), Vec::<String>::new(), "of another merchant");
    let body = &all.taken()[1].body;
    assert_eq!((&body["data"]["sequence"], &body["data"]["status"]), (&json!(2), &json!("canceled")));
    assert_eq!(body["data"]["details"]["reason"], "ordered twice");
    assert_eq!(all.taken()[0].body["data"]["order"]["status"], "confirmed", "as it was then");
}

/// A report, a backup, a forgotten session: in this database, or in another of the same Postgres.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_transaction_that_stays_open_delays_nobody() {
    let (stage, elsewhere) = (Stage::new().await, posthaste_storage::testing::TestDatabase::new().await);
    let mut foreign = Vec::new();
    for pool in [&stage.database.pool, &elsewhere.pool] {
        let mut transaction = pool.connections().begin().await.unwrap();
        sqlx::raw_sql("SELECT pg_current_xact_id()").execute(&mut *transaction).await.unwrap();
        foreign.push(transaction);
    }
    let receiver = Receiver::start().await;
    endpoint(&stage, &receiver.url, &[]).await;
    let _sender = start(&stage, 1.0);
    let order = stage.order().await["id"].as_str().unwrap().to_owned();
    eventually("it is told of", async || (receiver.of(&order) == [1]).then_some(())).await;
    act(&stage, &format!("/v1/orders/{order}/cancel"), &json!({"reason": "ordered twice"})).await;
    eventually("so is the next", async || (receiver.of(&order) == [1, 2]).then_some(())).await;
    // They were open all the time.
    for transaction in foreign {
        transaction.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_of_a_part_is_told_and_sees_what_is_theirs() {
    let stage = Stage::new().await;
    let (owner, seller) = (Receiver::start().await, Receiver::start().await);
    endpoint(&stage, &owner.url, &[]).await;
    stage.post(ENDPOINTS, &stage.other_merchant, &json!({"url": seller.url})).await.id();
    let _sender = start(&stage, 1.0);
    let mut body = order_body();
    let second = json!({"lat": 52.5170, "lng": 13.3780, "merchant_id": merchant_id(2)});
    body["pickups"].as_array_mut().unwrap().push(second);
    body["codes"] = json!({"pickup": true, "delivery": true});
    let placed = stage.post("/v1/orders", &stage.merchant, &body).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    eventually("both are told", async || (!owner.taken().is_empty() && !seller.taken().is_empty()).then_some(())).await;
    let codes = |receiver: &Receiver| -> Vec<bool> {
        let tasks = receiver.taken()[0].body["data"]["order"]["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|task| task["code"].is_string()).collect()
    };
    assert_eq!(codes(&owner), [true, false, true]);
    assert_eq!(codes(&seller), [true], "its own part alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_gets_eight_attempts_by_the_schedule_and_is_paused() {
    let stage = Stage::new().await;
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Status(500));
    let id = endpoint(&stage, &receiver.url, &[]).await;
    let _sender = start(&stage, 10_000.0);
    stage.order().await;
    let all = until_messages(&stage, &id, "set_aside", 1).await;
    let message = all[0]["id"].as_str().unwrap();
    let detail = stage.get(&format!("/v1/webhooks/messages/{message}"), &stage.merchant).await.body;
    let tried = detail["tried"].as_array().unwrap();
    assert_eq!(tried.len(), RETRY_SECONDS.len() + 1);
    let at = |n: usize| tried[n]["at"].as_str().unwrap().parse::<posthaste_domain::Timestamp>().unwrap();
    for (n, seconds) in RETRY_SECONDS.iter().enumerate() {
        assert!((at(n + 1) - at(n)).num_seconds() >= *seconds, "attempt {} came early: {detail}", n + 2);
    }
    assert_eq!((&tried[0]["status"], &tried[0]["answer"]), (&json!(500), &json!("no")));
    let paused = read(&stage, &id).await;
    assert_eq!((&paused["state"], &paused["failures"]), (&json!("paused"), &json!(8)), "{paused}");
    assert!(paused["state_reason"].as_str().unwrap().contains("answered 500"), "{paused}");

    // Nothing is sent to it, and nothing is lost.
    let before = receiver.taken().len();
    stage.order().await;
    eventually("the next event is collected", async || (messages(&stage, &id).await.len() == 2).then_some(())).await;
    receiver.behave(Behaviour::Take);
    assert_eq!(act(&stage, &format!("{ENDPOINTS}/{id}/test"), &json!({})).await.status, StatusCode::CONFLICT);
    assert_eq!(receiver.taken().len(), before);
    let resumed = act(&stage, &format!("{ENDPOINTS}/{id}/resume"), &json!({})).await;
    assert_eq!((resumed.status, &resumed.body["state"]), (StatusCode::OK, &json!("active")), "{resumed:?}");
    until_messages(&stage, &id, "delivered", 1).await;
    assert_eq!(act(&stage, &format!("{ENDPOINTS}/{id}/resume"), &json!({})).await.code(), "conflict");

    // What was set aside is replayed under its own id.
    let replayed = act(&stage, &format!("/v1/webhooks/messages/{message}/replay"), &json!({})).await;
    assert_eq!(replayed.status, StatusCode::ACCEPTED, "{replayed:?}");
    until_messages(&stage, &id, "delivered", 2).await;
    assert_eq!(receiver.taken().last().unwrap().id, message);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_an_order_wait_for_each_other_and_those_of_other_orders_do_not() {
    let stage = Stage::new().await;
    let receiver = Receiver::start().await;
    let id = endpoint(&stage, &receiver.url, &[]).await;
    let first = stage.order().await["id"].as_str().unwrap().to_owned();
    receiver.behave(Behaviour::RefuseOrder(first.clone()));
    let _sender = start(&stage, 20.0);
    let second = stage.order().await["id"].as_str().unwrap().to_owned();
    for order in [&first, &second] {
        let canceled = act(&stage, &format!("/v1/orders/{order}/cancel"), &json!({"reason": "no"})).await;
        assert_eq!(canceled.status, StatusCode::OK, "{canceled:?}");
    }
    eventually("the second order's events arrive", async || (receiver.of(&second) == [1, 2]).then_some(())).await;
    let all = until_messages(&stage, &id, "waiting", 2).await;
    let waits = |sequence: u64| all.iter().find(|m| m["order_id"] == *first && m["sequence"] == sequence).unwrap();
    assert!(waits(1)["due_at"].is_string() && waits(2)["due_at"].is_null(), "{all:?}");
    assert_eq!(waits(2)["attempts"], 0, "not tried before the one before it has arrived");
    receiver.behave(Behaviour::Take);
    until_messages(&stage, &id, "waiting", 0).await;
    assert_eq!(receiver.of(&first), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_a_point_in_time_keeps_the_order_of_each_order() {
    let stage = Stage::new().await;
    let receiver = Receiver::start().await;
    let id = endpoint(&stage, &receiver.url, &[]).await;
    let sender = start(&stage, 1.0);
    let mut orders = Vec::new();
    for _ in 0..5 {
        let order = stage.order().await["id"].as_str().unwrap().to_owned();
        act(&stage, &format!("/v1/orders/{order}/cancel"), &json!({"reason": "no"})).await;
        orders.push(order);
    }
    let all = until_messages(&stage, &id, "delivered", 10).await;
    let from = all.iter().map(|m| m["at"].as_str().unwrap()).min().unwrap();
    receiver.forget();
    let path = format!("{ENDPOINTS}/{id}/replay");
    let answer = act(&stage, &path, &json!({"from": from})).await;
    assert_eq!((answer.status, &answer.body["messages"]), (StatusCode::ACCEPTED, &json!(10)), "{answer:?}");
    until_messages(&stage, &id, "delivered", 10).await;
    for order in &orders {
        assert_eq!(receiver.of(order), [1, 2]);
    }
    let none = act(&stage, &path, &json!({"from": from, "only_set_aside": true})).await;
    assert_eq!(none.body["messages"], 0);
    let reversed = act(&stage, &path, &json!({"from": "2026-05-01T12:00:00Z", "to": "2026-05-01T11:00:00Z"})).await;
    assert_eq!(reversed.fields(), ["to"]);
    sender.stop(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_misbehave_hold_up_nobody_else() {
    let stage = Stage::new().await;
    let good = Receiver::start().await;
    let mut bad = Vec::new();
    for behaviour in [Behaviour::Silent, Behaviour::HangUp, Behaviour::Endless(500), Behaviour::Redirect] {
        let receiver = Receiver::start().await;
        receiver.behave(behaviour);
        bad.push((endpoint(&stage, &receiver.url, &[]).await, receiver));
    }
    let nobody = endpoint(&stage, "http://127.0.0.1:1/", &[]).await;
    let id = endpoint(&stage, &good.url, &[]).await;
    let _sender = start(&stage, 1.0);
    for _ in 0..30 {
        stage.order().await;
    }
    until_messages(&stage, &id, "delivered", 30).await;
    for (id, said) in
        [(&bad[1].0, "broke"), (&bad[2].0, "answered 500"), (&bad[3].0, "redirects"), (&nobody, "connect")]
    {
        eventually("its problem is told", async || {
            let all = messages(&stage, id).await;
            all.iter().any(|m| m["last_problem"].as_str().is_some_and(|p| p.contains(said))).then_some(())
        })
        .await;
    }
    assert!(bad[3].1.taken().iter().all(|taken| taken.path == "/hooks"), "redirects are not followed");
    assert!(bad[0].1.most_at_once() <= 8, "one that hangs does not get all there is");
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_switches_off_and_retry_after_is_heeded() {
    let stage = Stage::new().await;
    let (gone, busy) = (Receiver::start().await, Receiver::start().await);
    gone.behave(Behaviour::Status(410));
    busy.behave(Behaviour::Busy(3600));
    let (off, quiet) = (endpoint(&stage, &gone.url, &[]).await, endpoint(&stage, &busy.url, &[]).await);
    let _sender = start(&stage, 1.0);
    stage.order().await;
    eventually("it is switched off", async || (read(&stage, &off).await["state"] == "disabled").then_some(())).await;
    eventually("it is left alone", async || read(&stage, &quiet).await["quiet_until"].is_string().then_some(())).await;
    stage.order().await;
    eventually("the next is collected", async || (messages(&stage, &quiet).await.len() == 2).then_some(())).await;
    assert_eq!(messages(&stage, &off).await.len(), 1, "events pass by what is switched off");
    assert_eq!(busy.taken().len(), 1, "it asked for an hour");
    let due: posthaste_domain::Timestamp =
        messages(&stage, &quiet).await.last().unwrap()["due_at"].as_str().unwrap().parse().unwrap();
    assert!((due - Clock::system().now()).num_minutes() >= 58, "{due}");
    gone.behave(Behaviour::Take);
    let on = json!({"url": gone.url, "enabled": true});
    let path = format!("{ENDPOINTS}/{off}");
    let answer = stage.call(Method::PUT, &path, Some(&stage.merchant), Some(&on)).await;
    assert_eq!((answer.status, &answer.body["state"]), (StatusCode::OK, &json!("active")), "{answer:?}");
    until_messages(&stage, &off, "delivered", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_send_each_message_once_and_in_order() {
    let stage = Stage::new().await;
    let receiver = Receiver::start().await;
    let id = endpoint(&stage, &receiver.url, &[]).await;
    let senders = [start(&stage, 1.0), start(&stage, 1.0)];
    let mut orders = Vec::new();
    for _ in 0..20 {
        let order = stage.order().await["id"].as_str().unwrap().to_owned();
        act(&stage, &format!("/v1/orders/{order}/cancel"), &json!({"reason": "no"})).await;
        orders.push(order);
    }
    until_messages(&stage, &id, "delivered", 40).await;
    for order in &orders {
        assert_eq!(receiver.of(order), [1, 2]);
    }
    for sender in senders {
        sender.stop(std::time::Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_endpoint_is_said_and_changes_nothing() {
    let stage = Stage::new().await;
    let ask = async |body: Value| stage.post(ENDPOINTS, &stage.merchant, &body).await;
    for (body, field) in [
        (json!({"url": "ftp://shop.example/"}), "url"),
        (json!({"url": "https://shop.example/", "types": ["order.placed", "order.eaten"]}), "types[1]"),
        (json!({"url": "https://shop.example/", "types": ["webhook.test"]}), "types[0]"),
        (json!({"url": "https://shop.example/", "description": "x".repeat(201)}), "description"),
        (json!({"url": "https://shop.example/", "merchant_id": merchant_id(2)}), "merchant_id"),
    ] {
        let answer = ask(body).await;
        assert_eq!((answer.code(), answer.fields()), ("invalid", vec![field]), "{answer:?}");
    }
    let nobody = stage.post(ENDPOINTS, &stage.admin, &json!({"url": "https://shop.example/"})).await;
    assert_eq!(nobody.fields(), ["merchant_id"]);
    for n in 0..10 {
        assert_eq!(ask(json!({"url": format!("https://shop.example/{n}")})).await.status, StatusCode::CREATED);
    }
    assert_eq!(ask(json!({"url": "https://shop.example/"})).await.code(), "conflict");
    let mine = stage.get(ENDPOINTS, &stage.merchant).await;
    assert_eq!(mine.body["items"].as_array().unwrap().len(), 10);
    assert!(!mine.body.to_string().contains("whsec_"), "secrets are shown once");
    assert_eq!(stage.get(ENDPOINTS, &stage.other_merchant).await.body["items"], json!([]));
    let theirs = format!("{ENDPOINTS}?merchant_id={}", merchant_id(1));
    assert_eq!(stage.get(&theirs, &stage.other_merchant).await.body["items"], json!([]));
    let page = stage.get(&format!("{ENDPOINTS}?limit=7"), &stage.admin).await;
    let next = format!("{ENDPOINTS}?limit=7&cursor={}", page.body["next_cursor"].as_str().unwrap());
    assert_eq!(stage.get(&next, &stage.admin).await.body["items"].as_array().unwrap().len(), 3);
    let id = mine.body["items"][0]["id"].as_str().unwrap();
    let long = act(&stage, &format!("{ENDPOINTS}/{id}/secret"), &json!({"overlap_hours": 169})).await;
    assert_eq!(long.fields(), ["overlap_hours"]);
    let state = stage.get(&format!("{ENDPOINTS}/{id}/messages?state=lost"), &stage.merchant).await;
    assert_eq!(state.fields(), ["state"]);
    let types = stage.get("/v1/webhooks/types", &token(Party::Merchant(merchant_id(3)))).await;
    assert!(types.body["items"].as_array().unwrap().iter().any(|kind| kind["type"] == "order.delivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_an_endpoint_that_stopped_is_told_when_they_are_connected() {
    let server = Server::new().await;
    let stage = &server.stage;
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Status(410));
    let id = endpoint(stage, &receiver.url, &[]).await;
    let webhooks = crate::stage::webhooks(&stage.database, stage.app.system());
    webhooks.connect(std::sync::Arc::new(telling(stage)));
    let _sender = webhooks.start().unwrap();
    stage.order().await;
    eventually("it is switched off", async || (read(stage, &id).await["state"] == "disabled").then_some(())).await;
    let (mut socket, ..) = server.begin("/v1/ws/merchant", Some(&stage.merchant), json!({})).await;
    let alert = socket.until("alert").await;
    assert_eq!(alert["data"]["kind"], "webhook_stopped");
    assert!(alert["data"]["text"].as_str().unwrap().contains(&id), "{alert}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_an_endpoint_that_stopped_is_written_to_once_for_each_stop() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let (_, _rival) = people::merchant(&stage, "rival@example.org").await;
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Status(410));
    let id = stage.post(ENDPOINTS, &login.access(), &json!({"url": receiver.url})).await.id();
    // Somebody who has no account is not written to, and holds up nobody.
    let of_nobody = endpoint(&stage, &receiver.url, &[]).await;
    // Two servers on one database.
    let servers = std::array::from_fn::<_, 2, _>(|_| crate::stage::webhooks(&stage.database, stage.app.system()));
    let _senders = servers.map(|webhooks| {
        webhooks.connect(std::sync::Arc::new(telling(&stage)));
        webhooks.start().unwrap()
    });
    let letters = async || {
        let all = posthaste_notifications::carrier::read_mailbox(stage.mailbox.clone(), 100).await.unwrap();
        all.into_iter().filter(|text| text.contains("webhook endpoint")).collect::<Vec<_>>()
    };
    let stopped = async |id: &str, token: &str| {
        eventually("it is switched off", async || {
            let test = stage.post(&format!("{ENDPOINTS}/{id}/test"), token, &json!({})).await;
            (test.code() == "conflict").then_some(())
        })
        .await;
    };
    stopped(&id, &login.access()).await;
    let letter = people::message(&stage, "shop@example.org", &[&id, "disabled", "410", &receiver.url]).await;
    assert!(letter.contains("Subject: A webhook endpoint is disabled"), "{letter}");
    stopped(&of_nobody, &stage.merchant).await;
    eventually("it was looked for whom to write to", async || {
        let left = "SELECT count(*) FROM webhook_endpoints WHERE state_reason IS NOT NULL AND owner_written_at IS NULL";
        let left: i64 = sqlx::query_scalar(left).fetch_one(stage.database.pool.connections()).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(letters().await.len(), 1, "once, by both servers together, and to nobody else");

    let on = json!({"url": receiver.url, "types": [], "enabled": true});
    let switched = stage.call(Method::PUT, &format!("{ENDPOINTS}/{id}"), Some(&login.access()), Some(&on)).await;
    assert_eq!(switched.body["state"], "active", "{switched:?}");
    stopped(&id, &login.access()).await;
    eventually("the next stop is written about too", async || (letters().await.len() == 2).then_some(())).await;
}
