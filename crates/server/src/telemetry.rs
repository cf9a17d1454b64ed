//! Logs: structured, to stderr or a file, as text or JSON.

use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::Fatal;
use crate::configuration::{Configuration, LogFormat};

/// Starts logging to stderr.
pub(crate) fn to_stderr(configuration: &Configuration) -> Result<(), Fatal> {
    start(configuration, std::io::stderr)
}

/// Starts logging to a file, so that a status line has the terminal to itself.
pub(crate) fn to_file(configuration: &Configuration, path: &Path) -> Result<(), Fatal> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    start(configuration, Mutex::new(file))
}

fn start<W>(configuration: &Configuration, writer: W) -> Result<(), Fatal>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&configuration.log)
        .map_err(|error| format!("the log filter {:?} is wrong: {error}", configuration.log))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    match configuration.log_format {
        LogFormat::Text => subscriber.try_init()?,
        LogFormat::Json => subscriber.json().flatten_event(true).try_init()?,
    }
    Ok(())
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
