//! Real databases for tests, with nothing to set up: those of `posthaste_postgres`, with our migrations in them.

use std::time::Duration;

use posthaste_postgres::testing::{self as servers, Schema, causes};

use crate::pool::{self, MIGRATIONS, Pool};

pub use posthaste_postgres::testing::{Cut, Relay, TestServer};

/// How many connections a test's pool has at most. The shared server takes 400.
const CONNECTIONS: u32 = 8;
/// How long a test waits for a connection: the machine may be busy with all the other tests.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// The migrations.
struct Migrated;

impl Schema for Migrated {
    /// Of the checksums of the migrations and their numbers (FNV-1a).
    fn fingerprint(&self) -> u64 {
        let bytes = |migration: &sqlx::migrate::Migration| {
            [migration.version.to_le_bytes().as_slice(), &migration.checksum].concat()
        };
        MIGRATIONS
            .iter()
            .flat_map(bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    async fn fill(&self, url: &str) -> Result<(), String> {
        let pool = open(url).await?;
        let migrated = pool::migrate(&pool).await.map_err(|error| causes(&error));
        pool.close().await;
        migrated
    }
}

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
        servers::database(&Migrated, |url| async { Ok(Self { pool: open(&url).await?, url }) }).await
    }

    /// A database whose connections can be cut.
    ///
    /// # Panics
    ///
    /// As [`TestDatabase::new`].
    pub async fn behind_a_relay() -> (Self, Relay) {
        let direct = Self::new().await;
        let (relay, through) = Relay::before(&direct.url).await;
        let pool = open(&through).await.expect("a way through the relay");
        direct.pool.close().await;
        (Self { pool, url: direct.url }, relay)
    }
}

async fn open(url: &str) -> Result<Pool, String> {
    pool::connect_within(url, CONNECTIONS, ACQUIRE_TIMEOUT).await.map_err(|error| causes(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_test_database_has_the_migrations_already() {
        let database = TestDatabase::new().await;
        let applied: i64 =
            sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&database.pool.0).await.unwrap();
        assert_eq!(applied, i64::try_from(MIGRATIONS.iter().count()).unwrap());
    }
}
