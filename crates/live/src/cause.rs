//! Who asked, and under which request: travels with every command into the log and the events.

use std::sync::Arc;

use posthaste_domain::party::Party;

/// The author of a command and the request that brought it.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Who.
    pub by: Party,
    /// The request's id (`x-request-id`, or a socket's session and command id).
    pub correlation: Option<Arc<str>>,
}

impl Cause {
    /// The program itself: a deadline, a pass of the dispatcher.
    #[must_use]
    pub fn system() -> Self {
        Self { by: Party::System, correlation: None }
    }

    /// Somebody, under a request.
    #[must_use]
    pub fn new(by: Party, correlation: impl Into<Arc<str>>) -> Self {
        Self { by, correlation: Some(correlation.into()) }
    }
}
