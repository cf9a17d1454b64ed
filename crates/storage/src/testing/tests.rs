//! The shared server, its watchdog, and private servers, for real.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::{TestDatabase, TestServer, watchdog, with_database};
use crate::pool;

/// Waits for a condition, and fails when it does not come.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_databases_at_once_are_fifty_different_databases() {
    TestDatabase::new().await;
    let began = Instant::now();
    let tasks: Vec<_> = (0..50)
        .map(|number: i32| {
            tokio::spawn(async move {
                let database = TestDatabase::new().await;
                sqlx::query("CREATE TABLE mine (number int)").execute(&database.pool.0).await.unwrap();
                sqlx::query("INSERT INTO mine VALUES ($1)").bind(number).execute(&database.pool.0).await.unwrap();
                let numbers: Vec<i32> =
                    sqlx::query_scalar("SELECT number FROM mine").fetch_all(&database.pool.0).await.unwrap();
                assert_eq!(numbers, [number]);
                database.url
            })
        })
        .collect();
    let mut urls = Vec::new();
    for task in tasks {
        urls.push(task.await.unwrap());
    }
    println!("50 databases in {:?}", began.elapsed());
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 50);
}

#[tokio::test]
async fn a_test_database_has_the_migrations_already() {
    let database = TestDatabase::new().await;
    let applied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&database.pool.0).await.unwrap();
    assert_eq!(applied, i64::try_from(pool::MIGRATIONS.iter().count()).unwrap());
}

#[tokio::test]
async fn a_private_server_keeps_data_and_address_through_a_stop_and_a_kill() {
    let mut server = TestServer::private().await;
    let url = server.url().to_owned();
    let pool = pool::connect(&url, 2).await.unwrap();
    sqlx::query("CREATE TABLE kept (number int)").execute(&pool.0).await.unwrap();

    server.stop().await;
    assert!(pool.ping().await.is_err());
    server.start().await;
    sqlx::query("INSERT INTO kept VALUES (1)").execute(&pool.0).await.unwrap();

    server.kill().await;
    server.start().await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&pool.0).await.unwrap();
    assert_eq!((kept, server.url()), (1, url.as_str()));
}

#[tokio::test]
async fn a_dropped_private_server_leaves_nothing() {
    let server = TestServer::private().await;
    let place = server.options.data_dir.clone();
    assert!(place.exists());
    drop(server);
    assert!(!place.exists());
}

#[tokio::test]
async fn an_idle_server_is_stopped_by_its_watchdog_and_a_used_one_is_not() {
    let mut server = TestServer::private().await;
    server.stop().await;
    let postgres = crate::embedded::EmbeddedPostgres::start(server.options.clone()).await.unwrap();
    let url = with_database(postgres.url(), "postgres");
    let used = PgConnection::connect(&url).await.unwrap();
    watchdog::install(&url, Duration::from_secs(1)).await.unwrap();

    // a second one is not let in, and nobody is stopped while a connection is open
    watchdog::install(&url, Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(crate::embedded::is_alive(postgres.pid()));

    used.close().await.unwrap();
    eventually("the idle server stops", async || !crate::embedded::is_alive(postgres.pid())).await;
}

#[test]
fn an_address_gets_another_database_and_keeps_the_rest() {
    assert_eq!(
        with_database("postgres://me@%2Frun:5432/a?sslmode=disable", "b"),
        "postgres://me@%2Frun:5432/b?sslmode=disable"
    );
    assert_eq!(with_database("postgres://me:secret@host", "b"), "postgres://me:secret@host/b");
}
