//! Real databases for tests, with nothing to set up.
//!
//! [`TestDatabase::new`] gives a migrated database of its own in a few hundredths of a second: all tests of a user
//! share one private server, in which each migration state has one template. Nobody drops anything after a test, as
//! that would cost more than the test: when leftovers become many, or after five idle minutes, at which the server
//! stops itself, it begins anew with nothing.
//!
//! [`TestServer::private`] gives a server of its own to tests that stop or kill it.
//!
//! With `POSTHASTE_TEST_DATABASE_URL` (a superuser's address, the database in it does not matter), that server is used
//! instead of the shared one.
//!
//! Everything here panics when it fails, with words that say why: a test without its database has nothing to go on
//! with.

mod cluster;
mod leftovers;
mod private;
mod relay;
mod template;
#[cfg(test)]
mod tests;
mod watchdog;

use std::time::Duration;

use crate::pool::{self, Pool};

pub use private::TestServer;
pub use relay::{Cut, Relay};

/// How many connections a test's pool has at most. The shared server takes 200.
const CONNECTIONS: u32 = 8;
/// How long a test waits for a connection: the machine may be busy with all the other tests.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the making of a database is tried: the shared server may stop for idleness just when it is wanted, and
/// another process may sweep the template away.
const ATTEMPTS: u32 = 3;
/// How long to let a server that is about to stop get on with it.
const PAUSE: Duration = Duration::from_millis(200);

/// A migrated database that no other test sees.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connections to it.
    pub pool: Pool,
    /// Its address, for programs that connect by themselves.
    pub url: String,
}

impl TestDatabase {
    /// Makes a database.
    ///
    /// # Panics
    ///
    /// When no server can be found, started or used; the message says why.
    pub async fn new() -> Self {
        let mut failures = Vec::new();
        for _ in 0..ATTEMPTS {
            match Self::make().await {
                Ok(database) => return database,
                Err(why) => failures.push(why),
            }
            cluster::forget().await;
            tokio::time::sleep(PAUSE).await;
        }
        panic!("no test database: {}", failures.join("; then: "));
    }

    async fn make() -> Result<Self, String> {
        let server = cluster::server().await?;
        let url = template::copy(&server).await.map_err(|error| format!("making a database: {error}"))?;
        let pool = pool::connect_within(&url, CONNECTIONS, ACQUIRE_TIMEOUT)
            .await
            .map_err(|error| format!("connecting to a fresh database: {}", causes(&error)))?;
        Ok(Self { pool, url })
    }
}

/// The address with another database in it.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}

/// An error with everything that led to it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
