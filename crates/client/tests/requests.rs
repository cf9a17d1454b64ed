//! REST requests against a server that is away, busy, or slow.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use posthaste_client::protocol::orders::{CreateDelivery, CreateOrder};
use posthaste_client::protocol::problem::{Code, Problem};
use posthaste_client::{Client, ClientError, Idempotency, ListOrders, RetryRule};
use posthaste_domain::ids::{Id, OrderId, ZoneId};
use posthaste_domain::order::{Speed, Status};

/// A request's method and path, and its idempotency key.
type Asked = (String, Option<String>);

/// What was asked, and what to answer next.
#[derive(Clone, Default)]
struct Script {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<Vec<Response<Body>>>>,
}

impl Script {
    fn then(self, answer: impl IntoResponse) -> Self {
        self.answers.lock().unwrap().insert(0, answer.into_response());
        self
    }

    async fn serve(&self) -> Client {
        async fn answer(State(script): State<Script>, request: Request) -> Response {
            let key = request.headers().get("idempotency-key").map(|v| v.to_str().unwrap().to_owned());
            script.asked.lock().unwrap().push((format!("{} {}", request.method(), request.uri()), key));
            let next = script.answers.lock().unwrap().pop();
            next.unwrap_or_else(|| StatusCode::IM_A_TEAPOT.into_response())
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let retry = RetryRule { first_wait: Duration::from_millis(1), ..RetryRule::default() };
        Client::new(format!("http://{address}/"), "token").unwrap().with_retry(retry)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn busy(retry_after: &'static str) -> impl IntoResponse {
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", retry_after)], "")
}

fn order() -> CreateOrder {
    CreateOrder {
        speed: Speed::Fast,
        pickups: Vec::new(),
        delivery: CreateDelivery {
            lat: 0.0,
            lng: 0.0,
            contact: Default::default(),
            window: None,
            service_seconds: None,
        },
        merchant_id: None,
        customer_id: None,
        reference: None,
        size: 1,
        priority: 0,
        codes: Default::default(),
        needs_confirmation: None,
    }
}

fn order_json() -> impl IntoResponse {
    let id = OrderId::from_uuid(uuid::Uuid::from_u128(1));
    let body = serde_json::json!({
        "id": id, "status": "confirmed", "version": 1, "speed": "fast", "size": 1, "priority": 0, "tasks": [],
        "merchant_id": "mer_01jd8v7cjxfm9sxv0q3e0b5z1c", "zone_id": "zon_01jd8v7cjxfm9sxv0q3e0b5z1c",
        "placed_at": "2026-05-01T12:00:00Z", "promised_at": "2026-05-01T12:30:00Z",
    });
    (StatusCode::CREATED, axum::Json(body))
}

#[tokio::test]
async fn an_order_with_an_automatic_key_is_placed_again_with_the_same_key_while_the_server_is_busy() {
    let script = Script::default().then(busy("0")).then(busy("0")).then(order_json());
    let placed = script.serve().await.create_order(&order(), Idempotency::Automatic).await.unwrap();
    assert_eq!(placed.status, Status::Confirmed);
    let asked = script.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].1.is_some() && asked.iter().all(|(what, key)| what == "POST /v1/orders" && *key == asked[0].1));
}

#[tokio::test]
async fn an_order_without_a_key_is_sent_once() {
    let script = Script::default().then(busy("0")).then(order_json());
    let error = script.serve().await.create_order(&order(), Idempotency::Off).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable));
    assert_eq!(script.asked(), [("POST /v1/orders".to_owned(), None)]);
}

#[tokio::test]
async fn a_running_first_try_is_waited_for() {
    let running = (StatusCode::CONFLICT, axum::Json(Problem::new(Code::IdempotencyRunning)));
    let script = Script::default().then(running).then(order_json());
    script.serve().await.create_order(&order(), Idempotency::Key("mine".to_owned())).await.unwrap();
    assert!(script.asked().iter().all(|(_, key)| key.as_deref() == Some("mine")));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let script = Script::default().then(busy("1")).then(order_json());
    let began = std::time::Instant::now();
    script.serve().await.order(OrderId::from_uuid(uuid::Uuid::from_u128(1))).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_problem_comes_with_its_code_and_fields_and_is_not_tried_again() {
    let refused = (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(Problem::invalid("pickups", "none")));
    let script = Script::default().then(refused);
    let error = script.serve().await.create_order(&order(), Idempotency::Automatic).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Invalid));
    assert_eq!(error.problem().unwrap().errors[0].field, "pickups");
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn a_page_that_is_no_problem_becomes_one_by_its_status() {
    let script = Script::default().then((StatusCode::NOT_FOUND, "<html>nothing here</html>"));
    let error = script.serve().await.clock().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NotFound));
}

#[tokio::test]
async fn filters_become_a_query_and_absent_ones_are_left_out() {
    let script = Script::default().then(axum::Json(serde_json::json!({ "items": [] })));
    let zone = ZoneId::from_uuid(uuid::Uuid::from_u128(3));
    let after = "2026-05-01T12:00:00Z".parse().unwrap();
    let filter = ListOrders {
        status: Some(Status::PickedUp),
        zone_id: Some(zone),
        placed_after: Some(after),
        limit: Some(5),
        ..ListOrders::default()
    };
    script.serve().await.list_orders(&filter).await.unwrap();
    let asked = script.asked()[0].0.clone();
    for part in ["limit=5", "status=picked_up", "placed_after=2026-05-01T12%3A00%3A00Z", &format!("zone_id={zone}")] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    assert!(!asked.contains("speed"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_transport_error() {
    let client = Client::new("http://127.0.0.1:1", "t").unwrap();
    let once = client.with_retry(RetryRule { tries: 1, ..RetryRule::default() });
    assert!(matches!(once.clock().await, Err(ClientError::Transport(_))));
    assert!(!once.is_ready().await);
    assert!(matches!(Client::new("127.0.0.1:80", "t"), Err(ClientError::Address { .. })));
}
