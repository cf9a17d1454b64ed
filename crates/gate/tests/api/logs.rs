//! From a request to the lines that it caused, in actors too.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use posthaste_clock::testing::eventually;
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::sockets::Server;
use crate::stage::Stage;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;
    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Lines of a message, as the server writes them with `log_format = "json"`.
    fn lines(&self, message: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message"] == message).collect()
    }
}

/// Writes JSON lines of these levels into the log, until the guard is dropped. The subscriber is that of the thread: tests
/// run on one, actors and the journal included.
fn listen(levels: &str) -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new(levels))
        .with_writer(log.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// The lines about commits that hold what this request caused.
fn commits_of(log: &Log, request_id: &str) -> Vec<Value> {
    let names = |line: &Value, field: &str, id: &str| {
        let spans = line["spans"].as_array().into_iter().flatten();
        spans.filter_map(|span| span[field].as_str()).any(|ids| ids.split(' ').any(|named| named == id))
    };
    let mut lines = log.lines("committed");
    lines.retain(|line| names(line, "request_ids", request_id));
    assert!(lines.iter().all(|line| names(line, "trace_ids", TRACE)), "{lines:?}");
    lines
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A request with an id and a trace of its own.
async fn ask(stage: &Stage, method: Method, path: &str, id: &str, body: Value) -> StatusCode {
    // What operations do is noted in the database first: the merchant's request gets as far as the actor without it.
    let token = if path.ends_with("/cancel") { &stage.merchant } else { &stage.admin };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("x-request-id", id)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    stage.send(request.body(Body::from(body.to_string())).unwrap()).await.status
}

/// The line stands in a span with the ids of the request.
fn assert_of(line: &Value, id: &str) {
    let spans = line["spans"].as_array().unwrap_or_else(|| panic!("no spans: {line}"));
    let named = spans.iter().any(|span| span["request_id"] == id && span["trace_id"] == TRACE);
    assert!(named, "{line}");
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_request_causes_in_an_actor_is_logged_with_its_ids() {
    let (log, _guard) = listen("info,posthaste_live::journal=debug");
    let stage = Stage::new().await;
    let driver = stage.driver("Grace").await;
    let order = stage.order().await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let cancel = serde_json::json!({"reason": "no longer wanted"});

    // From the driver's actor to the order's.
    let assign = serde_json::json!({"driver_id": driver});
    assert_eq!(ask(&stage, Method::POST, &format!("{path}/assign"), "r-assign", assign).await, StatusCode::OK);
    let lines = log.lines("order");
    let assigned = lines.iter().find(|line| line["event"] == "assigned").unwrap_or_else(|| panic!("{lines:?}"));
    assert_of(assigned, "r-assign");
    assert_eq!(commits_of(&log, "r-assign").len(), 1);
    let shift = serde_json::json!({"state": "on_break"});
    assert_eq!(
        ask(&stage, Method::PUT, &format!("/v1/drivers/{driver}/shift"), "r-shift", shift).await,
        StatusCode::OK
    );
    assert_of(log.lines("driver").last().unwrap(), "r-shift");

    // What Postgres refuses is logged by the actor under the request that wanted it.
    stage.database.pool.close().await;
    let status = ask(&stage, Method::POST, &format!("{path}/cancel"), "r-cancel", cancel).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let failed = log.lines("not stored: the database is away");
    assert_of(failed.last().unwrap_or_else(|| panic!("nothing was logged")), "r-cancel");
    assert!(failed.iter().all(|line| line["order"] == order["id"]), "{failed:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_command_of_a_socket_causes_is_logged_with_its_ids() {
    let (log, _guard) = listen("info,posthaste_live::journal=debug");
    let server = Server::limited(posthaste_http::limits::Limits::default()).await;
    let (session, mut socket) = server.driver_in_trace("Grace", &format!("00-{TRACE}-00f067aa0ba902b7-01")).await;
    socket.say("shift", Some("c-1"), serde_json::json!({"state": "on_break"})).await;
    let answer = socket.until("ack").await;
    assert_eq!((&answer["id"], &answer["data"]["changed"]), (&"c-1".into(), &true.into()), "{answer}");
    let id = format!("{session}/c-1");
    let lines = log.lines("driver");
    let changed = lines.iter().find(|line| line["shift"] == "on_break").unwrap_or_else(|| panic!("{lines:?}"));
    assert_of(changed, &id);
    assert_eq!(commits_of(&log, &id).len(), 1);

    // A device that says nothing of a trace: each command begins one.
    let (_, mut socket) = server.driver("Ada").await;
    let mut traces = Vec::new();
    for (command, state) in [("c-1", "on_break"), ("c-2", "available")] {
        socket.say("shift", Some(command), serde_json::json!({"state": state})).await;
        socket.until("ack").await;
        let line = log.lines("driver").pop().unwrap();
        let spans = line["spans"].as_array().unwrap();
        traces.extend(spans.iter().filter_map(|span| span["trace_id"].as_str().map(str::to_owned)));
    }
    traces.dedup();
    assert_eq!(traces.len(), 2, "{traces:?}");
    assert!(traces.iter().all(|trace| trace.len() == 32 && trace != TRACE), "{traces:?}");
}

/// A statement that takes long is told by the database's driver, in the lines of whoever waits for it.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_statement_is_logged_with_the_ids_of_what_waits_for_it() {
    let (log, _guard) = listen("info");
    let stage = Stage::new().await;
    let order = stage.order().await;
    let path = format!("/v1/orders/{}/cancel", order["id"].as_str().unwrap());
    // Nobody may write orders for longer than a statement may take without being told.
    let mut locked = stage.database.pool.connections().begin().await.unwrap();
    sqlx::query("LOCK TABLE orders IN EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();
    let cancel = serde_json::json!({"reason": "no longer wanted"});
    let unlock = async {
        // As the database says itself.
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND now() - query_start > interval '1.1 seconds'";
        eventually("a statement takes long", async || {
            let waiting = sqlx::query_scalar::<_, i64>(count).fetch_one(stage.database.pool.connections()).await;
            (waiting.unwrap() > 0).then_some(())
        })
        .await;
        locked.rollback().await.unwrap();
    };
    let (status, ()) = tokio::join!(ask(&stage, Method::POST, &path, "r-slow", cancel), unlock);
    assert_eq!(status, StatusCode::OK);
    for message in ["slow commit", "slow statement: execution time exceeded alert threshold"] {
        let lines = log.lines(message);
        let named = |line: &Value| {
            let spans = line["spans"].as_array().into_iter().flatten();
            spans.into_iter().any(|span| span["request_ids"] == "r-slow" && span["trace_ids"] == TRACE)
        };
        assert!(lines.iter().any(named), "{message}: {lines:?}");
    }
}

#[tokio::test]
async fn a_socket_that_is_closed_says_in_the_log_which_and_why() {
    let (log, _listening) = listen("posthaste_dispatch_api=info");
    let server = Server::new().await;
    let (driver, mut first) = server.driver("Grace").await;
    let token = crate::stage::driver_token(&driver);
    let (_second, ..) = server.begin("/v1/ws/driver", Some(&token), serde_json::json!({})).await;
    let (_third, ..) = server.begin("/v1/ws/driver", Some(&token), serde_json::json!({})).await;
    assert_eq!(first.closed().await, 4011);
    let lines = log.lines("a socket was closed");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["cause"], &line["code"]), (&"replaced".into(), &4011.into()), "{line}");
    assert_eq!((&line["path"], &line["level"]), (&"/v1/ws/driver".into(), &"INFO".into()), "{line}");
    assert_eq!(line["span"]["driver"], driver.as_str(), "{line}");
}
