//! The database: the one that the configuration names, or a private one in the data directory.

use posthaste_storage::embedded::{EmbeddedOptions, EmbeddedPostgres};
use posthaste_storage::pool::{self, Pool};

use crate::Fatal;
use crate::configuration::Configuration;

/// Connections, and the private server behind them, if it is one.
pub(crate) struct Database {
    pub(crate) pool: Pool,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Starts or reaches the database and brings it up to date.
    pub(crate) async fn open(configuration: &Configuration) -> Result<Self, Fatal> {
        let embedded = match &configuration.database_url {
            Some(_) => None,
            None => Some(private(configuration).await?),
        };
        let url = match (&configuration.database_url, &embedded) {
            (Some(url), _) => url.as_str(),
            (None, Some(server)) => server.url(),
            (None, None) => return Err("no database".into()),
        };
        let pool = pool::connect(url, configuration.database_connections).await?;
        pool::migrate(&pool).await?;
        Ok(Self { pool, embedded })
    }

    /// Gives connections back and stops the private server.
    pub(crate) async fn close(self) -> Result<(), Fatal> {
        self.pool.close().await;
        if let Some(server) = self.embedded {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn private(configuration: &Configuration) -> Result<EmbeddedPostgres, Fatal> {
    let mut options = EmbeddedOptions::new(configuration.data_dir.join("postgres"));
    options.bin_dir.clone_from(&configuration.postgres_bin);
    options.max_connections = configuration.database_connections + 10;
    let server = EmbeddedPostgres::start(options).await?;
    if let Some(wanted) = server.moved_from() {
        tracing::info!(wanted = %wanted.display(), used = %server.home().display(), "Postgres cannot reach the directory");
    }
    Ok(server)
}
