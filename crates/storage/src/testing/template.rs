//! The template: a migrated database, made once per state of the migrations and copied for every test.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::pool::{self, MIGRATIONS, Pool};

use super::cluster::TestCluster;
use super::{ACQUIRE_TIMEOUT, causes, with_database};

const TEMPLATE: &str = "posthaste_template_";
const DATABASE: &str = "posthaste_test_";
/// Numbers of the advisory locks.
const MAKING: i64 = 0x7057_0001;
const SWEEPING: i64 = 0x7057_0002;
/// Copies at once from one process. More only wait for the same disk and processors.
const COPIES: usize = 4;
/// So many databases of ended tests may lie about, at 8 MB each, before somebody sweeps them.
const MOST_LEFTOVERS: usize = 128;
/// So many templates may lie about: worktrees with different migrations share the server.
const MOST_TEMPLATES: usize = 8;
/// On a server whose users are not all to be seen, a database without connections is left over after this long.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

static TURNS: Semaphore = Semaphore::const_new(COPIES);

/// Makes the template if it is not there yet.
pub(super) async fn ensure(connection: &mut PgConnection, cluster: &TestCluster) -> Result<(), String> {
    let name = template_name();
    let said = |error: sqlx::Error| format!("making the template: {}", causes(&error));
    if exists(connection, &name).await.map_err(said)? {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_lock($1)").bind(MAKING).execute(&mut *connection).await.map_err(said)?;
    let made = make(connection, cluster, &name).await;
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(MAKING).execute(&mut *connection).await.map_err(said)?;
    made
}

/// Makes the template under another name, which it keeps until it is whole.
async fn make(connection: &mut PgConnection, cluster: &TestCluster, name: &str) -> Result<(), String> {
    let said = |error: sqlx::Error| format!("making the template: {}", causes(&error));
    if exists(connection, name).await.map_err(said)? {
        return Ok(());
    }
    drop_old_templates(connection).await.map_err(said)?;
    let unfinished = format!("{name}_unfinished");
    if exists(connection, &unfinished).await.map_err(said)? {
        drop_template(connection, &unfinished).await.map_err(said)?;
    }
    run(connection, format!("CREATE DATABASE {unfinished} TEMPLATE template0 ENCODING 'UTF8'")).await.map_err(said)?;
    let pool = pool::connect_within(&with_database(&cluster.url, &unfinished), 2, ACQUIRE_TIMEOUT)
        .await
        .map_err(|error| causes(&error))?;
    let migrated = migrate(&pool).await;
    pool.close().await;
    migrated?;
    run(connection, format!("ALTER DATABASE {unfinished} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"))
        .await
        .map_err(said)?;
    run(connection, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await.map_err(said)
}

async fn migrate(pool: &Pool) -> Result<(), String> {
    pool::migrate(pool).await.map_err(|error| causes(&error))
}

/// Copies the template, and gives the address of the copy.
pub(super) async fn copy(cluster: &TestCluster) -> Result<String, sqlx::Error> {
    let _turn = TURNS.acquire().await.map_err(|_| sqlx::Error::WorkerCrashed)?;
    let name = format!("{DATABASE}{}_{}", Uuid::now_v7().simple(), std::process::id());
    let mut connection = PgConnection::connect(&cluster.url).await?;
    run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {}", template_name())).await?;
    connection.close().await?;
    Ok(with_database(&cluster.url, &name))
}

/// Drops the databases of tests that have ended, when there are many.
pub(super) async fn sweep(connection: &mut PgConnection, cluster: &TestCluster) -> Result<(), sqlx::Error> {
    let idle: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database d WHERE starts_with(datname::text, $1)
         AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)",
    )
    .bind(DATABASE)
    .fetch_all(&mut *connection)
    .await?;
    let left: Vec<String> = idle.into_iter().filter(|name| is_left_over(name, cluster.local)).collect();
    if left.len() <= MOST_LEFTOVERS {
        return Ok(());
    }
    let mine: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(SWEEPING).fetch_one(&mut *connection).await?;
    if mine {
        for name in left {
            // one that somebody uses after all stays
            let _ = run(connection, format!("DROP DATABASE IF EXISTS {name}")).await;
        }
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(SWEEPING).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Whether the test of this database has ended: by its process on our own server, by its age elsewhere.
fn is_left_over(name: &str, local: bool) -> bool {
    let Some((id, pid)) = name.strip_prefix(DATABASE).and_then(|rest| rest.split_once('_')) else { return false };
    if local {
        return pid.parse().is_ok_and(|pid| !crate::embedded::is_alive(pid));
    }
    let Some(made) = Uuid::parse_str(id).ok().and_then(|id| id.get_timestamp()) else { return false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(made.to_unix().0) > ABANDONED_AFTER.as_secs()
}

async fn drop_old_templates(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1) AND datistemplate ORDER BY oid",
    )
    .bind(TEMPLATE)
    .fetch_all(&mut *connection)
    .await?;
    for name in names.iter().take(names.len().saturating_sub(MOST_TEMPLATES - 1)) {
        drop_template(connection, name).await?;
    }
    Ok(())
}

async fn drop_template(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    run(connection, format!("ALTER DATABASE {name} WITH IS_TEMPLATE false")).await?;
    run(connection, format!("DROP DATABASE {name}")).await
}

async fn exists(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)");
    query.bind(name).fetch_one(connection).await
}

/// Runs a statement whose names are our own: letters, digits and underscores.
async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.map(drop)
}

/// Named by the checksums of the migrations (FNV-1a over them and their numbers).
fn template_name() -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for migration in MIGRATIONS.iter() {
        for byte in migration.version.to_le_bytes().iter().chain(migration.checksum.iter()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let mut name = TEMPLATE.to_owned();
    let _ = write!(name, "{hash:016x}");
    name
}
