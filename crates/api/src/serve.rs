//! The router with everything that stands before the routes, and how it is served and stopped.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use posthaste_http::{browsers, problem};
use tokio::net::TcpListener;
use utoipa_swagger_ui::SwaggerUi;

use crate::edge::{self, Edge};
use crate::openapi::{document, routes};
use crate::worlds::Worlds;
use crate::{AppState, accept, access, banned};

/// How long requests may go on after the server was told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(15);
/// How long sockets may take to say good-bye.
const LAST_SOCKETS: Duration = Duration::from_secs(5);

/// The routes of the API, with the checks and limits that stand before them: the last one named is the first that a
/// request meets.
pub fn router(app: AppState) -> Router {
    let edge = Edge::new(app.clone());
    let (routes, _) = routes().split_for_parts();
    let routes = routes
        .route_layer(from_fn_with_state(app.clone(), access::enforce))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document()))
        .fallback(problem::not_found)
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

/// Serves the API until `shutdown`, then in this order: takes no new connection, finishes the requests that run,
/// stops the live system (sockets are told that the server goes away, commits are finished), then the test world, and
/// waits for the sockets' good-byes.
pub async fn serve(
    listener: TcpListener,
    worlds: impl Into<Worlds>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let worlds = worlds.into();
    let app = worlds.live().clone();
    let beside = [tokio::spawn(banned::run(worlds.clone())), tokio::spawn(worlds.clone().resume())];
    let connections = app.limits().connections;
    if !accept::accept(listener, worlds.clone(), connections, shutdown, LAST_REQUESTS).await {
        tracing::warn!("some requests did not end in time");
    }
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    app.system().stop().await;
    worlds.stop().await;
    if !app.sockets_closed(LAST_SOCKETS).await {
        tracing::warn!(open = app.open_sockets(), "some sockets did not say good-bye in time");
    }
}
