//! Half-open intervals of time. Touching ends do not overlap.

use serde::{Deserialize, Serialize};

use crate::{Span, Timestamp, whole_micros};

/// From `start` (inside) to `end` (outside); `start < end` always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawWindow")]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

#[derive(Deserialize)]
struct RawWindow {
    start: Timestamp,
    end: Timestamp,
}

/// A window that ends before, or as, it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a window must end after it starts, got {start} to {end}")]
pub struct ReversedWindow {
    /// The start that was given.
    pub start: Timestamp,
    /// The end that was given.
    pub end: Timestamp,
}

impl TryFrom<RawWindow> for Window {
    type Error = ReversedWindow;
    fn try_from(raw: RawWindow) -> Result<Self, ReversedWindow> {
        Self::new(raw.start, raw.end)
    }
}

impl Window {
    /// A window from its ends, refused when it would be empty or reversed.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, ReversedWindow> {
        if start < end { Ok(Self { start, end }) } else { Err(ReversedWindow { start, end }) }
    }

    /// The smallest window around this one whose ends are whole microseconds: one that Postgres, too, does not find empty.
    #[must_use]
    pub fn in_micros(self) -> Self {
        let end = whole_micros(self.end);
        let end = if end < self.end { end + Span::microseconds(1) } else { end };
        Self { start: whole_micros(self.start), end }
    }

    /// The first instant inside.
    #[must_use]
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant after.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// Whether the two share an instant.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether the instant lies inside.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The smallest window around both.
    #[must_use]
    pub fn span_with(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// How much of the window lies at or after `now`; zero when it is over.
    #[must_use]
    pub fn remaining(self, now: Timestamp) -> Span {
        (self.end - self.start.max(now)).max(Span::zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::minutes(minute)
    }

    fn window() -> impl Strategy<Value = Window> {
        (0..100i64, 1..100i64).prop_map(|(start, length)| Window { start: at(start), end: at(start + length) })
    }

    proptest! {
        #[test]
        fn two_windows_overlap_when_they_share_a_minute(a in window(), b in window()) {
            let shared = (0..200).any(|minute| a.contains(at(minute)) && b.contains(at(minute)));
            prop_assert_eq!(a.overlaps(b), shared);
            prop_assert_eq!(b.overlaps(a), shared);
        }

        #[test]
        fn the_span_of_two_holds_both(a in window(), b in window(), minute in 0..200i64) {
            let (span, at) = (a.span_with(b), at(minute));
            prop_assert!(span.contains(at) || !(a.contains(at) || b.contains(at)));
        }

        #[test]
        fn what_remains_shrinks_to_nothing(window in window(), minute in 0..300i64) {
            let left = window.remaining(at(minute));
            prop_assert!(left >= Span::zero() && left <= window.end() - window.start());
            prop_assert_eq!(left == Span::zero(), at(minute) >= window.end());
        }
    }

    #[test]
    fn no_window_is_empty_in_whole_microseconds() {
        let nanos = |nanos| Timestamp::UNIX_EPOCH + Span::nanoseconds(nanos);
        for (start, end, (first, last)) in [(1, 2, (0, 1000)), (0, 1000, (0, 1000)), (999, 1001, (0, 2000))] {
            let window = Window::new(nanos(start), nanos(end)).unwrap().in_micros();
            assert_eq!((window.start(), window.end()), (nanos(first), nanos(last)));
            assert_eq!(window.in_micros(), window);
        }
    }

    #[test]
    fn a_window_that_does_not_end_after_it_starts_is_refused_in_json_too() {
        assert!(Window::new(at(5), at(5)).is_err());
        let reversed = r#"{"start":"2026-01-01T11:00:00Z","end":"2026-01-01T10:00:00Z"}"#;
        assert!(serde_json::from_str::<Window>(reversed).is_err());
    }
}
