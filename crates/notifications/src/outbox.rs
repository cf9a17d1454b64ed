//! What waits to be sent, in Postgres, and what became of it.

use std::sync::Arc;

use posthaste_clock::Clock;
use posthaste_domain::ids::{Id, MessageId};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::StorageError;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::carrier::{Carrier, CarrierError};
use crate::message::{Channel, Message};

const PURPOSE: &str = "outbox";
/// Seconds after which a message that somebody is sending may be taken over: he is gone.
const LEASE_SECONDS: i64 = 60;
/// Seconds to the next attempt, after each failed one; then it is given up.
const RETRIES_SECONDS: [i64; 9] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800];
/// For how long sent messages' rows are kept, and dead ones'. Their contents are gone at once.
const SENT_KEPT: Span = Span::days(7);
const DEAD_KEPT: Span = Span::days(90);

/// The outbox and its carriers. Cheap to clone.
#[derive(Clone)]
pub struct Notifications(Arc<Inner>);

struct Inner {
    pool: Pool,
    seal: Seal,
    clock: Clock,
    outside: Outside,
    email: Option<Carrier>,
    text: Option<Carrier>,
    email_waits: Notify,
    text_waits: Notify,
}

/// A message that was taken out to be sent.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: MessageId,
    pub(crate) attempts: i32,
    pub(crate) created_at: Timestamp,
    /// None where it cannot be opened any more.
    pub(crate) message: Option<Message>,
}

/// How the outbox of a channel stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Waiting to be sent.
    pub waiting: i64,
    /// Given up within the time that rows are kept.
    pub dead: i64,
}

impl Notifications {
    /// An outbox with a carrier for each channel that there is one for. While the `outside` is held, nothing is handed to
    /// carriers that reach it.
    #[must_use]
    pub fn new(
        pool: Pool,
        seal: Seal,
        clock: Clock,
        outside: Outside,
        email: Option<Carrier>,
        text: Option<Carrier>,
    ) -> Self {
        let (email_waits, text_waits) = (Notify::new(), Notify::new());
        Self(Arc::new(Inner { pool, seal, clock, outside, email, text, email_waits, text_waits }))
    }

    /// Whether messages of the channel are handed to its carrier.
    pub(crate) fn sends(&self, channel: Channel) -> bool {
        self.carrier(channel).is_some_and(|carrier| !(self.0.outside.is_held() && carrier.reaches_outside()))
    }

    /// Whether messages of the channel can be sent at all.
    #[must_use]
    pub fn carries(&self, channel: Channel) -> bool {
        self.carrier(channel).is_some()
    }

    pub(crate) fn carrier(&self, channel: Channel) -> Option<&Carrier> {
        match channel {
            Channel::Email => self.0.email.as_ref(),
            Channel::Text => self.0.text.as_ref(),
        }
    }

    pub(crate) fn waits(&self, channel: Channel) -> &Notify {
        match channel {
            Channel::Email => &self.0.email_waits,
            Channel::Text => &self.0.text_waits,
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.wall()
    }

    /// Writes a message into the outbox, in the transaction of what it tells of.
    ///
    /// # Errors
    ///
    /// Those of the database; the caller's transaction is then of no use any more.
    pub async fn put(&self, connection: &mut PgConnection, message: &Message) -> Result<MessageId, StorageError> {
        let (now, id): (_, MessageId) = (self.now(), self.0.clock.id());
        let plain = serde_json::to_vec(message).map_err(|e| StorageError::corrupt("message", e))?;
        let owner = id.uuid();
        let body =
            self.0.seal.seal(PURPOSE, owner.as_bytes(), &plain).map_err(|e| StorageError::corrupt("message", e))?;
        sqlx::query!(
            "INSERT INTO outbox_messages (id, channel, state, created_at, next_attempt_at, give_up_at, attempts, body)
            VALUES ($1, $2, 'waiting', $3, $3, $4, 0, $5)",
            owner,
            message.channel.name(),
            now,
            now + Span::seconds(message.useful_seconds),
            body,
        )
        .execute(connection)
        .await?;
        Ok(id)
    }

    /// Says that messages were committed: the worker looks at once.
    pub fn wake(&self) {
        self.0.email_waits.notify_one();
        self.0.text_waits.notify_one();
    }

    /// How a channel stands.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn standing(&self, channel: Channel) -> Result<Standing, StorageError> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM outbox_messages WHERE channel = $1 AND state = 'waiting') AS "waiting!",
                (SELECT count(*) FROM outbox_messages
                    WHERE channel = $1 AND state = 'dead' AND ended_at > $2 AND state <> 'waiting') AS "dead!""#,
            channel.name(),
            self.now() - DEAD_KEPT,
        )
        .fetch_one(self.0.pool.connections())
        .await?;
        Ok(Standing { waiting: row.waiting, dead: row.dead })
    }

    /// Takes messages that are due, for [`LEASE_SECONDS`]; gives up those that are of no use any more.
    pub(crate) async fn take(&self, channel: Channel, most: i64) -> Result<Vec<Taken>, StorageError> {
        let now = self.now();
        let late = sqlx::query!(
            "UPDATE outbox_messages SET state = 'dead', ended_at = $2, body = NULL,
                last_error = concat_ws('; ', last_error, 'too late')
            WHERE channel = $1 AND state = 'waiting' AND next_attempt_at <= $2 AND give_up_at <= $2",
            channel.name(),
            now,
        )
        .execute(self.0.pool.connections())
        .await?;
        if late.rows_affected() > 0 {
            let messages = late.rows_affected();
            tracing::error!(channel = channel.name(), messages, "messages could not be sent in time");
        }
        let rows = sqlx::query!(
            "UPDATE outbox_messages SET attempts = attempts + 1, next_attempt_at = $4
            WHERE id IN (SELECT id FROM outbox_messages
                WHERE channel = $1 AND state = 'waiting' AND next_attempt_at <= $2
                ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING id, attempts, created_at, body",
            channel.name(),
            now,
            most,
            now + Span::seconds(LEASE_SECONDS),
        )
        .fetch_all(self.0.pool.connections())
        .await?;
        let taken = rows.into_iter().map(|row| Taken {
            id: MessageId::from_uuid(row.id),
            attempts: row.attempts,
            created_at: row.created_at,
            message: row.body.and_then(|body| self.open(row.id, &body)),
        });
        Ok(taken.collect())
    }

    fn open(&self, id: Uuid, body: &[u8]) -> Option<Message> {
        serde_json::from_slice(&self.0.seal.open(PURPOSE, id.as_bytes(), body).ok()?).ok()
    }

    /// Notes what became of a message.
    pub(crate) async fn settle(&self, taken: &Taken, outcome: &Result<(), CarrierError>) -> Result<(), StorageError> {
        let tried = usize::try_from(taken.attempts).unwrap_or(usize::MAX).saturating_sub(1);
        let (state, next, why) = match outcome {
            Ok(()) => ("sent", None, None),
            Err(CarrierError::Permanent(why)) => ("dead", None, Some(why)),
            Err(CarrierError::Away(why) | CarrierError::Temporary(why)) => match RETRIES_SECONDS.get(tried) {
                Some(seconds) => ("waiting", Some(self.now() + Span::seconds(*seconds)), Some(why)),
                None => ("dead", None, Some(why)),
            },
        };
        if state == "dead" {
            let (message, why) = (taken.id, why.map_or("", String::as_str));
            tracing::error!(%message, attempts = taken.attempts, why, "a message is given up");
        }
        // Whoever took it over meanwhile has counted one attempt more.
        sqlx::query!(
            "UPDATE outbox_messages SET state = $3, next_attempt_at = coalesce($4, next_attempt_at), last_error = $5,
                ended_at = CASE WHEN $3 <> 'waiting' THEN $6::timestamptz END,
                body = CASE WHEN $3 = 'waiting' THEN body END
            WHERE id = $1 AND attempts = $2 AND state = 'waiting'",
            taken.id.uuid(),
            taken.attempts,
            state,
            next,
            why.map(String::as_str),
            self.now(),
        )
        .execute(self.0.pool.connections())
        .await?;
        Ok(())
    }

    /// When the next message of the channel is due.
    pub(crate) async fn next_due(&self, channel: Channel) -> Result<Option<Timestamp>, StorageError> {
        let due = sqlx::query_scalar!(
            "SELECT next_attempt_at FROM outbox_messages WHERE channel = $1 AND state = 'waiting'
            ORDER BY next_attempt_at LIMIT 1",
            channel.name(),
        )
        .fetch_optional(self.0.pool.connections())
        .await?;
        Ok(due)
    }

    /// Removes rows of messages that ended long ago; says how many.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn tidy(&self) -> Result<u64, StorageError> {
        let now = self.now();
        let done = sqlx::query!(
            "DELETE FROM outbox_messages WHERE state <> 'waiting' AND ended_at < $1 AND (state = 'sent' OR ended_at < $2)",
            now - SENT_KEPT,
            now - DEAD_KEPT,
        )
        .execute(self.0.pool.connections())
        .await?;
        Ok(done.rows_affected())
    }
}
