//! The audit log in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AuditId, Id};
use posthaste_protocol::accounts::AuditEntryView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Entry, Origin};

/// Writes an entry, in the transaction of what it tells of.
pub(crate) async fn add(
    connection: &mut PgConnection,
    id: AuditId,
    at: Timestamp,
    origin: &Origin,
    entry: &Entry,
) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO audit_log (id, at, act, actor, subject, address, request_id, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.uuid(),
        at,
        entry.act,
        entry.actor,
        entry.subject,
        origin.address.to_string(),
        origin.request_id,
        entry.details,
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    at: Timestamp,
    act: String,
    actor: String,
    subject: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    details: Json<Value>,
}

impl From<Row> for AuditEntryView {
    fn from(row: Row) -> Self {
        Self {
            id: AuditId::from_uuid(row.id),
            at: row.at,
            act: row.act,
            actor: row.actor,
            subject: row.subject,
            address: row.address,
            request_id: row.request_id.filter(|id| !id.is_empty()),
            details: row.details.0,
        }
    }
}

/// Entries before a place in the log, newest first, of all or on one subject.
pub(crate) async fn list(
    pool: &Pool,
    subject: Option<&str>,
    before: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<AuditEntryView>, StorageError> {
    let (at, id) = before;
    let rows = match subject {
        Some(subject) => {
            sqlx::query_as!(
                Row,
                r#"SELECT id, at, act, actor, subject, address, request_id, details AS "details: Json<Value>"
                FROM audit_log WHERE subject = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4"#,
                subject,
                at,
                id,
                limit,
            )
            .fetch_all(pool.connections())
            .await?
        }
        None => {
            sqlx::query_as!(
                Row,
                r#"SELECT id, at, act, actor, subject, address, request_id, details AS "details: Json<Value>"
                FROM audit_log WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT $3"#,
                at,
                id,
                limit,
            )
            .fetch_all(pool.connections())
            .await?
        }
    };
    Ok(rows.into_iter().map(Into::into).collect())
}
