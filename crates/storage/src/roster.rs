//! The roster: shifts that drivers are planned to work. Written where it is, as it stands alone.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id, ShiftId};
use posthaste_domain::place::Place;
use posthaste_domain::roster::PlannedShift;
use posthaste_domain::window::Window;
use uuid::Uuid;

use crate::error::{StorageError, constraint};
use crate::idempotency::IdempotencyRecord;
use crate::pool::Pool;

/// Planned shifts of a driver that are listed, at most.
pub const MOST_LISTED: i64 = 500;

/// Why a shift was not planned.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The driver is planned for another shift then.
    #[error("the driver is planned for another shift then")]
    Overlaps,
    /// There is no such driver.
    #[error("there is no such driver")]
    NoSuchDriver,
    /// A request with the same idempotency key was answered before.
    #[error("the idempotency key was used before")]
    IdempotencyKeyUsed,
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for RosterError {
    fn from(error: sqlx::Error) -> Self {
        match constraint(&error) {
            Some("planned_shifts_no_overlap") => Self::Overlaps,
            Some("planned_shifts_driver") => Self::NoSuchDriver,
            Some("idempotency_keys_pkey") => Self::IdempotencyKeyUsed,
            _ => Self::Storage(error.into()),
        }
    }
}

struct Row {
    id: Uuid,
    driver_id: Uuid,
    starts: Timestamp,
    ends: Timestamp,
    lat: Option<f64>,
    lng: Option<f64>,
    created_at: Timestamp,
}

impl TryFrom<Row> for PlannedShift {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let id = ShiftId::from_uuid(row.id);
        let what = || format!("planned shift {id}");
        let place = row.lat.zip(row.lng).map(|(lat, lng)| Place::new(lat, lng)).transpose();
        Ok(Self {
            id,
            driver: DriverId::from_uuid(row.driver_id),
            during: Window::new(row.starts, row.ends).map_err(|e| StorageError::corrupt(what(), e))?,
            place: place.map_err(|e| StorageError::corrupt(what(), e))?,
            created_at: row.created_at,
        })
    }
}

/// Plans a shift, and keeps the answer of the request that asked for it in the same commit.
pub async fn insert(pool: &Pool, shift: &PlannedShift, answer: Option<&IdempotencyRecord>) -> Result<(), RosterError> {
    let mut transaction = pool.0.begin().await?;
    sqlx::query!(
        "INSERT INTO planned_shifts (id, driver_id, during, lat, lng, created_at)
        VALUES ($1, $2, tstzrange($3, $4), $5, $6, $7)",
        shift.id.uuid(),
        shift.driver.uuid(),
        shift.during.start(),
        shift.during.end(),
        shift.place.map(Place::lat),
        shift.place.map(Place::lng),
        shift.created_at,
    )
    .execute(&mut *transaction)
    .await?;
    if let Some(answer) = answer {
        crate::idempotency::keep(&mut transaction, answer).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Shifts that end after a time, of everybody, the first to end first.
pub async fn ending_after(pool: &Pool, after: Timestamp) -> Result<Vec<PlannedShift>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, driver_id, lower(during) AS "starts!", upper(during) AS "ends!", lat, lng, created_at
        FROM planned_shifts WHERE upper(during) > $1 ORDER BY upper(during), id"#,
        after,
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// A driver's shifts that end after a time, the first to end first, [`MOST_LISTED`] at most.
pub async fn of_driver(pool: &Pool, driver: DriverId, after: Timestamp) -> Result<Vec<PlannedShift>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, driver_id, lower(during) AS "starts!", upper(during) AS "ends!", lat, lng, created_at
        FROM planned_shifts WHERE driver_id = $1 AND upper(during) > $2 ORDER BY upper(during), id LIMIT $3"#,
        driver.uuid(),
        after,
        MOST_LISTED,
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// A driver's shifts with ids below `before`, newest first, those that are over too, at most `limit`.
pub async fn before(
    pool: &Pool,
    driver: DriverId,
    before: Uuid,
    limit: u32,
) -> Result<Vec<PlannedShift>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, driver_id, lower(during) AS "starts!", upper(during) AS "ends!", lat, lng, created_at
        FROM planned_shifts WHERE driver_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        driver.uuid(),
        before,
        i64::from(limit),
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Takes a shift of a driver's off the roster. True when it was on it.
pub async fn delete(pool: &Pool, driver: DriverId, shift: ShiftId) -> Result<bool, StorageError> {
    let (id, driver) = (shift.uuid(), driver.uuid());
    let done = sqlx::query!("DELETE FROM planned_shifts WHERE id = $1 AND driver_id = $2", id, driver);
    Ok(done.execute(&pool.0).await?.rows_affected() == 1)
}

/// Forgets shifts that ended before `oldest`; says how many.
pub async fn forget_before(pool: &Pool, oldest: Timestamp) -> Result<u64, StorageError> {
    let done = sqlx::query!("DELETE FROM planned_shifts WHERE upper(during) < $1", oldest).execute(&pool.0).await?;
    Ok(done.rows_affected())
}
