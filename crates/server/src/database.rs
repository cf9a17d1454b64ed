//! The database: the one that the configuration names, or a private one in the data directory.

use std::sync::Arc;
use std::time::Duration;

use posthaste_live::stopping::Budget;
use posthaste_storage::embedded::{EmbeddedOptions, EmbeddedPostgres, Starts};
use posthaste_storage::lead::Lead;
use posthaste_storage::pool::{self, Pool, Schemas};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Fatal;
use crate::configuration::Configuration;

/// How long another server may take to leave the database. A stop takes 40 seconds at most, and Postgres notices within
/// 25 that a machine is gone.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

/// How long the private server may take to stop before connections are cut without a checkpoint: the next start then recovers
/// for a moment. Shorter than what a stop has for it ([`Budget::database`]).
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Connections, and the private server behind them, if it is one.
pub(crate) struct Database {
    pub(crate) pool: Pool,
    lead: Option<Arc<Lead>>,
    embedded: Option<EmbeddedPostgres>,
    /// Looks for the lead when the private server runs again.
    looking: Option<JoinHandle<()>>,
}

impl Database {
    /// Starts or reaches the database, for work that may be done beside a server, and brings it up to date.
    pub(crate) async fn open(configuration: &Configuration) -> Result<Self, Fatal> {
        let (embedded, url) = reach(configuration).await?;
        let pool = pool::connect(&url, configuration.database_connections).await?;
        pool::migrate(&pool).await?;
        Ok(Self { pool, lead: None, embedded, looking: None })
    }

    /// Reaches the database to read it, beside a server or without one. It is left as it is, an older schema too.
    pub(crate) async fn beside(configuration: &Configuration) -> Result<Self, Fatal> {
        let running = match &configuration.database_url {
            Some(url) => Some(url.clone()),
            None => EmbeddedPostgres::beside(&options(configuration)).await?,
        };
        let (embedded, url) = match running {
            Some(url) => (None, url),
            None => reach(configuration).await?,
        };
        let pool = pool::connect_to_read(&url, 2).await?;
        Ok(Self { pool, lead: None, embedded, looking: None })
    }

    /// The same for a server: one at a time.
    pub(crate) async fn lead(configuration: &Configuration) -> Result<Self, Fatal> {
        let (embedded, url) = reach(configuration).await?;
        let lead = Arc::new(Lead::take(&url, LEAVE_WITHIN).await?);
        let pool = lead.pool(configuration.database_connections).await?;
        let looking =
            embedded.as_ref().map(|server| tokio::spawn(look_after_starts(server.starts(), Arc::clone(&lead))));
        Ok(Self { pool, lead: Some(lead), embedded, looking })
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
        drop(self.lead);
        if let Some(server) = self.embedded {
            match tokio::time::timeout(budget.database, server.stop()).await {
                Ok(stopped) => stopped?,
                Err(_) => tracing::warn!("the private Postgres did not stop in time: the next start waits for it"),
            }
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

/// The private server, where there is one, and the address.
async fn reach(configuration: &Configuration) -> Result<(Option<EmbeddedPostgres>, String), Fatal> {
    if let Some(url) = &configuration.database_url {
        return Ok((None, url.clone()));
    }
    let server = private(configuration).await?;
    let url = server.url().to_owned();
    Ok((Some(server), url))
}

fn options(configuration: &Configuration) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(configuration.data_dir.join("postgres"));
    options.bin_dir.clone_from(&configuration.postgres_bin);
    options.stop_timeout = STOP_WITHIN;
    options.max_connections = configuration.database_connections + posthaste_testworld::CONNECTIONS + 10;
    options
}

async fn private(configuration: &Configuration) -> Result<EmbeddedPostgres, Fatal> {
    let server = EmbeddedPostgres::start(options(configuration)).await?;
    if let Some(wanted) = server.moved_from() {
        tracing::info!(wanted = %wanted.display(), used = %server.home().display(), "Postgres cannot reach the directory");
    }
    Ok(server)
}
