//! The database: the one that the configuration names, or a private one in the data directory.

use std::sync::Arc;
use std::time::Duration;

use posthaste_live::stopping::{Budget, Leave};
use posthaste_postgres::{Download, EmbeddedOptions, EmbeddedPostgres, Starts, beside};
use posthaste_storage::installation::Directory;
use posthaste_storage::lead::{Lead, LeadError};
use posthaste_storage::migrations::Older;
use posthaste_storage::nodes::Standby;
use posthaste_storage::pool::{self, Pool, PoolError, Schemas};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::configuration::Configuration;
use crate::{Fatal, telemetry};

/// How long another server may take to leave the database. A stop takes 40 seconds at most, and Postgres notices within
/// 25 that a machine is gone.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

/// How long the private server may take to stop before connections are cut without a checkpoint: the next start then recovers
/// for a moment. Shorter than what a stop has for it ([`Budget::database`]).
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Connections of a command that works beside a server.
const BESIDE: u32 = 2;
/// Connections of a private Postgres that no pool of the server takes: the lead's, and those of commands.
const SPARE: u32 = 10;

/// What a server does where the schema is older than it is.
pub(crate) fn older(configuration: &Configuration) -> Older {
    if configuration.database.no_migrate { Older::Refuse } else { Older::Migrate }
}

/// What is wrong with a data directory.
pub(crate) fn unusable(configuration: &Configuration, error: &std::io::Error) -> String {
    format!(
        "the data directory {} cannot be used: {error}. Name another with --data-dir (POSTHASTE_DATA_DIR)",
        configuration.program.data_dir.display()
    )
}

/// What is wrong with a database, and which setting names it.
pub(crate) fn explained(configuration: &Configuration, error: &PoolError) -> Fatal {
    let problem = telemetry::chain(error);
    match error {
        PoolError::InvalidUrl(_) => {
            format!("database_url (DATABASE_URL): {problem}; it is like postgres://account:password@host:5432/database")
        }
        PoolError::Unreachable(_) if configuration.database.database_url.is_some() => {
            format!("{problem}. Is database_url (DATABASE_URL) right: host, port, account, password, database?")
        }
        _ => problem,
    }
    .into()
}

/// Connections, and the private server behind them, if it is one.
pub(crate) struct Database {
    pub(crate) pool: Pool,
    lead: Option<Arc<Lead>>,
    reached: Reached,
    /// Looks for the lead when the private server runs again.
    looking: Option<JoinHandle<()>>,
}

impl Database {
    /// Starts or reaches the database, for work that may be done beside a server, and brings it up to date. A private one
    /// that a server runs is used as it runs.
    pub(crate) async fn open(configuration: &Configuration) -> Result<Self, Fatal> {
        let database = Self::as_it_is(configuration).await?;
        match pool::migrate(&database.pool).await {
            Ok(()) => Ok(database),
            Err(error) => {
                database.close(&Leave::InOrder.budget()).await?;
                Err(explained(configuration, &error))
            }
        }
    }

    /// The same, and leaves the schema as it is.
    pub(crate) async fn as_it_is(configuration: &Configuration) -> Result<Self, Fatal> {
        let reached = Reached::beside(configuration).await?;
        let pool = pool::connect(&reached.url, BESIDE).await.map_err(|error| explained(configuration, &error))?;
        Ok(Self { pool, lead: None, reached, looking: None })
    }

    /// Reaches the database to read it, beside a server or without one. It is left as it is, an older schema too.
    pub(crate) async fn beside(configuration: &Configuration) -> Result<Self, Fatal> {
        let reached = Reached::beside(configuration).await?;
        let pool = pool::connect_to_read(&reached.url, BESIDE).await;
        let pool = pool.map_err(|error| explained(configuration, &error))?;
        Ok(Self { pool, lead: None, reached, looking: None })
    }

    /// The same for a server: one at a time. An older schema is brought up to date, or refused.
    pub(crate) async fn lead(configuration: &Configuration) -> Result<Self, Fatal> {
        let reached = Reached::alone(configuration).await?;
        let lead = Lead::take(&reached.url, LEAVE_WITHIN, older(configuration)).await;
        Self::led(configuration, reached, lead.map_err(|error| why_not(configuration, error))?).await
    }

    async fn led(configuration: &Configuration, reached: Reached, lead: Lead) -> Result<Self, Fatal> {
        let lead = Arc::new(lead);
        let pool = lead
            .pool(configuration.database.database_connections)
            .await
            .map_err(|error| explained(configuration, &error))?;
        let starts = reached.embedded.as_ref().map(EmbeddedPostgres::starts);
        let looking = starts.map(|starts| tokio::spawn(look_after_starts(starts, Arc::clone(&lead))));
        Ok(Self { pool, lead: Some(lead), reached, looking })
    }

    /// What tells the directory of a private Postgres from a copy of it.
    pub(crate) fn directory(&self) -> Option<&Directory> {
        self.reached.directory.as_ref()
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.reached.url
    }

    /// How to connect to further schemas of it, where this is a server.
    pub(crate) fn schemas(&self) -> Option<Schemas> {
        self.lead.as_ref().map(|lead| lead.schemas())
    }

    /// For a stop: when the database has been away for so long, nothing waits for it any more. Of a server.
    pub(crate) fn refuse_when_away(&self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        let refusing = self.lead.as_ref().map(|lead| lead.refuse_when_away(patience));
        async move {
            if let Some(refusing) = refusing {
                refusing.await;
            }
        }
    }

    /// Tells other servers that stand by that this one stops.
    pub(crate) async fn leaving(&self) {
        if let Some(lead) = &self.lead {
            lead.leaving().await;
        }
    }

    /// Waits until another server leads the database.
    pub(crate) async fn lost(&self) {
        match &self.lead {
            Some(lead) => lead.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Gives connections back, and with the last of them the lead; stops the private server. What does not end within the
    /// budget ends without us: Postgres notices that the sessions are gone, and the next start waits for one that stops.
    pub(crate) async fn close(self, budget: &Budget) -> Result<(), Fatal> {
        if let Some(looking) = self.looking {
            looking.abort();
            let _ = looking.await;
        }
        if tokio::time::timeout(budget.connections, self.pool.close()).await.is_err() {
            tracing::warn!("some connections to the database did not come back in time");
        }
        if let Some(lead) = self.lead {
            lead.release().await;
        }
        self.reached.leave(budget).await
    }
}

fn why_not(configuration: &Configuration, error: LeadError) -> Fatal {
    match error {
        LeadError::Database(error) => explained(configuration, &error),
        error @ (LeadError::Taken(_) | LeadError::Expelled) => error.into(),
    }
}

/// One of several servers, which waits for the lead of a database that all of them reach.
pub(crate) struct Waiting {
    standby: Standby,
    url: String,
}

impl Waiting {
    /// Joins the others. An older schema is brought up to date, or refused.
    pub(crate) async fn join(configuration: &Configuration) -> Result<Self, Fatal> {
        let url = configuration.database.database_url.clone().ok_or("a standby needs database_url (DATABASE_URL)")?;
        let address = configuration.serving.listen.to_string();
        let joined = Standby::join(&url, &address, env!("CARGO_PKG_VERSION"), older(configuration)).await;
        Ok(Self { standby: joined.map_err(|error| explained(configuration, &error))?, url })
    }

    /// Waits until no other leads, for as long as it takes.
    pub(crate) async fn lead(&self, configuration: &Configuration) -> Result<Database, Fatal> {
        let lead = self.standby.lead().await.map_err(|error| why_not(configuration, error))?;
        let reached = Reached { url: self.url.clone(), directory: None, embedded: None };
        Database::led(configuration, reached, lead).await
    }

    /// Waits no longer, and says so to the others.
    pub(crate) async fn leave(self) {
        self.standby.leave().await;
    }
}

/// A database that answers, and the private server behind it, if it is one that this process started.
pub(crate) struct Reached {
    pub(crate) url: String,
    directory: Option<Directory>,
    embedded: Option<EmbeddedPostgres>,
}

impl Reached {
    /// For who owns a private one.
    pub(crate) async fn alone(configuration: &Configuration) -> Result<Self, Fatal> {
        if let Some(url) = &configuration.database.database_url {
            return Ok(Self { url: url.clone(), directory: None, embedded: None });
        }
        let server = private(configuration).await?;
        let (url, directory) = (server.url().to_owned(), Some(place_of(server.directory()?)));
        Ok(Self { url, directory, embedded: Some(server) })
    }

    /// For who may work beside a server: a private one that runs is reached, and started only where it does not.
    pub(crate) async fn beside(configuration: &Configuration) -> Result<Self, Fatal> {
        if configuration.database.database_url.is_none() {
            let seen = beside::look(&options(configuration)).await?;
            if let (Some(url), Some(_)) = (seen.url, seen.owner) {
                return Ok(Self { url, directory: seen.directory.map(place_of), embedded: None });
            }
        }
        Self::alone(configuration).await
    }

    /// Stops the private server where this process started it.
    pub(crate) async fn leave(self, budget: &Budget) -> Result<(), Fatal> {
        let Some(server) = self.embedded else { return Ok(()) };
        match tokio::time::timeout(budget.database, server.stop()).await {
            Ok(stopped) => stopped?,
            Err(_) => tracing::warn!("the private Postgres did not stop in time: the next start waits for it"),
        }
        Ok(())
    }
}

/// With a private server that died, the sessions that held the lead are gone: it is taken again as soon as that runs.
async fn look_after_starts(mut starts: watch::Receiver<Starts>, lead: Arc<Lead>) {
    while starts.changed().await.is_ok() {
        lead.look();
    }
}

/// Where a private Postgres is, as its database keeps it.
pub(crate) fn place_of(directory: beside::Directory) -> Directory {
    let beside::Directory { path, inode, made, machine } = directory;
    Directory { path, inode, made, machine }
}

/// How the private server is run.
pub(crate) fn options(configuration: &Configuration) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(configuration.program.data_dir.join("postgres"));
    options.bin_dir.clone_from(&configuration.database.postgres_bin);
    options.stop_timeout = STOP_WITHIN;
    options.max_connections = configuration.database.database_connections + posthaste_testworld::CONNECTIONS + SPARE;
    options.download = if configuration.database.postgres_download { Download::aloud() } else { Download::Never };
    options
}

async fn private(configuration: &Configuration) -> Result<EmbeddedPostgres, Fatal> {
    std::fs::create_dir_all(&configuration.program.data_dir).map_err(|error| unusable(configuration, &error))?;
    let server = EmbeddedPostgres::start(options(configuration)).await?;
    if let Some(wanted) = server.moved_from() {
        tracing::info!(wanted = %wanted.display(), used = %server.home().display(), "Postgres cannot reach the directory");
    }
    Ok(server)
}
