//! Logs: structured, to stderr or a file, as text or JSON. Traces: to a collector, where one is configured.

use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::Fatal;
use crate::configuration::{Configuration, LogFormat};
use crate::database::unusable;

/// How long a collector may take to accept a batch of spans.
const EXPORT_WITHIN: Duration = Duration::from_secs(5);

/// What sends traces, if anything does.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Starts logging to stderr.
pub(crate) fn to_stderr(configuration: &Configuration) -> Result<(), Fatal> {
    start(configuration, std::io::stderr)
}

/// Starts logging to a file, so that a status line has the terminal to itself.
pub(crate) fn to_file(configuration: &Configuration, path: &Path) -> Result<(), Fatal> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| unusable(configuration, &error))?;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|error| unusable(configuration, &error))?;
    start(configuration, Mutex::new(file))
}

fn start<W>(configuration: &Configuration, writer: W) -> Result<(), Fatal>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&configuration.program.log)
        .map_err(|error| format!("log (POSTHASTE_LOG) {:?} is wrong: {error}", configuration.program.log))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match configuration.program.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = configuration.program.otlp_endpoint.as_deref().map(traces).transpose()?;
    let is_sent = traces.is_some();
    tracing_subscriber::registry().with(traces).with(lines).with(filter).try_init()?;
    if is_sent {
        posthaste_trace::export();
    }
    Ok(())
}

/// Spans go to a collector, in batches, on a thread of their own; those that it does not take are lost.
fn traces<S>(endpoint: &str) -> Result<impl Layer<S> + use<S>, Fatal>
where
    S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).with_timeout(EXPORT_WITHIN).build();
    let exporter = exporter.map_err(|error| format!("otlp_endpoint (POSTHASTE_OTLP_ENDPOINT) is wrong: {error}"))?;
    let resource = Resource::builder()
        .with_service_name("posthaste")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("posthaste"));
    let _ = PROVIDER.set(provider);
    Ok(layer)
}

/// Sends the traces that are left, and waits at most so long for a collector to take them.
pub(crate) async fn flush(within: Duration) {
    let Some(provider) = PROVIDER.get() else { return };
    let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within)).await;
    if let Ok(Err(error)) = sent {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
