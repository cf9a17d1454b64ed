//! What can go wrong with a read, or with a write outside the journal.

use std::error::Error;
use std::io::ErrorKind;

/// A failed read or write. The text is for logs; the API shows its own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The database could not be reached, or has no means now; nothing was written. Trying again later makes sense.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke after the statement was sent: a write may have been done or not. Trying again makes sense.
    #[error("the connection to the database broke")]
    CutOff(#[source] Box<dyn Error + Send + Sync>),
    /// A stored value does not read as what it should be.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// What was read, as in `order ord_…`.
        what: String,
        /// Why it could not be read.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database refused the statement.
    #[error("the database refused a statement")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl StorageError {
    /// A stored value that does not read as what it should be.
    pub fn corrupt(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt { what: what.into(), source: source.into() }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::CutOff(_))
    }

    /// Whether nobody can say if a write was done.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::CutOff(_))
    }

    /// Whether a value in the statement was refused: the same statement without it may well succeed.
    #[must_use]
    pub fn is_about_values(&self) -> bool {
        let Self::Refused(source) = self else { return false };
        match source.downcast_ref() {
            Some(sqlx::Error::Encode(_)) => true,
            // Data exceptions, and violated constraints.
            Some(sqlx::Error::Database(refusal)) => {
                refusal.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        match Nature::of(&error) {
            Nature::Unreached | Nature::Withheld | Nature::LostRace => Self::Unavailable(error.into()),
            Nature::CutOff => Self::CutOff(error.into()),
            Nature::Refused => Self::Refused(error.into()),
        }
    }
}

/// What an error of the driver says about the statement that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// No connection could be had: the statement was never sent.
    Unreached,
    /// The connection broke after sending: a commit may or may not have happened.
    CutOff,
    /// The server has no means for it now (disk, memory, time, read-only). Nothing was committed.
    Withheld,
    /// A deadlock or a serialisation failure. Nothing was committed; again at once makes sense.
    LostRace,
    /// The statement itself was refused. Nothing was committed.
    Refused,
}

impl Nature {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Configuration(_) => Self::Unreached,
            // Only making a connection ends so.
            sqlx::Error::Io(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Self::Unreached
            }
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::CutOff
            }
            sqlx::Error::Database(refusal) => refusal.code().map_or(Self::Refused, |code| Self::of_code(&code)),
            _ => Self::Refused,
        }
    }

    /// By SQLSTATE (Postgres manual, appendix A).
    fn of_code(code: &str) -> Self {
        match code {
            "40001" | "40P01" => Self::LostRace,
            "57P03" => Self::Unreached,
            "57014" | "25006" | "55P03" => Self::Withheld,
            _ => match code.get(..2) {
                Some("08" | "57") => Self::CutOff,
                Some("53" | "58") => Self::Withheld,
                _ => Self::Refused,
            },
        }
    }
}

/// The name of the constraint or unique index that a statement ran into.
#[must_use]
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|e| e.constraint())
}
