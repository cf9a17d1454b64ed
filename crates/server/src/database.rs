//! The database: the one that the configuration names, or a private one in the data directory.

use std::time::Duration;

use posthaste_storage::embedded::{EmbeddedOptions, EmbeddedPostgres};
use posthaste_storage::lead::Lead;
use posthaste_storage::pool::{self, Pool, Schemas};

use crate::Fatal;
use crate::configuration::Configuration;

/// How long another server may take to leave the database. A stop takes 40 seconds at most, and Postgres notices within
/// 25 that a machine is gone.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

/// Connections, and the private server behind them, if it is one.
pub(crate) struct Database {
    pub(crate) pool: Pool,
    lead: Option<Lead>,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Starts or reaches the database, for work that may be done beside a server, and brings it up to date.
    pub(crate) async fn open(configuration: &Configuration) -> Result<Self, Fatal> {
        let (embedded, url) = reach(configuration).await?;
        let pool = pool::connect(&url, configuration.database_connections).await?;
        pool::migrate(&pool).await?;
        Ok(Self { pool, lead: None, embedded })
    }

    /// The same for a server: one at a time.
    pub(crate) async fn lead(configuration: &Configuration) -> Result<Self, Fatal> {
        let (embedded, url) = reach(configuration).await?;
        let lead = Lead::take(&url, LEAVE_WITHIN).await?;
        let pool = lead.pool(configuration.database_connections).await?;
        Ok(Self { pool, lead: Some(lead), embedded })
    }

    /// How to connect to further schemas of it, where this is a server.
    pub(crate) fn schemas(&self) -> Option<Schemas> {
        self.lead.as_ref().map(Lead::schemas)
    }

    /// Waits until another server leads the database.
    pub(crate) async fn lost(&self) {
        match &self.lead {
            Some(lead) => lead.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Gives connections back, and with the last of them the lead; stops the private server.
    pub(crate) async fn close(self) -> Result<(), Fatal> {
        self.pool.close().await;
        drop(self.lead);
        if let Some(server) = self.embedded {
            server.stop().await?;
        }
        Ok(())
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

async fn private(configuration: &Configuration) -> Result<EmbeddedPostgres, Fatal> {
    let mut options = EmbeddedOptions::new(configuration.data_dir.join("postgres"));
    options.bin_dir.clone_from(&configuration.postgres_bin);
    options.max_connections = configuration.database_connections + posthaste_testworld::CONNECTIONS + 10;
    let server = EmbeddedPostgres::start(options).await?;
    if let Some(wanted) = server.moved_from() {
        tracing::info!(wanted = %wanted.display(), used = %server.home().display(), "Postgres cannot reach the directory");
    }
    Ok(server)
}
