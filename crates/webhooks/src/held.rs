//! What waits while nothing may leave, since the database is a copy of another: how much it is, and its being set aside
//! where it is not to be sent once the copy is said to be the real one.

use posthaste_domain::ids::{Id, MerchantId, WebhookMessageId};
use posthaste_jobs::Jobs;
use posthaste_storage::StorageError;
use posthaste_storage::feed;
use posthaste_storage::installation::{NOT_SENT, Waiting};
use posthaste_storage::pool::Pool;
use uuid::Uuid;

use crate::sending::distribute::{CONSUMER, distribute_all, take_over};
use crate::sending::{WEBHOOK, job_of};

/// Messages in one statement. More would run into the statement's time limit.
const CHUNK: i64 = 5_000;

/// What waits in a world: messages, and events that are none yet, in product time.
///
/// # Errors
///
/// Those of the database.
pub async fn waiting(pool: &Pool) -> Result<Waiting, StorageError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM webhook_messages WHERE state = 'waiting')
                + (SELECT count(*) FROM webhook_outbox) AS "count!",
            least((SELECT min(created_at) FROM webhook_messages WHERE state = 'waiting'),
                (SELECT at FROM webhook_outbox ORDER BY number LIMIT 1)) AS since"#
    )
    .fetch_one(pool.connections())
    .await?;
    let (to_come, first) = feed::to_come(pool, CONSUMER, &who_listens(pool).await?).await?;
    Ok(Waiting { count: row.count + to_come, since: row.since.into_iter().chain(first).min() })
}

/// Merchants with endpoints that listen.
async fn who_listens(pool: &Pool) -> Result<Vec<MerchantId>, StorageError> {
    let merchants = sqlx::query_scalar!(
        "SELECT DISTINCT merchant_id FROM webhook_endpoints WHERE state IN ('active', 'paused') ORDER BY merchant_id"
    );
    let merchants = merchants.fetch_all(pool.connections()).await?;
    Ok(merchants.into_iter().map(MerchantId::from_uuid).collect())
}

/// Sets everything aside that waits in a world, as if its last attempt had failed: its merchants can still have it
/// replayed. How many messages that were. Events of the feed that are no messages yet are among them up to the `mark`: where
/// a server writes to the database, it knows the mark, and makes messages of them itself.
///
/// # Errors
///
/// Those of the database.
pub async fn set_aside(jobs: &Jobs, mark: i64) -> Result<u64, StorageError> {
    take_over(jobs).await?;
    distribute_all(jobs, mark).await?;
    let mut all = 0;
    loop {
        let mut transaction = jobs.pool().connections().begin().await?;
        // Whoever changes what waits for an endpoint holds it.
        sqlx::query!("SELECT id FROM webhook_endpoints ORDER BY id FOR UPDATE").fetch_all(&mut *transaction).await?;
        let ids: Vec<Uuid> =
            sqlx::query_scalar!("SELECT id FROM webhook_messages WHERE state = 'waiting' LIMIT $1", CHUNK)
                .fetch_all(&mut *transaction)
                .await?;
        let done = sqlx::query!(
            "UPDATE webhook_messages SET state = 'set_aside', due_at = NULL, settled_at = $2, last_problem = $3
            WHERE id = ANY($1)",
            &ids,
            jobs.clock().now(),
            NOT_SENT,
        )
        .execute(&mut *transaction)
        .await?;
        let of_them: Vec<_> = ids.iter().map(|id| job_of(WebhookMessageId::from_uuid(*id))).collect();
        jobs.take_back(&mut transaction, &WEBHOOK, &of_them).await?;
        transaction.commit().await?;
        all += done.rows_affected();
        if ids.is_empty() {
            return Ok(all);
        }
    }
}
