//! How many requests there are, how they end, how long they take: by route and method, never by path or caller, so that
//! the number of series stays small.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use parking_lot::RwLock;

/// The series that were written to so far, once a recorder is there: a request finds them and makes no text.
static SERIES: OnceLock<RwLock<HashMap<Box<str>, Vec<Series>>>> = OnceLock::new();

/// Those of a route, a method and a status.
struct Series {
    method: &'static str,
    status: StatusCode,
    requests: Counter,
    seconds: Histogram,
}

/// Says what the figures are, once a recorder is there. Before that nothing is counted.
pub fn describe() {
    describe_counter!("posthaste_http_requests_total", "Requests answered, by route, method and status.");
    describe_histogram!("posthaste_http_request_seconds", "Real seconds to the answer's head, by route and method.");
    SERIES.get_or_init(RwLock::default);
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Counted {
    began: Instant,
    route: Option<MatchedPath>,
    method: &'static str,
}

impl Counted {
    /// Begins to count a request.
    #[must_use]
    pub fn begin(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { began: Instant::now(), route, method: known(request.method()) }
    }

    /// Counts it, and how long its answer took.
    pub fn end(&self, status: StatusCode) {
        let Some(all) = SERIES.get() else { return };
        let route = self.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let count = |series: &Series| {
            series.seconds.record(self.began.elapsed().as_secs_f64());
            series.requests.increment(1);
        };
        let is_its = |series: &&Series| series.method == self.method && series.status == status;
        if let Some(series) = all.read().get(route).and_then(|of_route| of_route.iter().find(is_its)) {
            return count(series);
        }
        let series = Series::new(route, self.method, status);
        count(&series);
        let mut all = all.write();
        let of_route = all.entry(route.into()).or_default();
        if !of_route.iter().any(|series| is_its(&series)) {
            of_route.push(series);
        }
    }
}

impl Series {
    fn new(route: &str, method: &'static str, status: StatusCode) -> Self {
        let (route, code) = (route.to_owned(), status.as_u16().to_string());
        let seconds = histogram!("posthaste_http_request_seconds", "route" => route.clone(), "method" => method);
        let requests =
            counter!("posthaste_http_requests_total", "route" => route, "method" => method, "status" => code);
        Self { method, status, requests, seconds }
    }
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
