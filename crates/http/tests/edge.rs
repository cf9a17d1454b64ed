//! What stands before the routes, around handlers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use posthaste_http::request_id::Identified;
use posthaste_http::{limits, problem};
use posthaste_protocol::problem::{Code, Problem};
use tokio::sync::Semaphore;
use tower::ServiceExt;

fn edge(room: usize) -> Router {
    async fn panics() -> &'static str {
        panic!("the password is swordfish")
    }
    async fn sleeps() -> &'static str {
        std::future::pending().await
    }
    Router::new()
        .route("/panics", get(panics))
        .route("/sleeps", get(sleeps))
        .fallback(problem::not_found)
        .layer(from_fn_with_state(Arc::new(Semaphore::new(room)), around))
}

async fn around(State(running): State<Arc<Semaphore>>, mut request: Request<Body>, next: Next) -> Response {
    let identified = Identified::begin(&mut request, None);
    let answer = async {
        match limits::room(&running) {
            Ok(_room) => problem::caught(limits::within(Duration::from_millis(20), next.run(request))).await,
            Err(refused) => refused.into_response(),
        }
    };
    identified.answered(answer).await
}

async fn ask(router: Router, path: &str) -> (StatusCode, Option<String>, Problem) {
    let request = Request::builder().uri(path).header("x-request-id", "r-1").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (status, retry) = (response.status(), response.headers().get(header::RETRY_AFTER).cloned());
    assert_eq!(response.headers()[header::CONTENT_TYPE], problem::PROBLEM_JSON);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.request_id.as_deref(), Some("r-1"));
    (status, retry.map(|value| value.to_str().unwrap().to_owned()), problem)
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error_that_tells_nothing() {
    let (status, _, problem) = ask(edge(1), "/panics").await;
    assert_eq!((status, problem.code), (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal));
    assert_eq!(problem.detail, None);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let (status, retry, problem) = ask(edge(1), "/sleeps").await;
    assert_eq!((status, problem.code), (StatusCode::REQUEST_TIMEOUT, Code::Timeout));
    assert_eq!(retry.as_deref(), Some("1"));
}

#[tokio::test]
async fn one_request_too_many_is_refused_and_the_next_is_served() {
    let router = edge(1);
    let (slow, refused) = tokio::join!(ask(router.clone(), "/sleeps"), ask(router.clone(), "/nothing"));
    assert_eq!((slow.0, refused.0), (StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(refused.1.as_deref(), Some("1"));
    assert_eq!(ask(router, "/nothing").await.0, StatusCode::NOT_FOUND);
}
