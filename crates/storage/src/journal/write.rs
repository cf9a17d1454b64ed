//! The statement, and what to do when it refuses.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use serde::Deserialize;
use sqlx::postgres::PgDatabaseError;
use uuid::Uuid;

use super::batch::Batch;
use super::entry::{AppendError, Entry};
use crate::error::{Nature, constraint};
use crate::feed::Drawn;
use crate::nodes::Fence;
use crate::pool::Pool;

/// How often a batch that lost a race inside Postgres (a deadlock) is sent again. Locks are taken in one order, so
/// this happens only beside foreign writers; more tries would keep everybody else waiting.
const RACES: usize = 4;
/// SQLSTATE of `journal_refuse`.
const REFUSED_BY_JOURNAL: &str = "PJ001";
/// SQLSTATE of `journal_not_owner`.
const NOT_OWNER: &str = "PJ002";
/// The constraint that gives each number of the feed once.
const FEED_NUMBERS: &str = "order_feed_pkey";

/// Writes entries in one commit, each as a whole or not at all; answers in their order. Their events stand in the feed under
/// the numbers that were `drawn` for them.
///
/// A bad entry fails alone: the others are committed. When the answer is [`AppendError::Unknown`] the caller has to
/// reload what it wanted to write. See the [module](crate::journal) for what the caller owes.
pub async fn write(pool: &Pool, mut drawn: Drawn, entries: &[Entry]) -> Vec<Result<(), AppendError>> {
    let outcomes = write_groups(pool, &mut drawn, entries).await;
    drawn.end();
    outcomes
}

async fn write_groups(pool: &Pool, drawn: &mut Drawn, entries: &[Entry]) -> Vec<Result<(), AppendError>> {
    let mut redrawn = 0;
    let mut outcomes: Vec<_> = entries.iter().map(Entry::check).collect();
    let mut groups = vec![(0..entries.len()).filter(|n| outcomes[*n].is_ok()).collect::<Vec<_>>()];
    while let Some(group) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        match attempt(pool, entries, &group, drawn).await {
            Ok(()) => {}
            Err(Failure::Bad(bad)) => {
                for (n, error) in bad {
                    outcomes[n] = Err(error);
                }
                groups.push(group.into_iter().filter(|n| outcomes[*n].is_ok()).collect());
            }
            Err(Failure::Somewhere(error)) if group.len() == 1 => outcomes[group[0]] = Err(error),
            Err(Failure::Somewhere(_)) => {
                // Later entries may build on earlier ones: the first half goes first.
                let (first, second) = group.split_at(group.len() / 2);
                groups.push(second.to_vec());
                groups.push(first.to_vec());
            }
            Err(Failure::Unreachable(error)) => {
                // What is left would only wait for the same connection again.
                for n in group.into_iter().chain(groups.drain(..).flatten()) {
                    outcomes[n] = Err(error.clone());
                }
            }
            Err(Failure::NumbersTaken(_)) if redrawn < RACES => {
                redrawn += 1;
                tracing::error!("numbers of the feed were used by somebody who is not this journal: others are drawn");
                match drawn.again(pool).await {
                    Ok(()) => groups.push(group),
                    Err(error) => {
                        let error = AppendError::Unavailable(Arc::new(error));
                        group.into_iter().for_each(|n| outcomes[n] = Err(error.clone()));
                    }
                }
            }
            Err(Failure::Everything(error) | Failure::NumbersTaken(error)) => {
                if !error.is_certain() {
                    drawn.doubt(&group);
                }
                for n in group {
                    outcomes[n] = Err(error.clone());
                }
            }
        }
    }
    follow_first(entries, &mut outcomes);
    outcomes
}

/// An entry whose idempotency key was another's of the same batch has that one's outcome where it was not written for
/// sure: no answer may be there under the key.
fn follow_first(entries: &[Entry], outcomes: &mut [Result<(), AppendError>]) {
    let key = |n: usize| entries[n].idempotency.as_ref().map(|record| (&record.principal, &record.key));
    for n in 0..outcomes.len() {
        if !matches!(outcomes[n], Err(AppendError::IdempotencyKeyUsed)) {
            continue;
        }
        let is_lost = |m: &usize| {
            matches!(outcomes[*m], Err(AppendError::Unknown(_) | AppendError::Unavailable(_) | AppendError::NotOwner))
                && key(*m) == key(n)
        };
        if let Some(first) = (0..n).find(is_lost) {
            outcomes[n] = outcomes[first].clone();
        }
    }
}

/// Why a group was not written.
enum Failure {
    /// These entries are bad; nothing is known against the others.
    Bad(Vec<(usize, AppendError)>),
    /// One or more entries are bad and Postgres did not say which.
    Somewhere(AppendError),
    /// All of the group failed, through no fault of an entry.
    Everything(AppendError),
    /// The same, as somebody else has used numbers of the feed that were drawn for it.
    NumbersTaken(AppendError),
    /// No connection: nothing else can be written now either.
    Unreachable(AppendError),
}

async fn attempt(pool: &Pool, entries: &[Entry], group: &[usize], drawn: &Drawn) -> Result<(), Failure> {
    let batch = Batch::of(entries, group, drawn)
        .map_err(|(n, error)| Failure::Bad(vec![(n, refused(None, Arc::new(error)))]))?;
    let mut races = 0;
    loop {
        let mut connection =
            pool.0.acquire().await.map_err(|error| Failure::Unreachable(AppendError::Unavailable(Arc::new(error))))?;
        let fence = pool.1.as_ref().and_then(|leader| leader.fence.as_ref());
        let Err(error) = execute(&mut connection, &batch, fence).await else { return Ok(()) };
        if Nature::of(&error) == Nature::LostRace && races < RACES {
            races += 1;
            tracing::warn!(%error, races, "a batch of the journal lost a race and is sent again");
            continue;
        }
        let failure = failure(error, &batch, entries);
        if let (Failure::Everything(AppendError::NotOwner), Some(fence)) = (&failure, fence) {
            tracing::error!(epoch = fence.epoch, "nothing is written any more: the region is another node's");
            fence.over.set();
        }
        return Err(failure);
    }
}

/// What `journal_refuse` says: positions in the statement's arrays, from 1.
#[derive(Deserialize)]
struct Refusal {
    orders: Vec<usize>,
    drivers: Vec<usize>,
    commitments: Vec<usize>,
    keys: Vec<usize>,
}

fn failure(error: sqlx::Error, batch: &Batch<'_>, entries: &[Entry]) -> Failure {
    if let Some(refusal) = refusal(&error) {
        let bad = attribute(&refusal, batch, entries);
        if !bad.is_empty() {
            return Failure::Bad(bad);
        }
    }
    if error.as_database_error().is_some_and(|refused| refused.code().as_deref() == Some(NOT_OWNER)) {
        return Failure::Everything(AppendError::NotOwner);
    }
    match Nature::of(&error) {
        Nature::Unreached => Failure::Unreachable(AppendError::Unavailable(Arc::new(error))),
        Nature::CutOff => Failure::Everything(AppendError::Unknown(Arc::new(error))),
        Nature::Withheld | Nature::LostRace => Failure::Everything(AppendError::Unavailable(Arc::new(error))),
        Nature::Refused if constraint(&error) == Some(FEED_NUMBERS) => {
            Failure::NumbersTaken(AppendError::Unavailable(Arc::new(error)))
        }
        Nature::Refused => {
            let constraint = constraint(&error).map(str::to_owned);
            Failure::Somewhere(refused(constraint, Arc::new(error)))
        }
    }
}

fn refused(constraint: Option<String>, cause: super::Cause) -> AppendError {
    AppendError::Refused { constraint, cause }
}

fn refusal(error: &sqlx::Error) -> Option<Refusal> {
    let refused = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    if refused.code() != REFUSED_BY_JOURNAL {
        return None;
    }
    serde_json::from_str(refused.detail()?).ok()
}

/// Which entries are bad, and why.
///
/// Only the gravest kind is named at a time: what an entry that lost its stream did to a key or to a driver's time
/// must not be held against another. The rest is judged again without it.
fn attribute(refusal: &Refusal, batch: &Batch<'_>, entries: &[Entry]) -> Vec<(usize, AppendError)> {
    let named = |positions: &[usize], of: &[usize]| -> Vec<usize> {
        positions.iter().filter_map(|n| of.get(n.checked_sub(1)?).copied()).collect()
    };
    let mut streams = named(&refusal.orders, &batch.orders.entry);
    streams.extend(named(&refusal.drivers, &batch.drivers.entry));
    if !streams.is_empty() {
        let lost = |n: usize| match entries[n].expected_version() {
            0 => AppendError::Duplicate,
            expected => AppendError::VersionConflict { expected },
        };
        return streams.into_iter().map(|n| (n, lost(n))).collect();
    }
    let keys = named(&refusal.keys, &batch.keys.entry);
    if !keys.is_empty() {
        return keys.into_iter().map(|n| (n, AppendError::IdempotencyKeyUsed)).collect();
    }
    let takes = named(&refusal.commitments, &batch.takes.entry);
    takes.into_iter().map(|n| (n, AppendError::CommitmentOverlap)).collect()
}

/// The statement in a file with the columns of a batch, and what else that file takes. Two files, not one with a question in
/// it: who is no node pays nothing for it.
macro_rules! statement {
    ($file:literal, $connection:expr, $batch:expr $(, $more:expr)*) => {{
        let Batch { text, orders, sellers, order_events, feed, drivers, driver_events, released, takes, decisions, keys } =
            $batch;
        sqlx::query_file!(
            $file,
            &orders.id,
            &orders.version,
            &orders.previous,
            &orders.merchant,
            &orders.zone,
            &orders.customer as &[Option<Uuid>],
            &orders.driver as &[Option<Uuid>],
            &orders.offered as &[Option<Uuid>],
            &orders.placed_at,
            &orders.promised_at,
            &orders.settled_at as &[Option<Timestamp>],
            &orders.status as &[&str],
            &orders.speed as &[&str],
            &orders.reference as &[Option<&str>],
            &text.pieces(&orders.state) as &[&str],
            &sellers.order,
            &sellers.merchant,
            &sellers.placed_at,
            &order_events.stream,
            &order_events.seq,
            &order_events.at,
            &text.pieces(&order_events.by) as &[&str],
            &order_events.name as &[&str],
            &order_events.status as &[&str],
            &order_events.correlation as &[Option<&str>],
            &text.pieces(&order_events.payload) as &[&str],
            &drivers.id,
            &drivers.version,
            &drivers.previous,
            &drivers.created_at,
            &drivers.until as &[Option<Timestamp>],
            &drivers.capacity,
            &drivers.name as &[&str],
            &drivers.vehicle as &[&str],
            &drivers.shift as &[&str],
            &text.pieces(&drivers.zones) as &[&str],
            &text.pieces(&drivers.speeds) as &[&str],
            &driver_events.stream,
            &driver_events.seq,
            &driver_events.at,
            &text.pieces(&driver_events.by) as &[&str],
            &driver_events.name as &[&str],
            &driver_events.correlation as &[Option<&str>],
            &text.pieces(&driver_events.payload) as &[&str],
            released,
            &takes.order,
            &takes.version,
            &takes.driver,
            &takes.start,
            &takes.end,
            &decisions.order,
            &decisions.driver as &[Option<Uuid>],
            &decisions.at,
            &decisions.summary as &[&str],
            &text.pieces(&decisions.detail) as &[&str],
            &keys.principal as &[&str],
            &keys.key as &[&str],
            &keys.at,
            &keys.status,
            &keys.fingerprint as &[&[u8]],
            &keys.response as &[&str],
            &takes.lane as &[Option<i32>],
            &drivers.next_task as &[Option<Uuid>],
            &feed.number,
            &text.pieces(&feed.merchants) as &[&str],
            &drivers.region,
            $($more,)*
        )
        .fetch_one(&mut *$connection)
        .await
        .map(drop)
    }};
}

/// One statement, one round trip, one commit.
async fn execute(
    connection: &mut sqlx::PgConnection,
    batch: &Batch<'_>,
    fence: Option<&Fence>,
) -> Result<(), sqlx::Error> {
    match fence {
        None => statement!("src/journal/write.sql", connection, batch),
        Some(fence) => statement!("src/journal/write_fenced.sql", connection, batch, fence.region, fence.epoch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::story::answer;

    fn under(key: &str) -> Entry {
        Entry::default().idempotency(answer(key))
    }

    #[test]
    fn the_fenced_statement_is_the_other_with_a_fence_in_it() {
        let fenced = include_str!("write_fenced.sql");
        let (_, fenced) = fenced.split_once("\n--\n").expect("what it is");
        let (before, rest) = fenced.split_once("WITH held AS MATERIALIZED (").expect("the fence");
        let (fence, rest) = rest.split_once("), order_rows AS (").expect("its end");
        assert!(fence.contains("FOR SHARE OF l"), "{fence}");
        let refusal = "    WHEN NOT EXISTS (SELECT FROM held) THEN journal_not_owner($67, $68)\n";
        assert_eq!(rest.matches(refusal).count(), 1);
        let without = format!("{before}WITH order_rows AS ({}", rest.replace(refusal, ""));
        assert_eq!(without, include_str!("write.sql"));
    }

    #[test]
    fn who_came_second_under_a_key_hears_of_an_answer_only_where_the_first_was_written() {
        let broke = || AppendError::Unknown(Arc::new(std::io::Error::other("it broke")));
        let entries = [under("a"), under("a"), under("b"), under("b")];
        let used = || Err(AppendError::IdempotencyKeyUsed);
        let mut outcomes = vec![Err(broke()), used(), Ok(()), used()];
        follow_first(&entries, &mut outcomes);
        assert!(matches!(outcomes[1], Err(AppendError::Unknown(_))), "{outcomes:?}");
        assert!(matches!(outcomes[3], Err(AppendError::IdempotencyKeyUsed)), "{outcomes:?}");
    }
}
