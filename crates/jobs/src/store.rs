//! The statements of the queue.
//!
//! A lane is kept in order so: only a job before which nothing of its lane waits or runs is begun (asked in the statement that
//! claims it; that two run at once is also forbidden by the index `jobs_lane_runs`). Those that are found due behind another are
//! marked, so that nobody looks at them again; whoever ends a run opens the first of its lane in the same transaction, whether
//! the job is done or waits again. A mark is only set while the job that it stands behind is locked, and runs or is of an
//! earlier place: its end could be missed otherwise. So the first of a lane is never marked, but for one before which a later
//! one still runs.

mod claim;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::choose::Due;
use crate::kind::Kind;
use crate::put::Columns;
use crate::retry::Next;

#[cfg(test)]
pub(crate) use claim::Claim;
pub(crate) use claim::{Claimed, claim};

/// Jobs of a group that are looked at for each that may be begun: some of them are behind others of their lane.
const LOOKED_AT: usize = 4;

/// What is due.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What may be begun: of each group the longest due first.
    pub(crate) due: Vec<Due>,
    /// What is behind another of its lane, and not marked so.
    pub(crate) behind: Vec<Due>,
}

fn most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes jobs; the ids of those whose key was free.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    kind: &Kind,
    new: &Columns,
    now: Timestamp,
) -> Result<Vec<JobId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "INSERT INTO jobs (id, kind, lane, place, group_name, key, payload, state, behind, due_at, give_up_at, attempts, tries,
            claim, created_at)
        SELECT u.id, $1, u.lane, coalesce(u.place, nextval('jobs_place')), u.group_name, u.key, u.payload, 'waiting', false,
            u.due_at, u.give_up_at, 0, 0, 0, $10
        FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::timestamptz[],
            $9::timestamptz[]) AS u (id, lane, place, group_name, key, payload, due_at, give_up_at)
        ON CONFLICT (kind, key) WHERE key IS NOT NULL AND state IN ('waiting', 'running') DO NOTHING
        RETURNING id",
        kind.name,
        &new.ids,
        &new.lanes as &[Option<String>],
        &new.places as &[Option<i64>],
        &new.groups,
        &new.keys as &[Option<String>],
        &new.payloads,
        &new.due_at,
        &new.give_up_at as &[Option<Timestamp>],
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(JobId::from_uuid).collect())
}

/// Writes jobs, or begins anew with those that are there.
pub(crate) async fn begin_anew(
    connection: &mut PgConnection,
    kind: &Kind,
    new: &Columns,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO jobs AS j (id, kind, lane, place, group_name, key, payload, state, behind, due_at, give_up_at, attempts,
            tries, claim, created_at)
        SELECT u.id, $1, u.lane, coalesce(u.place, nextval('jobs_place')), u.group_name, u.key, u.payload, 'waiting', false,
            u.due_at, u.give_up_at, 0, 0, 0, $10
        FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::timestamptz[],
            $9::timestamptz[]) AS u (id, lane, place, group_name, key, payload, due_at, give_up_at)
        ON CONFLICT ON CONSTRAINT jobs_pkey DO UPDATE SET state = 'waiting', behind = false, lane = excluded.lane,
            place = excluded.place, group_name = excluded.group_name, key = excluded.key, payload = excluded.payload,
            due_at = excluded.due_at, give_up_at = excluded.give_up_at, tries = 0, claim = j.claim + 1, leased_until = NULL,
            ended_at = NULL, kept_until = NULL",
        kind.name,
        &new.ids,
        &new.lanes as &[Option<String>],
        &new.places as &[Option<i64>],
        &new.groups,
        &new.keys as &[Option<String>],
        &new.payloads,
        &new.due_at,
        &new.give_up_at as &[Option<Timestamp>],
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes jobs; their lanes.
pub(crate) async fn remove(
    connection: &mut PgConnection,
    kind: &str,
    ids: &[Uuid],
) -> Result<Vec<Option<String>>, StorageError> {
    let lanes = sqlx::query_scalar!("DELETE FROM jobs WHERE id = ANY($1) AND kind = $2 RETURNING lane", ids, kind);
    Ok(lanes.fetch_all(connection).await?)
}

/// Lets the first of each lane that waits be looked at. Whoever ends a job does so afterwards, in the same transaction.
pub(crate) async fn open_lanes(
    connection: &mut PgConnection,
    kind: &str,
    lanes: &[String],
) -> Result<(), StorageError> {
    if lanes.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE jobs SET behind = false WHERE behind AND id IN (SELECT first.id FROM unnest($2::text[]) AS l (lane)
            CROSS JOIN LATERAL (SELECT id FROM jobs WHERE kind = $1 AND lane = l.lane AND lane IS NOT NULL
                AND state IN ('waiting', 'running') ORDER BY place, id LIMIT 1) AS first)",
        kind,
        lanes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What is due, of every group that is open and not among the `full`. Looks at the first of each group, and at no more of those
/// that are not due.
pub(crate) async fn look(pool: &Pool, kind: &Kind, now: Timestamp, full: &[String]) -> Result<Seen, StorageError> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE groups AS (
            (SELECT group_name, due_at FROM jobs WHERE kind = $1 AND state = 'waiting' AND NOT behind
                ORDER BY group_name, due_at LIMIT 1)
            UNION ALL
            SELECT n.group_name, n.due_at FROM groups g CROSS JOIN LATERAL (SELECT group_name, due_at FROM jobs
                WHERE kind = $1 AND state = 'waiting' AND NOT behind AND group_name > g.group_name
                ORDER BY group_name, due_at LIMIT 1) AS n
        )
        SELECT d.id AS "id!", g.group_name AS "group_name!", d.claim AS "claim!", d.is_behind AS "is_behind!"
        FROM groups g LEFT JOIN job_groups h ON h.kind = $1 AND h.name = g.group_name
        CROSS JOIN LATERAL (SELECT j.id, j.claim, j.lane IS NOT NULL AND (
                EXISTS (SELECT FROM jobs r WHERE r.kind = $1 AND r.lane = j.lane AND r.state = 'running')
                OR EXISTS (SELECT FROM jobs e WHERE e.kind = $1 AND e.lane = j.lane AND e.state IN ('waiting', 'running')
                    AND (e.place, e.id) < (j.place, j.id))) AS is_behind
            FROM jobs j WHERE j.kind = $1 AND j.state = 'waiting' AND NOT j.behind AND j.group_name = g.group_name
                AND j.due_at <= $2
            ORDER BY j.due_at LIMIT CASE WHEN g.group_name = '' THEN $3::bigint ELSE $4::bigint END) AS d
        WHERE g.due_at <= $2 AND h.held IS NOT TRUE AND (h.quiet_until IS NULL OR h.quiet_until <= $2)
            AND NOT g.group_name = ANY($5)
        UNION ALL
        (SELECT id, group_name, claim, false FROM jobs
        WHERE kind = $1 AND state = 'running' AND leased_until <= now()
            AND NOT EXISTS (SELECT FROM job_groups h WHERE h.kind = $1 AND h.name = group_name
                AND (h.held OR h.quiet_until > $2))
        ORDER BY leased_until LIMIT $3)"#,
        kind.name,
        now,
        most(kind.at_once * LOOKED_AT),
        most(kind.most_of("-") * LOOKED_AT),
        full,
    )
    .fetch_all(pool.connections())
    .await?;
    let mut seen = Seen::default();
    for row in rows {
        let due = Due { id: JobId::from_uuid(row.id), group: row.group_name, claim: row.claim };
        if row.is_behind { seen.behind.push(due) } else { seen.due.push(due) }
    }
    Ok(seen)
}

/// When the next of the open groups is due after `now`.
pub(crate) async fn next_due(pool: &Pool, kind: &Kind, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
    let due = sqlx::query_scalar!(
        "WITH RECURSIVE groups AS (
            (SELECT group_name, due_at FROM jobs WHERE kind = $1 AND state = 'waiting' AND NOT behind
                ORDER BY group_name, due_at LIMIT 1)
            UNION ALL
            SELECT n.group_name, n.due_at FROM groups g CROSS JOIN LATERAL (SELECT group_name, due_at FROM jobs
                WHERE kind = $1 AND state = 'waiting' AND NOT behind AND group_name > g.group_name
                ORDER BY group_name, due_at LIMIT 1) AS n
        )
        SELECT min(greatest(g.due_at, h.quiet_until)) FROM groups g
        LEFT JOIN job_groups h ON h.kind = $1 AND h.name = g.group_name
        WHERE h.held IS NOT TRUE AND greatest(g.due_at, h.quiet_until) > $2",
        kind.name,
        now,
    )
    .fetch_one(pool.connections())
    .await?;
    Ok(due)
}

/// Marks jobs that are behind others of their lane: nobody looks at them until those end. How many.
pub(crate) async fn mark_behind(pool: &Pool, kind: &Kind, behind: &[Due]) -> Result<u64, StorageError> {
    let ids: Vec<_> = behind.iter().map(|due| due.id.uuid()).collect();
    let done = sqlx::query!(
        "WITH mine AS (
            SELECT id, lane, place FROM jobs WHERE id = ANY($2) AND kind = $1 AND state = 'waiting' AND NOT behind
                AND lane IS NOT NULL
            ORDER BY id FOR UPDATE SKIP LOCKED
        ), blocked AS (
            SELECT mine.id, mine.place, coalesce(
                (SELECT r.id FROM jobs r WHERE r.kind = $1 AND r.lane = mine.lane AND r.state = 'running'),
                (SELECT e.id FROM jobs e WHERE e.kind = $1 AND e.lane = mine.lane AND e.state IN ('waiting', 'running')
                    AND (e.place, e.id) < (mine.place, mine.id) ORDER BY e.place, e.id LIMIT 1)) AS by
            FROM mine
        ), still AS (
            SELECT blocked.id FROM blocked JOIN jobs by ON by.id = blocked.by
            WHERE by.state = 'running' OR by.state = 'waiting' AND (by.place, by.id) < (blocked.place, blocked.id)
            ORDER BY by.id FOR SHARE OF by SKIP LOCKED
        )
        UPDATE jobs SET behind = true WHERE id IN (SELECT id FROM still)",
        kind.name,
        &ids,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected())
}

/// Notes what became of a claimed job, and opens its lane where it ended. False where the claim is no longer ours.
pub(crate) async fn settle(
    connection: &mut PgConnection,
    kind: &Kind,
    claimed: &Claimed,
    next: Next,
    why: Option<&str>,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let id = claimed.id.uuid();
    let kept = match next {
        Next::RetryAt(at) => {
            let done = sqlx::query!(
                "UPDATE jobs SET state = 'waiting', due_at = $3, leased_until = NULL, last_error = $4
                WHERE id = $1 AND claim = $2 AND state = 'running'",
                id,
                claimed.claim,
                at,
                why,
            )
            .execute(&mut *connection)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            // One of an earlier place may have come while it ran.
            open_lanes(connection, kind.name, claimed.lane.as_slice()).await?;
            return Ok(true);
        }
        Next::Done => kind.done_kept,
        Next::Dead => kind.dead_kept,
    };
    let done = match kept {
        None => {
            sqlx::query!("DELETE FROM jobs WHERE id = $1 AND claim = $2 AND state = 'running'", id, claimed.claim)
                .execute(&mut *connection)
                .await?
        }
        Some(kept) => {
            let is_dead = next == Next::Dead;
            sqlx::query!(
                "UPDATE jobs SET state = $3, leased_until = NULL, last_error = $4, ended_at = $5,
                    kept_until = now() + make_interval(secs => $6), payload = CASE WHEN $7 THEN payload END
                WHERE id = $1 AND claim = $2 AND state = 'running'",
                id,
                claimed.claim,
                if is_dead { "dead" } else { "done" },
                why,
                now,
                kept.as_seconds_f64(),
                is_dead && kind.dead_keeps_payload,
            )
            .execute(&mut *connection)
            .await?
        }
    };
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    open_lanes(connection, kind.name, claimed.lane.as_slice()).await?;
    Ok(true)
}
