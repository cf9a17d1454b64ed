//! The server that all tests of a user share.

use std::path::PathBuf;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;

use super::{Schema, causes, leftovers, template, watchdog};
use crate::{Download, EmbeddedOptions, shared};

/// Names a server to use instead of the shared one.
const VARIABLE: &str = "POSTHASTE_TEST_DATABASE_URL";
/// Connections of the shared server: test programs run side by side, each test with a pool.
const MAX_CONNECTIONS: u32 = 400;

/// A server on which test databases are made.
#[derive(Debug, Clone)]
pub(super) struct TestCluster {
    /// The address of a database to give orders from.
    pub(super) url: String,
    /// Whether processes of this machine are the only users.
    pub(super) local: bool,
}

/// The server that this process found to be prepared, and the schemas that it has templates of.
static PREPARED: Mutex<Option<(TestCluster, Vec<u64>)>> = Mutex::const_new(None);

/// The shared server, or the one that the environment names, prepared on first use.
pub(super) async fn server(schema: &impl Schema) -> Result<TestCluster, String> {
    let mut prepared = PREPARED.lock().await;
    let cluster = match &*prepared {
        Some((cluster, templates)) if templates.contains(&schema.fingerprint()) => return Ok(cluster.clone()),
        Some((cluster, _)) => cluster.clone(),
        None => match std::env::var(VARIABLE) {
            Ok(url) => TestCluster { url, local: false },
            Err(_) => shared_server().await?,
        },
    };
    prepare(&cluster, schema).await?;
    prepared.get_or_insert((cluster.clone(), Vec::new())).1.push(schema.fingerprint());
    Ok(cluster)
}

/// Looks at the server anew next time, as the one that was prepared may be gone.
pub(super) async fn forget() {
    *PREPARED.lock().await = None;
}

async fn shared_server() -> Result<TestCluster, String> {
    let major = shared::major_version().await.map_err(|error| causes(&error))?;
    let mut turn = shared::adopt_or_boot(options(major)).await.map_err(|error| causes(&error))?;
    if leftovers::are_many_and_alone(&turn.url).await.map_err(|error| format!("counting leftovers: {error}"))? {
        turn = turn.begin_anew(options(major)).await.map_err(|error| causes(&error))?;
    }
    // within the turn: a server without a watchdog must not be left behind
    watchdog::install(&turn.url, watchdog::IDLE).await.map_err(|error| format!("setting the watchdog: {error}"))?;
    let cluster = TestCluster { url: turn.url.clone(), local: true };
    drop(turn);
    Ok(cluster)
}

async fn prepare(cluster: &TestCluster, schema: &impl Schema) -> Result<(), String> {
    let said = |error: sqlx::Error| format!("preparing the test server: {}", causes(&error));
    let mut connection = PgConnection::connect(&cluster.url).await.map_err(said)?;
    template::ensure(&mut connection, cluster, schema).await?;
    leftovers::sweep(&mut connection, cluster.local).await.map_err(said)?;
    connection.close().await.map_err(said)
}

/// One place per user and major version. Fast, and of no worth: nothing in it outlives the machine's power.
fn options(major: u32) -> EmbeddedOptions {
    let place = format!("posthaste-test-postgres-{major}-{}", nix::unistd::geteuid());
    let settings = [
        ("synchronous_commit", "off"),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("max_wal_size", "128MB"),
        ("min_wal_size", "32MB"),
        ("shared_buffers", "64MB"),
        ("checkpoint_timeout", "1h"),
        // databases live for seconds
        ("autovacuum", "off"),
    ];
    EmbeddedOptions {
        durable: false,
        max_connections: MAX_CONNECTIONS,
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        download: Download::aloud(),
        ..EmbeddedOptions::new(std::env::temp_dir().join(PathBuf::from(place)))
    }
}
