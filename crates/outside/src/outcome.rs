//! What became of a call.
//!
//! | what happened | [`Outcome`] |
//! |---|---|
//! | the service is left alone by its breaker, or no time was left to begin | `Refused`, of the service, never sent |
//! | the request cannot be written (no address) | `Refused`, of the request, for good, never sent |
//! | the name is unknown, nobody answers there, no connection in its time, no TLS | `Refused`, of the service, never sent |
//! | sent, and no answer within the budget; the connection broke before or in the head; a head that is no HTTP | `Unknown` |
//! | 2xx whose body breaks off, or is longer than is read | `Unknown`: it was done, and what it gave is not known |
//! | 2xx | `Done` |
//! | 3xx (nothing is followed), 401, 407, 408, 429 | `Refused`, of the service: the address or the password is wrong, or it is too busy |
//! | 403, 409, 423, 425 | `Refused`, of the request: later it may do |
//! | other 4xx | `Refused`, of the request, for good |
//! | 5xx | `Unknown`; of a repeatable operation `Refused`, of the service |
//!
//! A budget that ends while connecting counts as `Unknown`, as it is not seen from outside how far it came; the time to
//! connect is shorter than a budget, so that this is rare.

use std::time::Duration;

use reqwest::StatusCode;

use crate::client::Response;

/// What became of a call.
#[derive(Debug, Clone)]
#[must_use]
pub enum Outcome<T> {
    /// It is done.
    Done(T),
    /// It did not happen.
    Refused(Refusal),
    /// It may have happened. Look it up, or do it again where the same again does no harm.
    Unknown(Unknown),
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The service takes nothing at all: it is not there, has too much to do, or does not let us in. Trying again helps when
    /// that is mended, with any request.
    Service,
    /// This request. Others may pass.
    Request,
}

/// A call that did not happen.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What it is about.
    pub scope: Scope,
    /// Whether the same will be refused again, whenever it is sent.
    pub is_permanent: bool,
    /// The code of the answer, where there was one: a status of HTTP, a reply of SMTP.
    pub code: Option<u16>,
    /// Why, in words for log and people: no address, no contents.
    pub why: String,
    /// For how long the service asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What was answered.
    pub answer: Option<Response>,
}

/// A call whose end is not known.
#[derive(Debug, Clone)]
pub struct Unknown {
    /// The code of the answer, where its head came.
    pub code: Option<u16>,
    /// Why, in words for log and people: no address, no contents.
    pub why: String,
    /// For how long the service asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What was answered.
    pub answer: Option<Response>,
}

impl Refusal {
    /// One without an answer.
    #[must_use]
    pub fn new(scope: Scope, why: impl Into<String>) -> Self {
        Self { scope, is_permanent: false, code: None, why: why.into(), retry_after: None, answer: None }
    }

    /// For good.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.is_permanent = true;
        self
    }

    /// With the code of an answer.
    #[must_use]
    pub fn with_code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }
}

impl Unknown {
    /// One without an answer.
    #[must_use]
    pub fn new(why: impl Into<String>) -> Self {
        Self { code: None, why: why.into(), retry_after: None, answer: None }
    }
}

impl<T> Outcome<T> {
    /// Its name in figures and log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether the service is there and works: what its breaker is told.
    #[must_use]
    pub fn reached(&self) -> bool {
        match self {
            Self::Done(_) => true,
            Self::Refused(refusal) => refusal.scope == Scope::Request,
            Self::Unknown(_) => false,
        }
    }

    /// For how long the service asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Done(_) => None,
            Self::Refused(refusal) => refusal.retry_after,
            Self::Unknown(unknown) => unknown.retry_after,
        }
    }

    /// The code of an answer that was not what was asked for.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Done(_) => None,
            Self::Refused(refusal) => refusal.code,
            Self::Unknown(unknown) => unknown.code,
        }
    }
}

/// What an answer that is not 2xx comes to.
pub(crate) fn of_status(
    status: StatusCode,
    is_repeatable: bool,
    retry_after: Option<Duration>,
    answer: Response,
) -> Outcome<Response> {
    let (code, why, answer) = (Some(status.as_u16()), format!("answered {status}"), Some(answer));
    let (scope, is_permanent) = match status.as_u16() {
        500.. if !is_repeatable => return Outcome::Unknown(Unknown { code, why, retry_after, answer }),
        // 1xx never ends an exchange.
        500.. | ..=399 | 401 | 407 | 408 | 429 => (Scope::Service, false),
        403 | 409 | 423 | 425 => (Scope::Request, false),
        _ => (Scope::Request, true),
    };
    Outcome::Refused(Refusal { scope, is_permanent, code, why, retry_after, answer })
}
