//! The router with everything that stands before the routes, and the loop that serves it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::serve::ListenerExt;
use posthaste_http::{limits, metrics, problem, request_id};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_swagger_ui::SwaggerUi;

use crate::AppState;
use crate::access;
use crate::openapi::routes;

/// How long requests may go on after the server was told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(15);
/// How long sockets may take to say good-bye.
const LAST_SOCKETS: Duration = Duration::from_secs(5);

/// The routes of the API, with the checks and limits that stand before them.
pub fn router(app: AppState) -> Router {
    let limits = app.limits().clone();
    let running = Arc::new(Semaphore::new(limits.concurrent_requests.min(Semaphore::MAX_PERMITS)));
    let (routes, document) = routes().split_for_parts();
    routes
        .route_layer(from_fn_with_state(app.clone(), access::enforce))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(limits.request_timeout, limits::time_out))
        .layer(from_fn_with_state(running, limits::shed))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(request_id::layer))
        .layer(from_fn(metrics::layer))
        .with_state(app)
}

/// Serves the API until `shutdown`, then in this order: takes no new connection, finishes the requests that run,
/// stops the live system (sockets are told that the server goes away, commits are finished), and waits for the
/// sockets' good-byes.
pub async fn serve(
    listener: TcpListener,
    app: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // Small frames are written when they are ready, not when the peer has confirmed the one before.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let (told, stopping) = oneshot::channel();
    let signal = async move {
        shutdown.await;
        let _ = told.send(());
    };
    let serving = axum::serve(listener, router(app.clone())).with_graceful_shutdown(signal).into_future();
    let patience = async {
        // Without the signal the server ends by an error of its own, and this never does.
        if stopping.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    let served = tokio::select! {
        served = serving => served,
        () = patience => {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }
    };
    app.system().stop().await;
    if !app.sockets_closed(LAST_SOCKETS).await {
        tracing::warn!(open = app.open_sockets(), "some sockets did not say good-bye in time");
    }
    served
}
