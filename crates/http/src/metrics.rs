//! How many requests there are, how they end, how long they take: by route and method, never by path or caller, so that
//! the number of series stays small.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, describe_counter, describe_histogram, histogram};

/// Says what the figures are, once a recorder is there.
pub fn describe() {
    describe_counter!("posthaste_http_requests_total", "Requests answered, by route, method and status.");
    describe_histogram!("posthaste_http_request_seconds", "Real seconds to the answer's head, by route and method.");
}

/// Counts a request and how long its answer took.
pub async fn layer(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = known(request.method());
    let response = next.run(request).await;
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let status = response.status().as_u16().to_string();
    histogram!("posthaste_http_request_seconds", "route" => route.clone(), "method" => method)
        .record(began.elapsed().as_secs_f64());
    counter!("posthaste_http_requests_total", "route" => route, "method" => method, "status" => status).increment(1);
    response
}

/// A method's name; those that nobody made up.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
