//! Migrations as a step: rehearsed, refused, and tables that are newer than the program.

use std::time::Duration;

use crate::examine::examine;
use crate::migrations::{Older, Outcome, pending, rehearse, run};
use crate::pool::{MIGRATIONS, Pool, PoolError, connect, make_fit};
use crate::testing::TestServer;

/// The tables of an older program: everything but the last `missing` migrations.
async fn older(missing: usize) -> (TestServer, Pool) {
    let server = TestServer::private().await;
    let pool = connect(server.url(), 2).await.unwrap();
    let all: Vec<_> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    let newest = all[all.len() - 1 - missing];
    let mut connection = pool.0.acquire().await.unwrap().detach();
    MIGRATIONS.run_direct(Some(newest), &mut connection, false).await.unwrap();
    (server, pool)
}

async fn says(pool: &Pool, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&pool.0).await.unwrap();
}

#[tokio::test]
async fn a_rehearsal_measures_everything_and_leaves_nothing_behind() {
    let (_server, pool) = older(3).await;
    let steps = pending(&pool).await.unwrap();
    assert_eq!(steps.len(), 3, "{steps:?}");
    let rehearsed = rehearse(&pool, Duration::from_secs(10)).await.unwrap();
    assert_eq!(rehearsed.iter().map(|one| one.step.clone()).collect::<Vec<_>>(), steps);
    assert!(rehearsed.iter().all(|one| matches!(one.outcome, Outcome::Ran { .. })), "{rehearsed:?}");
    // It adds columns to tables that are there.
    let Outcome::Ran { locks, .. } = &rehearsed[0].outcome else { panic!("{rehearsed:?}") };
    let locked: Vec<_> = locks.iter().map(|lock| (lock.table.as_str(), lock.mode.as_str())).collect();
    assert_eq!(locked, [("drivers", "AccessExclusiveLock"), ("zones", "AccessExclusiveLock")]);
    assert_eq!(pending(&pool).await.unwrap(), steps, "nothing was applied");
    let mut told = Vec::new();
    run(&pool, |step, _| told.push(step.clone())).await.unwrap();
    assert_eq!(told, steps);
    assert_eq!(pending(&pool).await.unwrap(), []);
}

#[tokio::test]
async fn a_rehearsal_does_not_wait_for_what_somebody_else_holds() {
    let (_server, pool) = older(3).await;
    let mut other = pool.0.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE zones IN ACCESS SHARE MODE").execute(&mut *other).await.unwrap();
    let rehearsed = rehearse(&pool, Duration::from_secs(10)).await.unwrap();
    let outcomes: Vec<_> = rehearsed.into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::TookTooLong, Outcome::NotRehearsed, Outcome::NotRehearsed]);
}

#[tokio::test]
async fn who_is_to_migrate_nothing_refuses_an_older_database_and_leaves_it_as_it_is() {
    let (_server, pool) = older(1).await;
    let steps = pending(&pool).await.unwrap();
    let refused = make_fit(&pool, Older::Refuse).await;
    assert!(matches!(refused, Err(PoolError::Older { first, count: 1 }) if first == steps[0].migration), "{refused:?}");
    assert_eq!(pending(&pool).await.unwrap(), steps);
    make_fit(&pool, Older::Migrate).await.unwrap();
    make_fit(&pool, Older::Refuse).await.unwrap();
}

#[tokio::test]
async fn tables_that_are_newer_are_taken_where_they_say_so_and_refused_otherwise() {
    let (_server, pool) = older(0).await;
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap();
    says(
        &pool,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (990001, 'later', true, '', 0)",
    )
    .await;
    make_fit(&pool, Older::Refuse).await.unwrap();
    make_fit(&pool, Older::Migrate).await.unwrap();
    assert!(examine(&pool, None).await.unwrap().migrations.fits);
    // The release after that took something away.
    says(&pool, "UPDATE schema_compatibility SET runs_with = 990001").await;
    for older in [Older::Refuse, Older::Migrate] {
        let refused = make_fit(&pool, older).await;
        assert!(matches!(refused, Err(PoolError::Newer(990_001))), "{refused:?}");
    }
    assert!(matches!(pending(&pool).await, Err(PoolError::Newer(990_001))));
    // One that lacks a migration that it must know.
    let runs_with = format!(
        "UPDATE schema_compatibility SET runs_with = {newest}; DELETE FROM _sqlx_migrations WHERE version = 36"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(runs_with)).execute(&pool.0).await.unwrap();
    assert!(matches!(make_fit(&pool, Older::Refuse).await, Err(PoolError::Newer(990_001))));
}
