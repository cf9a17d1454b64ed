//! What is handed to the journal, and what may come back.

use std::error::Error;
use std::num::NonZeroU128;
use std::sync::Arc;

use posthaste_domain::calendar::Lane;
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_domain::window::Window;

use crate::decisions::NewDecision;
use crate::drivers::DriverRecorded;
use crate::idempotency::IdempotencyRecord;

/// Whose history an entry continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// An order's.
    Order(OrderId),
    /// A driver's.
    Driver(DriverId),
}

/// One unit of work: all of it is committed, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The step of an order or a driver; `None` for decisions that stand alone.
    pub change: Option<Change>,
    /// Decisions to record with it.
    pub decisions: Vec<NewDecision>,
    /// The answer to keep for the request that caused it.
    pub idempotency: Option<IdempotencyRecord>,
    /// The request or message that caused it, as in the logs.
    pub correlation: Option<Correlation>,
}

/// The ids of what caused something, as in the logs.
#[derive(Debug, Clone)]
pub struct Correlation {
    /// The request, or the socket's session and command.
    pub request: Arc<str>,
    /// The trace that it was a step of. Not stored.
    pub trace: Option<NonZeroU128>,
}

/// One step of one stream.
#[derive(Debug, Clone)]
pub enum Change {
    /// Of an order.
    Order(OrderChange),
    /// Of a driver.
    Driver(DriverChange),
}

/// A step of an order: new events, and the state that they lead to.
#[derive(Debug, Clone)]
pub struct OrderChange {
    /// The version the events were decided on; 0 when the order must not exist yet.
    pub expected_version: u64,
    /// The state after the events.
    pub order: Arc<Order>,
    /// At least one, numbered from `expected_version + 1` on, each with the status after it. Shared with those who
    /// are told of them after the commit.
    pub events: Arc<[(Recorded, Status)]>,
    /// What happens to the driver's time that the order holds.
    pub commitment: Option<CommitmentChange>,
}

/// What happens to the driver's time that an order holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitmentChange {
    /// The order takes time of a driver. What it held before is given back first.
    Take {
        /// Whose time.
        driver: DriverId,
        /// Which time.
        window: Window,
        /// In which lane, when it shares the driver's time.
        lane: Lane,
    },
    /// The order gives back what it holds, if it holds something.
    Release,
}

/// A step of a driver.
#[derive(Debug, Clone)]
pub struct DriverChange {
    /// The version the events were decided on; 0 when the driver must not exist yet.
    pub expected_version: u64,
    /// The driver after the events.
    pub driver: Driver,
    /// At least one, numbered from `expected_version + 1` on.
    pub events: Vec<DriverRecorded>,
}

impl Entry {
    /// An entry that moves an order from `expected_version` to the state `order`.
    #[must_use]
    pub fn order(expected_version: u64, order: Arc<Order>, events: impl Into<Arc<[(Recorded, Status)]>>) -> Self {
        let change = OrderChange { expected_version, order, events: events.into(), commitment: None };
        Self { change: Some(Change::Order(change)), ..Self::default() }
    }

    /// An entry that moves a driver from `expected_version` to the state `driver`.
    #[must_use]
    pub fn driver(expected_version: u64, driver: Driver, events: Vec<DriverRecorded>) -> Self {
        let change = DriverChange { expected_version, driver, events };
        Self { change: Some(Change::Driver(change)), ..Self::default() }
    }

    /// An entry of decisions that belong to no step.
    #[must_use]
    pub fn decisions(decisions: Vec<NewDecision>) -> Self {
        Self { decisions, ..Self::default() }
    }

    /// Adds what happens to the driver's time. Only an order's step can carry it.
    #[must_use]
    pub fn commitment(mut self, commitment: CommitmentChange) -> Self {
        debug_assert!(matches!(self.change, Some(Change::Order(_))), "only an order holds a driver's time");
        if let Some(Change::Order(change)) = &mut self.change {
            change.commitment = Some(commitment);
        }
        self
    }

    /// Adds a decision.
    #[must_use]
    pub fn decision(mut self, decision: NewDecision) -> Self {
        self.decisions.push(decision);
        self
    }

    /// Adds the answer to keep for the request that caused it.
    #[must_use]
    pub fn idempotency(mut self, record: IdempotencyRecord) -> Self {
        self.idempotency = Some(record);
        self
    }

    /// Adds the request or message that caused it, if one did.
    #[must_use]
    pub fn correlation(mut self, ids: Option<Correlation>) -> Self {
        self.correlation = ids;
        self
    }

    /// The request or message that caused it.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.correlation.as_ref().map(|ids| &*ids.request)
    }

    /// Whose history it continues, if it continues one.
    #[must_use]
    pub fn stream(&self) -> Option<Stream> {
        self.change.as_ref().map(|change| match change {
            Change::Order(change) => Stream::Order(change.order.id),
            Change::Driver(change) => Stream::Driver(change.driver.id),
        })
    }

    /// The version its change was decided on.
    pub(super) fn expected_version(&self) -> u64 {
        self.change.as_ref().map_or(0, |change| match change {
            Change::Order(change) => change.expected_version,
            Change::Driver(change) => change.expected_version,
        })
    }

    /// Whether events and state fit each other: a mistake of the caller must not reach the disk.
    pub(super) fn check(&self) -> Result<(), AppendError> {
        let (expected, version, count, numbered) = match &self.change {
            None => return Ok(()),
            Some(Change::Order(c)) => {
                let numbered = c.events.iter().zip(c.expected_version + 1..).all(|((event, _), seq)| event.seq == seq);
                (c.expected_version, c.order.version, c.events.len(), numbered)
            }
            Some(Change::Driver(c)) => {
                let numbered = c.events.iter().zip(c.expected_version + 1..).all(|(event, seq)| event.seq == seq);
                (c.expected_version, c.driver.version, c.events.len(), numbered)
            }
        };
        if count == 0 {
            return Err(AppendError::Inconsistent("a step without events"));
        }
        if !numbered {
            return Err(AppendError::Inconsistent("events are not numbered from the expected version on"));
        }
        if version != expected + count as u64 {
            return Err(AppendError::Inconsistent("the state's version is not that of the last event"));
        }
        Ok(())
    }
}

/// The cause of a failure, shared by the entries that met it.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why an entry was not written, or may not have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Somebody else moved the stream on: reload and decide again.
    #[error("the stream is no longer at version {expected}")]
    VersionConflict {
        /// The version that the entry was decided on.
        expected: u64,
    },
    /// The order or driver exists already.
    #[error("the stream exists already")]
    Duplicate,
    /// Another order holds the driver's time.
    #[error("another order holds the driver's time")]
    CommitmentOverlap,
    /// A request with the same idempotency key was answered before: find its answer.
    #[error("the idempotency key was used before")]
    IdempotencyKeyUsed,
    /// Events and state of the entry do not fit each other: a mistake of the caller.
    #[error("the entry contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// The database does not take the entry's values (a constraint, a character it cannot store).
    #[error("the database refused the entry")]
    Refused {
        /// The constraint in the way, where one was.
        constraint: Option<String>,
        /// What the database said.
        #[source]
        cause: Cause,
    },
    /// Certainly not written: the region is another node's by now. Nothing that this process writes will be.
    #[error("this node does not run the region any more; nothing was written")]
    NotOwner,
    /// Certainly not written: the database was not reached, or had no means. Later may succeed.
    #[error("the database is not available; nothing was written")]
    Unavailable(#[source] Cause),
    /// The connection broke while committing: written or not, nobody knows. Fail and reload.
    #[error("the connection broke; it is unknown whether the entry was written")]
    Unknown(#[source] Cause),
}

impl AppendError {
    /// Whether it is certain that nothing of the entry was written.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}
