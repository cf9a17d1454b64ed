//! What can keep a simulation from running.

use std::path::PathBuf;

use posthaste_client::ClientError;

/// A simulation that could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The server refused something that the set-up needs, or is not there.
    #[error("{doing}: {source}")]
    Server {
        /// What was being done.
        doing: &'static str,
        /// What came of it.
        source: ClientError,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A recorded day that does not read.
    #[error(transparent)]
    Day(#[from] posthaste_backtest::DayError),
}

impl SimError {
    /// Adds to a client's error what was being done.
    pub(crate) fn server(doing: &'static str) -> impl FnOnce(ClientError) -> Self {
        move |source| Self::Server { doing, source }
    }
}
