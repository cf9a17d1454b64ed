//! A server for one test alone, to be stopped, started and killed at will.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{causes, watchdog, with_database};
use crate::{Download, EmbeddedOptions, EmbeddedPostgres, is_alive, shared};

/// What the names of private homes begin with; the owner's process number and a count follow.
const PLACE: &str = "posthaste-private-postgres-";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A Postgres of its own, whose address stays the same however often it is stopped and started. Removed when dropped.
#[derive(Debug)]
pub struct TestServer {
    pub(super) options: EmbeddedOptions,
    running: Option<EmbeddedPostgres>,
    url: String,
}

impl TestServer {
    /// Starts a server with fsync off: what was committed survives its death, though not the machine's.
    ///
    /// # Panics
    ///
    /// When it cannot be started; the message says why.
    pub async fn private() -> Self {
        Self::start_new(false).await
    }

    /// Starts a server with fsync on, as in production.
    ///
    /// # Panics
    ///
    /// When it cannot be started; the message says why.
    pub async fn durable() -> Self {
        Self::start_new(true).await
    }

    async fn start_new(durable: bool) -> Self {
        let _ = tokio::task::spawn_blocking(remove_abandoned).await;
        let settings = [("shared_buffers", "64MB"), ("min_wal_size", "32MB"), ("max_wal_size", "256MB")];
        let options = EmbeddedOptions {
            durable,
            // A test says itself when it runs.
            restart: false,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            download: Download::aloud(),
            ..EmbeddedOptions::new(new_place())
        };
        let mut server = Self { options, running: None, url: String::new() };
        server.start().await;
        server
    }

    /// The address of its database `posthaste`, which is empty at first.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the server again, with the data it had.
    ///
    /// # Panics
    ///
    /// When it cannot be started; the message says why.
    pub async fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        let started = EmbeddedPostgres::start(self.options.clone()).await;
        let postgres = started.unwrap_or_else(|error| panic!("no private server: {}", causes(&error)));
        let watched = watchdog::install(&with_database(postgres.url(), "postgres"), watchdog::IDLE).await;
        watched.unwrap_or_else(|error| panic!("no watchdog for a private server: {}", causes(&error)));
        postgres.url().clone_into(&mut self.url);
        self.running = Some(postgres);
    }

    /// Stops the server the fast way: connections are cut, what was committed is flushed.
    ///
    /// # Panics
    ///
    /// When it does not stop.
    pub async fn stop(&mut self) {
        if let Some(postgres) = self.running.take() {
            postgres.stop().await.unwrap_or_else(|error| panic!("a private server: {}", causes(&error)));
        }
    }

    /// Kills the server as a crash would.
    ///
    /// # Panics
    ///
    /// When it does not die.
    pub async fn kill(&mut self) {
        if let Some(postgres) = self.running.take() {
            postgres.kill().await.unwrap_or_else(|error| panic!("a private server: {}", causes(&error)));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.running.take());
        let _ = shared::discard(&self.options.data_dir);
    }
}

fn new_place() -> PathBuf {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("{PLACE}{}-{count}", std::process::id()))
}

/// Removes what test processes left that were killed.
fn remove_abandoned() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for place in entries.flatten().map(|entry| entry.path()).filter(|place| is_abandoned(place)) {
        // somebody else's, or removed by another test just now
        let _ = shared::discard(&place);
    }
}

fn is_abandoned(place: &Path) -> bool {
    place
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix(PLACE)?.split_once('-')?.0.parse().ok())
        .is_some_and(|owner| !is_alive(owner))
}
