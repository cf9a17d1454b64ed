//! Groups: whose time jobs take. One that is held is begun nothing of, and costs a look nothing but its first job.

use posthaste_domain::Timestamp;
use posthaste_storage::StorageError;
use sqlx::PgConnection;

use crate::kind::Kind;

/// Holds a group, or leaves it quiet until an instant of the kind's clock, or neither, whatever was said before: nothing more of it is
/// begun meanwhile, and what runs goes on. After the commit of what opens it, [`wake`](crate::Jobs::wake).
///
/// # Errors
///
/// Those of the database.
pub async fn set(
    connection: &mut PgConnection,
    kind: &Kind,
    group: &str,
    held: bool,
    quiet_until: Option<Timestamp>,
) -> Result<(), StorageError> {
    if !held && quiet_until.is_none() {
        return open(connection, kind, group).await;
    }
    sqlx::query!(
        "INSERT INTO job_groups (kind, name, held, quiet_until) VALUES ($1, $2, $3, $4)
        ON CONFLICT ON CONSTRAINT job_groups_pkey DO UPDATE SET held = $3, quiet_until = $4",
        kind.name,
        group,
        held,
        quiet_until as Option<Timestamp>,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets that a group was held or quiet.
///
/// # Errors
///
/// Those of the database.
pub async fn open(connection: &mut PgConnection, kind: &Kind, group: &str) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM job_groups WHERE kind = $1 AND name = $2", kind.name, group).execute(connection).await?;
    Ok(())
}

/// Makes what waits of a group due at `now`, whatever it waited for; of each lane the first.
///
/// # Errors
///
/// Those of the database.
pub async fn hurry(
    connection: &mut PgConnection,
    kind: &Kind,
    group: &str,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE jobs SET due_at = $3
        WHERE kind = $1 AND group_name = $2 AND state = 'waiting' AND NOT behind AND due_at > $3",
        kind.name,
        group,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
