//! Positions on their way into the database: one device never costs another its own.

use std::time::Duration;

use axum::http::StatusCode;
use posthaste_clock::testing::eventually_within;
use posthaste_domain::ids::DriverId;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::positions::Position;
use posthaste_storage::tracks::TrackPoint;
use serde_json::json;

use crate::sockets::Server;
use crate::stage::{Stage, driver_token};

/// How long anything may take: the machine may be busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(40);
/// Long before any device.
const ANOTHER_AGE: &str = "-100000-01-01T00:00:00Z";

async fn stored(stage: &Stage, driver: &str, holds: impl Fn(&Position) -> bool) -> Position {
    let driver: DriverId = driver.parse().unwrap();
    eventually_within(PATIENCE, "such a position is stored", async || {
        posthaste_storage::positions::get(&stage.database.pool, driver).await.unwrap().filter(&holds)
    })
    .await
}

async fn track(stage: &Stage, driver: &str) -> Vec<TrackPoint> {
    let now = stage.app.system().clock().now();
    let (from, to) = (now - Span::days(10_000), now + Span::days(1));
    posthaste_storage::tracks::of_driver(&stage.database.pool, driver.parse().unwrap(), from, to, 100).await.unwrap()
}

async fn tracked(stage: &Stage, driver: &str, count: usize) {
    eventually_within(PATIENCE, "so many points of a track", async || {
        (track(stage, driver).await.len() == count).then_some(())
    })
    .await;
}

async fn change(stage: &Stage, statement: &'static str) {
    sqlx::query(statement).execute(stage.database.pool.connections()).await.unwrap();
}

async fn saved_clock(stage: &Stage) -> Timestamp {
    posthaste_storage::clock::load(&stage.database.pool).await.unwrap().unwrap()
}

/// Two checkpoints begin: the first of them ends.
async fn a_whole_checkpoint(stage: &Stage) {
    for _ in 0..2 {
        let before = saved_clock(stage).await;
        eventually_within(PATIENCE, "the clock is saved", async || (saved_clock(stage).await != before).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_another_age_is_stored_as_ours_and_costs_nobody_anything() {
    let server = Server::new().await;
    let (odd, mut odd_socket) = server.driver("Odd Clock").await;
    let (honest, mut honest_socket) = server.driver("Grace Hopper").await;
    odd_socket.say("position", Some("p1"), json!({"lat": 52.5, "lng": 13.4, "at": ANOTHER_AGE})).await;
    let ack = odd_socket.answer("p1").await;
    assert_eq!((&ack["type"], &ack["data"]["changed"]), (&json!("ack"), &json!(true)), "{ack}");
    assert!(ack["data"]["positions"]["clock_behind_seconds"].as_i64() > Some(1_000_000_000), "{ack}");

    honest_socket.say("position", Some("p3"), json!({"lat": 52.51, "lng": 13.41})).await;
    assert_eq!(honest_socket.answer("p3").await["data"]["changed"], true);
    stored(&server.stage, &honest, |p| p.place.lat() == 52.51).await;
    let ours = stored(&server.stage, &odd, |p| p.place.lat() == 52.5).await;
    let now = server.stage.app.system().clock().now();
    assert!((now - ours.at).abs() < Span::minutes(2), "{ours:?}");
    a_whole_checkpoint(&server.stage).await;

    // Out of the tunnel, with ones of wrong clocks among them: the others are stored.
    let now = server.stage.app.system().clock().now();
    let old = json!({"lat": 52.501, "lng": 13.4, "at": ANOTHER_AGE});
    let batch = json!({"positions": [old, {"lat": 52.52, "lng": 13.4, "at": now - Span::minutes(5)},
        {"lat": 52.521, "lng": 13.4, "at": now - Span::minutes(4)}, {"lat": 52.522, "lng": 13.4, "at": now - Span::minutes(3)},
        {"lat": 52.53, "lng": 13.4, "at": "1970-01-01T00:00:00Z"}]});
    odd_socket.say("positions", Some("p4"), batch).await;
    let ack = odd_socket.answer("p4").await;
    assert_eq!(ack["data"]["changed"], true, "{ack}");
    let lats: Vec<_> = track(&server.stage, &odd).await.iter().map(|p| p.place.lat()).collect();
    assert!(lats.contains(&52.52) && !lats.contains(&52.501) && !lats.contains(&52.53), "{lats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_rest_too_a_clock_of_another_age_counts_as_ours() {
    let stage = Stage::new().await;
    let driver = stage.driver("Odd Clock").await;
    let path = format!("/v1/drivers/{driver}/positions");
    let batch = json!({"positions": [{"lat": 52.5, "lng": 13.4, "at": ANOTHER_AGE}]});
    let answer = stage.post(&path, &driver_token(&driver), &batch).await;
    assert_eq!((answer.status, &answer.body["changed"]), (StatusCode::OK, &json!(true)), "{answer:?}");
    let now = stage.app.system().clock().now();
    let track = track(&stage, &driver).await;
    assert!(
        track.iter().any(|p| p.place.lat() == 52.5) && track.iter().all(|p| now - p.at < Span::minutes(2)),
        "{track:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_of_one_driver_costs_only_them() {
    let server = Server::new().await;
    for table in ["driver_positions", "tracks"] {
        let statement = format!("ALTER TABLE {table} ADD CONSTRAINT only_here CHECK (lat < 52.58)");
        change(&server.stage, String::leak(statement)).await;
    }
    let mut drivers = Vec::new();
    for n in 0..5 {
        drivers.push(server.driver(&format!("Driver {n}")).await);
    }
    for (n, (_, socket)) in drivers.iter_mut().enumerate() {
        let lat = if n == 2 { 52.59 } else { 52.55 };
        socket.say("position", None, json!({"lat": lat, "lng": 13.45})).await;
    }
    for (n, (driver, _)) in drivers.iter().enumerate().filter(|(n, _)| *n != 2) {
        stored(&server.stage, driver, |p| p.place.lat() == 52.55).await;
        eventually_within(PATIENCE, &format!("a track of driver {n}"), async || {
            track(&server.stage, driver).await.iter().any(|p| p.place.lat() == 52.55).then_some(())
        })
        .await;
    }
    a_whole_checkpoint(&server.stage).await;
    // What is sound is taken from them too.
    let (odd, socket) = &mut drivers[2];
    socket.say("position", None, json!({"lat": 52.56, "lng": 13.45})).await;
    stored(&server.stage, odd, |p| p.place.lat() == 52.56).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_of_a_track_that_could_not_be_written_are_written_later() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace Hopper").await;
    change(&server.stage, "ALTER TABLE tracks RENAME TO tracks_away").await;
    socket.say("position", Some("p1"), json!({"lat": 52.51, "lng": 13.41})).await;
    socket.answer("p1").await;
    a_whole_checkpoint(&server.stage).await;
    socket.say("position", Some("p2"), json!({"lat": 52.52, "lng": 13.42})).await;
    socket.answer("p2").await;
    change(&server.stage, "ALTER TABLE tracks_away RENAME TO tracks").await;
    // With the place at which they began.
    tracked(&server.stage, &driver, 3).await;
}
