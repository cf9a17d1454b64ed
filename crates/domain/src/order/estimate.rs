//! When an order is expected at its door, as it was said at the time.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::place::Place;

/// When the hand-over at the door is expected: a range rather than a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// As likely before as after.
    pub p50: Timestamp,
    /// Nine times of ten before.
    pub p90: Timestamp,
}

/// What was said of an order, and when: kept, so that it can be held against what came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimates {
    /// When it was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Estimate>,
    /// When its present, or last, driver got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<Estimate>,
}

impl Estimates {
    /// The newest.
    #[must_use]
    pub fn newest(&self) -> Option<Estimate> {
        self.assigned.or(self.placed)
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.newest().is_none()
    }
}

/// That a driver set out for a task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Departure {
    /// When.
    pub at: Timestamp,
    /// Where the driver was, if they had told it lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Place>,
}
