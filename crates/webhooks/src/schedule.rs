//! By which schedule messages are sent again and set aside, and when an endpoint is paused. Times are product time, as all
//! deadlines of the program: at a faster clock the whole schedule can be seen in seconds.

use posthaste_domain::{Span, Timestamp};

/// Seconds from a failed attempt to the next one; after the last of them the message is set aside.
pub const RETRY_SECONDS: [i64; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
/// How much later than the schedule says an attempt may come, as a part of the wait: many messages that failed at once
/// do not come back at once. Never earlier.
pub(crate) const MOST_JITTER: f64 = 0.2;
/// The longest wait that a receiver can ask for with `Retry-After`. More would let it hold messages for ever.
pub(crate) const LONGEST_ASKED: Span = Span::hours(10);
/// An endpoint is paused when it has failed for this long and so often, and never succeeded in between. Two hours
/// longer than that the schedule of a message is over, so that a merchant with few orders loses none unnoticed.
const PAUSE_AFTER: Span = Span::hours(24);
const PAUSE_AFTER_FAILURES: u32 = 8;

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver took it.
    Delivered,
    /// The receiver did not take it, and may have asked to be left alone for a while (product time).
    Failed {
        /// For how long.
        asked: Option<Span>,
    },
    /// The receiver wants nothing any more (410).
    Gone,
    /// The message could not be made: no fault of the receiver's.
    NotMade,
}

pub(crate) use posthaste_jobs::Next;

/// Until when an endpoint that asked for it is left alone.
pub(crate) fn quiet_until(outcome: Outcome, now: Timestamp) -> Option<Timestamp> {
    match outcome {
        Outcome::Failed { asked: Some(asked) } if asked > Span::zero() => Some(now + asked.min(LONGEST_ASKED)),
        _ => None,
    }
}

/// How an endpoint has fared since it last succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Failed attempts in a row.
    pub(crate) failures: u32,
    /// The first of them.
    pub(crate) since: Option<Timestamp>,
}

impl Health {
    /// Its health after another attempt.
    pub(crate) fn after(self, outcome: Outcome, now: Timestamp) -> Self {
        match outcome {
            Outcome::Delivered => Self::default(),
            Outcome::NotMade => self,
            Outcome::Failed { .. } | Outcome::Gone => {
                Self { failures: self.failures.saturating_add(1), since: self.since.or(Some(now)) }
            }
        }
    }

    /// Whether nothing more is sent until its owner says so.
    pub(crate) fn is_hopeless(self, now: Timestamp) -> bool {
        self.failures >= PAUSE_AFTER_FAILURES && self.since.is_some_and(|since| now - since >= PAUSE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome::Failed { asked: None };

    fn start() -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn the_schedule_is_the_published_one() {
        let published = ["5s", "5m", "30m", "2h", "5h", "10h", "10h"].map(|text| {
            let (number, unit) = text.split_at(text.len() - 1);
            let number: i64 = number.parse().unwrap();
            number
                * match unit {
                    "s" => 1,
                    "m" => 60,
                    _ => 3600,
                }
        });
        assert_eq!(RETRY_SECONDS, published);
    }

    #[test]
    fn an_endpoint_that_never_answers_is_paused_when_its_first_message_is_set_aside() {
        let (mut health, mut now) = (Health::default(), start());
        for seconds in RETRY_SECONDS {
            health = health.after(FAILED, now);
            assert!(!health.is_hopeless(now), "paused before the schedule was over");
            now += Span::seconds(seconds);
        }
        health = health.after(FAILED, now);
        assert!(health.is_hopeless(now));
        assert_eq!(health.after(Outcome::Delivered, now), Health::default());
        assert_eq!(health.after(Outcome::NotMade, now), health, "not the receiver's fault");
    }

    #[test]
    fn many_failures_of_one_bad_hour_pause_nothing() {
        let (mut health, mut now) = (Health::default(), start());
        for _ in 0..10_000 {
            health = health.after(FAILED, now);
            now += Span::milliseconds(300);
            assert!(!health.is_hopeless(now));
        }
    }
}
