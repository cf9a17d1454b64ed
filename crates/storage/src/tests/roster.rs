//! The roster: planned, read, dropped, forgotten.

use posthaste_domain::ids::DriverId;
use posthaste_domain::place::Place;
use posthaste_domain::roster::PlannedShift;
use posthaste_domain::window::Window;

use super::story::{answer, at, driver, id, registering, write};
use crate::idempotency;
use crate::pool::Pool;
use crate::roster::{self, RosterError};
use crate::testing::TestDatabase;

fn shift(n: u128, whose: u128, from: i64, to: i64) -> PlannedShift {
    let during = Window::new(at(from), at(to)).unwrap();
    PlannedShift { id: id(n), driver: id(whose), during, place: Place::new(52.5, 13.4).ok(), created_at: at(0) }
}

async fn with_drivers() -> (TestDatabase, Pool) {
    let database = TestDatabase::new().await;
    let pool = database.pool.clone();
    for n in [1, 2] {
        for written in write(&pool, &[registering(&driver(n))]).await {
            written.unwrap();
        }
    }
    (database, pool)
}

#[tokio::test]
async fn a_planned_shift_reads_back_and_two_of_a_driver_never_overlap() {
    let (_database, pool) = with_drivers().await;
    roster::insert(&pool, &shift(10, 1, 100, 200), Some(&answer("k"))).await.unwrap();
    let bare = PlannedShift { place: None, ..shift(11, 1, 200, 300) };
    roster::insert(&pool, &bare, None).await.expect("touching is not overlapping");
    roster::insert(&pool, &shift(12, 2, 100, 200), None).await.expect("another driver's");
    let overlapping = roster::insert(&pool, &shift(13, 1, 199, 201), Some(&answer("l"))).await;
    assert!(matches!(overlapping, Err(RosterError::Overlaps)), "{overlapping:?}");
    assert_eq!(idempotency::find(&pool, "mer_a", "l").await.unwrap(), None, "nothing of a refused request is kept");
    let again = roster::insert(&pool, &shift(14, 1, 400, 500), Some(&answer("k"))).await;
    assert!(matches!(again, Err(RosterError::IdempotencyKeyUsed)), "{again:?}");
    let stranger = roster::insert(&pool, &shift(15, 9, 100, 200), None).await;
    assert!(matches!(stranger, Err(RosterError::NoSuchDriver)), "{stranger:?}");
    let of = |whose: DriverId, after| roster::of_driver(&pool, whose, at(after));
    assert_eq!(of(id(1), 0).await.unwrap(), [shift(10, 1, 100, 200), bare]);
    assert_eq!(of(id(1), 200).await.unwrap(), [bare]);
    assert_eq!(roster::ending_after(&pool, at(150)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_shift_is_dropped_once_by_its_driver_and_old_ones_are_forgotten() {
    let (_database, pool) = with_drivers().await;
    for (n, from) in [(10, 100), (11, 300)] {
        roster::insert(&pool, &shift(n, 1, from, from + 100), None).await.unwrap();
    }
    assert!(!roster::delete(&pool, id(2), id(10)).await.unwrap(), "of another driver");
    assert!(roster::delete(&pool, id(1), id(11)).await.unwrap());
    assert!(!roster::delete(&pool, id(1), id(11)).await.unwrap());
    assert_eq!(roster::forget_before(&pool, at(200)).await.unwrap(), 0);
    assert_eq!(roster::forget_before(&pool, at(201)).await.unwrap(), 1);
}
