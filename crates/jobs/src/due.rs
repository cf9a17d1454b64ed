//! When jobs are due, for those who show it.

use std::collections::HashMap;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;

use crate::kind::Kind;

/// When these are due, or were that run; those that are behind others of their lane, or are over, are left out.
///
/// # Errors
///
/// Those of the database.
pub async fn of(pool: &Pool, kind: &Kind, ids: &[JobId]) -> Result<HashMap<JobId, Timestamp>, StorageError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        "SELECT j.id, j.due_at FROM jobs j
        WHERE j.id = ANY($2) AND j.kind = $1 AND j.state IN ('waiting', 'running') AND NOT j.behind
            AND NOT EXISTS (SELECT FROM jobs e WHERE e.kind = $1 AND e.lane = j.lane AND e.state IN ('waiting', 'running')
                AND (e.place, e.id) < (j.place, j.id))",
        kind.name,
        &ids,
    )
    .fetch_all(pool.connections())
    .await?;
    Ok(rows.into_iter().map(|row| (JobId::from_uuid(row.id), row.due_at)).collect())
}
