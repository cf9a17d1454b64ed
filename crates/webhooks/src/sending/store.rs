//! Messages as the sender takes and returns them.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, WebhookEndpointId, WebhookMessageId};
use posthaste_protocol::webhooks::WebhookMessageView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use super::choose::Due;
use super::post::Answer;
use crate::messages::store::{Row, settle};
use crate::schedule::{Health, Next, Outcome};

/// A message that is ours to send until its claim ends.
pub(crate) struct Claimed {
    pub(crate) message: WebhookMessageView,
    pub(crate) merchant: MerchantId,
    pub(crate) url: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) previous: Option<(Vec<u8>, Timestamp)>,
    pub(crate) claims: i32,
    pub(crate) tries: u32,
    /// The request that caused the event, as in the logs.
    pub(crate) request: Option<String>,
}

/// What is due, of each endpoint at most `of_each`, the longest due first.
pub(crate) async fn due(pool: &Pool, now: Timestamp, of_each: usize) -> Result<Vec<Due>, StorageError> {
    let rows = sqlx::query!(
        "SELECT m.id, m.endpoint_id, m.claims FROM webhook_endpoints e
        CROSS JOIN LATERAL (SELECT id, endpoint_id, claims FROM webhook_messages
            WHERE endpoint_id = e.id AND due_at <= $1 ORDER BY due_at LIMIT $2) AS m
        WHERE e.state = 'active' AND e.muted_at IS NULL AND (e.quiet_until IS NULL OR e.quiet_until <= $1)",
        now,
        i64::try_from(of_each).unwrap_or(i64::MAX),
    )
    .fetch_all(pool.connections())
    .await?;
    let due = rows.into_iter().map(|row| Due {
        id: WebhookMessageId::from_uuid(row.id),
        endpoint: WebhookEndpointId::from_uuid(row.endpoint_id),
        claims: row.claims,
    });
    Ok(due.collect())
}

/// Claims messages until `until`. Those that somebody else has claimed, or is just changing, are left out.
pub(crate) async fn claim(pool: &Pool, chosen: &[Due], until: Timestamp) -> Result<Vec<Claimed>, StorageError> {
    let ids: Vec<_> = chosen.iter().map(|due| due.id.uuid()).collect();
    let claims: Vec<_> = chosen.iter().map(|due| due.claims).collect();
    let rows = sqlx::query!(
        r#"WITH free AS (
            SELECT m.id FROM webhook_messages m JOIN unnest($1::uuid[], $2::integer[]) AS u (id, claims)
                ON m.id = u.id AND m.claims = u.claims
            WHERE m.due_at IS NOT NULL ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
        )
        UPDATE webhook_messages m SET due_at = $3, claims = m.claims + 1
        FROM free, webhook_endpoints e
        WHERE m.id = free.id AND e.id = m.endpoint_id AND e.state = 'active' AND e.muted_at IS NULL
        RETURNING m.id, m.endpoint_id, m.order_id, m.sequence, m.type AS kind, m.at, m.state, m.due_at, m.attempts,
            m.settled_at, m.last_problem, m.claims, m.tries, e.merchant_id, e.url, e.secret, e.previous_secret,
            e.previous_until, (SELECT v.correlation_id FROM order_events v
                WHERE v.order_id = m.order_id AND v.seq = m.sequence) AS request"#,
        &ids,
        &claims,
        until,
    )
    .fetch_all(pool.connections())
    .await?;
    let claimed = rows.into_iter().map(|row| {
        let message = Row {
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
        Ok(Claimed {
            message: message.try_into()?,
            merchant: MerchantId::from_uuid(row.merchant_id),
            url: row.url,
            secret: row.secret,
            previous: row.previous_secret.zip(row.previous_until),
            claims: row.claims,
            tries: row.tries.unsigned_abs(),
            request: row.request,
        })
    });
    claimed.collect()
}

/// What an attempt came to, and what follows from it.
pub(crate) struct Ended<'a> {
    pub(crate) claimed: &'a Claimed,
    pub(crate) answer: &'a Answer,
    pub(crate) outcome: Outcome,
    pub(crate) next: Next,
    pub(crate) quiet_until: Option<Timestamp>,
    pub(crate) began: Timestamp,
    pub(crate) now: Timestamp,
}

/// Notes what an attempt came to. Nothing where the claim is no longer ours: somebody else sends it.
pub(crate) async fn finish(pool: &Pool, ended: &Ended<'_>) -> Result<(), StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let endpoint = ended.claimed.message.endpoint_id;
    let held = sqlx::query!(
        "SELECT state, failures, failing_since FROM webhook_endpoints
        WHERE id = $1 AND state <> 'deleted' FOR UPDATE",
        endpoint.uuid(),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(held) = held else { return Ok(()) };
    let Some((lane, number)) = note(&mut transaction, ended).await? else { return Ok(()) };
    sqlx::query!(
        "INSERT INTO webhook_attempts (message_id, number, at, took_ms, status, problem, answer)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        ended.claimed.message.id.uuid(),
        number,
        ended.began,
        i32::try_from(ended.answer.took.as_millis()).unwrap_or(i32::MAX),
        ended.answer.status.and_then(|status| i16::try_from(status).ok()),
        ended.answer.problem.as_deref(),
        ended.answer.excerpt,
    )
    .execute(&mut *transaction)
    .await?;
    settle(&mut transaction, endpoint, &[lane], ended.now).await?;
    let before = Health { failures: held.failures.unsigned_abs(), since: held.failing_since };
    let stop = if held.state == "active" { stop(ended, before.after(ended.outcome, ended.now)) } else { None };
    judge(&mut transaction, ended, before.after(ended.outcome, ended.now), stop).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes the message's new state; its lane and the attempt's number.
async fn note(connection: &mut PgConnection, ended: &Ended<'_>) -> Result<Option<(Uuid, i32)>, StorageError> {
    let (state, due_at, failed) = match ended.next {
        Next::Delivered => ("delivered", None, 0),
        Next::RetryAt(at) => ("waiting", Some(at), 1),
        Next::SetAside => ("set_aside", None, 1),
    };
    let row = sqlx::query!(
        "UPDATE webhook_messages SET state = $3, due_at = $4, tries = tries + $5, attempts = attempts + 1,
            settled_at = CASE WHEN $3 <> 'waiting' THEN $6::timestamptz END, last_problem = $7
        WHERE id = $1 AND claims = $2 AND state = 'waiting' RETURNING lane, attempts",
        ended.claimed.message.id.uuid(),
        ended.claimed.claims,
        state,
        due_at as Option<Timestamp>,
        failed,
        ended.now,
        ended.answer.problem.as_deref(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.lane, row.attempts)))
}

/// Whether the endpoint is sent nothing more: its new state, and why.
fn stop(ended: &Ended<'_>, health: Health) -> Option<(&'static str, String)> {
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
    ended: &Ended<'_>,
    health: Health,
    stop: Option<(&'static str, String)>,
) -> Result<(), StorageError> {
    let endpoint = ended.claimed.message.endpoint_id;
    if let Some((state, why)) = &stop {
        tracing::warn!(%endpoint, merchant = %ended.claimed.merchant, state, "nothing more is sent: {why}");
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
