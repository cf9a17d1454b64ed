//! Who asked, and under which request: travels with every command into the log and the events.

use std::sync::Arc;

use posthaste_domain::party::Party;
use posthaste_protocol::trace::{TraceId, TraceParent};
use posthaste_storage::journal::Correlation;
use serde::{Deserialize, Serialize};
use tracing::Span;

/// The author of a command and the request that brought it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cause {
    /// Who.
    pub by: Party,
    /// The request's id (`x-request-id`, or a socket's session and command id).
    pub correlation: Option<Arc<str>>,
    /// The id that the caller gave the command, under which they may send it again.
    pub command: Option<Arc<str>>,
    /// The step of a trace that the request is.
    pub step: Option<TraceParent>,
}

impl Cause {
    /// The program itself: a deadline, a pass of the dispatcher.
    #[must_use]
    pub fn system() -> Self {
        Self { by: Party::System, correlation: None, command: None, step: None }
    }

    /// Somebody, under a request.
    #[must_use]
    pub fn new(by: Party, correlation: impl Into<Arc<str>>) -> Self {
        Self { by, correlation: Some(correlation.into()), command: None, step: None }
    }

    /// The same, as a command that its caller named.
    #[must_use]
    pub fn under(self, command: Option<impl Into<Arc<str>>>) -> Self {
        Self { command: command.map(Into::into), ..self }
    }

    /// The command's id, to be stored with what it did.
    pub(crate) fn command(&self) -> Option<String> {
        self.command.as_deref().map(str::to_owned)
    }

    /// The span in which an actor does what was asked: every line that it logs names the request. What the program does
    /// of its own accord has none.
    #[must_use]
    pub(crate) fn span(&self) -> Span {
        let Some(request_id) = self.correlation.as_deref() else { return Span::none() };
        // Of the highest level: whatever is logged, it is logged with the ids.
        let make = |trace: Option<TraceId>| {
            tracing::error_span!("caused", request_id, trace_id = trace.map(tracing::field::display))
        };
        match self.step {
            Some(step) => posthaste_trace::begin(Some(step), make).0,
            None => make(None),
        }
    }

    /// The ids as they stand with an entry of the journal.
    pub(crate) fn ids(&self) -> Option<Correlation> {
        let request = self.correlation.clone()?;
        Some(Correlation { request, trace: self.step.map(|step| step.trace.0) })
    }
}
