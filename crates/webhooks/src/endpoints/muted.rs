//! Endpoints of merchants who are shut out are muted: messages are made and wait, and none is sent.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, WebhookEndpointId};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use uuid::Uuid;

use super::store;
use crate::Webhooks;

impl Webhooks {
    /// Mutes the endpoints of these merchants and of nobody else. Who is no longer among them is sent what has waited, each
    /// order's events in their order. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// Where the database does not answer: some may be muted by then.
    pub async fn mute_only(&self, merchants: &[MerchantId]) -> Result<(), StorageError> {
        let merchants: Vec<_> = merchants.iter().map(|merchant| merchant.uuid()).collect();
        let muted = mute(self.pool(), &merchants, self.now()).await?;
        if muted > 0 {
            tracing::info!(endpoints = muted, "muted: their merchants are shut out");
        }
        for endpoint in of_others(self.pool(), &merchants).await? {
            unmute(self.pool(), endpoint, self.now()).await?;
            tracing::info!(%endpoint, "no longer muted");
            self.wake();
        }
        Ok(())
    }
}

async fn mute(pool: &Pool, merchants: &[Uuid], now: Timestamp) -> Result<u64, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let muted = sqlx::query_scalar!(
        "UPDATE webhook_endpoints SET muted_at = $2
        WHERE merchant_id = ANY($1) AND state <> 'deleted' AND muted_at IS NULL RETURNING id",
        merchants,
        now,
    )
    .fetch_all(&mut *transaction)
    .await?;
    for id in &muted {
        store::settle_group(&mut transaction, WebhookEndpointId::from_uuid(*id)).await?;
    }
    transaction.commit().await?;
    Ok(muted.len() as u64)
}

async fn of_others(pool: &Pool, merchants: &[Uuid]) -> Result<Vec<WebhookEndpointId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM webhook_endpoints WHERE muted_at IS NOT NULL AND merchant_id <> ALL($1) ORDER BY id",
        merchants,
    )
    .fetch_all(pool.connections())
    .await?;
    Ok(ids.into_iter().map(WebhookEndpointId::from_uuid).collect())
}

async fn unmute(pool: &Pool, id: WebhookEndpointId, now: Timestamp) -> Result<(), StorageError> {
    let mut transaction = pool.connections().begin().await?;
    sqlx::query!("UPDATE webhook_endpoints SET muted_at = NULL WHERE id = $1", id.uuid())
        .execute(&mut *transaction)
        .await?;
    store::settle_group(&mut transaction, id).await?;
    store::hurry(&mut transaction, id, now).await?;
    transaction.commit().await?;
    Ok(())
}
