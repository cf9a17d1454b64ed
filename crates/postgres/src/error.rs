//! What can go wrong with the embedded Postgres, each with words that say what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A failure of the embedded Postgres to start, answer or stop.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// No `postgres` and `initdb` anywhere on this machine, and none could be downloaded.
    #[error(
        "no Postgres was found on this machine ({download}); install it and start again: \
         `apt install postgresql` on Debian or Ubuntu, `dnf install postgresql-server` on Fedora, \
         `brew install postgresql@17` on macOS; or name a directory that holds `postgres` and `initdb` with --postgres-bin; \
         or set DATABASE_URL to use a server that already runs"
    )]
    BinariesMissing {
        /// Why the download of last resort gave nothing.
        download: String,
    },
    /// The configured directory does not hold a Postgres that can be run.
    #[error("{} does not hold `postgres` and `initdb` of version {minimum} or newer: name another with --postgres-bin \
         (POSTHASTE_POSTGRES_BIN), or leave it out and the machine is searched", bin_dir.display())]
    BinDirUnusable {
        /// The directory that was configured.
        bin_dir: PathBuf,
        /// The oldest major version that is supported.
        minimum: u32,
    },
    /// The data was written by a major version that is not installed.
    #[error(
        "the data in {} was written by Postgres {data_major}, and this machine has {}: install Postgres \
         {data_major} again, or move the data over with pg_upgrade or pg_dumpall, or choose another data directory",
        data_dir.display(), found_words(found)
    )]
    VersionMismatch {
        /// The cluster whose version is foreign.
        data_dir: PathBuf,
        /// The major version that wrote it.
        data_major: u32,
        /// The major versions that were found.
        found: Vec<u32>,
    },
    /// The data of a server that ran is not there any more.
    #[error(
        "the data in {} is gone: nothing is started in its place; put it back, or stop and choose what to begin with",
        data_dir.display()
    )]
    DataGone {
        /// Where it was.
        data_dir: PathBuf,
    },
    /// Another process owns this data directory.
    #[error(
        "{} is in use by another posthaste{}: stop it first, or choose another data directory",
        data_dir.display(), owner.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The directory that both want.
        data_dir: PathBuf,
        /// The process that has it, when it left its number.
        owner: Option<u32>,
    },
    /// A server answers on the data directory's socket, and it is no process of this machine's.
    #[error("{} is served by a Postgres that this process cannot see, such as one in another container: stop it first", data_dir.display())]
    ServedElsewhere {
        /// The directory that is served.
        data_dir: PathBuf,
    },
    /// Running as root, and no account to run Postgres as.
    #[error(
        "Postgres refuses to run as root, and this machine has neither a `postgres` nor a `nobody` account: create one, or run posthaste as an ordinary user"
    )]
    NoAccount,
    /// `initdb` failed.
    #[error("initdb failed: {output}")]
    InitFailed {
        /// What it printed.
        output: String,
    },
    /// Postgres ended before it was ready.
    #[error("Postgres ended before it was ready; the end of {} says: {tail}", log.display())]
    StartFailed {
        /// Its log file.
        log: PathBuf,
        /// What it wrote there in this start.
        tail: String,
    },
    /// Postgres was not ready in time.
    #[error("Postgres was not ready within {seconds} s; the end of {} says: {tail}", log.display())]
    StartTimeout {
        /// How long was waited.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
        /// What it wrote there in this start.
        tail: String,
    },
    /// Postgres did not stop, even when told to drop everything.
    #[error("Postgres (process {pid}) did not stop within {seconds} s")]
    StopTimeout {
        /// The postmaster.
        pid: i32,
        /// How long was waited.
        seconds: u64,
    },
    /// A program could not be run.
    #[error("could not run {}", program.display())]
    Command {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory could not be used.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The server runs but did not take a statement.
    #[error("could not {action}")]
    Sql {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// It was told to stop, or the runtime went away, while the launcher worked.
    #[error("the start or stop of Postgres was interrupted")]
    Interrupted,
}

impl EmbeddedError {
    pub(super) fn sql(action: &'static str, source: io::Error) -> Self {
        Self::Sql { action, source }
    }
}

fn found_words(found: &[u32]) -> String {
    if found.is_empty() {
        return "none".into();
    }
    found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Says what was being done to which path when an `io::Error` came.
pub(super) trait At<T> {
    /// Names the action (a verb) and the path.
    fn at(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { action, path: path.to_path_buf(), source })
    }
}
