//! Messages in Postgres, as their readers and their lanes see them. What the sender does with them: `sending::store`.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, OrderId, WebhookEndpointId, WebhookMessageId};
use posthaste_protocol::webhooks::{AttemptView, WebhookMessageView, WebhookState};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

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
    pub(crate) due_at: Option<Timestamp>,
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
            due_at: row.due_at,
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

/// Adds messages that wait. The caller holds their endpoints, and settles their lanes.
pub(crate) async fn add(connection: &mut PgConnection, new: &[New], now: Timestamp) -> Result<(), StorageError> {
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
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes exactly the first waiting message of each lane due. The caller holds the endpoint.
pub(crate) async fn settle(
    connection: &mut PgConnection,
    endpoint: WebhookEndpointId,
    lanes: &[Uuid],
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE webhook_messages m SET due_at = CASE WHEN m.sequence = head.sequence THEN $3::timestamptz END
        FROM (SELECT DISTINCT ON (lane) lane, sequence FROM webhook_messages
            WHERE endpoint_id = $1 AND lane = ANY($2) AND state = 'waiting' ORDER BY lane, sequence) AS head
        WHERE m.endpoint_id = $1 AND m.lane = head.lane AND m.state = 'waiting'
            AND (m.sequence = head.sequence) = (m.due_at IS NULL)",
        endpoint.uuid(),
        lanes,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the first waiting message of every lane due at once, whatever it waited for. The caller holds the endpoint.
pub(crate) async fn settle_all(
    connection: &mut PgConnection,
    endpoint: WebhookEndpointId,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE webhook_messages m SET due_at = CASE WHEN m.sequence = head.sequence THEN $2::timestamptz END
        FROM (SELECT DISTINCT ON (lane) lane, sequence FROM webhook_messages
            WHERE endpoint_id = $1 AND state = 'waiting' ORDER BY lane, sequence) AS head
        WHERE m.endpoint_id = $1 AND m.lane = head.lane AND m.state = 'waiting'
            AND (m.sequence = head.sequence OR m.due_at IS NOT NULL)",
        endpoint.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A message of a merchant's endpoint, or of anybody's where none is named, with the merchant.
pub(crate) async fn get(
    pool: &Pool,
    id: WebhookMessageId,
    merchant: Option<MerchantId>,
) -> Result<Option<(WebhookMessageView, MerchantId)>, StorageError> {
    let row = sqlx::query!(
        r#"SELECT m.id, m.endpoint_id, m.order_id, m.sequence, m.type AS kind, m.at, m.state, m.due_at, m.attempts,
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
        due_at: row.due_at,
        attempts: row.attempts,
        settled_at: row.settled_at,
        last_problem: row.last_problem,
    };
    Ok(Some((row.try_into()?, owner)))
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
                "SELECT id, endpoint_id, order_id, sequence, type AS kind, at, state, due_at, attempts, settled_at,
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
                "SELECT id, endpoint_id, order_id, sequence, type AS kind, at, state, due_at, attempts, settled_at,
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
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Sends a message again, from the beginning of the schedule. The caller holds the endpoint.
pub(crate) async fn replay_one(
    connection: &mut PgConnection,
    id: WebhookMessageId,
) -> Result<Option<Uuid>, StorageError> {
    let lane = sqlx::query_scalar!(
        "UPDATE webhook_messages SET state = 'waiting', settled_at = NULL, due_at = NULL, tries = 0,
            claims = claims + 1
        WHERE id = $1 RETURNING lane",
        id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(lane)
}

/// Sends again what was settled, of events of a time; the lanes that it touched, or none where they are more than
/// `most` messages. The caller holds the endpoint.
pub(crate) async fn replay_from(
    connection: &mut PgConnection,
    endpoint: WebhookEndpointId,
    (from, to): (Timestamp, Timestamp),
    only_set_aside: bool,
    most: i64,
) -> Result<Option<Vec<Uuid>>, StorageError> {
    let lanes = sqlx::query_scalar!(
        "UPDATE webhook_messages SET state = 'waiting', settled_at = NULL, due_at = NULL, tries = 0,
            claims = claims + 1
        WHERE id IN (SELECT id FROM webhook_messages
            WHERE endpoint_id = $1 AND at >= $2 AND at < $3 AND state <> 'waiting'
                AND (NOT $4 OR state = 'set_aside')
            ORDER BY at, id LIMIT $5)
        RETURNING lane",
        endpoint.uuid(),
        from,
        to,
        only_set_aside,
        most + 1,
    )
    .fetch_all(connection)
    .await?;
    Ok((i64::try_from(lanes.len()).unwrap_or(i64::MAX) <= most).then_some(lanes))
}
