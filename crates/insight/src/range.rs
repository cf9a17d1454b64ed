//! Which time is looked at, and the spans that it falls into.

use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::insight::By;

/// The most days that are told hour by hour.
pub const MOST_DAYS_BY_HOUR: i64 = 31;
/// The most days that are told at all. More takes longer than a request may; what is older is for a data warehouse.
pub const MOST_DAYS: i64 = 92;

/// From a start (inside) to an end (outside), in whole hours or days where rows are told by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    from: Timestamp,
    to: Timestamp,
    by: By,
}

/// A time that cannot be told, with the field that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// The end is not after the start.
    #[error("must lie before `to`")]
    Reversed,
    /// The start lies in the future.
    #[error("lies in the future")]
    Future,
    /// Too much for one answer.
    #[error("lies more than {most} days before `to`, the most that is told by {by}")]
    TooLong {
        /// The most days.
        most: i64,
        /// What rows stand for.
        by: By,
    },
}

impl Range {
    /// The time from `from` to `to`, moved outwards to whole hours or days. Where `to` is not said it is `now`; where
    /// `from` is not said it is a day before `to`, by the day a week.
    pub fn new(from: Option<Timestamp>, to: Option<Timestamp>, by: By, now: Timestamp) -> Result<Self, InvalidRange> {
        let to = to.unwrap_or(now);
        let usual = if by == By::Day { Span::days(7) } else { Span::days(1) };
        let from = from.or_else(|| to.checked_sub_signed(usual)).unwrap_or(to);
        if from >= to {
            return Err(InvalidRange::Reversed);
        }
        if from > now {
            return Err(InvalidRange::Future);
        }
        let most = if by == By::Hour { MOST_DAYS_BY_HOUR } else { MOST_DAYS };
        if to - from > Span::days(most) {
            return Err(InvalidRange::TooLong { most, by });
        }
        let Some(step) = step(by) else { return Ok(Self { from, to, by }) };
        let start = floor(from, step);
        let end = floor(to, step);
        Ok(Self { from: start, to: if end == to { to } else { end + step }, by })
    }

    /// The first instant inside.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// The first instant after.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// What a row stands for.
    #[must_use]
    pub fn by(&self) -> By {
        self.by
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// The start of the span that an instant of the range lies in.
    #[must_use]
    pub fn span_of(&self, at: Timestamp) -> Timestamp {
        step(self.by).map_or(self.from, |step| floor(at, step))
    }

    /// The end of the span that starts at `start`.
    #[must_use]
    pub fn end_of(&self, start: Timestamp) -> Timestamp {
        step(self.by).map_or(self.to, |step| start + step)
    }
}

fn step(by: By) -> Option<Span> {
    match by {
        By::Hour => Some(Span::hours(1)),
        By::Day => Some(Span::days(1)),
        By::Zone => None,
    }
}

/// The last multiple of `step` since 1970 that is not after `at`.
fn floor(at: Timestamp, step: Span) -> Timestamp {
    let over = at.timestamp_micros().rem_euclid(step.num_microseconds().unwrap_or(1));
    let nanoseconds = i64::from(at.timestamp_subsec_nanos() % 1000);
    at - Span::microseconds(over) - Span::nanoseconds(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn now() -> Timestamp {
        at("2026-11-20T14:20:30Z")
    }

    fn range(from: &str, to: &str, by: By) -> Result<(String, String), InvalidRange> {
        let one = |text: &str| (!text.is_empty()).then(|| at(text));
        let range = Range::new(one(from), one(to), by, now())?;
        Ok((range.from().to_rfc3339(), range.to().to_rfc3339()))
    }

    fn ok(from: &str, to: &str) -> Result<(String, String), InvalidRange> {
        Ok((at(from).to_rfc3339(), at(to).to_rfc3339()))
    }

    #[test]
    fn hours_and_days_are_whole() {
        let (from, to) = ("2026-11-20T11:59:59.999999Z", "2026-11-20T14:00:00.000001Z");
        assert_eq!(range(from, to, By::Hour), ok("2026-11-20T11:00:00Z", "2026-11-20T15:00:00Z"));
        assert_eq!(range(from, to, By::Day), ok("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"));
        assert_eq!(range(from, to, By::Zone), ok(from, to));
        let (from, to) = ("2026-11-20T11:00:00Z", "2026-11-20T14:00:00Z");
        assert_eq!(range(from, to, By::Hour), ok(from, to));
    }

    #[test]
    fn where_nothing_is_said_it_is_the_last_day_or_week() {
        assert_eq!(range("", "", By::Hour), ok("2026-11-19T14:00:00Z", "2026-11-20T15:00:00Z"));
        assert_eq!(range("", "", By::Day), ok("2026-11-13T00:00:00Z", "2026-11-21T00:00:00Z"));
        assert_eq!(range("", "", By::Zone), ok("2026-11-19T14:20:30Z", "2026-11-20T14:20:30Z"));
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let (noon, month_ago) = ("2026-11-20T12:00:00Z", "2026-10-20T11:59:59Z");
        assert_eq!(range(noon, noon, By::Hour), Err(InvalidRange::Reversed));
        assert_eq!(range("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", By::Day), Err(InvalidRange::Future));
        assert_eq!(range(month_ago, noon, By::Hour), Err(InvalidRange::TooLong { most: 31, by: By::Hour }));
        assert!(range("2026-10-20T12:00:00Z", noon, By::Hour).is_ok());
        assert!(range(month_ago, noon, By::Day).is_ok());
        assert_eq!(
            range("2026-08-01T00:00:00Z", noon, By::Zone),
            Err(InvalidRange::TooLong { most: 92, by: By::Zone })
        );
    }
}
