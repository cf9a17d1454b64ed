//! That the system stops, and how long each part of a stop may take.
//!
//! A stop waits for what is under way, never for a database that cannot be reached: then whoever waits for a connection
//! is refused (`posthaste_storage::lead::Lead::refuse_when_away`), and every part below ends by itself. The bounds are for
//! what hangs all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The most that a whole stop may take. Service managers are told to wait a little longer.
pub const LONGEST_STOP: Duration = Duration::from_secs(40);

/// How a running server is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// As it should: requests are answered, what is being committed is committed, positions are checkpointed.
    InOrder,
    /// At once: the database is somebody else's by now. Nothing can be stored, so nothing is worth waiting for.
    AtOnce,
}

/// How long the parts of a stop may take (real time). They follow each other, but for sockets.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Requests under way.
    pub requests: Duration,
    /// Live systems, all of them beside each other: the last checkpoint, and the actors.
    pub systems: Duration,
    /// Of that, the last checkpoint. None where there is none to be written.
    pub checkpoint: Option<Duration>,
    /// Sockets that say good-bye, beside the systems.
    pub sockets: Duration,
    /// Messages that are being sent to merchants' programs.
    pub messages: Duration,
    /// Connections to the database that come back.
    pub connections: Duration,
    /// The private Postgres. What it has not done by then it does without us.
    pub database: Duration,
    /// The last traces, on their way to a collector.
    pub traces: Duration,
}

impl Leave {
    /// How long each part of the stop may take.
    #[must_use]
    pub const fn budget(self) -> Budget {
        match self {
            Self::InOrder => Budget {
                // A request has ten seconds; a slow reader gets some more for its answer.
                requests: Duration::from_secs(15),
                systems: Duration::from_secs(8),
                checkpoint: Some(Duration::from_secs(3)),
                sockets: Duration::from_secs(5),
                messages: Duration::from_secs(5),
                connections: Duration::from_secs(2),
                database: Duration::from_secs(8),
                traces: Duration::from_secs(2),
            },
            Self::AtOnce => Budget {
                requests: Duration::from_millis(500),
                systems: Duration::from_millis(500),
                checkpoint: None,
                sockets: Duration::from_millis(500),
                messages: Duration::ZERO,
                connections: Duration::from_millis(200),
                database: Duration::from_secs(1),
                traces: Duration::from_millis(500),
            },
        }
    }
}

impl Budget {
    /// What the whole of it may take.
    #[must_use]
    pub fn whole(&self) -> Duration {
        let systems = self.systems.max(self.sockets);
        self.requests + systems + self.messages + self.connections + self.database + self.traces
    }
}

/// Says that the system stops, to everybody who waits on their own account. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Stopping(Arc<watch::Sender<Option<Leave>>>);

impl Default for Stopping {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Stopping {
    /// The stop begins. One in order may become one at once, never the other way round.
    pub fn begin(&self, how: Leave) {
        self.0.send_if_modified(|now| {
            let changes = now.is_none() || (*now == Some(Leave::InOrder) && how == Leave::AtOnce);
            if changes {
                *now = Some(how);
            }
            changes
        });
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it has begun.
    pub async fn begun(&self) {
        // Its sender is here: it cannot be gone.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_fits_what_is_promised() {
        assert!(Leave::InOrder.budget().whole() <= LONGEST_STOP, "{:?}", Leave::InOrder.budget().whole());
        assert!(Leave::AtOnce.budget().whole() <= Duration::from_secs(4), "{:?}", Leave::AtOnce.budget().whole());
        for budget in [Leave::InOrder.budget(), Leave::AtOnce.budget()] {
            assert!(budget.checkpoint.unwrap_or_default() < budget.systems, "actors have time of their own");
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_stop_hears_of_it_whenever_they_ask() {
        let stopping = Stopping::default();
        let before = tokio::spawn({
            let stopping = stopping.clone();
            async move { stopping.begun().await }
        });
        assert!(!stopping.has_begun());
        stopping.begin(Leave::InOrder);
        before.await.expect("it hears");
        stopping.begun().await;
        assert!(stopping.has_begun());
    }

    #[test]
    fn a_stop_becomes_quicker_and_never_slower() {
        let stopping = Stopping::default();
        stopping.begin(Leave::AtOnce);
        stopping.begin(Leave::InOrder);
        assert_eq!(*stopping.0.borrow(), Some(Leave::AtOnce));
    }
}
