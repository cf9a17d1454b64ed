//! Stops a test server that nobody uses any more.
//!
//! The watchdog lives inside the server: a session that runs one endless statement, whose client has gone away, which
//! Postgres does not mind. So there is no second process to lose, it sees every connection, it works for root and for
//! anybody else, and it ends with the server.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

/// How long a server may be idle.
pub(super) const IDLE: Duration = Duration::from_secs(300);
/// How often the watchdog looks, in one idle time.
const LOOKS: u32 = 20;
/// The advisory lock that the one watchdog of a server holds.
const WATCHING: i32 = 0x7057_0003;

/// Makes sure that the server at `url` has a watchdog.
pub(super) async fn install(url: &str, idle: Duration) -> Result<(), sqlx::Error> {
    let mut eyes = PgConnection::connect(url).await?;
    if is_watched(&mut eyes).await? {
        return eyes.close().await;
    }
    let mut dog = PgConnection::connect(url).await?;
    let watch = dog.execute(sqlx::raw_sql(AssertSqlSafe(statement(idle))));
    let seen = async {
        while !is_watched(&mut eyes).await? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<(), sqlx::Error>(())
    };
    // the statement ends only if another watchdog was faster
    tokio::select! {
        ended = watch => ended.map(drop)?,
        seen = seen => seen?,
    }
    // dropping its connection leaves the session to itself
    drop(dog);
    eyes.close().await
}

async fn is_watched(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid::int8 = $1)";
    sqlx::query_scalar(query).bind(i64::from(WATCHING)).fetch_one(connection).await
}

/// Waits until for `idle` there was no other client and no new database, then stops the server the fast way.
fn statement(idle: Duration) -> String {
    let (idle, look) = (idle.as_secs_f64(), (idle / LOOKS).as_secs_f64());
    format!(
        r"DO $watchdog$
        DECLARE
            quiet_since timestamptz := clock_timestamp();
            newest oid;
            newest_before oid;
        BEGIN
            IF NOT pg_try_advisory_lock({WATCHING}) THEN RETURN; END IF;
            LOOP
                PERFORM pg_sleep({look});
                PERFORM pg_stat_clear_snapshot();
                SELECT max(oid) INTO newest FROM pg_database;
                IF newest IS DISTINCT FROM newest_before OR EXISTS (
                    SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
                ) THEN
                    quiet_since := clock_timestamp();
                    newest_before := newest;
                END IF;
                EXIT WHEN clock_timestamp() - quiet_since > make_interval(secs => {idle});
                COMMIT;
            END LOOP;
            EXECUTE format(
                'COPY (SELECT 1) TO PROGRAM %L',
                'cat >/dev/null; kill -INT ' || split_part(pg_read_file('postmaster.pid'), E'\n', 1)
            );
        END
        $watchdog$"
    )
}
