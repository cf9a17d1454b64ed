//! Why a request to the live system was refused. Nothing has changed, but for a counted wrong code; and but for one refusal
//! that says that the outcome is not known (`carried::UNKNOWN`): whoever asks again with the same key hears it then.

use std::borrow::Cow;

use posthaste_domain::calendar::Overlap;
use posthaste_domain::driver::ShiftRefused;
use posthaste_domain::order::{InvalidOrder, Rejected};
use posthaste_domain::region::RegionsDiffer;
use serde::{Deserialize, Serialize};

/// Why a request was refused. The API maps each variant to one problem.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// No such order, driver, zone or offer.
    #[error("no such {0}")]
    NotFound(Cow<'static, str>),
    /// The order machine says no.
    #[error(transparent)]
    Order(#[from] Rejected),
    /// The code is wrong; this many tries remain before a pause.
    #[error("wrong code, {attempts_left} tries left")]
    WrongCode {
        /// Tries that remain before a pause.
        attempts_left: u8,
    },
    /// Fields of a new order are wrong.
    #[error("{} fields are wrong", .0.len())]
    InvalidOrder(Vec<InvalidOrder>),
    /// A place lies in no zone.
    #[error("{field} lies in no zone")]
    OutsideServiceArea {
        /// The field with the place.
        field: String,
    },
    /// As many orders are under way as may be where they are only tried out; the text says whose.
    #[error("{0}")]
    TooManyOrders(String),
    /// The shift cannot change so.
    #[error(transparent)]
    Shift(#[from] ShiftRefused),
    /// The driver's time is taken.
    #[error(transparent)]
    DriverBusy(#[from] Overlap),
    /// The driver cannot take the order, whoever says so.
    #[error("the driver cannot take the order: {0}")]
    DriverUnsuited(String),
    /// A driver serves zones of one region.
    #[error(transparent)]
    RegionsDiffer(#[from] RegionsDiffer),
    /// A planned shift is wrong: the field, and what is wrong with it.
    #[error("{0} {1}")]
    InvalidShift(Cow<'static, str>, String),
    /// The driver is planned for another shift then.
    #[error("the driver is planned for another shift then")]
    ShiftsOverlap,
    /// Fields of a zone are wrong: path and problem of each.
    #[error("{} fields are wrong", .0.len())]
    InvalidZone(Vec<(String, String)>),
    /// Another zone has the name.
    #[error("a zone of this name exists")]
    ZoneNameTaken,
    /// Somebody else changed it in between.
    #[error("changed by somebody else in between")]
    LostRace,
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    IdempotencyMismatch,
    /// Something is wrong here, and trying again does not help. The text is for the log.
    #[error("broken: {0}")]
    Broken(Cow<'static, str>),
    /// Postgres, an actor, or the whole system cannot serve it now. Trying again may help.
    #[error("temporarily unavailable: {0}")]
    Unavailable(Cow<'static, str>),
}

impl From<posthaste_storage::StorageError> for Refused {
    fn from(error: posthaste_storage::StorageError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a read or write failed");
        match error {
            posthaste_storage::StorageError::Unavailable(_) => Self::Unavailable("the database is away".into()),
            posthaste_storage::StorageError::CutOff(_) => crate::carried::UNKNOWN,
            _ => Self::Broken("stored state cannot be read".into()),
        }
    }
}
