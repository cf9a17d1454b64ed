//! What a server of the release before has left in its outbox becomes jobs. To be removed with `outbox_messages` by the next
//! release.

use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;

/// Messages in one statement.
const CHUNK: i64 = 1_000;

/// Moves everything; how many messages that were. What was just being sent there is due when its lease would have ended.
pub(crate) async fn take_over(pool: &Pool) -> Result<u64, StorageError> {
    let mut all = 0;
    loop {
        let moved = sqlx::query!(
            "WITH old AS (DELETE FROM outbox_messages WHERE id IN
                (SELECT id FROM outbox_messages ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
                RETURNING *)
            INSERT INTO jobs (id, kind, place, group_name, payload, state, behind, due_at, give_up_at, attempts, tries, claim,
                last_error, created_at, ended_at, kept_until)
            SELECT id, channel, nextval('jobs_place'), '', body, CASE state WHEN 'sent' THEN 'done' ELSE state END, false,
                next_attempt_at, give_up_at, attempts, attempts, 0, last_error, created_at, ended_at,
                ended_at + CASE state WHEN 'sent' THEN interval '7 days' ELSE interval '90 days' END
            FROM old",
            CHUNK,
        )
        .execute(pool.connections())
        .await?
        .rows_affected();
        all += moved;
        if moved == 0 {
            return Ok(all);
        }
    }
}
