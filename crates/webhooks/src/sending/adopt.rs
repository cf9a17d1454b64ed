//! What a server of the release before has left: messages that wait and have no job, endpoints that are not to be sent to. It kept
//! both by columns of its own. Also what a database restored from such a release holds.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, OrderId, WebhookEndpointId, WebhookMessageId};
use posthaste_storage::StorageError;

use crate::messages::store::New;
use crate::sending::{WEBHOOK, job};
use crate::{Webhooks, endpoints};

/// Messages in one transaction.
const CHUNK: i64 = 1_000;

/// Gives every message that waits a job, and every endpoint that is not to be sent to a held group. Doing it again changes nothing.
pub(crate) async fn adopt(webhooks: &Webhooks) -> Result<(), StorageError> {
    let mut transaction = webhooks.pool().connections().begin().await?;
    let stopped = sqlx::query_scalar!(
        "SELECT id FROM webhook_endpoints WHERE state <> 'active' OR muted_at IS NOT NULL OR quiet_until IS NOT NULL
        ORDER BY id FOR UPDATE"
    )
    .fetch_all(&mut *transaction)
    .await?;
    for id in stopped {
        endpoints::store::settle_group(&mut transaction, WebhookEndpointId::from_uuid(id)).await?;
    }
    transaction.commit().await?;
    while adopt_some(webhooks).await? {}
    Ok(())
}

/// Whether there were some.
async fn adopt_some(webhooks: &Webhooks) -> Result<bool, StorageError> {
    let mut transaction = webhooks.pool().connections().begin().await?;
    let rows = sqlx::query!(
        "SELECT m.id, m.endpoint_id, m.order_id, m.sequence, m.type AS kind, m.at, m.due_at FROM webhook_messages m
        WHERE m.state = 'waiting' AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = m.id)
        ORDER BY m.created_at, m.id LIMIT $1 FOR UPDATE OF m SKIP LOCKED",
        CHUNK,
    )
    .fetch_all(&mut *transaction)
    .await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let now: Timestamp = webhooks.now();
    let jobs = rows.into_iter().map(|row| {
        let new = New {
            id: WebhookMessageId::from_uuid(row.id),
            endpoint: WebhookEndpointId::from_uuid(row.endpoint_id),
            order: row.order_id.map(OrderId::from_uuid),
            sequence: row.sequence,
            kind: row.kind,
            at: row.at,
        };
        job(&new, row.due_at.unwrap_or(now))
    });
    webhooks.jobs().put_anew(&mut transaction, &WEBHOOK, jobs.collect()).await?;
    transaction.commit().await?;
    Ok(true)
}
