//! What is refused, and the problems of it.

use posthaste_http::problem::Failure;
use posthaste_protocol::problem::{Code, FieldError, Problem};
use posthaste_storage::StorageError;
use posthaste_storage::sealed::Unsealable;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Fields are wrong.
    #[error("fields are wrong")]
    Invalid(Vec<FieldError>),
    /// Nothing of the kind, or not the caller's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Not possible as things are.
    #[error("{0}")]
    Conflict(&'static str),
    /// Too often.
    #[error("too often: in {seconds} s again")]
    TooOften {
        /// How long to wait.
        seconds: u32,
    },
    /// The idempotency key stands for another request.
    #[error("the idempotency key was used with another request")]
    IdempotencyMismatch,
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Sealed with another secret.
    #[error(transparent)]
    Sealed(#[from] Unsealable),
}

impl Refused {
    /// One wrong field.
    pub(crate) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.to_owned(), problem: problem.into() }])
    }
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
            Refused::NotFound(what) => Problem::new(Code::NotFound).detail(format!("no such {what}")),
            Refused::Conflict(why) => Problem::new(Code::Conflict).detail(why),
            Refused::TooOften { seconds } => Problem::new(Code::RateLimited)
                .detail("an endpoint is tested a few times a minute")
                .retry_after(seconds),
            Refused::IdempotencyMismatch => Problem::new(Code::IdempotencyMismatch),
            Refused::Storage(error) if error.is_temporary() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "webhooks could not be read or written");
                Problem::unavailable("the database is not available")
            }
            Refused::Storage(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "webhooks could not be read or written");
                Problem::new(Code::Internal)
            }
            Refused::Sealed(error) => {
                tracing::error!(%error, "an endpoint's secret");
                Problem::new(Code::Internal)
            }
        }
        .into()
    }
}
