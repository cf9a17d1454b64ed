//! A private Postgres of its own for a run, durable as in production, thrown away afterwards.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use posthaste_postgres::{EmbeddedOptions, EmbeddedPostgres};
use posthaste_storage::pool::{self, Pool};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::Outcome;

/// Connections of posthaste, and of a peer that does its work through a pool.
pub(crate) const CONNECTIONS: u32 = 16;

/// A running, migrated, empty database.
pub(crate) struct Database {
    server: Option<EmbeddedPostgres>,
    url: String,
    files: Vec<PathBuf>,
}

impl Database {
    pub(crate) async fn start() -> Outcome<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let asked = std::env::temp_dir().join(format!("posthaste-load-{}-{number}", std::process::id()));
        let server = EmbeddedPostgres::start(EmbeddedOptions {
            max_connections: 200,
            start_timeout: Duration::from_secs(300),
            ..EmbeddedOptions::new(&asked)
        })
        .await?;
        let files = vec![server.home().to_owned(), asked];
        let database = Self { url: server.url().to_owned(), server: Some(server), files };
        pool::migrate(&database.pool().await?).await?;
        Ok(database)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Processor time that Postgres has used.
    pub(crate) fn cpu(&self) -> Duration {
        let pid = self.server.as_ref().and_then(|server| u32::try_from(server.pid()).ok());
        pid.map_or(Duration::ZERO, |pid| crate::process::cpu(pid, true))
    }

    /// A pool as posthaste uses it.
    pub(crate) async fn pool(&self) -> Outcome<Pool> {
        Ok(pool::connect(&self.url, CONNECTIONS).await?)
    }

    /// A plain pool for a peer, its connections open.
    pub(crate) async fn plain(&self, connections: u32) -> Outcome<PgPool> {
        let options = PgPoolOptions::new().min_connections(connections).max_connections(connections);
        Ok(options.test_before_acquire(false).connect(&self.url).await?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.server.take());
        for path in &self.files {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
