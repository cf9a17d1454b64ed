//! What can come of a request besides its answer.

use posthaste_protocol::problem::{Code, Problem};

/// The cause below a client error, whatever library it comes from.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A request that was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused it and said why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The server could not be reached, or the connection broke.
    #[error("cannot reach the server: {0}")]
    Transport(#[source] Cause),
    /// The answer is not what the protocol says.
    #[error("the answer to {what} cannot be read: {cause}")]
    Decode {
        /// What was asked.
        what: String,
        /// What does not fit.
        #[source]
        cause: Cause,
    },
    /// No answer in time. It is unknown whether a command was done.
    #[error("no answer in time")]
    Timeout,
    /// The socket was closed for good.
    #[error("the socket is closed")]
    Closed,
    /// The base address is no address of a server.
    #[error("{url:?} is not the address of a server: {problem}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ClientError {
    /// The problem's stable code, where the server reported one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// The problem that the server reported.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether trying again later can help without any change to the request.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(problem.code, Code::Unavailable | Code::RateLimited | Code::IdempotencyRunning | Code::Timeout)
            }
            Self::Transport(_) | Self::Timeout => true,
            Self::Decode { .. } | Self::Closed | Self::Address { .. } => false,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}
