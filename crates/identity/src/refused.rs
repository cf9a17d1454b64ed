//! What identity refuses, and the problems of it. The one place where that is decided; the match is exhaustive.

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
    /// The request is not understood.
    #[error("{0}")]
    Malformed(&'static str),
    /// Nothing of the kind, or not the caller's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Not possible as things are.
    #[error("{0}")]
    Conflict(&'static str),
    /// Somebody waits for work that is not done.
    #[error("work is open: {0}")]
    OpenWork(String),
    /// The idempotency key stands for another request.
    #[error("the idempotency key was used with another request")]
    IdempotencyMismatch,
    /// Email and password do not belong together.
    #[error("wrong credentials")]
    WrongCredentials,
    /// The second factor is missing.
    #[error("the second factor is required")]
    SecondFactorRequired,
    /// A wrong code.
    #[error("wrong code")]
    WrongCode {
        /// Tries that remain, where they are counted.
        left: Option<u8>,
    },
    /// Signing in with Google did not come through.
    #[error("{0}")]
    SignInFailed(&'static str),
    /// An account has the email address that Google vouches for.
    #[error("the account has to be linked first")]
    LinkRequired,
    /// Google is down, slow, or not understood.
    #[error("Google is not available")]
    GoogleUnavailable,
    /// The login is over, or never was.
    #[error("the login is over")]
    LoginEnded,
    /// Shut out.
    #[error("the account is shut out")]
    Banned {
        /// Why.
        reason: String,
    },
    /// What was shown is too long ago.
    #[error("a fresh proof is required")]
    StepUpRequired,
    /// The caller has no account, or may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Too often.
    #[error("too many tries")]
    Throttled {
        /// When it is worth trying again.
        seconds: u32,
    },
    /// Too many passwords are being hashed.
    #[error("too many logins at once")]
    Busy,
    /// Not offered on this server.
    #[error("{0}")]
    NotOffered(&'static str),
    /// The problem of somebody else who was asked.
    #[error("{0}")]
    Elsewhere(Box<Problem>),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A fault of the server.
    #[error("{0}")]
    Internal(String),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Unsealable> for Refused {
    fn from(error: Unsealable) -> Self {
        Self::Internal(error.to_string())
    }
}

impl Refused {
    /// One wrong field.
    pub(crate) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.to_owned(), problem: problem.into() }])
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        problem(refused).into()
    }
}

fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::Invalid(errors) => Problem::new(Code::Invalid).errors(errors),
        Refused::Malformed(why) => Problem::new(Code::Malformed).detail(why),
        Refused::NotFound(what) => Problem::new(Code::NotFound).detail(format!("no such {what}")),
        Refused::Conflict(why) => Problem::new(Code::Conflict).detail(why),
        Refused::OpenWork(what) => Problem::new(Code::Conflict).detail(what),
        Refused::IdempotencyMismatch => Problem::new(Code::IdempotencyMismatch),
        Refused::WrongCredentials => Problem::new(Code::WrongCredentials),
        Refused::SecondFactorRequired => {
            Problem::new(Code::SecondFactorRequired).detail("send the same again, with `code`")
        }
        Refused::WrongCode { left } => {
            let mut problem = Problem::new(Code::WrongCode);
            problem.attempts_left = left;
            problem
        }
        Refused::SignInFailed(why) => Problem::new(Code::SignInFailed).detail(why),
        Refused::LinkRequired => Problem::new(Code::LinkRequired).detail(
            "there is an account with your email address: sign in to it with the password, then POST /v1/account/google",
        ),
        Refused::GoogleUnavailable => {
            Problem::unavailable("Google does not answer as it should: try again, or sign in with the password")
                .retry_after(5)
        }
        Refused::LoginEnded => Problem::new(Code::LoginEnded).detail("sign in again"),
        Refused::Banned { reason } => Problem::new(Code::Banned).detail(reason),
        Refused::StepUpRequired => {
            Problem::new(Code::StepUpRequired).detail("POST /v1/account/step-up, then this again with the new token")
        }
        Refused::Forbidden(why) => Problem::new(Code::Forbidden).detail(why),
        Refused::Throttled { seconds } => {
            Problem::new(Code::RateLimited).detail("too many tries: wait a while").retry_after(seconds)
        }
        Refused::Busy => Problem::unavailable("too many people are signing in at once").retry_after(2),
        Refused::NotOffered(why) => Problem::new(Code::Unavailable).detail(why).retry_after(3600),
        Refused::Elsewhere(problem) => *problem,
        Refused::Storage(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "identity could not read or write");
            if error.is_temporary() {
                Problem::unavailable("the database is not available")
            } else {
                Problem::new(Code::Internal)
            }
        }
        Refused::Internal(why) => {
            tracing::error!(why, "a fault in identity");
            Problem::new(Code::Internal)
        }
    }
}
