//! What can be told of a database without changing anything in it: whether it fits this program, and who uses it.

use std::collections::BTreeMap;

use posthaste_domain::Timestamp;
use sqlx::Row as _;

use crate::error::StorageError;
use crate::installation::{self, Directory, Standing};
use crate::lead::LEAD;
use crate::migrations;
use crate::pool::Pool;

/// What a database is like.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The major version of its Postgres.
    pub major: u32,
    /// Its clock.
    pub now: Timestamp,
    /// Whether `btree_gist` is there, or can be made.
    pub has_extension: bool,
    /// Which migrations it has.
    pub migrations: Migrations,
    /// Whether a server leads it.
    pub is_led: bool,
    /// Whether it is the real one; none where it does not say.
    pub standing: Option<Standing>,
    /// What the product's clock showed last.
    pub checkpoint: Option<Timestamp>,
}

/// How a database's migrations stand to those of this program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Migrations {
    /// Those that it has.
    pub applied: usize,
    /// Those that the next start applies.
    pub pending: Vec<i64>,
    /// Those that this program does not know: a newer one applied them.
    pub unknown: Vec<i64>,
    /// Whether this program can run with it as it is: nothing is missing or broken, and what is unknown says that it can.
    pub fits: bool,
    /// Those that broke off, or were applied in other words than this program's.
    pub broken: Vec<i64>,
}

impl Migrations {
    /// Compares those that were applied (with what they were like, and whether they came through) with those that are known.
    pub(crate) fn compare(applied: &BTreeMap<i64, (Vec<u8>, bool)>, known: &BTreeMap<i64, Vec<u8>>) -> Self {
        let is_broken = |(version, (checksum, success)): &(&i64, &(Vec<u8>, bool))| {
            !success || known.get(version).is_some_and(|known| known != checksum)
        };
        Self {
            applied: applied.len(),
            fits: false,
            pending: known.keys().filter(|version| !applied.contains_key(version)).copied().collect(),
            unknown: applied.keys().filter(|version| !known.contains_key(version)).copied().collect(),
            broken: applied.iter().filter(is_broken).map(|(version, _)| *version).collect(),
        }
    }
}

/// Looks at a database over connections that [only read](crate::pool::connect_to_read). `directory` is that of a private
/// Postgres.
///
/// # Errors
///
/// Those of the database.
pub async fn examine(pool: &Pool, directory: Option<&Directory>) -> Result<Examined, StorageError> {
    // Of a database about which nothing is known: not checked when it is compiled.
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::integer / 10000 AS major, now() AS now,
            EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist')
                OR EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') AS has_extension,
            EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1 AND objid::bigint <> 0
                AND mode = 'ExclusiveLock' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS is_led,
            to_regclass('installation') IS NOT NULL AS has_installation,
            to_regclass('clock_checkpoint') IS NOT NULL AS has_clock",
    )
    .bind(i64::from(LEAD))
    .fetch_one(&pool.0)
    .await?;
    let migrations = migrations::standing(&mut *pool.0.acquire().await?).await?;
    let standing =
        if row.try_get("has_installation")? { Some(installation::standing(pool, directory).await?) } else { None };
    let checkpoint = if row.try_get("has_clock")? { crate::clock::load(pool).await? } else { None };
    Ok(Examined {
        major: row.try_get::<i32, _>("major")?.unsigned_abs(),
        now: row.try_get("now")?,
        has_extension: row.try_get("has_extension")?,
        migrations,
        is_led: row.try_get("is_led")?,
        standing,
        checkpoint,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lead::Lead;
    use crate::migrations::Older;
    use crate::pool::connect_to_read;
    use crate::testing::{TestDatabase, TestServer};

    #[test]
    fn migrations_are_pending_unknown_or_broken() {
        let known = BTreeMap::from([(1, vec![1]), (2, vec![2]), (3, vec![3])]);
        let applied = BTreeMap::from([(1, (vec![1], true)), (2, (vec![9], true)), (7, (vec![7], false))]);
        let compared = Migrations::compare(&applied, &known);
        assert_eq!((compared.applied, compared.pending, compared.unknown), (3, vec![3], vec![7]));
        assert_eq!(compared.broken, [2, 7]);
    }

    #[tokio::test]
    async fn an_empty_database_a_fresh_one_and_one_that_is_led_are_told_apart_and_left_as_they_are() {
        let server = TestServer::private().await;
        let pool = connect_to_read(server.url(), 1).await.unwrap();
        let empty = examine(&pool, None).await.unwrap();
        assert!(empty.migrations.applied == 0 && !empty.migrations.pending.is_empty(), "{empty:?}");
        assert!(empty.has_extension && empty.major >= 14 && empty.standing.is_none() && !empty.is_led, "{empty:?}");
        assert!(sqlx::raw_sql("CREATE TABLE written ()").execute(&pool.0).await.is_err(), "it only reads");
        let _lead = Lead::take(server.url(), Duration::from_secs(5), Older::Migrate).await.unwrap();
        let led = examine(&pool, None).await.unwrap();
        let all = Migrations { applied: empty.migrations.pending.len(), fits: true, ..Migrations::default() };
        assert_eq!((led.migrations, led.is_led, led.standing), (all, true, Some(Standing::Fresh)));
        assert!(led.checkpoint.is_some());
    }

    #[tokio::test]
    async fn what_a_newer_program_did_is_seen() {
        let database = TestDatabase::new().await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (990001, 'later', true, '', 0);
            UPDATE schema_compatibility SET runs_with = 990001";
        sqlx::raw_sql(newer).execute(&database.pool.0).await.unwrap();
        let examined = examine(&database.pool, None).await.unwrap();
        assert_eq!((&examined.migrations.unknown[..], examined.migrations.fits), (&[990_001][..], false));
        assert!(!examined.is_led);
        let refused = crate::pool::migrate(&database.pool).await.unwrap_err().to_string();
        assert!(refused.contains("newer posthaste") && refused.contains("990001"), "{refused}");
    }
}
