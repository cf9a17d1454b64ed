//! The feed in Postgres, as its consumers see it.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, MerchantId, OrderId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::StorageError;
use crate::pool::Pool;

/// Rows in one statement of [`tidy`]. More would run into the statement's time limit.
const CHUNK: i64 = 5_000;

/// What the feed says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its place in the feed.
    pub number: i64,
    /// The order.
    pub order: OrderId,
    /// The event's number in the order's history.
    pub seq: i64,
    /// The event's name.
    pub name: String,
    /// The order's status after it, by its name.
    pub status: String,
    /// Whose business the order is: its owner first, then the sellers of parts.
    pub merchants: Vec<MerchantId>,
    /// When it happened.
    pub at: Timestamp,
}

/// What comes next for a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// The events, in the order of their numbers. May be empty where numbers were kept that no event has.
    pub events: Vec<FeedEvent>,
    /// Where the cursor belongs once all of them are dealt with.
    pub last: i64,
    /// Whether there may be more by now.
    pub more: bool,
}

/// How far a consumer is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Who.
    pub consumer: String,
    /// Numbers between its cursor and the newest that is stored: about as many events.
    pub numbers: i64,
}

/// What comes next for a consumer, up to the mark; none where nothing is new. Its cursor is held until the transaction ends: who
/// reads for the same consumer meanwhile waits, and goes on from there.
///
/// # Errors
///
/// Those of the database. [`StorageError::Corrupt`] where the consumer has no cursor: it has to [`join`].
pub async fn next(
    transaction: &mut PgConnection,
    consumer: &str,
    mark: i64,
    most: u16,
) -> Result<Option<Portion>, StorageError> {
    let cursor = sqlx::query_scalar!("SELECT number FROM feed_cursors WHERE consumer = $1 FOR UPDATE", consumer)
        .fetch_optional(&mut *transaction)
        .await?;
    let missing =
        || StorageError::corrupt(format!("cursor of {consumer}"), "there is none: it has not joined the feed");
    let rows = sqlx::query_as!(
        Row,
        "SELECT number, order_id, seq, name, status, merchants, at FROM order_feed
        WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3",
        cursor.ok_or_else(missing)?,
        mark,
        i64::from(most),
    )
    .fetch_all(transaction)
    .await?;
    let Some(last) = rows.last().map(|row| row.number) else { return Ok(None) };
    let more = rows.len() == usize::from(most);
    Ok(Some(Portion { events: rows.into_iter().filter_map(Row::event).collect(), last, more }))
}

/// Moves a consumer's cursor, in the transaction that did what follows from the events.
///
/// # Errors
///
/// Those of the database. [`StorageError::Corrupt`] where there is no such cursor, or it would go back.
pub async fn move_to(transaction: &mut PgConnection, consumer: &str, number: i64) -> Result<(), StorageError> {
    let moved =
        sqlx::query!("UPDATE feed_cursors SET number = $2 WHERE consumer = $1 AND number <= $2", consumer, number)
            .execute(transaction)
            .await?;
    if moved.rows_affected() == 1 {
        return Ok(());
    }
    Err(StorageError::corrupt(format!("cursor of {consumer}"), format!("it does not move to {number}")))
}

/// Makes a consumer's cursor where there is none: it reads what is stored from now on.
///
/// # Errors
///
/// Those of the database.
pub async fn join(connection: &mut PgConnection, consumer: &str) -> Result<(), StorageError> {
    sqlx::query!(
        "INSERT INTO feed_cursors (consumer, number) SELECT $1, coalesce(max(number), 0) FROM order_feed
        ON CONFLICT ON CONSTRAINT feed_cursors_pkey DO NOTHING",
        consumer,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest number that is stored. What is committed later to somebody who has seen this has a larger one.
///
/// # Errors
///
/// Those of the database.
pub async fn newest(connection: &mut PgConnection) -> Result<i64, StorageError> {
    let newest = sqlx::query_scalar!(r#"SELECT coalesce(max(number), 0) AS "newest!" FROM order_feed"#);
    Ok(newest.fetch_one(connection).await?)
}

/// How many events that concern one of these merchants a consumer has not read yet, and when the oldest happened.
///
/// # Errors
///
/// Those of the database.
pub async fn to_come(
    pool: &Pool,
    consumer: &str,
    merchants: &[MerchantId],
) -> Result<(i64, Option<Timestamp>), StorageError> {
    let merchants: Vec<Uuid> = merchants.iter().map(|merchant| merchant.uuid()).collect();
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", min(f.at) AS since FROM order_feed f
        WHERE f.number > (SELECT c.number FROM feed_cursors c WHERE c.consumer = $1) AND f.merchants && $2"#,
        consumer,
        &merchants,
    )
    .fetch_one(&pool.0)
    .await?;
    Ok((row.count, row.since))
}

/// How far each consumer is behind.
///
/// # Errors
///
/// Those of the database.
pub async fn behind(pool: &Pool) -> Result<Vec<Behind>, StorageError> {
    let rows = sqlx::query!(
        r#"SELECT c.consumer, greatest((SELECT max(f.number) FROM order_feed f) - c.number, 0) AS "numbers!"
        FROM feed_cursors c ORDER BY c.consumer"#
    )
    .fetch_all(&pool.0)
    .await?;
    Ok(rows.into_iter().map(|row| Behind { consumer: row.consumer, numbers: row.numbers }).collect())
}

/// Removes what every consumer has read and what happened before an instant; how many rows. The newest stays: it says which
/// number is the next.
///
/// # Errors
///
/// Those of the database.
pub async fn tidy(pool: &Pool, before: Timestamp) -> Result<u64, StorageError> {
    let mut all = 0;
    loop {
        // Of the oldest alone: younger ones need not be looked at.
        let removed = sqlx::query!(
            "DELETE FROM order_feed WHERE number IN (
                SELECT number FROM (SELECT f.number, f.at FROM order_feed f
                    WHERE f.number <= (SELECT min(c.number) FROM feed_cursors c)
                        AND f.number < (SELECT max(g.number) FROM order_feed g)
                    ORDER BY f.number LIMIT $2) AS oldest
                WHERE at < $1)",
            before,
            CHUNK,
        )
        .execute(&pool.0)
        .await?;
        all += removed.rows_affected();
        if removed.rows_affected() < CHUNK.unsigned_abs() {
            return Ok(all);
        }
    }
}

/// The largest number that is stored or was read.
pub(super) async fn stored(pool: &Pool) -> Result<i64, StorageError> {
    let stored = sqlx::query_scalar!(
        r#"SELECT greatest((SELECT max(number) FROM order_feed), (SELECT max(number) FROM feed_cursors), 0) AS "stored!""#
    );
    Ok(stored.fetch_one(&pool.0).await?)
}

/// Keeps the places of numbers that are not stored, so that they never will be; how many. Where a transaction that stores one
/// of them is under way, this waits for it.
pub(super) async fn keep(pool: &Pool, numbers: &[i64]) -> Result<u64, StorageError> {
    let kept = sqlx::query!(
        "INSERT INTO order_feed (number, at) SELECT u.number, now() FROM unnest($1::bigint[]) AS u (number)
        ORDER BY u.number ON CONFLICT ON CONSTRAINT order_feed_pkey DO NOTHING",
        numbers,
    )
    .execute(&pool.0)
    .await?;
    Ok(kept.rows_affected())
}

struct Row {
    number: i64,
    order_id: Option<Uuid>,
    seq: Option<i64>,
    name: Option<String>,
    status: Option<String>,
    merchants: Option<Vec<Uuid>>,
    at: Timestamp,
}

impl Row {
    /// None where the number is kept and no event has it. A row is whole or empty, by its constraint.
    fn event(self) -> Option<FeedEvent> {
        Some(FeedEvent {
            number: self.number,
            order: OrderId::from_uuid(self.order_id?),
            seq: self.seq?,
            name: self.name?,
            status: self.status?,
            merchants: self.merchants?.into_iter().map(MerchantId::from_uuid).collect(),
            at: self.at,
        })
    }
}
