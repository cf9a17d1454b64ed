//! Claiming jobs: each is somebody's until their lease ends.

use posthaste_domain::ids::{Id, JobId};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::pool::Pool;
use posthaste_storage::{StorageError, constraint};
use sqlx::PgConnection;
use uuid::Uuid;

use super::open_lanes;
use crate::choose::Due;
use crate::kind::Kind;

/// What a job says that was of no use any more when its turn came.
const TOO_LATE: &str = "too late";
/// What a job says whose runs never came to an end, as often as it is tried.
const LOST: &str = "its runs were never heard of again";
/// A job that is ours until its lease ends.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: JobId,
    pub(crate) lane: Option<String>,
    pub(crate) group: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) attempts: u32,
    pub(crate) tries: u32,
    pub(crate) claim: i64,
    pub(crate) created_at: Timestamp,
}

/// What a claim came to.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(crate) claimed: Vec<Claimed>,
    /// Given up instead: too late, or begun too often without an end.
    pub(crate) given_up: Vec<(JobId, String)>,
}

fn seconds(span: Option<Span>) -> f64 {
    span.map_or(0.0, Span::as_seconds_f64)
}

/// Claims jobs for the kind's lease. Those that somebody else has claimed, or is just changing, are left out; none where somebody
/// began another of a lane in the same moment.
pub(crate) async fn claim(pool: &Pool, kind: &Kind, chosen: &[Due], now: Timestamp) -> Result<Claim, StorageError> {
    let mut transaction = pool.connections().begin().await?;
    let rows = match take(&mut transaction, kind, chosen, now).await {
        Err(error) if constraint(&error) == Some("jobs_lane_runs") => return Ok(Claim::default()),
        rows => rows?,
    };
    let (mut claim, mut lanes) = (Claim::default(), Vec::new());
    for row in rows {
        let id = JobId::from_uuid(row.id);
        if row.state == "dead" {
            claim.given_up.push((id, row.why));
            lanes.extend(row.lane);
            continue;
        }
        claim.claimed.push(Claimed {
            id,
            lane: row.lane,
            group: row.group_name,
            payload: row.payload.unwrap_or_default(),
            attempts: row.attempts.unsigned_abs(),
            tries: row.tries.unsigned_abs(),
            claim: row.claim,
            created_at: row.created_at,
        });
    }
    open_lanes(&mut transaction, kind.name, &lanes).await?;
    transaction.commit().await?;
    Ok(claim)
}

struct Row {
    id: Uuid,
    lane: Option<String>,
    group_name: String,
    payload: Option<Vec<u8>>,
    state: String,
    attempts: i32,
    tries: i32,
    claim: i64,
    created_at: Timestamp,
    why: String,
}

/// Claims them, or gives them up.
async fn take(
    connection: &mut PgConnection,
    kind: &Kind,
    chosen: &[Due],
    now: Timestamp,
) -> Result<Vec<Row>, sqlx::Error> {
    let ids: Vec<_> = chosen.iter().map(|due| due.id.uuid()).collect();
    let claims: Vec<_> = chosen.iter().map(|due| due.claim).collect();
    sqlx::query_as!(
        Row,
        r#"WITH free AS (
            SELECT j.id, j.give_up_at <= $4 AS is_late, j.state = 'running' AND j.tries >= $6 AS is_lost
            FROM jobs j JOIN unnest($2::uuid[], $3::bigint[]) AS u (id, claim) ON j.id = u.id AND j.claim = u.claim
            WHERE j.kind = $1 AND (
                j.state = 'running' AND j.leased_until <= now()
                OR j.state = 'waiting' AND (j.lane IS NULL OR NOT EXISTS (SELECT FROM jobs r
                        WHERE r.kind = $1 AND r.lane = j.lane AND r.state = 'running')
                    AND NOT EXISTS (SELECT FROM jobs e WHERE e.kind = $1 AND e.lane = j.lane
                        AND e.state IN ('waiting', 'running') AND (e.place, e.id) < (j.place, j.id))))
                AND NOT EXISTS (SELECT FROM job_groups h WHERE h.kind = $1 AND h.name = j.group_name AND h.held)
            ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
        ), sorted AS (
            SELECT id, coalesce(is_late OR is_lost, false) AS is_over, CASE WHEN is_late THEN $9 ELSE $10 END AS why FROM free
        )
        UPDATE jobs j SET claim = j.claim + 1,
            state = CASE WHEN s.is_over THEN 'dead' ELSE 'running' END,
            attempts = CASE WHEN s.is_over THEN j.attempts ELSE j.attempts + 1 END,
            tries = CASE WHEN s.is_over THEN j.tries ELSE j.tries + 1 END,
            leased_until = CASE WHEN NOT s.is_over THEN now() + make_interval(secs => $5) END,
            ended_at = CASE WHEN s.is_over THEN $4 END,
            kept_until = CASE WHEN s.is_over THEN now() + make_interval(secs => $7) END,
            payload = CASE WHEN s.is_over AND NOT $8 THEN NULL ELSE j.payload END,
            last_error = CASE WHEN s.is_over THEN concat_ws('; ', j.last_error, s.why) ELSE j.last_error END
        FROM sorted s WHERE j.id = s.id
        RETURNING j.id, j.lane, j.group_name, j.payload, j.state, j.attempts, j.tries, j.claim, j.created_at, s.why AS "why!""#,
        kind.name,
        &ids,
        &claims,
        now,
        kind.lease().as_secs_f64(),
        kind.most_tries(),
        seconds(kind.dead_kept),
        kind.dead_keeps_payload,
        TOO_LATE,
        LOST,
    )
    .fetch_all(connection)
    .await
}
