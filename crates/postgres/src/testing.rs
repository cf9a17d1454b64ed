//! Servers and databases for tests, with nothing to set up.
//!
//! [`database`] gives a filled database of its own in a few hundredths of a second: all tests of a user share one private
//! server, in which each [`Schema`] has one template. Nobody drops anything after a test, as that would cost more than the
//! test: when leftovers become many, or after five idle minutes, at which the server stops itself, it begins anew with
//! nothing.
//!
//! [`TestServer::private`] gives a server of its own to tests that stop or kill it, and [`Relay`] breaks connections.
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

pub use private::TestServer;
pub use relay::{Cut, Relay};

/// How often the making of a database is tried: the shared server may stop for idleness just when it is wanted, and
/// another process may sweep the template away.
const ATTEMPTS: u32 = 3;
/// How long to let a server that is about to stop get on with it.
const PAUSE: Duration = Duration::from_millis(200);

/// What a template is filled with.
pub trait Schema: Sync {
    /// Tells it from any other, and from itself before a change.
    fn fingerprint(&self) -> u64;

    /// Fills the empty database at this address, or says why not.
    fn fill(&self, url: &str) -> impl Future<Output = Result<(), String>> + Send;
}

/// Makes a database with this schema that no other test sees, and opens it, which gets its address.
///
/// # Panics
///
/// When no server can be found, started or used, or the database not be opened; the message says why.
pub async fn database<T, Opened>(schema: &impl Schema, open: impl Fn(String) -> Opened) -> T
where
    Opened: Future<Output = Result<T, String>>,
{
    let mut failures = Vec::new();
    for _ in 0..ATTEMPTS {
        match copy(schema).await {
            Ok(url) => match open(url).await {
                Ok(opened) => return opened,
                Err(why) => failures.push(format!("connecting to a fresh database: {why}")),
            },
            Err(why) => failures.push(why),
        }
        cluster::forget().await;
        tokio::time::sleep(PAUSE).await;
    }
    panic!("no test database: {}", failures.join("; then: "));
}

async fn copy(schema: &impl Schema) -> Result<String, String> {
    let server = cluster::server(schema).await?;
    template::copy(&server, schema).await.map_err(|error| format!("making a database: {error}"))
}

/// The address with another database in it.
#[must_use]
pub fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}

/// An error with everything that led to it.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
