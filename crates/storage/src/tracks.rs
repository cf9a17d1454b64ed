//! Where drivers were: thinned positions in one partition a day, dropped when older than the retention.

use chrono::Days;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id};
use posthaste_domain::place::Place;

use crate::error::StorageError;
use crate::pool::Pool;
use crate::positions::{Columns, Position};

/// How many days ahead have their partition. One would do while maintenance runs daily; three forgive a weekend.
pub const DAYS_AHEAD: u64 = 3;

/// One point of a driver's track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackPoint {
    /// The device's own time.
    pub at: Timestamp,
    /// Where.
    pub place: Place,
    /// Direction of movement in degrees from north.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
}

struct Row {
    at: Timestamp,
    lat: f64,
    lng: f64,
    heading: Option<f32>,
    speed: Option<f32>,
}

impl Row {
    fn point(self, driver: DriverId) -> Result<TrackPoint, StorageError> {
        let place = Place::new(self.lat, self.lng);
        let place = place.map_err(|e| StorageError::corrupt(format!("track of {driver}"), e))?;
        let (heading_degrees, speed_meters_per_second) = (self.heading, self.speed);
        Ok(TrackPoint { at: self.at, place, heading_degrees, speed_meters_per_second })
    }
}

/// What maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Days that got a partition.
    pub made: u64,
    /// Days that were dropped.
    pub dropped: u64,
}

/// Appends positions in one statement. A position that is stored already (same driver, same device time) is
/// skipped, so a batch may be sent twice. Says how many are new.
pub async fn append(pool: &Pool, positions: &[Position]) -> Result<u64, StorageError> {
    if positions.is_empty() {
        return Ok(0);
    }
    let columns = Columns::of(positions);
    let done = sqlx::query!(
        "INSERT INTO tracks (driver_id, at, lat, lng, heading, speed)
        SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::float8[], $4::float8[], $5::real[], $6::real[])
            AS n (driver, at, lat, lng, heading, speed)
        ORDER BY driver, at
        ON CONFLICT DO NOTHING",
        &columns.driver,
        &columns.at,
        &columns.lat,
        &columns.lng,
        &columns.heading as &[Option<f32>],
        &columns.speed as &[Option<f32>],
    )
    .execute(&pool.0)
    .await?;
    Ok(done.rows_affected())
}

/// A driver's track from `from` (inside) to `to` (outside), oldest first, at most `limit` points.
pub async fn of_driver(
    pool: &Pool,
    driver: DriverId,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<TrackPoint>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT at, lat, lng, heading, speed FROM tracks
        WHERE driver_id = $1 AND at >= $2 AND at < $3 ORDER BY at LIMIT $4",
        driver.uuid(),
        from,
        to,
        i64::from(limit),
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(|row| row.point(driver)).collect()
}

/// A driver's track before an instant, newest first, at most `limit` points.
pub async fn before(
    pool: &Pool,
    driver: DriverId,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<TrackPoint>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT at, lat, lng, heading, speed FROM tracks WHERE driver_id = $1 AND at < $2 ORDER BY at DESC LIMIT $3",
        driver.uuid(),
        before,
        i64::from(limit),
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(|row| row.point(driver)).collect()
}

/// Forgets where a driver was, at most `most` points of it, oldest first; says how many.
pub async fn forget(pool: &Pool, driver: DriverId, most: u32) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM tracks WHERE driver_id = $1
            AND at IN (SELECT at FROM tracks WHERE driver_id = $1 ORDER BY at LIMIT $2)",
        driver.uuid(),
        i64::from(most),
    )
    .execute(&pool.0)
    .await?;
    Ok(done.rows_affected())
}

/// Makes the partitions of today and the next [`DAYS_AHEAD`] days, and drops what is older than `retention_days`.
/// To be run at start and once a day; running it more often does nothing.
pub async fn maintain(pool: &Pool, now: Timestamp, retention_days: u32) -> Result<Maintained, StorageError> {
    let today = now.date_naive();
    let mut made = 0;
    for ahead in 0..=DAYS_AHEAD {
        let Some(day) = today.checked_add_days(Days::new(ahead)) else { break };
        let new = sqlx::query_scalar!(r#"SELECT tracks_make_day($1) AS "made!""#, day).fetch_one(&pool.0).await?;
        made += u64::from(new);
    }
    let oldest = today.checked_sub_days(Days::new(u64::from(retention_days))).unwrap_or(today);
    let dropped =
        sqlx::query_scalar!(r#"SELECT tracks_drop_days_before($1) AS "dropped!""#, oldest).fetch_one(&pool.0).await?;
    Ok(Maintained { made, dropped: u64::try_from(dropped).unwrap_or_default() })
}
