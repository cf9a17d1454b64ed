//! The shared server, its watchdog, and private servers, for real.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::{Cut, Relay, Schema, TestServer, causes, watchdog, with_database};

/// A schema of one table.
struct Small;

impl Schema for Small {
    fn fingerprint(&self) -> u64 {
        1
    }

    async fn fill(&self, url: &str) -> Result<(), String> {
        let mut connection = PgConnection::connect(url).await.map_err(|error| causes(&error))?;
        let table = sqlx::query("CREATE TABLE mine (number int)").execute(&mut connection).await;
        table.map(drop).map_err(|error| causes(&error))?;
        connection.close().await.map_err(|error| causes(&error))
    }
}

/// A database of this schema, with its address.
async fn small() -> (PgConnection, String) {
    let open = async |url: String| {
        let connection = PgConnection::connect(&url).await.map_err(|error| causes(&error))?;
        Ok((connection, url))
    };
    super::database(&Small, open).await
}

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
    small().await;
    let began = Instant::now();
    let tasks: Vec<_> = (0..50)
        .map(|number: i32| {
            tokio::spawn(async move {
                let (mut connection, url) = small().await;
                sqlx::query("INSERT INTO mine VALUES ($1)").bind(number).execute(&mut connection).await.unwrap();
                let numbers: Vec<i32> =
                    sqlx::query_scalar("SELECT number FROM mine").fetch_all(&mut connection).await.unwrap();
                assert_eq!(numbers, [number]);
                url
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
async fn a_relay_breaks_the_statement_that_it_waits_for_and_no_other() {
    let (mut direct, url) = small().await;
    let (relay, through) = Relay::before(&url).await;
    for (when, done) in [(Cut::Before, 0), (Cut::After, 1)] {
        let mut connection = PgConnection::connect(&through).await.unwrap();
        relay.cut("INSERT INTO mine", when);
        sqlx::query("SELECT 1").execute(&mut connection).await.unwrap();
        let broken = sqlx::raw_sql("INSERT INTO mine VALUES (1)").execute(&mut connection).await;
        assert!(matches!(broken, Err(sqlx::Error::Io(_))), "{broken:?}");
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM mine").fetch_one(&mut direct).await.unwrap();
        assert_eq!(count, done, "{when:?}");
    }
    assert_eq!(relay.cuts(), 2);
}

#[tokio::test]
async fn a_private_server_keeps_data_and_address_through_a_stop_and_a_kill() {
    let mut server = TestServer::private().await;
    let url = server.url().to_owned();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE kept (number int)").execute(&mut connection).await.unwrap();

    server.stop().await;
    assert!(connection.ping().await.is_err());
    server.start().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("INSERT INTO kept VALUES (1)").execute(&mut connection).await.unwrap();

    server.kill().await;
    server.start().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut connection).await.unwrap();
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
    let postgres = crate::EmbeddedPostgres::start(server.options.clone()).await.unwrap();
    let url = with_database(postgres.url(), "postgres");
    let used = PgConnection::connect(&url).await.unwrap();
    watchdog::install(&url, Duration::from_secs(1)).await.unwrap();

    // a second one is not let in, and nobody is stopped while a connection is open
    watchdog::install(&url, Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(crate::is_alive(postgres.pid()));

    used.close().await.unwrap();
    eventually("the idle server stops", async || !crate::is_alive(postgres.pid())).await;
}

#[test]
fn an_address_gets_another_database_and_keeps_the_rest() {
    assert_eq!(
        with_database("postgres://me@%2Frun:5432/a?sslmode=disable", "b"),
        "postgres://me@%2Frun:5432/b?sslmode=disable"
    );
    assert_eq!(with_database("postgres://me:secret@host", "b"), "postgres://me:secret@host/b");
}
