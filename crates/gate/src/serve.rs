//! The router with everything that stands before the routes, and how it is served and stopped.

use std::future::Future;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Redirect, Response};
use axum::routing::get;
use posthaste_http::made_once::MadeOnce;
use posthaste_http::problem::Failure;
use posthaste_http::{browsers, problem};
use posthaste_live::stopping::Leave;
use tokio::net::TcpListener;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::edge::{self, Edge};
use crate::openapi::{document, routes};
use crate::worlds::Worlds;
use crate::{AppState, accept, access, banned};

/// The routes of the API, with the checks and limits that stand before them: the last one named is the first that a
/// request meets.
pub fn router(app: AppState) -> Router {
    let edge = Edge::new(app.clone());
    let routes = routes(Some(&app));
    for fault in routes.faults() {
        tracing::error!(fault, "a route is left out: its handler and its contract do not agree");
    }
    let (routes, _) = routes.into_router().split_for_parts();
    let routes = routes
        .route_layer(from_fn_with_state(app.clone(), access::enforce))
        .merge(for_everybody(&app))
        .method_not_allowed_fallback(problem::method_not_allowed);
    // Each layer is a few allocations for every request, and one more for each that stands around it.
    let routes = match app.limits().browsers.cors() {
        None => routes.layer(from_fn_with_state(edge, edge::whole)),
        Some(cors) => routes
            .layer(from_fn_with_state(edge.clone(), edge::inner))
            .layer(cors)
            .layer(from_fn_with_state(edge, edge::outer)),
    };
    // Outside of what puts the request's id into a problem: that writes the body anew.
    routes.layer(browsers::compression()).with_state(app)
}

/// What stands in no table: the document of the API, the page that shows it, and what is not there. A stranger is counted before
/// anything is made for them.
fn for_everybody(app: &AppState) -> Router<AppState> {
    static DOCUMENT: LazyLock<MadeOnce> =
        LazyLock::new(|| MadeOnce::new("application/json", serde_json::to_vec(&document()).unwrap_or_default()));
    Router::new()
        .merge(SwaggerUi::new("/docs").config(Config::from("/openapi.json")))
        // Whoever comes with a browser and nothing else.
        .route("/", get(async || Redirect::to("/docs/")))
        .route("/openapi.json", get(async |headers: HeaderMap| DOCUMENT.answer(&headers)))
        .fallback(problem::not_found)
        .layer(from_fn_with_state(app.clone(), count_first))
}

async fn count_first(State(app): State<AppState>, request: Request, next: Next) -> Result<Response, Failure> {
    app.process().counts.stranger(&request)?;
    Ok(next.run(request).await)
}

/// Serves the API until `shutdown`, which says how to leave, and then, within the budget of that: takes no new connection,
/// finishes the requests that run, stops the live system and the test world beside each other (sockets are told that the
/// server goes away, commits are finished), and lets the sockets say good-bye. Left at once, the sockets are told first.
pub async fn serve(
    listener: TcpListener,
    worlds: impl Into<Worlds>,
    shutdown: impl Future<Output = Leave> + Send + 'static,
) {
    let worlds = worlds.into();
    let app = worlds.live().clone();
    let beside = [tokio::spawn(banned::run(worlds.clone())), tokio::spawn(worlds.clone().resume())];
    let connections = app.limits().connections;
    let mut how = Leave::InOrder;
    let told = async {
        how = shutdown.await;
        if how == Leave::AtOnce {
            worlds.close_streams();
        }
        how.budget().requests
    };
    if !accept::accept(listener, worlds.clone(), connections, told).await {
        tracing::warn!("some requests did not end in time");
    }
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    let budget = how.budget();
    let ((), _, all_said_goodbye) = tokio::join!(
        app.system().leave(how),
        tokio::time::timeout(budget.systems, worlds.stop(how)),
        // Those of the test world are among them.
        app.sockets().sockets_closed(budget.sockets),
    );
    if !all_said_goodbye {
        tracing::warn!(open = app.sockets().open_sockets(), "some sockets did not say good-bye in time");
    }
}
