//! Drivers as registered, and what happened to them. Written through the [journal](crate::journal).

use posthaste_domain::Timestamp;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, Id, RegionId, TaskId, ZoneId};
use posthaste_domain::order::Speed;
use posthaste_domain::party::Party;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::StorageError;
use crate::pool::Pool;

/// What happened to a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DriverEvent {
    /// The driver was registered.
    Registered,
    /// Name, vehicle, capacity, zones or speeds changed.
    ProfileChanged,
    /// The driver went on shift, on a break, or off.
    ShiftChanged {
        /// The shift from then on.
        shift: Shift,
        /// The id of the command that did it, where it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// The driver said which stop they do next, or took that back.
    NextChosen {
        /// The stop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The id of the command that did it, where it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
}

impl DriverEvent {
    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::ProfileChanged => "profile_changed",
            Self::ShiftChanged { .. } => "shift_changed",
            Self::NextChosen { .. } => "next_chosen",
        }
    }
}

/// An event with its place in the driver's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverRecorded {
    /// 1 for the first event of the driver, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Party,
    /// What.
    pub event: DriverEvent,
}

/// Which drivers a list shows. Everything that is set must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// They serve the zone.
    pub zone: Option<ZoneId>,
    /// They are on shift (a break counts), or are not.
    pub on_shift: Option<bool>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The drivers, by id, newest first.
    pub drivers: Vec<Driver>,
    /// Where the next page goes on; `None` on the last.
    pub next: Option<DriverId>,
}

struct Row {
    id: Uuid,
    version: i64,
    created_at: Timestamp,
    shift_until: Option<Timestamp>,
    next_task: Option<Uuid>,
    capacity: i32,
    name: String,
    vehicle: String,
    shift: String,
    zones: Vec<Uuid>,
    speeds: Vec<String>,
    region_id: Uuid,
}

impl TryFrom<Row> for Driver {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let id = DriverId::from_uuid(row.id);
        let what = || format!("driver {id}");
        let until = row.shift_until;
        let shift = match row.shift.as_str() {
            "offline" => Shift::Offline,
            "available" => Shift::Available { until },
            "on_break" => Shift::OnBreak { until },
            other => return Err(StorageError::corrupt(what(), format!("unknown shift {other}"))),
        };
        let speeds = row.speeds.iter().map(|name| match name.as_str() {
            "fast" => Ok(Speed::Fast),
            "slow" => Ok(Speed::Slow),
            other => Err(StorageError::corrupt(what(), format!("unknown speed {other}"))),
        });
        Ok(Self {
            id,
            name: row.name,
            vehicle: vehicle(&row.vehicle)
                .ok_or_else(|| StorageError::corrupt(what(), format!("unknown vehicle {}", row.vehicle)))?,
            capacity: u32::try_from(row.capacity).map_err(|e| StorageError::corrupt(what(), e))?,
            zones: row.zones.into_iter().map(ZoneId::from_uuid).collect(),
            speeds: speeds.collect::<Result<_, _>>()?,
            shift,
            next_task: row.next_task.map(TaskId::from_uuid),
            region: RegionId::from_uuid(row.region_id),
            created_at: row.created_at,
            version: u64::try_from(row.version).map_err(|e| StorageError::corrupt(what(), e))?,
        })
    }
}

const VEHICLES: [Vehicle; 5] = [Vehicle::Foot, Vehicle::Bicycle, Vehicle::Motorbike, Vehicle::Car, Vehicle::Van];

pub(crate) fn vehicle_name(vehicle: Vehicle) -> &'static str {
    match vehicle {
        Vehicle::Foot => "foot",
        Vehicle::Bicycle => "bicycle",
        Vehicle::Motorbike => "motorbike",
        Vehicle::Car => "car",
        Vehicle::Van => "van",
    }
}

fn vehicle(name: &str) -> Option<Vehicle> {
    VEHICLES.into_iter().find(|vehicle| vehicle_name(*vehicle) == name)
}

/// One driver.
pub async fn get(pool: &Pool, id: DriverId) -> Result<Option<Driver>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, version, created_at, shift_until, next_task, capacity, name, vehicle, shift, zones, speeds, region_id
        FROM drivers WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(&pool.0)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Every driver on shift, breaks included, by id.
pub async fn on_shift(pool: &Pool) -> Result<Vec<Driver>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, version, created_at, shift_until, next_task, capacity, name, vehicle, shift, zones, speeds, region_id
        FROM drivers WHERE shift <> 'offline' ORDER BY id",
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Every driver on shift, with how many events made their record.
pub async fn versions_on_shift(pool: &Pool) -> Result<Vec<(DriverId, u64)>, StorageError> {
    let rows = sqlx::query!("SELECT id, version FROM drivers WHERE shift <> 'offline'").fetch_all(&pool.0).await?;
    let of = |id, version| (DriverId::from_uuid(id), u64::try_from(version).unwrap_or_default());
    Ok(rows.into_iter().map(|row| of(row.id, row.version)).collect())
}

/// A page of at most `limit` drivers (at least 1), newest first, with ids below `before`.
pub async fn list(
    pool: &Pool,
    filter: ListFilter,
    before: Option<DriverId>,
    limit: u32,
) -> Result<Listed, StorageError> {
    let limit = limit.max(1);
    let before = before.map_or(Uuid::max(), Id::uuid);
    let more = i64::from(limit) + 1;
    let zones: Vec<Uuid> = filter.zone.map(Id::uuid).into_iter().collect();
    let rows = match (zones.is_empty(), filter.on_shift) {
        (true, Some(true)) => {
            sqlx::query_as!(
                Row,
                "SELECT id, version, created_at, shift_until, next_task, capacity, name, vehicle, shift, zones, speeds, region_id
            FROM drivers WHERE shift <> 'offline' AND id < $1 ORDER BY id DESC LIMIT $2",
                before,
                more,
            )
            .fetch_all(&pool.0)
            .await?
        }
        (true, on_shift) => {
            sqlx::query_as!(
                Row,
                "SELECT id, version, created_at, shift_until, next_task, capacity, name, vehicle, shift, zones, speeds, region_id
            FROM drivers WHERE id < $1 AND ($3::boolean IS NULL OR (shift <> 'offline') = $3)
            ORDER BY id DESC LIMIT $2",
                before,
                more,
                on_shift,
            )
            .fetch_all(&pool.0)
            .await?
        }
        (false, on_shift) => {
            sqlx::query_as!(
                Row,
                "SELECT id, version, created_at, shift_until, next_task, capacity, name, vehicle, shift, zones, speeds, region_id
            FROM drivers WHERE id < $1 AND zones @> $4 AND ($3::boolean IS NULL OR (shift <> 'offline') = $3)
            ORDER BY id DESC LIMIT $2",
                before,
                more,
                on_shift,
                &zones,
            )
            .fetch_all(&pool.0)
            .await?
        }
    };
    let mut drivers = rows.into_iter().map(TryInto::try_into).collect::<Result<Vec<Driver>, _>>()?;
    let is_last = drivers.len() <= limit as usize;
    drivers.truncate(limit as usize);
    let next = drivers.last().filter(|_| !is_last).map(|driver| driver.id);
    Ok(Listed { drivers, next })
}

struct EventRow {
    seq: i64,
    at: Timestamp,
    by: String,
    payload: String,
}

impl TryFrom<EventRow> for DriverRecorded {
    type Error = Box<dyn std::error::Error + Send + Sync>;
    fn try_from(row: EventRow) -> Result<Self, Self::Error> {
        let event = serde_json::from_str(&row.payload)?;
        Ok(Self { seq: row.seq.try_into()?, at: row.at, by: row.by.parse()?, event })
    }
}

/// When a command of this id was done, after event `after_seq` of the driver; nothing where none was.
pub async fn done_under(
    pool: &Pool,
    id: DriverId,
    after_seq: u64,
    command: &str,
) -> Result<Option<Timestamp>, StorageError> {
    let at = sqlx::query_scalar!(
        r#"SELECT at FROM driver_events WHERE driver_id = $1 AND seq > $2 AND payload ->> 'command' = $3
        ORDER BY seq DESC LIMIT 1"#,
        id.uuid(),
        i64::try_from(after_seq).unwrap_or(i64::MAX),
        command,
    )
    .fetch_optional(&pool.0)
    .await?;
    Ok(at)
}

/// What happened to a driver after event `after_seq` (0 for all): their shifts among it.
pub async fn history(pool: &Pool, id: DriverId, after_seq: u64) -> Result<Vec<DriverRecorded>, StorageError> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"SELECT seq, at, by, payload::text AS "payload!" FROM driver_events
        WHERE driver_id = $1 AND seq > $2 ORDER BY seq"#,
        id.uuid(),
        i64::try_from(after_seq).unwrap_or(i64::MAX),
    )
    .fetch_all(&pool.0)
    .await?;
    recorded(id, rows)
}

/// What happened to a driver before event `before_seq`, newest first, at most `limit` events.
pub async fn history_before(
    pool: &Pool,
    id: DriverId,
    before_seq: u64,
    limit: u32,
) -> Result<Vec<DriverRecorded>, StorageError> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"SELECT seq, at, by, payload::text AS "payload!" FROM driver_events
        WHERE driver_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"#,
        id.uuid(),
        i64::try_from(before_seq).unwrap_or(i64::MAX),
        i64::from(limit),
    )
    .fetch_all(&pool.0)
    .await?;
    recorded(id, rows)
}

fn recorded(id: DriverId, rows: Vec<EventRow>) -> Result<Vec<DriverRecorded>, StorageError> {
    rows.into_iter()
        .map(|row| {
            let what = format!("event {} of {id}", row.seq);
            row.try_into().map_err(|e: Box<dyn std::error::Error + Send + Sync>| StorageError::corrupt(what, e))
        })
        .collect()
}
