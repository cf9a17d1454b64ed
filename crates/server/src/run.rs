//! A running server: database, clock, live system, routes; and how it stops.

use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt;
use posthaste_api::{AppState, Build};
use posthaste_clock::Clock;
use posthaste_http::auth::Keys;
use posthaste_http::limits::Limits;
use posthaste_live::{Settings, System};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Fatal;
use crate::configuration::Configuration;
use crate::database::Database;
use crate::token_key;

/// How long sockets and requests may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What signs its tokens.
    pub(crate) keys: Keys,
    /// Its clock.
    pub(crate) clock: Clock,
    system: System,
    state: AppState,
    database: Database,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Starts everything. The address is taken first, so that a second server on it fails before it touches data.
    pub(crate) async fn start(configuration: &Configuration) -> Result<Self, Fatal> {
        let listener = TcpListener::bind(configuration.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", configuration.listen))?;
        let address = listener.local_addr()?;
        let keys = token_key::keys(configuration)?;
        let database = Database::open(configuration).await?;
        let newest = posthaste_storage::clock::load(&database.pool).await?;
        let clock = Clock::at_speed(configuration.clock_speed, newest)?;
        let settings = Settings {
            checkpoint_every: Duration::from_secs(u64::from(configuration.checkpoint_seconds)),
            track_retention_days: configuration.track_retention_days,
        };
        let system = System::start(database.pool.clone(), clock.clone(), settings).await?;
        let mut limits = Limits::default();
        limits.sockets = configuration.sockets.unwrap_or(limits.sockets);
        limits.concurrent_requests = configuration.concurrent_requests.unwrap_or(limits.concurrent_requests);
        let build = Build { version: env!("CARGO_PKG_VERSION"), commit: option_env!("POSTHASTE_COMMIT") };
        let state = AppState::new(system.clone(), database.pool.clone(), keys.clone(), limits, build);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = posthaste_api::router(state.clone());
        // Small frames go out at once: a position is worth nothing after the next one.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async move {
                    let _ = stopped.await;
                })
                .await
        });
        tracing::info!(%address, clock_speed = clock.speed(), "serving");
        Ok(Self { address, keys, clock, system, state, database, stop, serving })
    }

    /// Stops as it should: sockets hear that the server is going away, requests under way are answered, what was
    /// being committed is committed, positions are checkpointed.
    pub(crate) async fn stop(self) -> Result<(), Fatal> {
        tracing::info!("stopping");
        let _ = self.stop.send(());
        self.system.going_away();
        if !self.state.sockets_closed(DRAIN).await {
            tracing::warn!("some sockets did not close in time");
        }
        if tokio::time::timeout(DRAIN, self.serving).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        self.system.stop().await;
        self.database.close().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Waits for Ctrl-C or the signal by which service managers stop programs.
pub(crate) async fn told_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(%error, "only Ctrl-C stops the server");
                let _ = interrupt.await;
                return;
            }
        };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
