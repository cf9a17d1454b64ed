//! Positions and tracks.

use posthaste_domain::place::Place;

use super::story::{at, id};
use crate::positions::{self, Position};
use crate::testing::TestDatabase;
use crate::tracks::{self, DAYS_AHEAD};

const DAY: i64 = 24 * 60;

fn position(driver: u128, minute: i64, lat: f64) -> Position {
    Position {
        driver: id(driver),
        place: Place::new(lat, 13.0).expect("a place"),
        at: at(minute),
        received_at: at(minute + 1),
        heading_degrees: Some(90.5),
        speed_meters_per_second: None,
    }
}

async fn partitions(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'tracks'::regclass ORDER BY 1",
    )
    .fetch_all(&database.pool.0)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_newer_device_time_wins_in_the_batch_and_over_what_is_stored() {
    let pool = TestDatabase::new().await.pool;
    let batch = [position(1, 5, 1.0), position(1, 9, 2.0), position(1, 7, 3.0), position(2, 1, 4.0)];
    assert_eq!(positions::checkpoint(&pool, &batch).await.unwrap(), 2);
    assert_eq!(positions::checkpoint(&pool, &[position(1, 8, 5.0), position(2, 2, 6.0)]).await.unwrap(), 1);
    assert_eq!(positions::all(&pool).await.unwrap(), [position(1, 9, 2.0), position(2, 2, 6.0)]);
    assert_eq!(positions::get(&pool, id(2)).await.unwrap(), Some(position(2, 2, 6.0)));
    assert_eq!(positions::get(&pool, id(3)).await.unwrap(), None);
    assert_eq!(positions::checkpoint(&pool, &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_batch_of_track_points_may_be_sent_twice() {
    let pool = TestDatabase::new().await.pool;
    tracks::maintain(&pool, at(0), 30).await.unwrap();
    let batch = [position(1, 0, 1.0), position(1, 1, 2.0), position(1, 1, 2.0), position(2, 0, 3.0)];
    assert_eq!(tracks::append(&pool, &batch).await.unwrap(), 3);
    assert_eq!(tracks::append(&pool, &batch).await.unwrap(), 0);
    let track = tracks::of_driver(&pool, id(1), at(0), at(1), 10).await.unwrap();
    assert_eq!(track.iter().map(|p| p.at).collect::<Vec<_>>(), [at(0)], "the end lies outside");
    assert_eq!(tracks::of_driver(&pool, id(1), at(0), at(2), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn days_are_made_ahead_and_dropped_when_old() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let first = tracks::maintain(pool, at(0), 2).await.unwrap();
    assert_eq!((first.made, first.dropped), (DAYS_AHEAD + 1, 0));
    assert_eq!(tracks::maintain(pool, at(600), 2).await.unwrap().made, 0, "running it again does nothing");
    let expected = ["tracks_20261120", "tracks_20261121", "tracks_20261122", "tracks_20261123", "tracks_odd"];
    assert_eq!(partitions(&database).await, expected);
    let points: Vec<_> = (0..3).map(|day| position(1, day * DAY, 1.0)).collect();
    tracks::append(pool, &points).await.unwrap();
    let later = tracks::maintain(pool, at(3 * DAY), 2).await.unwrap();
    assert_eq!((later.made, later.dropped), (3, 1));
    let left = tracks::of_driver(pool, id(1), at(0), at(9 * DAY), 10).await.unwrap();
    assert_eq!(left.iter().map(|p| p.at).collect::<Vec<_>>(), [at(DAY), at(2 * DAY)]);
}

#[tokio::test]
async fn points_of_odd_days_are_kept_and_find_their_day_later() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    tracks::maintain(pool, at(0), 30).await.unwrap();
    // A device four days ahead, one of last year.
    let odd = [position(1, 4 * DAY, 1.0), position(1, -365 * DAY, 2.0)];
    assert_eq!(tracks::append(pool, &odd).await.unwrap(), 2);
    tracks::maintain(pool, at(DAY), 30).await.unwrap();
    assert_eq!(tracks::of_driver(pool, id(1), at(0), at(9 * DAY), 10).await.unwrap().len(), 1);
    let stray: i64 = sqlx::query_scalar("SELECT count(*) FROM tracks_odd").fetch_one(&pool.0).await.unwrap();
    assert_eq!(stray, 0, "the early one moved into its day, the old one went with its age");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_may_maintain_at_once() {
    let database = TestDatabase::new().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let pool = database.pool.clone();
        running.spawn(async move { tracks::maintain(&pool, at(0), 30).await.unwrap().made });
    }
    let made: u64 = running.join_all().await.into_iter().sum();
    assert_eq!(made, DAYS_AHEAD + 1);
}
