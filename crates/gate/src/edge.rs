//! What stands before all routes, in two parts, as pages of other origins are answered between them: the outer counts,
//! names and logs a request and tells browsers what they may do; the inner finds out where it comes from and limits it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use posthaste_http::browsers::Kind;
use posthaste_http::contract::{BodyLimit, Quota};
use posthaste_http::limits::{carried, room, whole_body, within};
use posthaste_http::metrics::Counted;
use posthaste_http::problem::Answer;
use posthaste_http::request_id::Identified;
use posthaste_http::{address, problem};
use posthaste_protocol::problem::{Code, Problem};
use tokio::sync::Semaphore;

use crate::AppState;
use crate::access::rule_for;
use crate::quotas::Metered;

/// What it knows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge {
    app: AppState,
    running: Arc<Semaphore>,
}

impl Edge {
    pub(crate) fn new(app: AppState) -> Self {
        let running = Arc::clone(&app.process().running);
        Self { app, running }
    }

    async fn name<A: Future<Output = Response>>(
        &self,
        mut request: Request,
        answer: impl FnOnce(Request) -> A,
    ) -> Response {
        let (kind, counted) = (Kind::of(&request), Counted::begin(&request));
        let identified = Identified::begin(&mut request, self.app.dispatch().spans().name());
        let answer = async {
            match host_is_told(&request) {
                Ok(()) => answer(request).await,
                Err(refused) => refused.into_response(),
            }
        };
        let mut response = identified.answered(answer).await;
        counted.end(response.status());
        self.app.limits().browsers.tell(kind, response.headers_mut());
        response
    }

    async fn limit(&self, mut request: Request, next: Next) -> Response {
        let limits = self.app.limits();
        address::note(&mut request, &limits.proxies);
        let rule = rule_for(&request);
        let is_free = rule.is_some_and(|rule| rule.quota == Quota::Free);
        let metered = if is_free { None } else { Some(Metered::begin(&mut request)) };
        // Nobody takes a place that all share while they are waited for.
        let most = match rule.map(|rule| rule.body) {
            Some(BodyLimit::Outline) => limits.body_bytes.max(limits.outline_bytes),
            Some(BodyLimit::Usual) | None => limits.body_bytes,
        };
        let mut request = match whole_body(request, most, limits.request_timeout).await {
            Ok(request) => request,
            Err(refused) => return refused.into_response(),
        };
        let room = if is_free { Ok(None) } else { room(&self.running).map(Some) };
        let response = match room {
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
            Some(metered) => metered.tell(&self.app.process().counts, response),
            None => response,
        }
    }
}

/// Of HTTP/1.1 a request that came over a connection names its host once (RFC 9112, 3.2): what stands in front may have gone by
/// another name.
fn host_is_told(request: &Request) -> Answer<()> {
    let names = request.headers().get_all(header::HOST).iter().count();
    let came_over_a_connection = request.extensions().get::<ConnectInfo<SocketAddr>>().is_some();
    let may_be_missing = request.version() != Version::HTTP_11 || !came_over_a_connection;
    if names == 1 || names == 0 && may_be_missing {
        return Ok(());
    }
    Err(Problem::new(Code::Malformed).detail("a request names its host once").into())
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
