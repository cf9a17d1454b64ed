//! Zones: few, changed seldom, read whole at start.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, RegionId, ZoneId};
use posthaste_domain::zone::Zone;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{StorageError, constraint};
use crate::idempotency::IdempotencyRecord;
use crate::pool::Pool;

/// A zone as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The zone.
    pub zone: Zone,
    /// When it was removed.
    pub deleted_at: Option<Timestamp>,
}

/// Why a zone was not written.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// Another zone has the name.
    #[error("another zone has this name")]
    NameTaken,
    /// A request with the same idempotency key was answered before.
    #[error("the idempotency key was used before")]
    IdempotencyKeyUsed,
    /// The zone is not at the expected version, was removed, or never was.
    #[error("the zone is not at the expected version")]
    VersionConflict,
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for ZoneError {
    fn from(error: sqlx::Error) -> Self {
        match constraint(&error) {
            Some("zones_name_unique") => Self::NameTaken,
            Some("idempotency_keys_pkey") => Self::IdempotencyKeyUsed,
            _ => Self::Storage(error.into()),
        }
    }
}

struct Row {
    id: Uuid,
    region_id: Uuid,
    name: String,
    area: Json<Value>,
    rules: Json<Value>,
    travel: Json<Value>,
    created_at: Timestamp,
    version: i64,
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for Stored {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        fn read<T: DeserializeOwned>(id: ZoneId, value: Value) -> Result<T, StorageError> {
            serde_json::from_value(value).map_err(|e| StorageError::corrupt(format!("zone {id}"), e))
        }
        let id = ZoneId::from_uuid(row.id);
        let zone = Zone {
            id,
            region: RegionId::from_uuid(row.region_id),
            name: row.name,
            area: row.area.0,
            rules: read(id, row.rules.0)?,
            travel: read(id, row.travel.0)?,
            created_at: row.created_at,
            version: u64::try_from(row.version).map_err(|e| StorageError::corrupt(format!("zone {id}"), e))?,
        };
        Ok(Self { zone, deleted_at: row.deleted_at })
    }
}

/// Every zone that is served, by id.
pub async fn served(pool: &Pool) -> Result<Vec<Zone>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, region_id, name, area AS "area: Json<Value>", rules AS "rules: Json<Value>",
            travel AS "travel: Json<Value>", created_at, version, deleted_at
        FROM zones WHERE deleted_at IS NULL ORDER BY id"#,
    )
    .fetch_all(&pool.0)
    .await?;
    rows.into_iter().map(|row| Stored::try_from(row).map(|stored| stored.zone)).collect()
}

/// One zone, removed or not.
pub async fn get(pool: &Pool, id: ZoneId) -> Result<Option<Stored>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, region_id, name, area AS "area: Json<Value>", rules AS "rules: Json<Value>",
            travel AS "travel: Json<Value>", created_at, version, deleted_at
        FROM zones WHERE id = $1"#,
        id.uuid(),
    )
    .fetch_optional(&pool.0)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Adds a zone, and keeps the answer of the request that asked for it in the same commit.
pub async fn insert(pool: &Pool, zone: &Zone, answer: Option<&IdempotencyRecord>) -> Result<(), ZoneError> {
    let mut transaction = pool.0.begin().await?;
    sqlx::query!(
        "INSERT INTO zones (id, version, created_at, name, area, rules, travel, region_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        zone.id.uuid(),
        i64::try_from(zone.version).unwrap_or(i64::MAX),
        zone.created_at,
        zone.name,
        zone.area,
        Json(zone.rules) as _,
        Json(zone.travel) as _,
        zone.region.uuid(),
    )
    .execute(&mut *transaction)
    .await?;
    if let Some(answer) = answer {
        crate::idempotency::keep(&mut transaction, answer).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Replaces name, area, rules and travel of a zone that stands at `expected_version`; `zone.version` is the new one.
pub async fn update(pool: &Pool, expected_version: u64, zone: &Zone) -> Result<(), ZoneError> {
    let done = sqlx::query!(
        "UPDATE zones SET version = $3, name = $4, area = $5, rules = $6, travel = $7
        WHERE id = $1 AND version = $2 AND deleted_at IS NULL",
        zone.id.uuid(),
        i64::try_from(expected_version).unwrap_or(i64::MAX),
        i64::try_from(zone.version).unwrap_or(i64::MAX),
        zone.name,
        zone.area,
        Json(zone.rules) as _,
        Json(zone.travel) as _,
    )
    .execute(&pool.0)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(ZoneError::VersionConflict) }
}

/// Removes a zone from service. Its row stays. True when it was served until now.
pub async fn delete(pool: &Pool, id: ZoneId, at: Timestamp) -> Result<bool, ZoneError> {
    let done = sqlx::query!(
        "UPDATE zones SET deleted_at = $2, version = version + 1 WHERE id = $1 AND deleted_at IS NULL",
        id.uuid(),
        at,
    )
    .execute(&pool.0)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes zones as they stand elsewhere, under the same ids and versions, and removes those in `gone` from service: all in
/// one commit. Names may have changed hands among them.
pub async fn mirror(pool: &Pool, zones: &[Zone], gone: &[ZoneId], at: Timestamp) -> Result<(), ZoneError> {
    let mut transaction = pool.0.begin().await?;
    let ids = |zones: &mut dyn Iterator<Item = ZoneId>| zones.map(|id| id.uuid()).collect::<Vec<_>>();
    let (changed, gone) = (ids(&mut zones.iter().map(|zone| zone.id)), ids(&mut gone.iter().copied()));
    sqlx::query!("UPDATE zones SET deleted_at = $2 WHERE id = ANY($1) AND deleted_at IS NULL", &gone, at)
        .execute(&mut *transaction)
        .await?;
    // Until each has its own again: a name may be another's now.
    sqlx::query!("UPDATE zones SET name = id::text WHERE id = ANY($1)", &changed).execute(&mut *transaction).await?;
    for zone in zones {
        sqlx::query!(
            "INSERT INTO zones (id, version, created_at, name, area, rules, travel, region_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT ON CONSTRAINT zones_pkey DO UPDATE SET version = excluded.version, name = excluded.name,
                area = excluded.area, rules = excluded.rules, travel = excluded.travel, region_id = excluded.region_id,
                deleted_at = NULL",
            zone.id.uuid(),
            i64::try_from(zone.version).unwrap_or(i64::MAX),
            zone.created_at,
            zone.name,
            zone.area,
            Json(zone.rules) as _,
            Json(zone.travel) as _,
            zone.region.uuid(),
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}
