//! Figures for Prometheus, on an address of their own: who may read them is a question of the network, not of tokens. And
//! whether the process lives, as a server that stands by is asked nowhere else.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics::{describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use posthaste_gate::{AppState, health};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Fatal;
use crate::listening::taken;

/// Upper bounds of what takes time, in seconds: from a position's microseconds to a request that timed out.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of the entries in a commit.
const ENTRIES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// How often old samples are put into their buckets.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

/// The recorder of this process.
#[derive(Clone)]
pub(crate) struct Recorder(PrometheusHandle);

impl Recorder {
    /// Begins to keep figures. Once in a process.
    pub(crate) fn install() -> Result<Self, Fatal> {
        let handle = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(Matcher::Full("posthaste_commit_entries".to_owned()), &ENTRIES)?
            .install_recorder()?;
        posthaste_live::metrics::describe();
        posthaste_http::metrics::describe();
        posthaste_webhooks::metrics::describe();
        posthaste_jobs::metrics::describe();
        posthaste_postgres::describe_metrics();
        posthaste_outside::metrics::describe();
        crate::memory::describe();
        describe_gauge!("posthaste_sockets", "Open sockets.");
        describe_gauge!("posthaste_leads", "1 where the server leads its database, 0 where it stands by.");
        describe_counter!("posthaste_duties_total", "What is done by the clock, by duty, world and result.");
        describe_counter!(
            "posthaste_sockets_closed_total",
            "Sockets that ended, by the code that they were closed with and by cause."
        );
        Ok(Self(handle))
    }

    /// Serves `GET /metrics` there, and the process' health, until what is returned is dropped.
    async fn serve(&self, listen: SocketAddr, led: Led) -> Result<JoinHandle<()>, Fatal> {
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| taken("--metrics-listen (POSTHASTE_METRICS_LISTEN)", listen, &error))?;
        tracing::info!(address = %listener.local_addr()?, "metrics");
        let handle = self.0.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        });
        let router = Router::new()
            .route("/metrics", get(read))
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .with_state((self.clone(), led));
        Ok(tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "metrics are served no more");
            }
        }))
    }
}

/// The server, once it leads.
type Led = Arc<OnceLock<AppState>>;

/// What is served on the address of figures. Ends when it is dropped.
pub(crate) struct Figures {
    led: Led,
    serving: JoinHandle<()>,
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Figures {
    /// Begins to keep and to serve figures. Once in a process.
    pub(crate) async fn serve(listen: SocketAddr) -> Result<Self, Fatal> {
        let (recorder, led) = (Recorder::install()?, Led::default());
        gauge!("posthaste_leads").set(0.0);
        let serving = recorder.serve(listen, Arc::clone(&led)).await?;
        Ok(Self { led, serving })
    }

    /// From now on they are those of a server that leads.
    pub(crate) fn leads(&self, app: AppState) {
        gauge!("posthaste_leads").set(1.0);
        // It leads once in its life.
        let _ = self.led.set(app);
    }
}

async fn live(State((_, led)): State<(Recorder, Led)>) -> Response {
    match led.get() {
        Some(_) => health::live().await.into_response(),
        None => standing_by(StatusCode::OK),
    }
}

/// Whether it is ready for work, as the server itself says; one that stands by is not.
async fn ready(State((_, led)): State<(Recorder, Led)>) -> Response {
    match led.get() {
        Some(app) => health::ready(State(app.clone())).await.into_response(),
        None => standing_by(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn standing_by(status: StatusCode) -> Response {
    (status, Json(serde_json::json!({ "status": "standing_by" }))).into_response()
}

async fn read(State((recorder, led)): State<(Recorder, Led)>) -> Response {
    if let Some(app) = led.get() {
        if let Err(refused) = app.system().observe().await {
            // What needs no database is worth reading just then.
            tracing::warn!(%refused, "live orders were not counted");
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of sockets")]
        gauge!("posthaste_sockets").set(app.sockets().open_sockets() as f64);
    }
    crate::memory::observe();
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, headers, recorder.0.render()).into_response()
}
