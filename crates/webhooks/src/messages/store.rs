//! Messages in Postgres, as their readers see them, and their being sent again. What the sender does with them:
//! `sending::store`.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, OrderId, WebhookEndpointId, WebhookMessageId};
use posthaste_jobs::Jobs;
use posthaste_protocol::webhooks::{AttemptView, WebhookMessageView, WebhookState};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::sending::{WEBHOOK, job, job_of};

/// A message that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct New {
    pub(crate) id: WebhookMessageId,
    pub(crate) endpoint: WebhookEndpointId,
    pub(crate) order: Option<OrderId>,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) at: Timestamp,
}

impl New {
    /// What it has to stay behind: messages of its order, or nothing.
    pub(crate) fn lane(&self) -> Uuid {
        self.order.map_or(self.id.uuid(), Id::uuid)
    }
}

pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) order_id: Option<Uuid>,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) at: Timestamp,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) settled_at: Option<Timestamp>,
    pub(crate) last_problem: Option<String>,
}

impl TryFrom<Row> for WebhookMessageView {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let id = WebhookMessageId::from_uuid(row.id);
        let state = match row.state.as_str() {
            "waiting" => WebhookState::Waiting,
            "delivered" => WebhookState::Delivered,
            "set_aside" => WebhookState::SetAside,
            other => return Err(StorageError::corrupt(format!("webhook {id}"), format!("its state is {other}"))),
        };
        Ok(Self {
            id,
            endpoint_id: WebhookEndpointId::from_uuid(row.endpoint_id),
            order_id: row.order_id.map(OrderId::from_uuid),
            sequence: row.sequence.unsigned_abs(),
            kind: row.kind,
            at: row.at,
            state,
            // Said by the queue.
            due_at: None,
            attempts: row.attempts.unsigned_abs(),
            settled_at: row.settled_at,
            last_problem: row.last_problem,
        })
    }
}

/// The name of a state in the database.
pub(crate) fn state_name(state: WebhookState) -> &'static str {
    match state {
        WebhookState::Waiting => "waiting",
        WebhookState::Delivered => "delivered",
        WebhookState::SetAside => "set_aside",
    }
}

/// Adds messages that wait, with their jobs, due at once. The caller holds their endpoints.
pub(crate) async fn add(
    jobs: &Jobs,
    connection: &mut PgConnection,
    new: &[New],
    now: Timestamp,
) -> Result<(), StorageError> {
    let ids: Vec<_> = new.iter().map(|m| m.id.uuid()).collect();
    let endpoints: Vec<_> = new.iter().map(|m| m.endpoint.uuid()).collect();
    let lanes: Vec<_> = new.iter().map(New::lane).collect();
    let orders: Vec<_> = new.iter().map(|m| m.order.map(Id::uuid)).collect();
    let sequences: Vec<_> = new.iter().map(|m| m.sequence).collect();
    let kinds: Vec<_> = new.iter().map(|m| m.kind.clone()).collect();
    let times: Vec<_> = new.iter().map(|m| m.at).collect();
    sqlx::query!(
        "INSERT INTO webhook_messages (id, endpoint_id, lane, order_id, sequence, type, at, created_at, state)
        SELECT u.id, u.endpoint, u.lane, u.order_id, u.sequence, u.kind, u.at, $8, 'waiting'
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::timestamptz[])
            AS u (id, endpoint, lane, order_id, sequence, kind, at)",
        &ids,
        &endpoints,
        &lanes,
        &orders as &[Option<Uuid>],
        &sequences,
        &kinds,
        &times,
        now,
    )
    .execute(&mut *connection)
    .await?;
    jobs.put_all(connection, &WEBHOOK, new.iter().map(|new| job(new, now)).collect()).await?;
    Ok(())
}

/// Says of messages that wait when they are due, as far as no other goes before them.
async fn with_due_times(
    pool: &Pool,
    mut all: Vec<WebhookMessageView>,
) -> Result<Vec<WebhookMessageView>, StorageError> {
    let waiting = all.iter().filter(|message| message.state == WebhookState::Waiting);
    let ids: Vec<_> = waiting.map(|message| job_of(message.id)).collect();
    let due = posthaste_jobs::due::of(pool, &WEBHOOK, &ids).await?;
    for message in &mut all {
        message.due_at = due.get(&job_of(message.id)).copied();
    }
    Ok(all)
}

/// A message of a merchant's endpoint, or of anybody's where none is named, with the merchant.
pub(crate) async fn get(
    pool: &Pool,
    id: WebhookMessageId,
    merchant: Option<MerchantId>,
) -> Result<Option<(WebhookMessageView, MerchantId)>, StorageError> {
    let row = sqlx::query!(
        r#"SELECT m.id, m.endpoint_id, m.order_id, m.sequence, m.type AS kind, m.at, m.state, m.attempts,
            m.settled_at, m.last_problem, e.merchant_id
        FROM webhook_messages m JOIN webhook_endpoints e ON e.id = m.endpoint_id
        WHERE m.id = $1 AND e.state <> 'deleted' AND ($2::uuid IS NULL OR e.merchant_id = $2)"#,
        id.uuid(),
        merchant.map(Id::uuid) as Option<Uuid>,
    )
    .fetch_optional(pool.connections())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let owner = MerchantId::from_uuid(row.merchant_id);
    let row = Row {
        id: row.id,
        endpoint_id: row.endpoint_id,
        order_id: row.order_id,
        sequence: row.sequence,
        kind: row.kind,
        at: row.at,
        state: row.state,
        attempts: row.attempts,
        settled_at: row.settled_at,
        last_problem: row.last_problem,
    };
    let views = with_due_times(pool, vec![row.try_into()?]).await?;
    Ok(views.into_iter().next().map(|view| (view, owner)))
}

/// The newest attempts of a message, oldest first.
pub(crate) async fn attempts(pool: &Pool, id: WebhookMessageId, most: i64) -> Result<Vec<AttemptView>, StorageError> {
    let rows = sqlx::query!(
        "SELECT number, at, took_ms, status, problem, answer FROM webhook_attempts
        WHERE message_id = $1 ORDER BY number DESC LIMIT $2",
        id.uuid(),
        most,
    )
    .fetch_all(pool.connections())
    .await?;
    let attempts = rows.into_iter().rev().map(|row| AttemptView {
        number: row.number.unsigned_abs(),
        at: row.at,
        took_ms: row.took_ms.unsigned_abs(),
        status: row.status.map(i16::unsigned_abs),
        problem: row.problem,
        answer: row.answer,
    });
    Ok(attempts.collect())
}

/// An endpoint's messages before one, newest first, of one state or of all.
pub(crate) async fn list(
    pool: &Pool,
    endpoint: WebhookEndpointId,
    state: Option<WebhookState>,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<WebhookMessageView>, StorageError> {
    let before = before.unwrap_or(Uuid::max());
    let rows = match state {
        None => {
            sqlx::query_as!(
                Row,
                "SELECT id, endpoint_id, order_id, sequence, type AS kind, at, state, attempts, settled_at,
                    last_problem
                FROM webhook_messages WHERE endpoint_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
                endpoint.uuid(),
                before,
                i64::from(limit),
            )
            .fetch_all(pool.connections())
            .await?
        }
        Some(state) => {
            sqlx::query_as!(
                Row,
                "SELECT id, endpoint_id, order_id, sequence, type AS kind, at, state, attempts, settled_at,
                    last_problem
                FROM webhook_messages WHERE endpoint_id = $1 AND state = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
                endpoint.uuid(),
                state_name(state),
                before,
                i64::from(limit),
            )
            .fetch_all(pool.connections())
            .await?
        }
    };
    with_due_times(pool, rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?).await
}

/// Sends a message again, from the beginning of the schedule. The caller holds the endpoint. False where there is none.
pub(crate) async fn replay_one(
    jobs: &Jobs,
    connection: &mut PgConnection,
    id: WebhookMessageId,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let row = sqlx::query_as!(
        Again,
        "UPDATE webhook_messages SET state = 'waiting', settled_at = NULL
        WHERE id = $1 RETURNING id, endpoint_id, order_id, sequence, type AS kind, at",
        id.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    jobs.put_anew(connection, &WEBHOOK, vec![job(&row.into(), now)]).await?;
    Ok(true)
}

/// Sends again what was settled, of events of a time; how many messages, or none where they are more than `most`. The caller
/// holds the endpoint.
pub(crate) async fn replay_from(
    jobs: &Jobs,
    connection: &mut PgConnection,
    endpoint: WebhookEndpointId,
    (from, to): (Timestamp, Timestamp),
    only_set_aside: bool,
    most: i64,
    now: Timestamp,
) -> Result<Option<u64>, StorageError> {
    let rows = sqlx::query_as!(
        Again,
        "UPDATE webhook_messages SET state = 'waiting', settled_at = NULL
        WHERE id IN (SELECT id FROM webhook_messages
            WHERE endpoint_id = $1 AND at >= $2 AND at < $3 AND state <> 'waiting'
                AND (NOT $4 OR state = 'set_aside')
            ORDER BY at, id LIMIT $5)
        RETURNING id, endpoint_id, order_id, sequence, type AS kind, at",
        endpoint.uuid(),
        from,
        to,
        only_set_aside,
        most + 1,
    )
    .fetch_all(&mut *connection)
    .await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > most {
        return Ok(None);
    }
    let count = rows.len() as u64;
    jobs.put_anew(connection, &WEBHOOK, rows.into_iter().map(|row| job(&row.into(), now)).collect()).await?;
    Ok(Some(count))
}

/// A message that is sent again.
struct Again {
    id: Uuid,
    endpoint_id: Uuid,
    order_id: Option<Uuid>,
    sequence: i64,
    kind: String,
    at: Timestamp,
}

impl From<Again> for New {
    fn from(row: Again) -> Self {
        Self {
            id: WebhookMessageId::from_uuid(row.id),
            endpoint: WebhookEndpointId::from_uuid(row.endpoint_id),
            order: row.order_id.map(OrderId::from_uuid),
            sequence: row.sequence,
            kind: row.kind,
            at: row.at,
        }
    }
}
