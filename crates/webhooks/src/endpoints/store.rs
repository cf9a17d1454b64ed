//! Endpoints in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, WebhookEndpointId};
use posthaste_jobs::groups;
use posthaste_protocol::webhooks::{EndpointState, EndpointView};
use posthaste_storage::StorageError;
use posthaste_storage::feed;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Choice;
use crate::sending::{WEBHOOK, group};

struct Row {
    id: Uuid,
    merchant_id: Uuid,
    created_at: Timestamp,
    url: String,
    description: String,
    types: Vec<String>,
    state: String,
    state_since: Timestamp,
    state_reason: Option<String>,
    failures: i32,
    failing_since: Option<Timestamp>,
    succeeded_at: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
    previous_until: Option<Timestamp>,
}

impl TryFrom<Row> for EndpointView {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let id = WebhookEndpointId::from_uuid(row.id);
        let state = match row.state.as_str() {
            "active" => EndpointState::Active,
            "paused" => EndpointState::Paused,
            "disabled" => EndpointState::Disabled,
            other => return Err(StorageError::corrupt(format!("endpoint {id}"), format!("its state is {other}"))),
        };
        Ok(Self {
            id,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            created_at: row.created_at,
            url: row.url,
            description: row.description,
            types: row.types,
            state,
            state_since: row.state_since,
            state_reason: row.state_reason,
            failures: u32::try_from(row.failures).unwrap_or_default(),
            failing_since: row.failing_since,
            succeeded_at: row.succeeded_at,
            quiet_until: row.quiet_until,
            previous_secret_until: row.previous_until,
        })
    }
}

/// An endpoint of a merchant, or of anybody where none is named.
pub(crate) async fn get(
    pool: &Pool,
    id: WebhookEndpointId,
    merchant: Option<MerchantId>,
) -> Result<Option<EndpointView>, StorageError> {
    let mut connection = pool.connections().acquire().await?;
    read(&mut connection, id, merchant).await
}

async fn read(
    connection: &mut PgConnection,
    id: WebhookEndpointId,
    merchant: Option<MerchantId>,
) -> Result<Option<EndpointView>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, merchant_id, created_at, url, description, types, state, state_since, state_reason, failures,
            failing_since, succeeded_at, quiet_until, previous_until
        FROM webhook_endpoints WHERE id = $1 AND state <> 'deleted' AND ($2::uuid IS NULL OR merchant_id = $2)",
        id.uuid(),
        merchant.map(Id::uuid) as Option<Uuid>,
    )
    .fetch_optional(connection)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// A merchant's endpoints, newest first.
pub(crate) async fn of_merchant(pool: &Pool, merchant: MerchantId) -> Result<Vec<EndpointView>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, merchant_id, created_at, url, description, types, state, state_since, state_reason, failures,
            failing_since, succeeded_at, quiet_until, previous_until
        FROM webhook_endpoints WHERE merchant_id = $1 AND state <> 'deleted' ORDER BY id DESC LIMIT 100",
        merchant.uuid(),
    )
    .fetch_all(pool.connections())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Everybody's endpoints before one, newest first.
pub(crate) async fn before(pool: &Pool, before: Option<Uuid>, limit: u32) -> Result<Vec<EndpointView>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, merchant_id, created_at, url, description, types, state, state_since, state_reason, failures,
            failing_since, succeeded_at, quiet_until, previous_until
        FROM webhook_endpoints WHERE id < $1 AND state <> 'deleted' ORDER BY id DESC LIMIT $2",
        before.unwrap_or(Uuid::max()),
        i64::from(limit),
    )
    .fetch_all(pool.connections())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Makes an endpoint; none where the merchant has `most` already. It is told of what is committed from now on.
pub(crate) async fn create(
    connection: &mut PgConnection,
    id: WebhookEndpointId,
    merchant: MerchantId,
    choice: &Choice,
    secret: &[u8],
    now: Timestamp,
    most: usize,
) -> Result<Option<EndpointView>, StorageError> {
    // Two at once would both find room.
    let key = format!("webhook endpoints of {merchant}");
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key).execute(&mut *connection).await?;
    let after = feed::newest(connection).await?;
    let made = sqlx::query!(
        "INSERT INTO webhook_endpoints
            (id, merchant_id, created_at, url, description, types, state, state_since, secret, after_number)
        SELECT $1, $2, $3, $4, $5, $6, 'active', $3, $7, $9
        WHERE (SELECT count(*) FROM webhook_endpoints WHERE merchant_id = $2 AND state <> 'deleted') < $8",
        id.uuid(),
        merchant.uuid(),
        now,
        choice.url,
        choice.description,
        &choice.types,
        secret,
        i64::try_from(most).unwrap_or(i64::MAX),
        after,
    )
    .execute(&mut *connection)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    read(connection, id, None).await
}

/// Replaces what the owner chooses. Switching on what was switched off lets what waits go out; what happened meanwhile has
/// passed by.
pub(crate) async fn replace(
    pool: &Pool,
    id: WebhookEndpointId,
    merchant: Option<MerchantId>,
    choice: &Choice,
    enabled: bool,
    now: Timestamp,
) -> Result<Option<EndpointView>, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let Some(before) = lock(&mut transaction, id, merchant).await? else { return Ok(None) };
    let newest = feed::newest(&mut transaction).await?;
    sqlx::query!(
        "UPDATE webhook_endpoints SET url = $2, description = $3, types = $4,
            after_number = CASE WHEN $5 AND state = 'disabled' THEN $7 ELSE after_number END,
            state = CASE WHEN NOT $5 THEN 'disabled' WHEN state = 'disabled' THEN 'active' ELSE state END,
            state_since = CASE WHEN $5 = (state <> 'disabled') THEN state_since ELSE $6 END,
            state_reason = CASE WHEN $5 = (state <> 'disabled') THEN state_reason END,
            owner_told_at = CASE WHEN $5 = (state <> 'disabled') THEN owner_told_at END,
            owner_written_at = CASE WHEN $5 = (state <> 'disabled') THEN owner_written_at END,
            failures = CASE WHEN $5 AND state = 'disabled' THEN 0 ELSE failures END,
            failing_since = CASE WHEN $5 AND state = 'disabled' THEN NULL ELSE failing_since END,
            quiet_until = CASE WHEN url = $2 THEN quiet_until END
        WHERE id = $1",
        id.uuid(),
        choice.url,
        choice.description,
        &choice.types,
        enabled,
        now,
        newest,
    )
    .execute(&mut *transaction)
    .await?;
    settle_group(&mut transaction, id).await?;
    if enabled && before == "disabled" {
        hurry(&mut transaction, id, now).await?;
    }
    let view = read(&mut transaction, id, merchant).await?;
    transaction.commit().await?;
    Ok(view)
}

/// Takes an endpoint away: it is sent nothing more. Its messages are removed by upkeep.
pub(crate) async fn delete(
    pool: &Pool,
    id: WebhookEndpointId,
    merchant: Option<MerchantId>,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let deleted = sqlx::query!(
        "UPDATE webhook_endpoints SET state = 'deleted', state_since = $3, secret = '', previous_secret = NULL,
            previous_until = NULL
        WHERE id = $1 AND state <> 'deleted' AND ($2::uuid IS NULL OR merchant_id = $2)",
        id.uuid(),
        merchant.map(Id::uuid) as Option<Uuid>,
        now,
    )
    .execute(&mut *transaction)
    .await?;
    let is_deleted = deleted.rows_affected() > 0;
    if is_deleted {
        settle_group(&mut transaction, id).await?;
    }
    transaction.commit().await?;
    Ok(is_deleted)
}

/// Takes all of a merchant's endpoints away, with what their owner wrote; how many.
pub(crate) async fn delete_all(pool: &Pool, merchant: MerchantId, now: Timestamp) -> Result<u64, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let deleted = sqlx::query_scalar!(
        "UPDATE webhook_endpoints SET state = 'deleted', state_since = $2, state_reason = NULL, secret = '',
            previous_secret = NULL, previous_until = NULL, url = '', description = ''
        WHERE merchant_id = $1 AND state <> 'deleted' RETURNING id",
        merchant.uuid(),
        now,
    )
    .fetch_all(&mut *transaction)
    .await?;
    for id in &deleted {
        settle_group(&mut transaction, WebhookEndpointId::from_uuid(*id)).await?;
    }
    transaction.commit().await?;
    Ok(deleted.len() as u64)
}

/// Makes a secret the present one. The one that was stays valid until `until`, where that is given.
pub(crate) async fn rotate(
    connection: &mut PgConnection,
    id: WebhookEndpointId,
    merchant: Option<MerchantId>,
    secret: &[u8],
    until: Option<Timestamp>,
) -> Result<Option<EndpointView>, StorageError> {
    sqlx::query!(
        "UPDATE webhook_endpoints SET secret = $3, previous_until = $4,
            previous_secret = CASE WHEN $4::timestamptz IS NOT NULL THEN secret END
        WHERE id = $1 AND state <> 'deleted' AND ($2::uuid IS NULL OR merchant_id = $2)",
        id.uuid(),
        merchant.map(Id::uuid) as Option<Uuid>,
        secret,
        until as Option<Timestamp>,
    )
    .execute(&mut *connection)
    .await?;
    read(connection, id, merchant).await
}

/// Makes a paused endpoint active and what waits for it due; none where it is not paused.
pub(crate) async fn resume(
    pool: &Pool,
    id: WebhookEndpointId,
    now: Timestamp,
) -> Result<Option<EndpointView>, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let resumed = sqlx::query!(
        "UPDATE webhook_endpoints SET state = 'active', state_since = $2, state_reason = NULL, owner_told_at = NULL,
            owner_written_at = NULL, failures = 0, failing_since = NULL, quiet_until = NULL
        WHERE id = $1 AND state = 'paused'",
        id.uuid(),
        now,
    )
    .execute(&mut *transaction)
    .await?;
    if resumed.rows_affected() == 0 {
        return Ok(None);
    }
    settle_group(&mut transaction, id).await?;
    hurry(&mut transaction, id, now).await?;
    let view = read(&mut transaction, id, None).await?;
    transaction.commit().await?;
    Ok(view)
}

/// Endpoints that the server stopped sending to and whose owners were not told.
pub(crate) async fn untold(pool: &Pool) -> Result<Vec<EndpointView>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, merchant_id, created_at, url, description, types, state, state_since, state_reason, failures,
            failing_since, succeeded_at, quiet_until, previous_until
        FROM webhook_endpoints
        WHERE state IN ('paused', 'disabled') AND state_reason IS NOT NULL AND owner_told_at IS NULL
        ORDER BY id LIMIT 100",
    )
    .fetch_all(pool.connections())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Notes that an endpoint's owner was told, unless its state has changed since.
pub(crate) async fn told(pool: &Pool, endpoint: &EndpointView, now: Timestamp) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE webhook_endpoints SET owner_told_at = $3 WHERE id = $1 AND state_since = $2",
        endpoint.id.uuid(),
        endpoint.state_since,
        now,
    )
    .execute(pool.connections())
    .await?;
    Ok(())
}

/// Endpoints that the server stopped sending to and whose owners were not written to.
pub(crate) async fn unwritten(pool: &Pool) -> Result<Vec<EndpointView>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, merchant_id, created_at, url, description, types, state, state_since, state_reason, failures,
            failing_since, succeeded_at, quiet_until, previous_until
        FROM webhook_endpoints
        WHERE state IN ('paused', 'disabled') AND state_reason IS NOT NULL AND owner_written_at IS NULL
        ORDER BY id LIMIT 100",
    )
    .fetch_all(pool.connections())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Notes that an endpoint's owner is written to in this transaction. False where its state has changed since, or where
/// somebody else has written.
pub(crate) async fn written(
    connection: &mut PgConnection,
    endpoint: &EndpointView,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let written = sqlx::query!(
        "UPDATE webhook_endpoints SET owner_written_at = $3
        WHERE id = $1 AND state_since = $2 AND owner_written_at IS NULL AND state IN ('paused', 'disabled')",
        endpoint.id.uuid(),
        endpoint.state_since,
        now,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Holds an endpoint until the end of the transaction: nobody else changes its lanes. Its state, where there is one.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    id: WebhookEndpointId,
    merchant: Option<MerchantId>,
) -> Result<Option<String>, StorageError> {
    let state = sqlx::query_scalar!(
        "SELECT state FROM webhook_endpoints
        WHERE id = $1 AND state <> 'deleted' AND ($2::uuid IS NULL OR merchant_id = $2) FOR UPDATE",
        id.uuid(),
        merchant.map(Id::uuid) as Option<Uuid>,
    )
    .fetch_optional(connection)
    .await?;
    Ok(state)
}

/// Lets the queue send to an endpoint, or holds what goes there, as its state says. Whoever changes that calls it, in the same
/// transaction.
pub(crate) async fn settle_group(connection: &mut PgConnection, id: WebhookEndpointId) -> Result<(), StorageError> {
    let row = sqlx::query!(
        r#"SELECT state <> 'active' OR muted_at IS NOT NULL AS "held!", quiet_until FROM webhook_endpoints WHERE id = $1"#,
        id.uuid(),
    )
    .fetch_one(&mut *connection)
    .await?;
    groups::set(connection, &WEBHOOK, &group(id), row.held, row.quiet_until).await
}

/// Makes the first of every order's messages due that waits for an endpoint, whatever it waited for.
pub(crate) async fn hurry(
    connection: &mut PgConnection,
    id: WebhookEndpointId,
    now: Timestamp,
) -> Result<(), StorageError> {
    groups::hurry(connection, &WEBHOOK, &group(id), now).await
}
