//! Whether a database is the real one, or a copy of it: only the real one acts towards the outside.
//!
//! The database keeps where it is the real one, in terms that a copy cannot share: the cluster, the database and the
//! table itself (a restore makes another), and of a private Postgres its directory and machine. A fresh database, and one
//! from before this was kept, are real without a word. See `docs/adr/0037-copies.md`.

use posthaste_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::pool::Pool;

/// Whether the program may act towards the outside: send webhooks, emails, texts. Whoever sends asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// What is to be sent is sent.
    Open,
    /// Nothing leaves: what is to be sent waits where it is.
    Held,
}

impl Outside {
    /// Whether nothing leaves.
    #[must_use]
    pub fn is_held(self) -> bool {
        self == Self::Held
    }
}

/// What waits to be sent, of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How much.
    pub count: i64,
    /// When the oldest was made.
    pub since: Option<Timestamp>,
}

/// What a message says of itself that waited in a copy and was not sent when that was said to be the real one.
pub const NOT_SENT: &str = "not sent: it waited in a copy of the database";

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The cluster; none where the account may not read it.
    pub cluster: Option<i64>,
    /// The database in it.
    pub database: i64,
    /// The table that keeps this.
    pub table: i64,
    /// The directory of a private Postgres; none where it is somebody else's.
    pub directory: Option<Directory>,
}

/// Where the files of a private Postgres are, in terms that a copy of them does not share. The device is not among them: it
/// may be numbered anew when the machine starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The path.
    pub path: String,
    /// The number of the directory in its file system.
    pub inode: u64,
    /// When a file in it was made that is never made again, in nanoseconds since 1970; none where the system does not keep
    /// it. Numbers of files are given again, these are not.
    pub made: Option<u64>,
    /// A digest of the machine's id, where it has one.
    pub machine: Option<String>,
}

/// What a database says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has said anything yet: it is real.
    Fresh,
    /// It is where it is said to be.
    Real,
    /// It is a copy of one that is the real one since then.
    Copy {
        /// Since when the other one is.
        since: Timestamp,
    },
}

impl Place {
    /// Whether what was kept there fits here. What one of them does not know is not compared.
    #[must_use]
    pub fn is(&self, here: &Self) -> bool {
        fits(&self.cluster, &here.cluster)
            && (self.database, self.table) == (here.database, here.table)
            && self.directory.as_ref().zip(here.directory.as_ref()).is_none_or(|(kept, here)| kept.is(here))
    }
}

impl Directory {
    fn is(&self, here: &Self) -> bool {
        (&self.path, self.inode) == (&here.path, here.inode)
            && fits(&self.made, &here.made)
            && fits(&self.machine, &here.machine)
    }
}

fn fits<T: PartialEq>(kept: &Option<T>, here: &Option<T>) -> bool {
    kept.as_ref().zip(here.as_ref()).is_none_or(|(kept, here)| kept == here)
}

/// Compares where the database is with where it is said to be. `directory` is that of a private Postgres.
///
/// # Errors
///
/// Those of the database.
pub async fn standing(pool: &Pool, directory: Option<&Directory>) -> Result<Standing, StorageError> {
    Ok(match kept(pool).await? {
        None => Standing::Fresh,
        Some((kept, since)) if !kept.is(&here(pool, directory).await?) => Standing::Copy { since },
        Some(_) => Standing::Real,
    })
}

/// The same at the start of the server that leads the database: a fresh one is the real one from now on.
///
/// # Errors
///
/// Those of the database.
pub async fn recognise(pool: &Pool, directory: Option<&Directory>) -> Result<Standing, StorageError> {
    let standing = standing(pool, directory).await?;
    if !matches!(standing, Standing::Copy { .. }) {
        // Also where it is known: what could not be read before may be known now.
        keep(pool, directory, false).await?;
    }
    Ok(standing)
}

/// Says that this database is the real one.
///
/// # Errors
///
/// Those of the database.
pub async fn declare(pool: &Pool, directory: Option<&Directory>) -> Result<(), StorageError> {
    keep(pool, directory, true).await
}

/// Says of a database that was just restored that it is a copy, also where it was saved before anybody kept where it is.
///
/// # Errors
///
/// Those of the database.
pub async fn mark_as_copy(pool: &Pool) -> Result<(), StorageError> {
    // Nothing has these numbers.
    sqlx::query!(
        "INSERT INTO installation (database_oid, table_oid, since) VALUES (0, 0, now())
        ON CONFLICT ON CONSTRAINT installation_pkey DO NOTHING"
    )
    .execute(&pool.0)
    .await?;
    Ok(())
}

async fn keep(pool: &Pool, directory: Option<&Directory>, anew: bool) -> Result<(), StorageError> {
    let here = here(pool, directory).await?;
    sqlx::query!(
        "INSERT INTO installation AS i (system_identifier, database_oid, table_oid, directory, since)
        VALUES ($1, $2, $3, $4, now())
        ON CONFLICT ON CONSTRAINT installation_pkey DO UPDATE SET database_oid = $2, table_oid = $3,
            system_identifier = CASE WHEN $5 THEN $1 ELSE coalesce(i.system_identifier, $1) END,
            directory = CASE WHEN $5 THEN $4 ELSE coalesce(i.directory, $4) END,
            since = CASE WHEN $5 THEN now() ELSE i.since END",
        here.cluster,
        here.database,
        here.table,
        here.directory.as_ref().and_then(|directory| serde_json::to_value(directory).ok()),
        anew,
    )
    .execute(&pool.0)
    .await?;
    Ok(())
}

async fn kept(pool: &Pool) -> Result<Option<(Place, Timestamp)>, StorageError> {
    let row = sqlx::query!(
        "SELECT system_identifier, database_oid, table_oid, directory, since FROM installation WHERE single"
    )
    .fetch_optional(&pool.0)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let directory = row.directory.map(serde_json::from_value).transpose();
    let place = Place {
        cluster: row.system_identifier,
        database: row.database_oid,
        table: row.table_oid,
        directory: directory.map_err(|error| StorageError::corrupt("installation", error))?,
    };
    Ok(Some((place, row.since)))
}

async fn here(pool: &Pool, directory: Option<&Directory>) -> Result<Place, StorageError> {
    let row = sqlx::query!(
        r#"SELECT oid::bigint AS "database!", 'installation'::regclass::oid::bigint AS "table!"
        FROM pg_database WHERE datname = current_database()"#
    )
    .fetch_one(&pool.0)
    .await?;
    let (cluster, directory) = (cluster(pool).await?, directory.cloned());
    Ok(Place { cluster, database: row.database, table: row.table, directory })
}

/// The cluster's own number, where the account may read it: some who run Postgres for others do not let it.
async fn cluster(pool: &Pool) -> Result<Option<i64>, StorageError> {
    let asked = sqlx::query_scalar!("SELECT system_identifier FROM pg_control_system()").fetch_one(&pool.0).await;
    match asked {
        Err(sqlx::Error::Database(refusal)) if refusal.code().is_some_and(|code| code == "42501") => Ok(None),
        asked => Ok(asked?),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::testing::{TestDatabase, TestServer};

    fn directory(path: &str, inode: u64) -> Directory {
        Directory { path: path.to_owned(), inode, made: Some(77), machine: Some("ab".to_owned()) }
    }

    #[test]
    fn a_copy_differs_in_anything_that_both_know() {
        let kept = Place { cluster: Some(1), database: 2, table: 3, directory: Some(directory("/a", 7)) };
        assert!(kept.is(&kept));
        let elsewhere = |directory| Place { directory: Some(directory), ..kept.clone() };
        for copy in [
            Place { cluster: Some(9), ..kept.clone() },
            Place { database: 9, ..kept.clone() },
            Place { table: 9, ..kept.clone() },
            elsewhere(directory("/b", 7)),
            elsewhere(directory("/a", 8)),
            elsewhere(Directory { made: Some(78), ..directory("/a", 7) }),
            elsewhere(Directory { machine: Some("cd".to_owned()), ..directory("/a", 7) }),
        ] {
            assert!(!kept.is(&copy) && !copy.is(&kept), "{copy:?}");
        }
        for same in [
            Place { cluster: None, ..kept.clone() },
            Place { directory: None, ..kept.clone() },
            elsewhere(Directory { made: None, machine: None, ..directory("/a", 7) }),
        ] {
            assert!(kept.is(&same) && same.is(&kept), "{same:?}");
        }
    }

    #[tokio::test]
    async fn a_fresh_database_is_real_without_a_word_and_stays_so() {
        let database = TestDatabase::new().await;
        let (pool, home) = (&database.pool, directory("/srv/a", 7));
        assert_eq!(standing(pool, None).await.unwrap(), Standing::Fresh);
        assert_eq!(recognise(pool, None).await.unwrap(), Standing::Fresh);
        assert_eq!(recognise(pool, None).await.unwrap(), Standing::Real);
        // Through its socket by hand first, then by the program that owns it.
        assert_eq!(recognise(pool, Some(&home)).await.unwrap(), Standing::Real);
        assert_eq!(standing(pool, Some(&home)).await.unwrap(), Standing::Real);
        assert!(matches!(standing(pool, Some(&directory("/srv/a", 8))).await.unwrap(), Standing::Copy { .. }));
    }

    #[tokio::test]
    async fn a_directory_that_was_copied_is_a_copy_until_it_is_declared() {
        let database = TestDatabase::new().await;
        let (pool, first, moved) = (&database.pool, directory("/srv/a", 7), directory("/srv/b", 7));
        recognise(pool, Some(&first)).await.unwrap();
        for other in [directory("/srv/a", 8), moved.clone()] {
            assert!(matches!(recognise(pool, Some(&other)).await.unwrap(), Standing::Copy { .. }), "{other:?}");
        }
        declare(pool, Some(&moved)).await.unwrap();
        assert_eq!(recognise(pool, Some(&moved)).await.unwrap(), Standing::Real);
        assert!(matches!(standing(pool, Some(&first)).await.unwrap(), Standing::Copy { .. }), "the other, now");
    }

    #[tokio::test]
    async fn a_copy_made_by_postgres_itself_is_found_out() {
        let server = TestServer::private().await;
        let pool = crate::pool::connect(server.url(), 1).await.unwrap();
        crate::pool::migrate(&pool).await.unwrap();
        recognise(&pool, None).await.unwrap();
        pool.close().await;
        let other = posthaste_postgres::testing::with_database(server.url(), "postgres");
        let maintenance = crate::pool::connect(&other, 1).await.unwrap();
        let copied = "CREATE DATABASE copied TEMPLATE posthaste";
        sqlx::raw_sql(AssertSqlSafe(copied.to_owned())).execute(&maintenance.0).await.unwrap();
        let copy =
            crate::pool::connect(&posthaste_postgres::testing::with_database(server.url(), "copied"), 1).await.unwrap();
        assert!(matches!(recognise(&copy, None).await.unwrap(), Standing::Copy { .. }));
        declare(&copy, None).await.unwrap();
        assert_eq!(standing(&copy, None).await.unwrap(), Standing::Real);
        let first = crate::pool::connect(server.url(), 1).await.unwrap();
        assert_eq!(standing(&first, None).await.unwrap(), Standing::Real, "the first has its own row");
    }

    #[tokio::test]
    async fn what_was_saved_before_places_were_kept_is_a_copy_once_it_is_marked() {
        let database = TestDatabase::new().await;
        mark_as_copy(&database.pool).await.unwrap();
        assert!(matches!(recognise(&database.pool, None).await.unwrap(), Standing::Copy { .. }));
        declare(&database.pool, None).await.unwrap();
        mark_as_copy(&database.pool).await.unwrap();
        assert_eq!(standing(&database.pool, None).await.unwrap(), Standing::Real, "only what says nothing is marked");
    }

    /// As after `pg_dump | pg_restore` into the same database: the rows are those of then, the tables are new ones.
    #[tokio::test]
    async fn a_restore_into_the_same_database_is_found_out() {
        let database = TestDatabase::new().await;
        let pool = &database.pool;
        recognise(pool, None).await.unwrap();
        let again =
            "CREATE TABLE again (LIKE installation INCLUDING ALL); INSERT INTO again SELECT * FROM installation;
            DROP TABLE installation; ALTER TABLE again RENAME TO installation;
            ALTER TABLE installation RENAME CONSTRAINT again_pkey TO installation_pkey";
        sqlx::raw_sql(again).execute(&pool.0).await.unwrap();
        assert!(matches!(recognise(pool, None).await.unwrap(), Standing::Copy { .. }));
    }
}
