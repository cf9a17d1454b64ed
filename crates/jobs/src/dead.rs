//! The queue as whoever is on call sees it: how each kind stands, and jobs, of which those that are dead are tried again or
//! dropped. Payloads are never shown.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, JobId};
use posthaste_protocol::jobs::{JobKindView, JobScheduleView, JobView};
use posthaste_storage::{StorageError, constraint};
use uuid::Uuid;

use crate::{Jobs, Refused};

/// What jobs can be, as in the database and on the wire.
pub(crate) const STATES: [&str; 4] = ["waiting", "running", "done", "dead"];

/// How a kind stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The kind's name.
    pub kind: String,
    /// Jobs that wait, for their time or for others.
    pub waiting: i64,
    /// Jobs that run, or whose process died in their lease.
    pub running: i64,
    /// Dead ones that are still kept.
    pub dead: i64,
    /// When the first could begin or could have begun; held groups do not count.
    pub oldest_due: Option<Timestamp>,
    /// How often, when next and when last one is put by itself.
    pub schedule: Option<(i64, Timestamp, Option<Timestamp>)>,
}

impl From<Standing> for JobKindView {
    fn from(standing: Standing) -> Self {
        Self {
            kind: standing.kind,
            waiting: standing.waiting.unsigned_abs(),
            running: standing.running.unsigned_abs(),
            dead: standing.dead.unsigned_abs(),
            oldest_due_at: standing.oldest_due,
            schedule: standing.schedule.map(|(every, next_at, last_at)| JobScheduleView {
                every_seconds: every.unsigned_abs(),
                next_at,
                last_at,
            }),
        }
    }
}

struct Row {
    id: Uuid,
    kind: String,
    state: String,
    lane: Option<String>,
    group_name: String,
    key: Option<String>,
    due_at: Timestamp,
    leased_until: Option<Timestamp>,
    attempts: i32,
    last_error: Option<String>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
    has_payload: bool,
}

impl Jobs {
    fn view(&self, row: Row) -> JobView {
        JobView {
            id: JobId::from_uuid(row.id),
            can_be_retried: row.state == "dead" && row.has_payload && self.kind_of(&row.kind).is_some(),
            kind: row.kind,
            state: row.state,
            lane: row.lane,
            group: Some(row.group_name).filter(|group| !group.is_empty()),
            key: row.key,
            due_at: row.due_at,
            leased_until: row.leased_until,
            attempts: row.attempts.unsigned_abs(),
            last_error: row.last_error,
            created_at: row.created_at,
            ended_at: row.ended_at,
        }
    }

    /// How every kind stands: those that this process knows, and those of which there are jobs.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn standings(&self) -> Result<Vec<Standing>, StorageError> {
        let known: Vec<String> = self.kinds().iter().map(|kind| kind.name.to_owned()).collect();
        let rows = sqlx::query!(
            r#"WITH RECURSIVE present AS (
                (SELECT kind FROM jobs ORDER BY kind LIMIT 1)
                UNION ALL
                SELECT n.kind FROM present p
                CROSS JOIN LATERAL (SELECT kind FROM jobs WHERE kind > p.kind ORDER BY kind LIMIT 1) AS n
            ), kinds AS (SELECT kind FROM present UNION SELECT unnest($1::text[]))
            SELECT k.kind AS "kind!",
                (SELECT count(*) FROM jobs WHERE kind = k.kind AND state = 'waiting') AS "waiting!",
                (SELECT count(*) FROM jobs WHERE kind = k.kind AND state = 'running') AS "running!",
                (SELECT count(*) FROM jobs WHERE kind = k.kind AND state = 'dead') AS "dead!",
                (SELECT min(greatest(j.due_at, h.quiet_until)) FROM jobs j
                    LEFT JOIN job_groups h ON h.kind = k.kind AND h.name = j.group_name
                    WHERE j.kind = k.kind AND j.state = 'waiting' AND NOT j.behind AND h.held IS NOT TRUE) AS oldest_due,
                s.every_seconds AS "every_seconds?", s.next_at AS "next_at?", s.last_at
            FROM kinds k LEFT JOIN job_schedules s ON s.kind = k.kind ORDER BY k.kind"#,
            &known,
        )
        .fetch_all(self.pool().connections())
        .await?;
        let standings = rows.into_iter().map(|row| Standing {
            kind: row.kind,
            waiting: row.waiting,
            running: row.running,
            dead: row.dead,
            oldest_due: row.oldest_due,
            schedule: row.every_seconds.zip(row.next_at).map(|(every, next)| (every, next, row.last_at)),
        });
        Ok(standings.collect())
    }

    /// Jobs before one, newest first: of one kind or of all, of one state or of all.
    pub(crate) async fn list(
        &self,
        kind: Option<&str>,
        state: Option<&str>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<JobView>, StorageError> {
        let states: Vec<String> =
            STATES.iter().filter(|one| state.is_none_or(|state| state == **one)).map(|one| (*one).to_owned()).collect();
        let rows = sqlx::query_as!(
            Row,
            r#"WITH RECURSIVE kinds AS (
                (SELECT kind FROM jobs WHERE $1::text IS NULL OR kind = $1 ORDER BY kind LIMIT 1)
                UNION ALL
                SELECT n.kind FROM kinds k CROSS JOIN LATERAL (SELECT kind FROM jobs WHERE kind > k.kind
                    AND $1::text IS NULL ORDER BY kind LIMIT 1) AS n
            )
            SELECT j.id AS "id!", j.kind AS "kind!", j.state AS "state!", j.lane, j.group_name AS "group_name!", j.key,
                j.due_at AS "due_at!", j.leased_until, j.attempts AS "attempts!", j.last_error, j.created_at AS "created_at!",
                j.ended_at, j.payload IS NOT NULL AS "has_payload!"
            FROM kinds k CROSS JOIN unnest($2::text[]) AS s (state)
            CROSS JOIN LATERAL (SELECT * FROM jobs WHERE kind = k.kind AND state = s.state AND id < $3
                ORDER BY id DESC LIMIT $4) AS j
            ORDER BY j.id DESC LIMIT $4"#,
            kind as Option<&str>,
            &states,
            before.unwrap_or(Uuid::max()),
            i64::from(limit),
        )
        .fetch_all(self.pool().connections())
        .await?;
        Ok(rows.into_iter().map(|row| self.view(row)).collect())
    }

    /// One job.
    ///
    /// # Errors
    ///
    /// [`Refused::NotFound`], and those of the database.
    pub async fn get(&self, id: JobId) -> Result<JobView, Refused> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, kind, state, lane, group_name, key, due_at, leased_until, attempts, last_error, created_at, ended_at,
                payload IS NOT NULL AS "has_payload!"
            FROM jobs WHERE id = $1"#,
            id.uuid(),
        )
        .fetch_optional(self.pool().connections())
        .await?;
        row.map(|row| self.view(row)).ok_or(Refused::NotFound)
    }

    /// Tries a dead job again, at once and from the beginning of its schedule.
    ///
    /// # Errors
    ///
    /// [`Refused::NotFound`], [`Refused::Conflict`] where it is not dead or nothing is left to try, and those of the database.
    pub async fn retry(&self, id: JobId) -> Result<JobView, Refused> {
        let seen = self.get(id).await?;
        if seen.state != "dead" {
            return Err(Refused::Conflict("only a dead job is tried again"));
        }
        let Some(kind) = self.kind_of(&seen.kind) else {
            return Err(Refused::Conflict("nobody does jobs of this kind here any more"));
        };
        if !seen.can_be_retried {
            return Err(Refused::Conflict("its contents are gone, as is right for its kind: nothing is left to try"));
        }
        let tried = sqlx::query!(
            "UPDATE jobs SET state = 'waiting', due_at = $2, give_up_at = NULL, tries = 0, claim = claim + 1, ended_at = NULL,
                kept_until = NULL
            WHERE id = $1 AND state = 'dead' AND payload IS NOT NULL",
            id.uuid(),
            self.now(kind),
        )
        .execute(self.pool().connections())
        .await;
        match tried {
            Err(error) if constraint(&error) == Some("jobs_key") => {
                return Err(Refused::Conflict("another job of the same key waits or runs already"));
            }
            tried => tried?,
        };
        self.wake(kind);
        self.get(id).await
    }

    /// Removes a dead job.
    ///
    /// # Errors
    ///
    /// [`Refused::NotFound`], [`Refused::Conflict`] where it is not dead, and those of the database.
    pub async fn drop_dead(&self, id: JobId) -> Result<(), Refused> {
        let dropped = sqlx::query!("DELETE FROM jobs WHERE id = $1 AND state = 'dead'", id.uuid())
            .execute(self.pool().connections())
            .await?;
        if dropped.rows_affected() == 0 {
            self.get(id).await?;
            return Err(Refused::Conflict("only a dead job is dropped"));
        }
        Ok(())
    }
}
