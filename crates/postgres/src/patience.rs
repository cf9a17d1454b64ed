//! How long a start is waited for, and what breaks the waiting off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::EmbeddedOptions;
use super::error::EmbeddedError;

/// How long a start is waited for. Clones break off together.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience {
    /// How long a server may take to be ready; none: as long as it lives. Recovery after a crash is part of it.
    pub(super) start: Option<Duration>,
    broken_off: Arc<AtomicBool>,
}

impl Patience {
    /// That of a first start: somebody waits for it.
    pub(super) fn of(options: &EmbeddedOptions) -> Self {
        Self { start: Some(options.start_timeout), ..Self::default() }
    }

    /// That of a start which nobody waits for: recovery takes as long as it takes, and begun anew it would take longer.
    pub(super) fn while_it_lives() -> Self {
        Self::default()
    }

    /// Breaks the waiting off.
    pub(super) fn break_off(&self) {
        self.broken_off.store(true, Ordering::Release);
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Acquire)
    }

    /// An error where it was broken off.
    pub(super) fn goes_on(&self) -> Result<(), EmbeddedError> {
        if self.is_broken_off() { Err(EmbeddedError::Interrupted) } else { Ok(()) }
    }
}
