//! What is done by the clock: owners are told of endpoints that nothing is sent to any more; old messages, and what
//! deleted endpoints left, are removed.

use std::time::Duration;

use posthaste_clock::duty::Duty;
use posthaste_domain::ids::{Id, WebhookEndpointId, WebhookMessageId};
use posthaste_domain::{Span, Timestamp};
use posthaste_jobs::{Jobs, groups};
use posthaste_storage::StorageError;
use tokio::sync::watch;

use crate::sending::{WEBHOOK, group, job_of};
use crate::{Webhooks, endpoints};

/// How often owners who are to be told are looked for, in real time.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(2);
/// How often old rows are removed, in real time.
pub(super) const EVERY: Duration = Duration::from_secs(600);
/// For how long messages are kept: so far back can be replayed.
const KEPT: Span = Span::days(30);
/// Rows in one statement. More would run into the statement's time limit.
const CHUNK: i64 = 5_000;

pub(crate) async fn run(webhooks: Webhooks, duty: Duty, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stopped.changed() => return,
        }
        match webhooks.clock().duties().did(duty, remove(webhooks.jobs(), webhooks.now() - KEPT)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old webhooks are removed"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "webhooks' upkeep failed; the next tries again"
                );
            }
        }
    }
}

pub(crate) async fn tell(webhooks: Webhooks, duty: Duty, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        tokio::select! {
            () = tokio::time::sleep(TELL_EVERY) => {}
            _ = stopped.changed() => return,
        }
        if let Err(error) = webhooks.clock().duties().did(duty, tell_owners(&webhooks)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "owners of endpoints are told later");
        }
    }
}

async fn tell_owners(webhooks: &Webhooks) -> Result<(), StorageError> {
    let Some(owners) = webhooks.0.owners.get() else { return Ok(()) };
    for endpoint in endpoints::store::untold(webhooks.pool()).await? {
        if owners.stopped(endpoint.clone()).await {
            endpoints::store::told(webhooks.pool(), &endpoint, webhooks.now()).await?;
        }
    }
    for endpoint in endpoints::store::unwritten(webhooks.pool()).await? {
        // The note and the letter are one commit: it is written once, whichever server does it.
        let mut transaction = webhooks.pool().connections().begin().await?;
        if endpoints::store::written(&mut transaction, &endpoint, webhooks.now()).await? {
            owners.write_to(&mut transaction, endpoint).await?;
            transaction.commit().await?;
            owners.written();
        }
    }
    Ok(())
}

/// Removes what was settled, or has waited, since before an instant, and all of deleted endpoints; how many messages.
pub(crate) async fn remove(jobs: &Jobs, before: Timestamp) -> Result<u64, StorageError> {
    let (pool, mut removed) = (jobs.pool(), 0);
    loop {
        let settled = sqlx::query!(
            "DELETE FROM webhook_messages WHERE id IN (SELECT id FROM webhook_messages
                WHERE settled_at < $1 AND state <> 'waiting' LIMIT $2)",
            before,
            CHUNK,
        )
        .execute(pool.connections())
        .await?;
        let now = settled.rows_affected() + remove_unsent(jobs, before).await?;
        removed += now;
        if now == 0 {
            break;
        }
    }
    let gone = sqlx::query_scalar!(
        "DELETE FROM webhook_endpoints e WHERE e.state = 'deleted'
            AND NOT EXISTS (SELECT FROM webhook_messages m WHERE m.endpoint_id = e.id) RETURNING id",
    )
    .fetch_all(pool.connections())
    .await?;
    let mut connection = pool.connections().acquire().await?;
    for id in gone {
        groups::open(&mut connection, &WEBHOOK, &group(WebhookEndpointId::from_uuid(id))).await?;
    }
    Ok(removed)
}

/// The same of what waits, with its jobs: of endpoints that are paused, switched off or muted, and of deleted ones.
async fn remove_unsent(jobs: &Jobs, before: Timestamp) -> Result<u64, StorageError> {
    let mut transaction = jobs.pool().connections().begin().await?;
    let mut removed = sqlx::query_scalar!(
        "DELETE FROM webhook_messages WHERE id IN (SELECT m.id FROM webhook_messages m
            JOIN webhook_endpoints e ON e.id = m.endpoint_id
            WHERE m.created_at < $1 AND m.state = 'waiting'
                AND (e.state IN ('paused', 'disabled') OR e.muted_at IS NOT NULL) LIMIT $2) RETURNING id",
        before,
        CHUNK,
    )
    .fetch_all(&mut *transaction)
    .await?;
    let deleted = sqlx::query_scalar!(
        "DELETE FROM webhook_messages WHERE id IN (SELECT m.id FROM webhook_endpoints e
            JOIN webhook_messages m ON m.endpoint_id = e.id WHERE e.state = 'deleted' LIMIT $1) RETURNING id",
        CHUNK,
    )
    .fetch_all(&mut *transaction)
    .await?;
    removed.extend(deleted);
    let of_them: Vec<_> = removed.iter().map(|id| job_of(WebhookMessageId::from_uuid(*id))).collect();
    jobs.take_back(&mut transaction, &WEBHOOK, &of_them).await?;
    transaction.commit().await?;
    Ok(removed.len() as u64)
}
