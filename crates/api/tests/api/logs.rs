//! From a request to the lines that it caused, in actors too.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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

// One thread: the subscriber is that of the thread, actors and the journal included.
#[tokio::test(flavor = "current_thread")]
async fn what_a_request_causes_in_an_actor_is_logged_with_its_ids() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new("info"))
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
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
