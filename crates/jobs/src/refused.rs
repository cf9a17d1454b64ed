//! What is refused, and the problems of it.

use posthaste_http::problem::Failure;
use posthaste_protocol::problem::{Code, FieldError, Problem};
use posthaste_storage::StorageError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Fields are wrong.
    #[error("fields are wrong")]
    Invalid(Vec<FieldError>),
    /// No such job.
    #[error("no such job")]
    NotFound,
    /// Not possible as things are.
    #[error("{0}")]
    Conflict(&'static str),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(errors) => Problem::new(Code::Invalid).errors(errors),
            Refused::NotFound => Problem::new(Code::NotFound).detail("no such job"),
            Refused::Conflict(why) => Problem::new(Code::Conflict).detail(why),
            Refused::Storage(error) if error.is_temporary() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "jobs could not be read or written");
                Problem::unavailable("the database is not available")
            }
            Refused::Storage(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "jobs could not be read or written");
                Problem::new(Code::Internal)
            }
        }
        .into()
    }
}
