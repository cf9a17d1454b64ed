//! The pool of connections to Postgres, and the migrations.
//!
//! Every wait has an end: for a connection, for a lock, for a statement. A caller that waited in vain learns it in
//! seconds and can say "try again later", instead of piling up behind a database that is gone.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgPool};
use thiserror::Error;

/// How long to wait for a connection. Lower refuses work in a short peak, higher keeps callers of a dead database
/// waiting.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement may run. Lower breaks a long listing, higher lets a bad query hold a connection.
const STATEMENT_TIMEOUT: &str = "15s";
/// How long a statement may wait for another's lock.
const LOCK_TIMEOUT: &str = "5s";
/// How long a transaction may stand idle: one that does was forgotten, and holds locks.
const IDLE_TRANSACTION_TIMEOUT: &str = "15s";
/// A connection that was idle for longer is tried before it is handed out, so that the first caller after a restart
/// of Postgres does not get a dead one. Shorter than any restart; a busy pool pays nothing.
const TRY_AFTER_IDLE: Duration = Duration::from_millis(50);

/// The migrations that this program was built with.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A failure to reach the database or to bring it up to date.
#[derive(Debug, Error)]
pub enum PoolError {
    /// The address is no Postgres address.
    #[error("the database address is not valid")]
    InvalidUrl(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database did not answer, or refused us.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The migrations could not be applied.
    #[error("the database could not be brought up to date")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Connections to one database, shared by cloning.
#[derive(Debug, Clone)]
pub struct Pool(pub(crate) PgPool);

impl Pool {
    /// Says whether the database answers, within [`ACQUIRE_TIMEOUT`] at most.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unreachable`] when it does not.
    pub async fn ping(&self) -> Result<(), PoolError> {
        let query = sqlx::query("SELECT 1").execute(&self.0);
        match tokio::time::timeout(ACQUIRE_TIMEOUT, query).await {
            Ok(result) => result.map(drop).map_err(|error| PoolError::Unreachable(error.into())),
            Err(elapsed) => Err(PoolError::Unreachable(elapsed.into())),
        }
    }

    /// How many connections are open, and how many of them are idle.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        Occupancy { open: self.0.size(), idle: u32::try_from(self.0.num_idle()).unwrap_or(u32::MAX) }
    }

    /// Closes all connections, waiting for those in use to come back.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

/// How busy a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Open connections.
    pub open: u32,
    /// Of these, the ones that nobody uses.
    pub idle: u32,
}

/// Connects to the database at `url` with at most `max_connections` connections, and makes sure that it answers.
///
/// # Errors
///
/// [`PoolError::InvalidUrl`], or [`PoolError::Unreachable`] after [`ACQUIRE_TIMEOUT`] at most.
pub async fn connect(url: &str, max_connections: u32) -> Result<Pool, PoolError> {
    connect_within(url, max_connections, ACQUIRE_TIMEOUT).await
}

/// Connects with another patience for a free connection.
pub(crate) async fn connect_within(url: &str, max_connections: u32, patience: Duration) -> Result<Pool, PoolError> {
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| PoolError::InvalidUrl(error.into()))?;
    let options = options.application_name("posthaste").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_TIMEOUT),
    ]);
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(patience)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for < TRY_AFTER_IDLE {
                    return Ok(true);
                }
                connection.ping().await.map(|()| true)
            })
        })
        .connect_with(options)
        .await
        .map(Pool)
        .map_err(|error| PoolError::Unreachable(error.into()))
}

/// Applies the migrations that the database does not have yet. Several processes may do so at once: they take turns.
///
/// # Errors
///
/// [`PoolError::Migration`] when one fails, or the database was changed by a newer program or edited migrations.
pub async fn migrate(pool: &Pool) -> Result<(), PoolError> {
    let failed = |error: sqlx::Error| PoolError::Migration(error.into());
    // a connection of its own: the time limits of ordinary work are too short for building an index
    let mut connection = pool.0.acquire().await.map_err(failed)?.detach();
    connection
        .execute("SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        .await
        .map_err(failed)?;
    // not `run`, whose future cannot be sent between threads when it is given a connection
    MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| PoolError::Migration(error.into()))?;
    connection.close().await.map_err(failed)
}
