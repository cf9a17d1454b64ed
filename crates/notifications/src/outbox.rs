//! What waits to be sent, as jobs: one kind for each channel, whose contents nobody can read in the database.

use std::sync::Arc;
use std::time::Duration;

use posthaste_domain::Span;
use posthaste_domain::ids::{Id, MessageId};
use posthaste_jobs::{Jobs, Kind, NewJob, Retries, Times};
use posthaste_storage::StorageError;
use sqlx::PgConnection;

use crate::carrier::{ATTEMPT, Carrier};
use crate::message::{Channel, Message};

/// Seconds to the next attempt, after each failed one; then it is given up.
const RETRIES: Retries = Retries {
    seconds: &[5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800],
    jitter: 0.0,
    longest_asked: Span::hours(8),
};

/// Emails.
pub static EMAIL: Kind = kind("email", "notifications.emails");
/// Texts.
pub static TEXT: Kind = kind("text", "notifications.texts");

const fn kind(name: &'static str, duty: &'static str) -> Kind {
    Kind {
        name,
        duty,
        does: "sends what waits",
        // People wait for them, by their own clocks.
        times: Times::Wall,
        sealed_for: Some("outbox"),
        at_once: 8,
        of_group: 8,
        longest: ATTEMPT.saturating_add(Duration::from_secs(5)),
        retries: RETRIES,
        done_kept: Some(Span::days(7)),
        dead_kept: Some(Span::days(90)),
        // It may be a code, and is about somebody.
        dead_keeps_payload: false,
        every: None,
    }
}

/// The kind of a channel's messages.
pub(crate) fn kind_of(channel: Channel) -> &'static Kind {
    match channel {
        Channel::Email => &EMAIL,
        Channel::Text => &TEXT,
    }
}

/// The outbox and its carriers. Cheap to clone.
#[derive(Clone)]
pub struct Notifications(Arc<Inner>);

struct Inner {
    jobs: Jobs,
    email: Option<Carrier>,
    text: Option<Carrier>,
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
    /// An outbox with a carrier for each channel that there is one for. While the outside is held, nothing is handed to
    /// carriers that reach it.
    #[must_use]
    pub fn new(jobs: Jobs, email: Option<Carrier>, text: Option<Carrier>) -> Self {
        jobs.register(&EMAIL);
        jobs.register(&TEXT);
        Self(Arc::new(Inner { jobs, email, text }))
    }

    /// Whether messages of the channel are handed to its carrier.
    pub(crate) fn sends(&self, channel: Channel) -> bool {
        self.carrier(channel).is_some_and(|carrier| !(self.0.jobs.outside().is_held() && carrier.reaches_outside()))
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

    pub(crate) fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Writes a message into the outbox, in the transaction of what it tells of.
    ///
    /// # Errors
    ///
    /// Those of the database; the caller's transaction is then of no use any more.
    pub async fn put(&self, connection: &mut PgConnection, message: &Message) -> Result<MessageId, StorageError> {
        let id: MessageId = self.0.jobs.clock().id();
        let kind = kind_of(message.channel);
        let plain = serde_json::to_vec(message).map_err(|e| StorageError::corrupt("message", e))?;
        let useful_until = self.0.jobs.now(kind) + Span::seconds(message.useful_seconds);
        let new = NewJob::new(plain).with_id(Id::from_uuid(id.uuid())).give_up_at(useful_until);
        self.0.jobs.put(connection, kind, new).await?;
        Ok(id)
    }

    /// Says that messages were committed: the workers look at once.
    pub fn wake(&self) {
        self.0.jobs.wake(&EMAIL);
        self.0.jobs.wake(&TEXT);
    }

    /// How a channel stands.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn standing(&self, channel: Channel) -> Result<Standing, StorageError> {
        let all = self.0.jobs.standings().await?;
        let mine = all.iter().find(|one| one.kind == kind_of(channel).name);
        Ok(mine.map(|one| Standing { waiting: one.waiting + one.running, dead: one.dead }).unwrap_or_default())
    }
}
