//! The pool of connections to Postgres, and the migrations.
//!
//! Every wait has an end: for a connection, for a lock, for a statement. A caller that waited in vain learns it in
//! seconds and can say "try again later", instead of piling up behind a database that is gone.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use thiserror::Error;

use crate::lead::{self, Marks, Pools};
use crate::migrations::{self, Older};
use crate::nodes::Fence;

/// How long to wait for a connection. Lower refuses work in a short peak, higher keeps callers of a dead database
/// waiting.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement may run. Lower breaks a long listing, higher lets a bad query hold a connection.
const STATEMENT_TIMEOUT: &str = "15s";
/// How long a statement may wait for another's lock.
const LOCK_TIMEOUT: &str = "5s";
/// How long a transaction may stand idle: one that does was forgotten, and holds locks.
const IDLE_TRANSACTION_TIMEOUT: &str = "15s";
/// After how many seconds of silence Postgres asks whether we are still there, how long it waits before it asks again,
/// and how often: a machine that is gone holds its locks for this long. Without it, for hours.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];
/// How long Postgres waits for what it sent to be confirmed, before the connection counts as broken.
const SENT_WITHIN: (&str, &str) = ("tcp_user_timeout", "25s");
/// A connection that was idle for longer is tried before it is handed out, so that the first caller after a restart
/// of Postgres does not get a dead one. Shorter than any restart; a busy pool pays nothing.
const TRY_AFTER_IDLE: Duration = Duration::from_millis(50);

/// No socket's directory: to connect there fails at once, and not in a way that is worth another try.
const NOWHERE: &str = "/nonexistent/posthaste";

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
    /// A schema is missing and could not be made.
    #[error("the schema is missing and cannot be made")]
    Schema(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A newer program has changed the database.
    #[error(
        "the database was written by a newer posthaste (its migration {0} is not known to this one): run that version, or \
         one newer still"
    )]
    Newer(i64),
    /// The schema is older than the program, and is not to be changed.
    #[error(
        "the database lacks {count} migrations of this posthaste, from {first} on: run `posthaste migrate` first, or start \
         without --no-migrate"
    )]
    Older {
        /// The first that is missing.
        first: i64,
        /// How many are.
        count: usize,
    },
    /// The migrations could not be applied.
    #[error("the database could not be brought up to date")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Connections to one database, shared by cloning.
#[derive(Debug, Clone)]
pub struct Pool(pub(crate) PgPool, pub(crate) Option<Leader>);

/// As who a leader's pool writes into the first schema.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    /// What the leader has written into the clock's checkpoint.
    pub(crate) marks: Arc<Marks>,
    /// What its journal checks, where it is a node.
    pub(crate) fence: Option<Fence>,
}

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

    /// The connections themselves, for contexts that own tables and keep their SQL beside their rules.
    #[must_use]
    pub fn connections(&self) -> &PgPool {
        &self.0
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

    /// From now on nobody gets a connection, and who waits for one is told so: those in line at once, those for whom one is
    /// being made within a second. What has a connection goes on with it. There is no way back.
    pub fn refuse(&self) {
        // Marks it as closed. To wait until connections have come back is for `close`.
        drop(self.0.close());
        // Attempts go on until their time is over, with the options as they are at each: these end them.
        self.0.set_connect_options(PgConnectOptions::new_without_pgpass().socket(NOWHERE));
    }

    /// Whether nobody gets a connection any more.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.0.is_closed()
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

/// Connects as [`connect`] does, to look and not to touch: Postgres refuses what would write.
///
/// # Errors
///
/// As [`connect`].
pub async fn connect_to_read(url: &str, max_connections: u32) -> Result<Pool, PoolError> {
    let options = options(url)?.options([("default_transaction_read_only", "on")]);
    let pool = pool_options(max_connections, ACQUIRE_TIMEOUT).connect_with(options).await;
    pool.map(|connections| Pool(connections, None)).map_err(|error| PoolError::Unreachable(error.into()))
}

/// Connects with another patience for a free connection.
pub(crate) async fn connect_within(url: &str, max_connections: u32, patience: Duration) -> Result<Pool, PoolError> {
    let pool = pool_options(max_connections, patience).connect_with(options(url)?).await;
    pool.map(|connections| Pool(connections, None)).map_err(|error| PoolError::Unreachable(error.into()))
}

/// Connects as the leader of this name: each connection may write, or is none.
pub(crate) async fn leading(
    options: PgConnectOptions,
    max_connections: u32,
    name: i32,
    leader: Leader,
) -> Result<Pool, PoolError> {
    let pool = pool_options(max_connections, ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| Box::pin(lead::join(connection, name)))
        .connect_with(options)
        .await;
    pool.map(|connections| Pool(connections, Some(leader))).map_err(|error| PoolError::Unreachable(error.into()))
}

/// How connections to further schemas of a database are made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schemas {
    options: PgConnectOptions,
    /// The leader as who they may write, or are none.
    leader: Option<(i32, Pools)>,
}

impl Schemas {
    /// Of the database at `url`, for work that may be done beside a server.
    ///
    /// # Errors
    ///
    /// [`PoolError::InvalidUrl`].
    pub fn of(url: &str) -> Result<Self, PoolError> {
        Ok(Self { options: options(url)?, leader: None })
    }

    /// Connects to a schema where it is there already, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub async fn existing(&self, schema: &'static str, max_connections: u32) -> Result<Option<Pool>, PoolError> {
        let unreachable = |error: sqlx::Error| PoolError::Unreachable(error.into());
        let mut connection = PgConnection::connect_with(&self.options).await.map_err(unreachable)?;
        let asked = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)").bind(schema);
        let is_there: bool = asked.fetch_one(&mut connection).await.map_err(unreachable)?;
        connection.close().await.map_err(unreachable)?;
        if is_there { self.connect(schema, max_connections).await.map(Some) } else { Ok(None) }
    }

    pub(crate) fn leading(options: PgConnectOptions, name: i32, pools: Pools) -> Self {
        Self { options, leader: Some((name, pools)) }
    }

    /// Connects to the tables of one schema, and to no others: what is missing there is an error, never another schema's.
    /// Makes the schema where it is not there, without its tables: see [`migrate`].
    ///
    /// # Errors
    ///
    /// Those of [`connect`]; [`PoolError::Schema`] where the schema is missing and may not be made.
    pub async fn connect(&self, schema: &'static str, max_connections: u32) -> Result<Pool, PoolError> {
        let options = self.options.clone().options([("search_path", schema)]);
        let mut pool = pool_options(max_connections, ACQUIRE_TIMEOUT);
        if let Some((name, _)) = self.leader {
            pool = pool.after_connect(move |connection, _| Box::pin(lead::join(connection, name)));
        }
        let connections = pool.connect_with(options).await.map_err(|error| PoolError::Unreachable(error.into()))?;
        // The lead's marks are in the first schema.
        let pool = Pool(connections, None);
        if let Some((_, pools)) = &self.leader {
            pools.add(&pool);
        }
        if let Err(error) = ensure_schema(&pool, schema).await {
            pool.close().await;
            return Err(PoolError::Schema(error.into()));
        }
        Ok(pool)
    }
}

/// Makes a schema that is not there. To ask first lets somebody else make it, where the program may not.
async fn ensure_schema(pool: &Pool, schema: &'static str) -> Result<(), sqlx::Error> {
    let is_there = || async {
        let asked = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)").bind(schema);
        asked.fetch_one(&pool.0).await
    };
    if is_there().await? {
        return Ok(());
    }
    let made = pool.0.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))).await;
    match made {
        // Another process made it meanwhile.
        Err(_) if is_there().await? => Ok(()),
        made => made.map(drop),
    }
}

/// How every connection to the database at `url` is made.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, PoolError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(PoolError::InvalidUrl("it does not begin with postgres://".into()));
    }
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| PoolError::InvalidUrl(error.into()))?;
    let options = options.application_name("posthaste").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_TIMEOUT),
    ]);
    Ok(options.options(KEEPALIVES).options([SENT_WITHIN]))
}

fn pool_options(max_connections: u32, patience: Duration) -> PgPoolOptions {
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
        .after_release(|connection, _| {
            Box::pin(async move {
                // What a large row took would otherwise be held by an idle connection, in each of them.
                connection.shrink_buffers();
                Ok(true)
            })
        })
}

/// Applies the migrations that the database does not have yet. Several processes may do so at once: they take turns.
///
/// # Errors
///
/// [`PoolError::Migration`] when one fails, or the database was changed by a newer program or edited migrations.
pub async fn migrate(pool: &Pool) -> Result<(), PoolError> {
    make_fit(pool, Older::Migrate).await
}

/// Makes the schema fit this program, or says why it does not.
///
/// # Errors
///
/// Those of [`migrate`]; [`PoolError::Older`] where migrations are missing and are not to be applied.
pub async fn make_fit(pool: &Pool, older: Older) -> Result<(), PoolError> {
    let failed = |error: sqlx::Error| PoolError::Migration(error.into());
    // a connection of its own: the time limits of ordinary work are too short for building an index
    let mut connection = pool.0.acquire().await.map_err(failed)?.detach();
    migrations::make_fit(&mut connection, older).await?;
    connection.close().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::testing::{TestDatabase, TestServer};

    #[tokio::test]
    async fn an_address_of_something_else_is_refused() {
        assert!(matches!(connect("http://localhost/", 1).await, Err(PoolError::InvalidUrl(_))));
    }

    #[tokio::test]
    async fn a_database_that_is_gone_is_reported_in_time_and_used_again_when_it_is_back() {
        let mut server = TestServer::private().await;
        let pool = connect(server.url(), 4).await.unwrap();
        pool.ping().await.unwrap();
        server.stop().await;

        let began = Instant::now();
        assert!(matches!(pool.ping().await, Err(PoolError::Unreachable(_))));
        assert!(matches!(connect(server.url(), 1).await, Err(PoolError::Unreachable(_))));
        assert!(began.elapsed() < 3 * ACQUIRE_TIMEOUT, "{:?}", began.elapsed());

        server.start().await;
        pool.ping().await.unwrap();
    }

    #[tokio::test]
    async fn no_statement_lock_or_forgotten_transaction_waits_for_ever() {
        let pool = TestDatabase::new().await.pool;
        for setting in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
            let query = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
            let value: String = query.fetch_one(&pool.0).await.unwrap();
            assert_ne!(value, "0", "{setting}");
        }
        let name: String =
            sqlx::query_scalar("SELECT current_setting('application_name')").fetch_one(&pool.0).await.unwrap();
        assert_eq!(name, "posthaste");
    }

    #[tokio::test]
    async fn several_processes_may_migrate_at_once_and_again() {
        let server = TestServer::private().await;
        let pools = [connect(server.url(), 1).await.unwrap(), connect(server.url(), 1).await.unwrap()];
        let (one, other) = tokio::join!(migrate(&pools[0]), migrate(&pools[1]));
        one.unwrap();
        other.unwrap();
        migrate(&pools[0]).await.unwrap();
        pools[0].ping().await.unwrap();
        pools[0].close().await;
        assert_eq!(pools[0].occupancy().open, 0);
    }
}
