//! The template: a filled database, made once per state of its schema and copied for every test.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::sync::Semaphore;

use super::cluster::TestCluster;
use super::{Schema, causes, leftovers, with_database};

const TEMPLATE: &str = "posthaste_template_";
/// The advisory lock of the one who makes the template.
const MAKING: i64 = 0x7057_0001;
/// Copies at once from one process. More only wait for the same disk and processors.
const COPIES: usize = 4;
/// So many templates may lie about: worktrees with different schemas share the server.
const MOST_TEMPLATES: usize = 8;

static TURNS: Semaphore = Semaphore::const_new(COPIES);

/// Makes the template if it is not there yet.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    cluster: &TestCluster,
    schema: &impl Schema,
) -> Result<(), String> {
    let name = template_name(schema);
    let said = |error: sqlx::Error| format!("making the template: {}", causes(&error));
    if exists(connection, &name).await.map_err(said)? {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_lock($1)").bind(MAKING).execute(&mut *connection).await.map_err(said)?;
    let made = make(connection, cluster, schema, &name).await;
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(MAKING).execute(&mut *connection).await.map_err(said)?;
    made
}

/// Makes the template under another name, which it keeps until it is whole.
async fn make(
    connection: &mut PgConnection,
    cluster: &TestCluster,
    schema: &impl Schema,
    name: &str,
) -> Result<(), String> {
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
    schema.fill(&with_database(&cluster.url, &unfinished)).await?;
    run(connection, format!("ALTER DATABASE {unfinished} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"))
        .await
        .map_err(said)?;
    run(connection, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await.map_err(said)
}

/// Copies the template, and gives the address of the copy.
pub(super) async fn copy(cluster: &TestCluster, schema: &impl Schema) -> Result<String, sqlx::Error> {
    let _turn = TURNS.acquire().await.map_err(|_| sqlx::Error::WorkerCrashed)?;
    let name = leftovers::new_name();
    let mut connection = PgConnection::connect(&cluster.url).await?;
    run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {}", template_name(schema))).await?;
    connection.close().await?;
    Ok(with_database(&cluster.url, &name))
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
pub(super) async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.map(drop)
}

fn template_name(schema: &impl Schema) -> String {
    format!("{TEMPLATE}{:016x}", schema.fingerprint())
}
