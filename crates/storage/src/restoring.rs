//! A database that is about to be filled from a backup, or saved into one: what it is, whether it is empty, and that no
//! server leads it meanwhile.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use crate::error::StorageError;
use crate::lead::{self, LeadError};
use crate::pool::{self, MIGRATIONS, PoolError};

/// Whoever leads the database is not waited for.
const AT_ONCE: Duration = Duration::ZERO;

/// A database, by one session that has no limits of time.
#[derive(Debug)]
pub struct Target(PgConnection);

impl Target {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`PoolError`] where the address is wrong or nothing answers.
    pub async fn connect(url: &str) -> Result<Self, PoolError> {
        let unreachable = |error: sqlx::Error| PoolError::Unreachable(error.into());
        let mut session = PgConnection::connect_with(&pool::options(url)?).await.map_err(unreachable)?;
        let unlimited = "SET statement_timeout = 0; SET lock_timeout = '30s'";
        session.execute(unlimited).await.map_err(unreachable)?;
        Ok(Self(session))
    }

    /// Keeps servers out for as long as this lives: one that starts meanwhile waits.
    ///
    /// # Errors
    ///
    /// [`LeadError::Taken`] where one leads the database.
    pub async fn keep_servers_out(&mut self) -> Result<(), LeadError> {
        lead::wait_for_writers(&mut self.0, AT_ONCE).await
    }

    /// The major version of its Postgres.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn major_version(&mut self) -> Result<u32, StorageError> {
        let number = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer / 10000");
        let number: i32 = number.fetch_one(&mut self.0).await?;
        Ok(number.unsigned_abs())
    }

    /// How many tables are in these schemas.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn tables(&mut self, schemas: &[&str]) -> Result<i64, StorageError> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        );
        Ok(count.bind(schemas).fetch_one(&mut self.0).await?)
    }

    /// Removes these schemas with all that is in them, but for the first, which is made anew. All or nothing.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn clear(&mut self) -> Result<(), StorageError> {
        let mut transaction = self.0.begin().await?;
        transaction
            .execute("DROP SCHEMA IF EXISTS posthaste_test CASCADE; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Gives the session back.
    pub async fn close(self) {
        let _ = self.0.close().await;
    }
}

/// Of migrations that some database had, those that this program does not know.
#[must_use]
pub fn unknown_migrations(had: &[i64]) -> Vec<i64> {
    had.iter().copied().filter(|version| !MIGRATIONS.version_exists(*version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::Lead;
    use crate::migrations::Older;
    use crate::testing::TestDatabase;

    #[tokio::test]
    async fn a_database_that_is_led_is_left_alone_and_one_that_is_being_restored_is_not_led() {
        let database = TestDatabase::new().await;
        let lead = Lead::take(&database.url, AT_ONCE, Older::Migrate).await.unwrap();
        let mut target = Target::connect(&database.url).await.unwrap();
        assert!(matches!(target.keep_servers_out().await, Err(LeadError::Taken(_))));
        drop(lead);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while target.keep_servers_out().await.is_err() {
            assert!(std::time::Instant::now() < deadline, "its sessions end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(matches!(Lead::take(&database.url, AT_ONCE, Older::Migrate).await, Err(LeadError::Taken(_))));
        target.close().await;
        Lead::take(&database.url, Duration::from_secs(10), Older::Migrate).await.unwrap();
    }

    #[tokio::test]
    async fn a_cleared_database_is_empty_and_takes_the_migrations() {
        let database = TestDatabase::new().await;
        let mut target = Target::connect(&database.url).await.unwrap();
        assert!(target.tables(&["public"]).await.unwrap() > 20);
        target.clear().await.unwrap();
        assert_eq!(target.tables(&["public", "posthaste_test"]).await.unwrap(), 0);
        pool::migrate(&database.pool).await.unwrap();
        assert!(target.tables(&["public"]).await.unwrap() > 20);
        assert!(target.major_version().await.unwrap() >= 14);
    }

    #[test]
    fn what_a_newer_program_did_is_not_known() {
        assert_eq!(unknown_migrations(&[1, 32, 990_001]), [990_001]);
    }
}
