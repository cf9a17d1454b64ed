//! A private, real Postgres, started from the machine's own binaries, for running with nothing else set up; and, with the
//! feature `testing`, servers and databases for tests.
//!
//! It knows no table and no migration: who wants a schema brings it. What holds of a private server, whatever happens:
//!
//! - **One owner.** A process owns a data directory from start to stop, by a file lock that the system releases when
//!   the process dies. A second start on the same directory is refused at once with [`EmbeddedError::InUse`].
//! - **It goes on.** A server that dies (killed, crashed, its disk full) is started again with its data, on the same
//!   socket, until its owner stops it; see `watcher`.
//! - **Nothing is left behind.** Stopping or dropping [`EmbeddedPostgres`] stops the server. If the owner is killed,
//!   the server goes on; the next start adopts it and stops it when it ends itself. A server that hangs is stopped.
//! - **Nothing acknowledged is lost.** With `durable`, fsync and synchronous commit are on; a killed server recovers
//!   at the next start. Leftovers of a dead one (pid file, sockets, backends) do not get in the way.
//! - **Nobody else gets in.** The server listens on no port, only on a socket in a directory of its own account; its
//!   files are for their owner alone.
//! - **Not as root.** Started by root, it runs as `postgres`, else `nobody`; see [`EmbeddedPostgres::moved_from`].
//! - **Data of another major version is refused**, never touched.

mod account;
pub mod beside;
mod binaries;
mod cluster;
mod error;
mod home;
mod package;
mod patience;
mod pid_file;
mod postmaster;
mod process;
mod session;
mod settings;
#[cfg(any(test, feature = "testing"))]
mod shared;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod watcher;

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use account::Account;
use beside::Directory;
use binaries::Search;
pub use error::EmbeddedError;
pub use home::Owner;
use home::{Home, HomeLock};
pub use package::Download;
use patience::Patience;
use postmaster::Postmaster;
#[cfg(any(test, feature = "testing"))]
use process::is_alive;
use session::{Session, quoted};
use tokio::sync::watch;
use watcher::Watcher;
pub use watcher::{Starts, describe as describe_metrics};

/// How long a drop may hold up its thread. A stop takes about a tenth of a second; one that takes longer goes on
/// without us, and a later start waits for it.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// How to run an embedded Postgres. Start from [`EmbeddedOptions::new`].
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The directory for the server's files, made if missing. Nothing else should live in it.
    pub data_dir: PathBuf,
    /// The directory that holds `postgres` and `initdb`; without one, the machine is searched.
    pub bin_dir: Option<PathBuf>,
    /// Whether commits survive the loss of power. Off only in tests: without it they survive the server's death, but
    /// not the machine's.
    pub durable: bool,
    /// How many connections the server takes.
    pub max_connections: u32,
    /// The database that is made at the first start, and that [`EmbeddedPostgres::url`] names.
    pub database: String,
    /// Further settings of Postgres, as in `postgresql.conf`; they win over the launcher's own.
    pub settings: Vec<(String, String)>,
    /// Whether npm may be asked for a Postgres when the machine has none.
    pub download: Download,
    /// How long a start may take. Recovery after a crash is part of it.
    pub start_timeout: Duration,
    /// How long a stop may take before connections are cut without a checkpoint.
    pub stop_timeout: Duration,
    /// Whether a server that dies is started again.
    pub restart: bool,
}

impl EmbeddedOptions {
    /// The options of a production server with its files in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            durable: true,
            max_connections: 100,
            database: "posthaste".into(),
            settings: Vec::new(),
            download: Download::Never,
            start_timeout: Duration::from_secs(120),
            stop_timeout: Duration::from_secs(30),
            restart: true,
        }
    }
}

/// A running private Postgres, owned by this process. Dropping it stops the server.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    watcher: Watcher,
    url: String,
    /// Where its socket is, and the database that it was started for: the same after each restart.
    reached: (PathBuf, String),
    home: Home,
    major: u32,
    adopted: bool,
}

/// The blocking half: the server and the lock of its directory, given back in this order.
#[derive(Debug)]
struct Server {
    postmaster: Postmaster,
    home: Home,
    major: u32,
    options: EmbeddedOptions,
    _lock: HomeLock,
}

impl EmbeddedPostgres {
    /// Starts the server, or adopts the one that a killed owner left running, and makes the database if it is new.
    ///
    /// # Errors
    ///
    /// See [`EmbeddedError`]; every one says what to do. Nothing is left running after one.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let mut first = Self::attempt(&options).await;
        if let Err((error, true)) = first {
            // it was on its way down, or in no state to be used: it has been stopped, and is started anew
            tracing::warn!(%error, "the server that was adopted could not be used");
            first = Self::attempt(&options).await;
        }
        let (server, url) = first.map_err(|(error, _)| error)?;
        tracing::info!(
            home = %server.home.path.display(), major = server.major, pid = server.postmaster.pid,
            adopted = server.postmaster.adopted, "embedded Postgres is ready"
        );
        let (home, major, adopted) = (server.home.clone(), server.major, server.postmaster.adopted);
        let reached = (server.postmaster.socket_dir.clone(), options.database);
        let watcher = Watcher::start(server, options.restart)?;
        Ok(Self { watcher, url, reached, home, major, adopted })
    }

    /// One attempt; an error says whether it was an adopted server that failed.
    async fn attempt(options: &EmbeddedOptions) -> Result<(Server, String), (EmbeddedError, bool)> {
        let options = options.clone();
        let attempted = blocking(move || {
            let server = match Server::start(&options) {
                Ok(server) => server,
                Err(error) => return Ok(Err((error, false))),
            };
            // Dropped, and so stopped, where it cannot be used.
            let adopted = server.postmaster.adopted;
            Ok(server.ensure_database().map(|url| (server, url)).map_err(|error| (error, adopted)))
        });
        attempted.await.map_err(|error| (error, false))?
    }

    /// The address of the database, for any Postgres client that understands socket directories as hosts.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the server's files are.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home.path
    }

    /// The directory that was asked for, when the server's account could not reach it and [`Self::home`] is another.
    #[must_use]
    pub fn moved_from(&self) -> Option<&Path> {
        self.home.instead_of.as_deref()
    }

    /// What tells its directory from a copy of it.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be looked at.
    pub fn directory(&self) -> Result<Directory, EmbeddedError> {
        beside::directory(&self.home)
    }

    /// Whether the server was already running at the start, left by an owner that was killed.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// The server's major version.
    #[must_use]
    pub fn major_version(&self) -> u32 {
        self.major
    }

    /// The process number of the server. Another after each restart.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.watcher.pid()
    }

    /// How often the server died and was started again, as it goes on.
    #[must_use]
    pub fn starts(&self) -> watch::Receiver<Starts> {
        self.watcher.starts()
    }

    /// Runs one or more statements in its database, all or none of them where they do not say otherwise themselves.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Sql`] with what Postgres says.
    pub async fn run(&self, statements: impl Into<String>) -> Result<(), EmbeddedError> {
        let (statements, (socket_dir, database)) = (statements.into(), self.reached.clone());
        blocking(move || {
            let ran = Session::open(&socket_dir, &database, None).and_then(|mut session| session.run(&statements));
            ran.map(drop).map_err(|error| EmbeddedError::sql("run a statement", error))
        })
        .await
    }

    /// Stops the server and waits until it is gone: connections are cut, what was committed is flushed.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::StopTimeout`] when it withstands even a kill.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        self.stop_by(Signal::SIGINT).await
    }

    /// Kills the server as a crash would, and waits until it is gone. For tests of recovery.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    #[cfg(any(test, feature = "testing"))]
    pub async fn kill(self) -> Result<(), EmbeddedError> {
        self.stop_by(Signal::SIGKILL).await
    }

    async fn stop_by(self, signal: Signal) -> Result<(), EmbeddedError> {
        let mut watcher = self.watcher;
        blocking(move || watcher.end().ok_or(EmbeddedError::Interrupted)?.stop(signal)).await
    }
}

impl Server {
    fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let account = Account::choose()?;
        let home = Home::prepare(&options.data_dir, &account)?;
        if let Some(requested) = &home.instead_of {
            tracing::warn!(
                requested = %requested.display(), home = %home.path.display(),
                "Postgres does not run as root, and its account cannot reach the data directory: it is kept elsewhere"
            );
        }
        let (lock, patience) = (home.lock()?, Patience::of(options));
        let (postmaster, major) = match Postmaster::adopt_running(&home, options, &patience)? {
            Some(postmaster) => (postmaster, cluster::version(&home.cluster())?.unwrap_or_default()),
            None => boot(&home, &account, options, &patience)?,
        };
        Ok(Self { postmaster, home, major, options: options.clone(), _lock: lock })
    }

    /// Makes the database if it does not exist, and gives its address.
    fn ensure_database(&self) -> Result<String, EmbeddedError> {
        let (socket_dir, database) = (&self.postmaster.socket_dir, &self.options.database);
        let mut session = Session::open(socket_dir, "postgres", Some(self.options.start_timeout))
            .map_err(|error| EmbeddedError::sql("connect to the embedded Postgres", error))?;
        let look = format!("SELECT FROM pg_database WHERE datname = {}", quoted(database, '\''));
        let found = session.run(&look).map_err(|error| EmbeddedError::sql("look for the database", error))?;
        if found != "SELECT 1" {
            let make = format!("CREATE DATABASE {}", quoted(database, '"'));
            session.run(&make).map_err(|error| EmbeddedError::sql("make the database", error))?;
        }
        Ok(url(socket_dir, database))
    }

    fn stop(&mut self, how: Signal) -> Result<(), EmbeddedError> {
        self.postmaster.stop(how, self.options.stop_timeout)?;
        self.home.leave_socket_dir(&self.postmaster.socket_dir);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.postmaster.signal_and_wait(Signal::SIGINT, DROP_PATIENCE) {
            self.home.leave_socket_dir(&self.postmaster.socket_dir);
        }
    }
}

/// Makes the cluster if there is none, and starts its server.
fn boot(
    home: &Home,
    account: &Account,
    options: &EmbeddedOptions,
    patience: &Patience,
) -> Result<(Postmaster, u32), EmbeddedError> {
    let written_by = cluster::version(&home.cluster())?;
    let search = Search::of_this_machine(options.bin_dir.clone(), options.download);
    let binaries = search.find(&home.cluster(), written_by, account)?;
    if written_by.is_none() {
        cluster::create(home, account, &binaries, options.durable)?;
    }
    let socket_dir = home.socket_dir(account)?;
    Ok((Postmaster::start(home, account, &binaries, options, &socket_dir, patience)?, binaries.major))
}

/// The address of a database behind a socket directory.
fn url(socket_dir: &Path, database: &str) -> String {
    let host = percent_encoded(socket_dir.as_os_str().as_bytes());
    let database = percent_encoded(database.as_bytes());
    // a Unix socket has no use for TLS: not asking saves a round trip for every connection
    format!("postgres://postgres@{host}:5432/{database}?sslmode=disable")
}

fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Runs the launcher's blocking work beside the runtime. If the caller goes away meanwhile, what was started is
/// dropped there, and so stopped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| EmbeddedError::Interrupted)?
}
