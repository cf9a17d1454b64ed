//! What stands before all routes, in two parts, as pages of other origins are answered between them: the outer counts,
//! names and logs a request and tells browsers what they may do; the inner finds out where it comes from and limits it.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use posthaste_http::browsers::Kind;
use posthaste_http::limits::{Limits, carried, room, whole_body, within};
use posthaste_http::metrics::Counted;
use posthaste_http::request_id::Identified;
use posthaste_http::{address, problem};
use tokio::sync::Semaphore;

use crate::AppState;
use crate::quotas::Metered;

/// What it knows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge {
    app: AppState,
    running: Arc<Semaphore>,
}

impl Edge {
    pub(crate) fn new(app: AppState) -> Self {
        let running = app.running();
        Self { app, running }
    }

    async fn name<A: Future<Output = Response>>(
        &self,
        mut request: Request,
        answer: impl FnOnce(Request) -> A,
    ) -> Response {
        let (kind, counted) = (Kind::of(&request), Counted::begin(&request));
        let identified = Identified::begin(&mut request, self.app.system().world().name());
        let mut response = identified.answered(answer(request)).await;
        counted.end(response.status());
        self.app.limits().browsers.tell(kind, response.headers_mut());
        response
    }

    async fn limit(&self, mut request: Request, next: Next) -> Response {
        let limits = self.app.limits();
        address::note(&mut request, &limits.proxies);
        let metered = Metered::begin(&mut request);
        // Nobody takes a place that all share while they are waited for.
        let most = body_limit(&request, limits);
        let mut request = match whole_body(request, most, limits.request_timeout).await {
            Ok(request) => request,
            Err(refused) => return refused.into_response(),
        };
        let response = match room(&self.running, &request) {
            Ok(room) => {
                // Axum has a limit of its own, which knows nothing of this one.
                DefaultBodyLimit::max(most).apply(&mut request);
                if request.method().is_safe() {
                    problem::caught(within(limits.request_timeout, next.run(request))).await
                } else {
                    carried(limits.request_timeout, room, next.run(request)).await
                }
            }
            Err(refused) => refused.into_response(),
        };
        match metered {
            Some(metered) => metered.tell(self.app.counts(), response),
            None => response,
        }
    }
}

/// How long a body may be. An outline of as many corners as a zone may have is longer than anything else.
fn body_limit(request: &Request, limits: &Limits) -> usize {
    let path = request.uri().path();
    let is_zone = path == "/v1/zones" || path.starts_with("/v1/zones/");
    if is_zone { limits.body_bytes.max(limits.outline_bytes) } else { limits.body_bytes }
}

/// All of it, where no other origin may ask.
pub(crate) async fn whole(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    edge.name(request, |request| edge.limit(request, next)).await
}

/// What every request meets first.
pub(crate) async fn outer(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    edge.name(request, |request| next.run(request)).await
}

/// What a request meets last.
pub(crate) async fn inner(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    edge.limit(request, next).await
}
