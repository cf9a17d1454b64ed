//! When a message is sent again, when it is set aside, and when an endpoint is paused. Times are product time, as all
//! deadlines of the program: at a faster clock the whole schedule can be seen in seconds.

use posthaste_domain::{Span, Timestamp};

/// Seconds from a failed attempt to the next one; after the last of them the message is set aside.
pub const RETRY_SECONDS: [i64; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
/// How much later than the schedule says an attempt may come, as a part of the wait: many messages that failed at once
/// do not come back at once. Never earlier.
const MOST_JITTER: f64 = 0.2;
/// The longest wait that a receiver can ask for with `Retry-After`. More would let it hold messages for ever.
const LONGEST_ASKED: Span = Span::hours(10);
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

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It has arrived.
    Delivered,
    /// It is sent again.
    RetryAt(Timestamp),
    /// It waits for somebody to replay it.
    SetAside,
}

/// What becomes of a message whose attempt ended at `now`, after `failed` failed ones. `jitter` is random in 0..1.
pub(crate) fn next(outcome: Outcome, failed: u32, now: Timestamp, jitter: f64) -> Next {
    let asked = match outcome {
        Outcome::Delivered => return Next::Delivered,
        Outcome::Failed { asked } => asked.unwrap_or_default(),
        Outcome::Gone | Outcome::NotMade => Span::zero(),
    };
    let Some(seconds) = RETRY_SECONDS.get(failed as usize) else { return Next::SetAside };
    let wait = Span::seconds(*seconds).max(asked.min(LONGEST_ASKED));
    #[expect(clippy::cast_possible_truncation, reason = "a fifth of ten hours in milliseconds")]
    let later = (wait.num_milliseconds() as f64 * MOST_JITTER * jitter.clamp(0.0, 1.0)) as i64;
    Next::RetryAt(now + wait + Span::milliseconds(later))
}

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
    use proptest::prelude::*;

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
        for (failed, seconds) in (0..).zip(published) {
            assert_eq!(next(FAILED, failed, start(), 0.0), Next::RetryAt(start() + Span::seconds(seconds)));
        }
        assert_eq!(next(FAILED, 7, start(), 0.0), Next::SetAside);
    }

    #[test]
    fn an_endpoint_that_never_answers_is_paused_when_its_first_message_is_set_aside() {
        let (mut health, mut now, mut failed) = (Health::default(), start(), 0);
        loop {
            health = health.after(FAILED, now);
            match next(FAILED, failed, now, 0.0) {
                Next::RetryAt(at) => {
                    assert!(!health.is_hopeless(now), "paused before the schedule was over");
                    (now, failed) = (at, failed + 1);
                }
                other => {
                    assert_eq!(other, Next::SetAside);
                    assert!(health.is_hopeless(now));
                    break;
                }
            }
        }
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

    proptest! {
        #[test]
        fn an_attempt_never_comes_early_and_little_late(failed in 0u32..7, jitter: f64, asked in 0i64..200_000) {
            let outcome = Outcome::Failed { asked: Some(Span::seconds(asked)) };
            let wait = RETRY_SECONDS[failed as usize].max(asked.min(36_000));
            let Next::RetryAt(at) = next(outcome, failed, start(), jitter) else { panic!("not the last") };
            let waits = (at - start()).num_milliseconds();
            prop_assert!(waits >= wait * 1000 && waits <= wait * 1200, "{waits} ms for {wait} s");
        }
    }
}
