//! The databases of tests that have ended.
//!
//! Dropping one costs more than making it, so they lie about until there are many. If then nobody is using the
//! server, it is thrown away as a whole, which takes a second; if it is never free, some are dropped now and again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::template;

/// What the names of test databases begin with; an id that tells the time, and the process number follow.
const DATABASE: &str = "posthaste_test_";
/// So many may lie about, at 8 MB each, before a server that nobody uses is begun anew.
const MANY: usize = 128;
/// So many may lie about on a server that is never free.
const TOO_MANY: usize = 512;
/// So many are dropped in one go, at about 60 ms each, as a test is waiting.
const AT_ONCE: usize = 50;
/// On a server whose users are not all to be seen, a database without connections is left over after this long.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// The advisory lock of the one who sweeps.
const SWEEPING: i64 = 0x7057_0002;

/// A name that no other test uses, and that tells later whether its test has ended.
pub(super) fn new_name() -> String {
    format!("{DATABASE}{}_{}", Uuid::now_v7().simple(), std::process::id())
}

/// Whether the shared server holds many leftovers, and nothing that anybody uses.
pub(super) async fn are_many_and_alone(url: &str) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let names = databases(&mut connection).await?;
    // those of ended processes have no connections either: they are cut with the process
    let many = names.len() > MANY && names.iter().all(|name| is_left_over(name, true));
    connection.close().await?;
    Ok(many)
}

/// Drops some, when there are too many.
pub(super) async fn sweep(connection: &mut PgConnection, local: bool) -> Result<(), sqlx::Error> {
    let left: Vec<String> = databases(connection).await?.into_iter().filter(|name| is_left_over(name, local)).collect();
    if left.len() <= TOO_MANY {
        return Ok(());
    }
    let mine: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(SWEEPING).fetch_one(&mut *connection).await?;
    if mine {
        for name in left.iter().take(AT_ONCE) {
            // one that somebody is connected to after all stays
            let _ = template::run(connection, format!("DROP DATABASE IF EXISTS {name}")).await;
        }
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(SWEEPING).execute(&mut *connection).await?;
    }
    Ok(())
}

/// All test databases, the oldest first.
async fn databases(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let query = "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1) ORDER BY datname";
    sqlx::query_scalar(query).bind(DATABASE).fetch_all(connection).await
}

/// Whether the test of this database has ended: by its process on our own server, by its age elsewhere.
fn is_left_over(name: &str, local: bool) -> bool {
    let Some((id, pid)) = name.strip_prefix(DATABASE).and_then(|rest| rest.split_once('_')) else { return false };
    if local {
        return pid.parse().is_ok_and(|pid| !crate::is_alive(pid));
    }
    let Some(made) = Uuid::parse_str(id).ok().and_then(|id| id.get_timestamp()) else { return false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(made.to_unix().0) > ABANDONED_AFTER.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_this_process_is_in_use_and_one_of_an_ended_process_is_left_over() {
        assert!(!is_left_over(&new_name(), true));
        let ended = format!("{DATABASE}{}_99999999", Uuid::now_v7().simple());
        assert!(is_left_over(&ended, true));
    }

    #[test]
    fn on_a_server_of_others_only_age_counts() {
        assert!(!is_left_over(&format!("{DATABASE}{}_99999999", Uuid::now_v7().simple()), false));
        let old = format!("{DATABASE}01890000000070008000000000000000_1");
        assert!(is_left_over(&old, false));
        assert!(!is_left_over("somebody_elses_database", false));
    }
}
