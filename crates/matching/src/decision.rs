//! The choice, and the reason for every candidate passed over.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::window::Window;
use serde::Serialize;

/// Why a driver was passed over, with the numbers that decided it. [`crate::rule`] says which of several is named.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Not on shift.
    Offline,
    /// On a break.
    OnBreak,
    /// Silent too long.
    Stale,
    /// Does not serve the order's speed.
    WrongSpeed,
    /// The order does not fit, with what else is aboard at the fullest moment of its time.
    NoCapacity {
        /// Units the order takes.
        needs: u32,
        /// Units that are left then.
        left: u32,
    },
    /// Declined it lately.
    CoolingDown {
        /// Until then.
        until: Timestamp,
    },
    /// The time is committed to another order.
    Overlaps {
        /// The other order.
        order: OrderId,
        /// The end of its commitment.
        until: Timestamp,
    },
    /// Still carrying an order past its commitment.
    Overdue {
        /// That order.
        order: OrderId,
    },
    /// The shift ends before the pickups could be made, or before the window of a slow order is over.
    ShiftEnds {
        /// The end of the shift.
        at: Timestamp,
    },
    /// Would have it for longer than an order without a window may last.
    TooLong {
        /// How long, in seconds.
        seconds: i64,
        /// The limit, in seconds.
        limit_seconds: i64,
    },
    /// Farther from the first pickup than the zone allows.
    TooFar {
        /// How far, in metres.
        meters: u32,
        /// The zone's limit, in metres.
        limit_meters: u32,
    },
    /// Could do it; somebody else is less busy or nearer.
    LessPreferred {
        /// Open orders.
        open_orders: u32,
        /// Committed seconds ahead.
        committed_seconds: i64,
        /// Travel time to the first pickup, in seconds.
        travel_seconds: i64,
    },
}

impl Reason {
    /// The reason's name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::OnBreak => "on_break",
            Self::Stale => "stale",
            Self::WrongSpeed => "wrong_speed",
            Self::NoCapacity { .. } => "no_capacity",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Overlaps { .. } => "overlaps",
            Self::Overdue { .. } => "overdue",
            Self::ShiftEnds { .. } => "shift_ends",
            Self::TooLong { .. } => "too_long",
            Self::TooFar { .. } => "too_far",
            Self::LessPreferred { .. } => "less_preferred",
        }
    }
}

/// The driver who was chosen, with the numbers that decided it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Choice {
    /// The driver.
    pub driver: DriverId,
    /// Their open orders.
    pub open_orders: u32,
    /// Their committed seconds ahead.
    pub committed_seconds: i64,
    /// Their travel time to the first pickup, in seconds.
    pub travel_seconds: i64,
    /// The time of theirs that it takes.
    pub commitment: Window,
}

/// A driver passed over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Passed {
    /// The driver.
    pub driver: DriverId,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// What was decided about an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The order.
    pub order: OrderId,
    /// The choice; `None` when nobody can take it, or nobody has to be asked yet.
    pub chosen: Option<Choice>,
    /// Who would be chosen, where it is too early: nobody is asked before the commitment starts, and by then it may be
    /// somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<Choice>,
    /// Candidates passed over: those that the search met ahead of the choice, and some behind it, the most preferred
    /// first; when nobody can take it, the nearest. [`Board::explain`](crate::Board::explain) names everybody.
    pub passed: Vec<Passed>,
    /// How many drivers were passed over, by the name of the reason, the most frequent first. Complete when nobody
    /// can take it; otherwise it counts `passed`.
    pub counts: Vec<(&'static str, u32)>,
}

impl Decision {
    /// The decision in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        if let Some(c) = &self.chosen {
            return format!(
                "{}: {} open orders, {} s committed, {} s away",
                c.driver, c.open_orders, c.committed_seconds, c.travel_seconds
            );
        }
        if let Some(c) = &self.later {
            // To the minute: who it is, and when exactly, may change with every position.
            return format!("not yet: nobody has to leave before {} UTC", c.commitment.start().format("%F %H:%M"));
        }
        if self.counts.is_empty() {
            return "no driver: nobody serves the zone".to_owned();
        }
        let counts: Vec<_> = self.counts.iter().map(|(name, n)| format!("{n} {}", name.replace('_', " "))).collect();
        format!("no driver: {}", counts.join(", "))
    }
}
