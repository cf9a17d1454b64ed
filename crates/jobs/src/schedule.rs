//! Kinds that are done again and again. Their next time stands in Postgres: whoever moves it puts the job in the same transaction,
//! so that it is put once, however many processes there are and however often they start.

use posthaste_domain::{Span, Timestamp};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;

use crate::kind::Kind;
use crate::{Jobs, NewJob};

/// The key of such jobs: while one waits or runs, the next is left out.
const KEY: &str = "schedule";

/// When a kind is put again that was to be put at `planned`, and is now: what was missed meanwhile is one.
pub(crate) fn after(planned: Timestamp, every: Span, now: Timestamp) -> Timestamp {
    let every = every.num_microseconds().unwrap_or(i64::MAX).max(1);
    let late = (now - planned).num_microseconds().unwrap_or(0).max(0);
    let passed = (late / every).saturating_add(1);
    planned + Span::microseconds(passed.saturating_mul(every))
}

/// When it is put at last, where that was planned: never farther off than its period, as where the clock was set back by much, or
/// the period was longer before.
pub(crate) fn planned(stored: Timestamp, every: Span, now: Timestamp) -> Timestamp {
    stored.min(now + every)
}

impl Jobs {
    /// Puts the kind's next job where its time has come; when to look again.
    pub(crate) async fn keep_schedule(&self, kind: &'static Kind, every: Span) -> Result<Timestamp, StorageError> {
        let now = self.now(kind);
        let stored = read(self.pool(), kind, every, now).await?;
        if stored > now {
            return Ok(stored);
        }
        let mut transaction = self.pool().connections().begin().await?;
        let next = after(stored, every, now);
        let moved = sqlx::query!(
            "UPDATE job_schedules SET next_at = $3, last_at = $4 WHERE kind = $1 AND next_at = $2",
            kind.name,
            stored,
            next,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() == 0 {
            // Somebody else put it in this moment.
            return Ok(next);
        }
        self.put(&mut transaction, kind, NewJob::default().with_key(KEY)).await?;
        transaction.commit().await?;
        Ok(next)
    }
}

/// When the next is due, after what was stored was brought in step with the program. A kind that was never done begins after its
/// period.
async fn read(pool: &Pool, kind: &Kind, every: Span, now: Timestamp) -> Result<Timestamp, StorageError> {
    let row = sqlx::query!("SELECT every_seconds, next_at FROM job_schedules WHERE kind = $1", kind.name)
        .fetch_optional(pool.connections())
        .await?;
    let next = row.as_ref().map_or(now + every, |row| planned(row.next_at, every, now));
    if row.is_some_and(|row| (row.every_seconds, row.next_at) == (every.num_seconds(), next)) {
        return Ok(next);
    }
    let stored = sqlx::query_scalar!(
        "INSERT INTO job_schedules AS s (kind, every_seconds, next_at) VALUES ($1, $2, $3)
        ON CONFLICT ON CONSTRAINT job_schedules_pkey DO UPDATE SET every_seconds = $2, next_at = least(s.next_at, $3)
        RETURNING next_at",
        kind.name,
        every.num_seconds(),
        next,
    )
    .fetch_one(pool.connections())
    .await?;
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_missed_is_one_and_the_beat_is_kept(late in 0i64..10_000_000, every in 1i64..100_000) {
            let (planned, every) = (Timestamp::UNIX_EPOCH, Span::seconds(every));
            let now = planned + Span::seconds(late);
            let next = after(planned, every, now);
            prop_assert!(next > now && next <= now + every);
            prop_assert_eq!((next - planned).num_seconds() % every.num_seconds(), 0);
        }

        #[test]
        fn a_clock_that_is_set_back_puts_none_twice_and_none_never(back in 0i64..10_000_000, every in 1i64..100_000) {
            let (stored, every) = (Timestamp::UNIX_EPOCH, Span::seconds(every));
            let now = stored - Span::seconds(back);
            let next = planned(stored, every, now);
            prop_assert!(next >= now && next <= now + every && next <= stored);
        }
    }
}
