//! One id from the request to the log, the events and back to the caller; and the trace that the request is a step of.

use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::Response;
use posthaste_protocol::trace::TraceParent;
use tracing::{Instrument, Span};

use crate::problem::with_request_id;

/// The header that carries the id, both ways.
pub const X_REQUEST_ID: &str = "x-request-id";
pub use posthaste_protocol::trace::TRACEPARENT;
/// The longest id taken from a caller; a longer one is replaced.
pub const LONGEST: usize = 128;

/// The request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// The caller's own id where it sent a sound one, otherwise a new one.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let given = request.headers().get(X_REQUEST_ID).and_then(|v| v.to_str().ok());
        given.filter(|id| is_sound(id)).map_or_else(Self::fresh, |id| Self(id.into()))
    }

    /// A new id: the process's random half and a count. Unique without a clock.
    #[must_use]
    pub fn fresh() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("req_{:016x}{count:08x}", *PROCESS).into())
    }
}

fn is_sound(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|b| b.is_ascii_graphic())
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::fresh))
    }
}

/// The step of a trace that the caller says this follows; none where it sent none, or no sound one.
#[must_use]
pub fn sent_step(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    given.next().filter(|_| given.next().is_none()).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// A request with its id and its trace, and the span that every log line of it stands in.
#[derive(Debug)]
pub struct Identified {
    id: RequestId,
    step: TraceParent,
    span: Span,
    began: Instant,
}

impl Identified {
    /// Gives the request its id and its trace, in a world where that has a name. The span names the route, never the query:
    /// it may hold a token.
    pub fn begin(request: &mut Request, world: Option<&'static str>) -> Self {
        let id = RequestId::of(request);
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let method = request.method().as_str();
        let (span, step) = posthaste_trace::begin(sent_step(request.headers()), |trace| {
            // Of the highest level: whatever is logged, it is logged with the ids.
            tracing::error_span!("request", request_id = &*id.0, trace_id = trace.map(display), world, method, route)
        });
        request.extensions_mut().insert(id.clone());
        request.extensions_mut().insert(step);
        Self { id, step, span, began: Instant::now() }
    }

    /// Waits for the answer inside the span, and adds both ids to its headers, the request's to its problem too.
    pub async fn answered(self, answer: impl Future<Output = Response>) -> Response {
        let Self { id, step, span, began } = self;
        let answered = async {
            let mut response = with_request_id(answer.await, &id.0);
            log(&response, began);
            let ids = [(X_REQUEST_ID, HeaderValue::from_str(&id.0)), (TRACEPARENT, step.to_string().try_into())];
            for (name, value) in ids {
                if let Ok(value) = value {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        };
        answered.instrument(span).await
    }
}

fn log(response: &Response, began: Instant) {
    let (status, latency_ms) = (response.status().as_u16(), began.elapsed().as_secs_f64() * 1e3);
    if status >= 500 {
        tracing::warn!(status, latency_ms, "answered");
    } else {
        tracing::debug!(status, latency_ms, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(id: &str) -> Request {
        Request::builder().header(X_REQUEST_ID, id).body(Body::empty()).unwrap()
    }

    #[test]
    fn a_sound_id_is_kept_and_another_is_replaced() {
        assert_eq!(&*RequestId::of(&request("abc-1")).0, "abc-1");
        assert_ne!(&*RequestId::of(&request("a b")).0, "a b");
        let long = "x".repeat(LONGEST + 1);
        assert_ne!(&*RequestId::of(&request(&long)).0, long);
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(RequestId::fresh(), RequestId::fresh());
    }

    #[test]
    fn a_sound_trace_is_continued_and_another_is_replaced() {
        let traced = |values: &[&str]| {
            let mut request = request("r");
            for value in values {
                request.headers_mut().append(TRACEPARENT, value.parse().unwrap());
            }
            Identified::begin(&mut request, None).step
        };
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let continued = traced(&[sent]);
        let before: TraceParent = sent.parse().unwrap();
        assert_eq!((continued.trace, continued.sampled), (before.trace, false), "nobody records it here");
        assert_ne!(continued.step, before.step);
        for unsound in [&[][..], &["00-0-0-00"], &[sent, sent]] {
            assert_ne!(traced(unsound).trace, before.trace, "{unsound:?}");
        }
    }
}
