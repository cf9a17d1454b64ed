//! The audit log in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, AuditId, Id};
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

/// Entries removed in one statement. More would run into the statement's time limit.
const REMOVED_AT_ONCE: i64 = 5_000;

/// Removes entries from before an instant, oldest first, in commits of so many; how many. The database refuses to remove
/// what is younger than 89 days, whoever asks.
pub(crate) async fn forget(pool: &Pool, before: Timestamp) -> Result<u64, StorageError> {
    let mut removed = 0;
    loop {
        let mut transaction = pool.connections().begin().await?;
        sqlx::query!("SELECT set_config('posthaste.audit_retention', 'on', true)").fetch_one(&mut *transaction).await?;
        let done = sqlx::query!(
            "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at, id LIMIT $2)",
            before,
            REMOVED_AT_ONCE,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        removed += done.rows_affected();
        if done.rows_affected() < u64::try_from(REMOVED_AT_ONCE).unwrap_or_default() {
            return Ok(removed);
        }
    }
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

/// Entries by an account or on it, before a place in the log, newest first.
pub(crate) async fn of_account(
    pool: &Pool,
    account: AccountId,
    before: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<AuditEntryView>, StorageError> {
    let (at, id) = before;
    // Each by its own index; what the account did on itself is one entry.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!", at AS "at!", act AS "act!", actor AS "actor!", subject, address, request_id,
            details AS "details!: Json<Value>"
        FROM (
            (SELECT * FROM audit_log WHERE actor = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4)
            UNION ALL
            (SELECT * FROM audit_log WHERE subject = $1 AND actor <> $1 AND (at, id) < ($2, $3)
                ORDER BY at DESC, id DESC LIMIT $4)
        ) AS entries ORDER BY at DESC, id DESC LIMIT $4"#,
        account.to_string(),
        at,
        id,
        limit,
    )
    .fetch_all(pool.connections())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
