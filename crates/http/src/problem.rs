//! Every failure leaves as an RFC 9457 problem, whatever layer it comes from.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_protocol::problem::{Code, Problem};

/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem on its way to the caller. Boxed: results stay small on the way that works.
#[derive(Debug, Clone)]
pub struct Failure(Box<Problem>);

/// What a handler returns.
pub type Answer<T> = Result<T, Failure>;

impl Failure {
    /// The problem inside.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// Takes the problem out.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        *self.0
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Problem::new(code).into()
    }
}

impl IntoResponse for Failure {
    /// The rendered problem; it stays in the response's extensions too, so that the request's id can be added by
    /// the layer that knows it.
    fn into_response(self) -> Response {
        let mut response = render(&self.0);
        response.extensions_mut().insert(self);
        response
    }
}

fn render(problem: &Problem) -> Response {
    // A problem holds no maps and no failing serializers: this cannot fail.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(problem.code, Code::Unauthenticated | Code::TokenExpired) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Renders the response's problem again, with the request's id in it. Other responses pass as they are.
#[must_use]
pub(crate) fn with_request_id(mut response: Response, request_id: &str) -> Response {
    let Some(Failure(mut problem)) = response.extensions_mut().remove::<Failure>() else { return response };
    problem.request_id = Some(request_id.to_owned());
    let mut rendered = render(&problem);
    for (name, value) in response.headers() {
        if !rendered.headers().contains_key(name) && name != header::CONTENT_LENGTH {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

/// No route has this path.
pub async fn not_found() -> Failure {
    Problem::new(Code::NotFound).detail("there is no such path").into()
}

/// The path exists, but not with this method.
pub async fn method_not_allowed() -> Failure {
    Code::MethodNotAllowed.into()
}

/// The answer of a handler that may panic: then the log gets the text, the caller only an id to report.
pub async fn caught(answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| Poll::Ready(panicked(&*payload)))
    })
    .await
}

fn panicked(payload: &(dyn Any + Send)) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&'static str>().copied())
        .unwrap_or("a payload without text");
    tracing::error!(panic = text, "a handler panicked");
    Failure::from(Code::Internal).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_status_and_says_when_to_try_again() {
        let response = Failure::from(Problem::unavailable("the database is not available")).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }

    #[test]
    fn every_code_has_a_status_that_http_knows() {
        for code in [Code::Malformed, Code::TokenExpired, Code::IdempotencyRunning, Code::Internal] {
            assert_eq!(Failure::from(code).into_response().status().as_u16(), code.status());
        }
    }
}
