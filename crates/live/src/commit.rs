//! The one way into the journal: what became of an entry is said here, and the same for everybody who commits.
//!
//! Whoever commits decides, commits, applies and tells, in this order. Where it may be stored or not, they read what is
//! stored and go on from there; the system is told to doubt what it holds, so that a later look finds what they miss.

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_storage::journal::{AppendError, Entry};
use tracing::field::display;

use crate::Refused;
use crate::carried::UNKNOWN;
use crate::system::Doors;

/// What became of an entry.
#[derive(Debug)]
pub(crate) enum Commit {
    /// It is stored: whoever asked for it applies it, and tells.
    Stored,
    /// A request with its idempotency key was answered before: that answer counts.
    KeyUsed,
    /// What is stored may not be what is in memory: it is to be read back. `unknown` where the entry itself may be there,
    /// or still come; otherwise it is not, and somebody else was.
    ReadBack {
        /// Whether the entry may be stored.
        unknown: bool,
    },
    /// It is not stored: the driver's time is another order's.
    Overlap,
    /// It is not stored: the database is away.
    Away,
    /// It is not stored: another server runs the region by now, and this one is about to end.
    Another,
    /// It is not stored, and never will be.
    Broken,
}

impl Commit {
    fn of(error: &AppendError) -> Self {
        match error {
            AppendError::Unavailable(_) => Self::Away,
            AppendError::NotOwner => Self::Another,
            AppendError::Unknown(_) => Self::ReadBack { unknown: true },
            AppendError::VersionConflict { .. } | AppendError::Duplicate => Self::ReadBack { unknown: false },
            AppendError::IdempotencyKeyUsed => Self::KeyUsed,
            AppendError::CommitmentOverlap => Self::Overlap,
            AppendError::Inconsistent(_) | AppendError::Refused { .. } => Self::Broken,
        }
    }

    /// What the caller is told, where there is nothing better to say.
    pub(crate) fn refused(&self) -> Refused {
        match self {
            Self::Away => Refused::Unavailable("the database is away".into()),
            Self::Another => Refused::Unavailable("another server has taken over".into()),
            Self::ReadBack { unknown: true } => UNKNOWN,
            Self::Stored | Self::KeyUsed | Self::ReadBack { unknown: false } => Refused::LostRace,
            Self::Overlap => Refused::DriverUnsuited("another order holds the time".to_owned()),
            Self::Broken => Refused::Broken("an entry was refused".into()),
        }
    }
}

/// Whose entry it is, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    /// An order's.
    Order(OrderId),
    /// A driver's.
    Driver(DriverId),
}

impl Doors {
    /// Hands an entry to the journal, and waits for its commit.
    pub(crate) async fn commit(&self, whose: Whose, entry: Entry) -> Commit {
        let Err(error) = self.journal.append(entry).await else { return Commit::Stored };
        let (order, driver) = match whose {
            Whose::Order(id) => (Some(display(id)), None),
            Whose::Driver(id) => (None, Some(display(id))),
        };
        let commit = Commit::of(&error);
        match commit {
            Commit::ReadBack { unknown: true } => {
                tracing::warn!(order, driver, %error, "unknown whether it was stored: it is read back");
                self.doubt();
            }
            Commit::ReadBack { unknown: false } => {
                tracing::warn!(order, driver, %error, "what is stored is not what is in memory: it is read back");
                self.doubt();
            }
            Commit::Away => tracing::warn!(order, driver, %error, "not stored: the database is away"),
            Commit::Another => tracing::warn!(order, driver, %error, "not stored: another server has taken over"),
            Commit::Overlap | Commit::Broken => tracing::error!(order, driver, %error, "not stored"),
            Commit::Stored | Commit::KeyUsed => {}
        }
        commit
    }
}
