//! What stands before all routes, in two parts, as pages of other origins are answered between them: the outer counts,
//! names and logs a request and tells browsers what they may do; the inner finds out where it comes from and limits it.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use posthaste_http::browsers::Kind;
use posthaste_http::limits::{carried, room, within};
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
        let identified = Identified::begin(&mut request);
        let mut response = identified.answered(answer(request)).await;
        counted.end(response.status());
        self.app.limits().browsers.tell(kind, response.headers_mut());
        response
    }

    async fn limit(&self, mut request: Request, next: Next) -> Response {
        let limits = self.app.limits();
        address::note(&mut request, &limits.proxies);
        let metered = Metered::begin(&mut request);
        let response = match room(&self.running, &request) {
            Ok(room) => {
                DefaultBodyLimit::max(limits.body_bytes).apply(&mut request);
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
