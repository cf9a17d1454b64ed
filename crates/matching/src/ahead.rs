//! What a driver's commitments come to at an instant, in a form that stays right until the next of them starts or
//! ends: committed time is then a constant, less the time that has passed if one of them is running.

use posthaste_domain::Timestamp;

use crate::views::{DriverView, seconds_up};

/// A driver's time ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Microseconds: lengths of commitments to come, and ends of running ones since 1970.
    fixed: i64,
    /// How many run now.
    pub(crate) running: u32,
    /// Whether one has ended and is still open.
    pub(crate) overdue: bool,
    /// When this stops being right, in microseconds since 1970.
    pub(crate) next_change: Option<i64>,
}

impl Ahead {
    pub(crate) fn at(driver: &DriverView, now: i64) -> Self {
        let mut ahead = Self::default();
        for window in driver.commitments.iter().map(|c| c.window) {
            let (start, end) = (window.start().timestamp_micros(), window.end().timestamp_micros());
            let change = if end <= now {
                ahead.overdue = true;
                continue;
            } else if start <= now {
                ahead.running += 1;
                ahead.fixed += end;
                end
            } else {
                ahead.fixed += end - start;
                start
            };
            ahead.next_change = Some(ahead.next_change.map_or(change, |next| next.min(change)));
        }
        ahead
    }

    /// Nothing is committed ahead.
    pub(crate) fn is_nothing(&self) -> bool {
        self.running == 0 && self.fixed == 0
    }

    /// By what drivers with the same number of running commitments compare.
    pub(crate) fn key(&self) -> i64 {
        self.fixed
    }

    /// The same as [`DriverView::committed_seconds`].
    pub(crate) fn seconds(&self, now: Timestamp) -> i64 {
        seconds_up(self.micros(now.timestamp_micros()))
    }

    /// Whether [`seconds`](Self::seconds) gives just so many; without dividing, for search asks it of many.
    pub(crate) fn is(&self, seconds: i64, now: i64) -> bool {
        let over = seconds * 1_000_000 - self.micros(now);
        (0..1_000_000).contains(&over)
    }

    fn micros(&self, now: i64) -> i64 {
        self.fixed - i64::from(self.running) * now
    }
}
