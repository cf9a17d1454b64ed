//! What is called for.

/// A class of operations of one service. Its names are the labels of figures and log, and the key of its breaker: an outage
/// of one class stops no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub(crate) service: &'static str,
    pub(crate) class: &'static str,
    pub(crate) is_repeatable: bool,
    pub(crate) is_guarded: bool,
}

impl Operation {
    /// An operation that changes something there: one whose end is not known may have happened.
    #[must_use]
    pub const fn new(service: &'static str, class: &'static str) -> Self {
        Self { service, class, is_repeatable: false, is_guarded: true }
    }

    /// It changes nothing there, or the same again changes nothing more: an answer of 5xx is then a plain refusal.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// No breaker is asked: where many receivers stand behind one class, or who calls has a pause of its own.
    #[must_use]
    pub const fn unguarded(mut self) -> Self {
        self.is_guarded = false;
        self
    }
}
