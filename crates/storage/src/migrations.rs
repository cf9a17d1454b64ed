//! The migrations as a step: which would run, how long each takes and what it locks, and which programs a schema fits.
//!
//! Each migration only adds to what the release before needs, or waits for the release after it to take away. So a program
//! runs with tables that are newer than it knows, as long as they say so (`schema_compatibility`): during an update the
//! older server goes on, and an update that failed is taken back by starting the older program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::migrate::MigrateError;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::examine::Migrations;
use crate::pool::{MIGRATIONS, Pool, PoolError};

/// How long a rehearsal waits for a lock that somebody else has.
const LOCK_WITHIN: &str = "1s";
/// What Postgres says of a statement that it ended because of its time, and of a lock that did not come.
const TOO_LONG: [&str; 2] = ["57014", "55P03"];

/// What to do where a schema is older than the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// Bring it up to date.
    Migrate,
    /// Say so, and change nothing.
    Refuse,
}

/// A migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its number.
    pub migration: i64,
    /// What it is about.
    pub about: String,
}

/// A table that a migration locks which is there already.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lock {
    /// The table.
    pub table: String,
    /// How, in Postgres' words: `AccessExclusiveLock` keeps readers out too, `ShareRowExclusiveLock` and `ShareLock` who writes.
    pub mode: String,
}

/// What a rehearsal of a migration came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, and was taken back.
    Ran {
        /// How long, in milliseconds.
        milliseconds: u64,
        /// What it locked until the transaction ended.
        locks: BTreeSet<Lock>,
    },
    /// It was broken off: it takes longer than it was given, or somebody holds what it needs.
    TookTooLong,
    /// It cannot be taken back, or comes after one that was not rehearsed.
    NotRehearsed,
}

/// A migration that would run, and how its rehearsal went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsed {
    /// The migration.
    #[serde(flatten)]
    pub step: Step,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

fn failed(error: sqlx::Error) -> PoolError {
    PoolError::Migration(error.into())
}

/// How the schema stands to this program. One without tables has everything to come.
pub(crate) async fn standing(connection: &mut PgConnection) -> Result<Migrations, sqlx::Error> {
    // Of a database about which nothing is known: not checked when it is compiled.
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    let mut applied = BTreeMap::new();
    if is_there {
        let rows = sqlx::query_as::<_, (i64, Vec<u8>, bool)>("SELECT version, checksum, success FROM _sqlx_migrations");
        for (version, checksum, success) in rows.fetch_all(&mut *connection).await? {
            applied.insert(version, (checksum, success));
        }
    }
    let known = MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect();
    let compared = Migrations::compare(&applied, &known);
    let fits = compared.pending.is_empty() && compared.broken.is_empty();
    let fits = fits && (compared.unknown.is_empty() || runs_with_newer(connection).await?);
    Ok(Migrations { fits, ..compared })
}

/// Whether tables that a newer program has changed say that this one can run with them.
async fn runs_with_newer(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let says: bool = sqlx::query_scalar("SELECT to_regclass('schema_compatibility') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !says {
        return Ok(false);
    }
    let needed: Option<i64> =
        sqlx::query_scalar("SELECT runs_with FROM schema_compatibility").fetch_optional(&mut *connection).await?;
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max();
    Ok(needed.is_some() && needed <= newest)
}

/// Makes the schema fit this program, or says why it does not. Over a connection that has no time limits meanwhile.
///
/// # Errors
///
/// [`PoolError::Newer`], [`PoolError::Older`] where it is not to be migrated, [`PoolError::Migration`].
pub(crate) async fn make_fit(connection: &mut PgConnection, older: Older) -> Result<(), PoolError> {
    let standing = standing(connection).await.map_err(failed)?;
    if let Some(unknown) = standing.unknown.first() {
        if !standing.fits {
            return Err(PoolError::Newer(*unknown));
        }
        tracing::warn!(migration = unknown, "a newer posthaste has changed the database; this one can run with it");
        return Ok(());
    }
    if older == Older::Refuse
        && let Some(first) = standing.pending.first()
    {
        return Err(PoolError::Older { first: *first, count: standing.pending.len() });
    }
    apply(connection, None).await
}

/// Applies what is pending, up to this migration where one is named.
async fn apply(connection: &mut PgConnection, up_to: Option<i64>) -> Result<(), PoolError> {
    connection
        .execute("SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        .await
        .map_err(failed)?;
    // Not `run`, whose future cannot be sent between threads when it is given a connection.
    MIGRATIONS.run_direct(up_to, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(migration) => PoolError::Newer(migration),
        error => PoolError::Migration(error.into()),
    })?;
    connection
        .execute("RESET statement_timeout; RESET lock_timeout; RESET idle_in_transaction_session_timeout")
        .await
        .map(drop)
        .map_err(failed)
}

fn step(migration: &sqlx::migrate::Migration) -> Step {
    Step { migration: migration.version, about: migration.description.to_string() }
}

/// What would run, in its order.
///
/// # Errors
///
/// [`PoolError::Newer`] where a newer program was here and this one cannot run with what it left, [`PoolError::Migration`].
pub async fn pending(pool: &Pool) -> Result<Vec<Step>, PoolError> {
    let mut connection = pool.0.acquire().await.map_err(failed)?;
    let standing = standing(&mut connection).await.map_err(failed)?;
    if let Some(unknown) = standing.unknown.first()
        && !standing.fits
    {
        return Err(PoolError::Newer(*unknown));
    }
    Ok(MIGRATIONS.iter().filter(|migration| standing.pending.contains(&migration.version)).map(step).collect())
}

/// Applies what is pending one by one, and tells of each how long it took. Several processes may do so at once.
///
/// # Errors
///
/// As [`pending`]; what was applied by then stays.
pub async fn run(pool: &Pool, mut tell: impl FnMut(&Step, Duration)) -> Result<(), PoolError> {
    // A connection of its own: the time limits of ordinary work are too short for building an index.
    let steps = pending(pool).await?;
    let mut connection = pool.0.acquire().await.map_err(failed)?.detach();
    for step in steps {
        let began = Instant::now();
        apply(&mut connection, Some(step.migration)).await?;
        tell(&step, began.elapsed());
    }
    connection.close().await.map_err(failed)
}

/// Runs what is pending in one transaction, and takes it back: how long each takes and what it locks. Whoever uses what is
/// locked waits so long; no statement has longer than `at_most`.
///
/// # Errors
///
/// As [`pending`]; [`PoolError::Migration`] where one of them cannot be applied at all.
pub async fn rehearse(pool: &Pool, at_most: Duration) -> Result<Vec<Rehearsed>, PoolError> {
    let steps = pending(pool).await?;
    let mut connection = pool.0.acquire().await.map_err(failed)?.detach();
    let rehearsed = rehearse_on(&mut connection, steps, at_most).await;
    connection.close().await.map_err(failed)?;
    rehearsed
}

async fn rehearse_on(
    connection: &mut PgConnection,
    steps: Vec<Step>,
    at_most: Duration,
) -> Result<Vec<Rehearsed>, PoolError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let limits = format!(
        "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = '{LOCK_WITHIN}'; \
         SET LOCAL idle_in_transaction_session_timeout = 0",
        at_most.as_millis().max(1)
    );
    transaction.execute(sqlx::raw_sql(AssertSqlSafe(limits))).await.map_err(failed)?;
    let tables: Vec<i64> = sqlx::query_scalar("SELECT oid::bigint FROM pg_class WHERE relkind IN ('r', 'p')")
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    let (mut held, mut is_over, mut all) = (BTreeSet::new(), false, Vec::new());
    for step in steps {
        let migration = MIGRATIONS.iter().find(|migration| migration.version == step.migration && !migration.no_tx);
        let Some(migration) = migration.filter(|_| !is_over) else {
            is_over = true;
            all.push(Rehearsed { step, outcome: Outcome::NotRehearsed });
            continue;
        };
        let began = Instant::now();
        match transaction.execute(sqlx::raw_sql(migration.sql.clone())).await {
            Ok(_) => {}
            Err(error) if is_too_long(&error) => {
                is_over = true;
                all.push(Rehearsed { step, outcome: Outcome::TookTooLong });
                continue;
            }
            Err(error) => return Err(failed(error)),
        }
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = locks(&mut transaction, &tables).await.map_err(failed)?;
        let locks = now.difference(&held).cloned().collect();
        held = now;
        all.push(Rehearsed { step, outcome: Outcome::Ran { milliseconds, locks } });
    }
    transaction.rollback().await.map_err(failed)?;
    Ok(all)
}

fn is_too_long(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| TOO_LONG.contains(&code.as_ref()))
}

/// What this transaction holds of these tables that keeps others from writing or reading.
async fn locks(connection: &mut PgConnection, tables: &[i64]) -> Result<BTreeSet<Lock>, sqlx::Error> {
    let rows = sqlx::query_as::<_, (String, String)>(
        "SELECT c.relname::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND l.granted AND c.oid::bigint = ANY($1)
            AND c.relnamespace = current_schema()::regnamespace
            AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')",
    );
    let rows = rows.bind(tables).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(table, mode)| Lock { table, mode }).collect())
}
