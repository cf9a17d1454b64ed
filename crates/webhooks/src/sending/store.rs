//! Messages as the sender reads them and notes what became of them. When they are sent is the queue's business.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, WebhookMessageId};
use posthaste_protocol::webhooks::WebhookMessageView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;

use super::post::Answer;
use crate::endpoints;
use crate::messages::store::Row;
use crate::schedule::{Health, Next, Outcome};

/// A message and where it goes.
pub(crate) struct Addressed {
    pub(crate) message: WebhookMessageView,
    pub(crate) merchant: MerchantId,
    pub(crate) url: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) previous: Option<(Vec<u8>, Timestamp)>,
    /// The request that caused the event, as in the logs.
    pub(crate) request: Option<String>,
}

/// A message that waits, with where it goes now; none where there is nothing to be sent any more.
pub(crate) async fn addressed(pool: &Pool, id: WebhookMessageId) -> Result<Option<Addressed>, StorageError> {
    let row = sqlx::query!(
        r#"SELECT m.id, m.endpoint_id, m.order_id, m.sequence, m.type AS kind, m.at, m.state, m.attempts, m.settled_at,
            m.last_problem, e.merchant_id, e.url, e.secret, e.previous_secret, e.previous_until,
            (SELECT v.correlation_id FROM order_events v WHERE v.order_id = m.order_id AND v.seq = m.sequence) AS request
        FROM webhook_messages m JOIN webhook_endpoints e ON e.id = m.endpoint_id
        WHERE m.id = $1 AND m.state = 'waiting' AND e.state <> 'deleted'"#,
        id.uuid(),
    )
    .fetch_optional(pool.connections())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let message = Row {
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
    Ok(Some(Addressed {
        message: message.try_into()?,
        merchant: MerchantId::from_uuid(row.merchant_id),
        url: row.url,
        secret: row.secret,
        previous: row.previous_secret.zip(row.previous_until),
        request: row.request,
    }))
}

/// What an attempt came to, and what follows from it.
pub(crate) struct Attempted<'a> {
    pub(crate) addressed: &'a Addressed,
    pub(crate) answer: &'a Answer,
    pub(crate) outcome: Outcome,
    pub(crate) next: Next,
    pub(crate) quiet_until: Option<Timestamp>,
    pub(crate) began: Timestamp,
    pub(crate) now: Timestamp,
}

/// Notes what an attempt came to, in the transaction in which the queue does.
pub(crate) async fn note(connection: &mut PgConnection, ended: &Attempted<'_>) -> Result<(), StorageError> {
    let endpoint = ended.addressed.message.endpoint_id;
    let held = sqlx::query!(
        "SELECT state, failures, failing_since FROM webhook_endpoints
        WHERE id = $1 AND state <> 'deleted' FOR UPDATE",
        endpoint.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(held) = held else { return Ok(()) };
    let Some(number) = note_message(connection, ended).await? else { return Ok(()) };
    sqlx::query!(
        "INSERT INTO webhook_attempts (message_id, number, at, took_ms, status, problem, answer)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        ended.addressed.message.id.uuid(),
        number,
        ended.began,
        i32::try_from(ended.answer.took.as_millis()).unwrap_or(i32::MAX),
        ended.answer.status.and_then(|status| i16::try_from(status).ok()),
        ended.answer.problem.as_deref(),
        ended.answer.excerpt,
    )
    .execute(&mut *connection)
    .await?;
    let before = Health { failures: held.failures.unsigned_abs(), since: held.failing_since };
    let after = before.after(ended.outcome, ended.now);
    let stop = if held.state == "active" { stop(ended, after) } else { None };
    let changes_group = stop.is_some() || ended.quiet_until.is_some();
    judge(connection, ended, after, stop).await?;
    if changes_group {
        endpoints::store::settle_group(connection, endpoint).await?;
    }
    Ok(())
}

/// Writes the message's new state; the attempt's number.
async fn note_message(connection: &mut PgConnection, ended: &Attempted<'_>) -> Result<Option<i32>, StorageError> {
    let state = match ended.next {
        Next::Done => "delivered",
        Next::RetryAt(_) => "waiting",
        Next::Dead => "set_aside",
    };
    let number = sqlx::query_scalar!(
        "UPDATE webhook_messages SET state = $2, attempts = attempts + 1, due_at = NULL,
            settled_at = CASE WHEN $2 <> 'waiting' THEN $3::timestamptz END, last_problem = $4
        WHERE id = $1 AND state = 'waiting' RETURNING attempts",
        ended.addressed.message.id.uuid(),
        state,
        ended.now,
        ended.answer.problem.as_deref(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(number)
}

/// Sets a message aside of which no attempt came to its end.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    id: WebhookMessageId,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE webhook_messages SET state = 'set_aside', settled_at = $2, due_at = NULL, last_problem = 'the server could not send it'
        WHERE id = $1 AND state = 'waiting'",
        id.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the endpoint is sent nothing more: its new state, and why.
fn stop(ended: &Attempted<'_>, health: Health) -> Option<(&'static str, String)> {
    let problem = ended.answer.problem.as_deref().unwrap_or("no reason given");
    if ended.outcome == Outcome::Gone {
        return Some(("disabled", "it answered 410 Gone: it wants nothing any more".to_owned()));
    }
    let since = health.since.filter(|_| health.is_hopeless(ended.now))?;
    let since = since.format("%Y-%m-%d %H:%M UTC");
    Some(("paused", format!("{} attempts failed since {since}, none succeeded. The last: {problem}", health.failures)))
}

async fn judge(
    connection: &mut PgConnection,
    ended: &Attempted<'_>,
    health: Health,
    stop: Option<(&'static str, String)>,
) -> Result<(), StorageError> {
    let endpoint = ended.addressed.message.endpoint_id;
    if let Some((state, why)) = &stop {
        tracing::warn!(%endpoint, merchant = %ended.addressed.merchant, state, "nothing more is sent: {why}");
    }
    let (state, reason) = stop.map_or((None, None), |(state, reason)| (Some(state), Some(reason)));
    sqlx::query!(
        "UPDATE webhook_endpoints SET failures = $2, failing_since = $3,
            succeeded_at = CASE WHEN $4 THEN $5 ELSE succeeded_at END, quiet_until = coalesce($6, quiet_until),
            state = coalesce($7, state), state_since = CASE WHEN $7::text IS NULL THEN state_since ELSE $5 END,
            state_reason = coalesce($8, state_reason),
            owner_told_at = CASE WHEN $7::text IS NULL THEN owner_told_at END,
            owner_written_at = CASE WHEN $7::text IS NULL THEN owner_written_at END
        WHERE id = $1",
        endpoint.uuid(),
        i32::try_from(health.failures).unwrap_or(i32::MAX),
        health.since as Option<Timestamp>,
        ended.outcome == Outcome::Delivered,
        ended.now,
        ended.quiet_until as Option<Timestamp>,
        state,
        reason,
    )
    .execute(connection)
    .await?;
    Ok(())
}
