//! The newest position of each driver. Not a history: see [`crate::tracks`].

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id};
use posthaste_domain::place::Place;
use uuid::Uuid;

use crate::error::StorageError;
use crate::pool::Pool;

/// Where a driver was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// The driver.
    pub driver: DriverId,
    /// Where.
    pub place: Place,
    /// The device's own time.
    pub at: Timestamp,
    /// When the server received it, in product time.
    pub received_at: Timestamp,
    /// Direction of movement in degrees from north.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
}

/// Positions as columns.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) driver: Vec<Uuid>,
    pub(crate) at: Vec<Timestamp>,
    pub(crate) received_at: Vec<Timestamp>,
    pub(crate) lat: Vec<f64>,
    pub(crate) lng: Vec<f64>,
    pub(crate) heading: Vec<Option<f32>>,
    pub(crate) speed: Vec<Option<f32>>,
}

impl Columns {
    pub(crate) fn of(positions: &[Position]) -> Self {
        let mut columns = Self::default();
        for position in positions {
            columns.driver.push(position.driver.uuid());
            columns.at.push(position.at);
            columns.received_at.push(position.received_at);
            columns.lat.push(position.place.lat());
            columns.lng.push(position.place.lng());
            columns.heading.push(position.heading_degrees);
            columns.speed.push(position.speed_meters_per_second);
        }
        columns
    }
}

struct Row {
    driver_id: Uuid,
    at: Timestamp,
    received_at: Timestamp,
    lat: f64,
    lng: f64,
    heading: Option<f32>,
    speed: Option<f32>,
}

impl TryFrom<Row> for Position {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let driver = DriverId::from_uuid(row.driver_id);
        let place =
            Place::new(row.lat, row.lng).map_err(|e| StorageError::corrupt(format!("position of {driver}"), e))?;
        Ok(Self {
            driver,
            place,
            at: row.at,
            received_at: row.received_at,
            heading_degrees: row.heading,
            speed_meters_per_second: row.speed,
        })
    }
}

/// Saves the newest positions in one statement. For each driver the newer device time wins, in the batch and
/// over what is stored. Says how many drivers moved.
pub async fn checkpoint(pool: &Pool, positions: &[Position]) -> Result<u64, StorageError> {
    if positions.is_empty() {
        return Ok(0);
    }
    let columns = Columns::of(positions);
    let done = sqlx::query!(
        "INSERT INTO driver_positions AS p (driver_id, at, received_at, lat, lng, heading, speed)
        SELECT u.* FROM (
            SELECT DISTINCT ON (driver) *
            FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::float8[], $5::float8[], $6::real[],
                $7::real[]) AS n (driver, at, received_at, lat, lng, heading, speed)
            ORDER BY driver, at DESC) AS u
        ON CONFLICT ON CONSTRAINT driver_positions_pkey DO UPDATE SET
            at = excluded.at, received_at = excluded.received_at, lat = excluded.lat, lng = excluded.lng,
            heading = excluded.heading, speed = excluded.speed
        WHERE p.at < excluded.at",
        &columns.driver,
        &columns.at,
        &columns.received_at,
        &columns.lat,
        &columns.lng,
        &columns.heading as &[Option<f32>],
        &columns.speed as &[Option<f32>],
    )
    .execute(&pool.0)
    .await?;
    Ok(done.rows_affected())
}

/// The newest position of every driver who ever sent one.
pub async fn all(pool: &Pool) -> Result<Vec<Position>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT driver_id, at, received_at, lat, lng, heading, speed FROM driver_positions ORDER BY driver_id",
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The newest position of one driver.
pub async fn get(pool: &Pool, driver: DriverId) -> Result<Option<Position>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT driver_id, at, received_at, lat, lng, heading, speed FROM driver_positions WHERE driver_id = $1",
        driver.uuid(),
    )
    .fetch_optional(&pool.0)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Forgets where a driver is.
pub async fn forget(pool: &Pool, driver: DriverId) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM driver_positions WHERE driver_id = $1", driver.uuid()).execute(&pool.0).await?;
    Ok(())
}
