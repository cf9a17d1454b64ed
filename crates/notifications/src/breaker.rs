//! A carrier that keeps failing is left alone for a while, so that it can recover and the messages' attempts are not
//! used up on it. Pure: time comes in.

use posthaste_domain::{Span, Timestamp};

/// Failures in a row after which the carrier is left alone. Fewer stop for one bad moment; more hammer what is down.
const FAILURES: u32 = 5;
/// How long it is left alone, in seconds.
const PAUSE_SECONDS: i64 = 30;

/// The state of one carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    failures: u32,
    closed_until: Option<Timestamp>,
}

impl Breaker {
    /// How many messages may be tried at `now`, of `wanted`: one, as a probe, after a pause.
    pub(crate) fn admits(&self, wanted: i64, now: Timestamp) -> i64 {
        match self.closed_until {
            None => wanted,
            Some(until) if now < until => 0,
            Some(_) => wanted.min(1),
        }
    }

    /// When it is worth looking again.
    pub(crate) fn paused_until(&self) -> Option<Timestamp> {
        self.closed_until
    }

    /// Notes what became of a message. True when the carrier is left alone from now on.
    pub(crate) fn note(&mut self, reached: bool, now: Timestamp) -> bool {
        if reached {
            *self = Self::default();
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.closed_until = Some(now + Span::seconds(PAUSE_SECONDS));
        }
        self.failures == FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_there_is_a_pause_and_then_a_probe() {
        let now = Timestamp::UNIX_EPOCH;
        let mut breaker = Breaker::default();
        for n in 1..=FAILURES {
            assert_eq!(breaker.admits(8, now), 8);
            assert_eq!(breaker.note(false, now), n == FAILURES);
        }
        assert_eq!(breaker.admits(8, now), 0);
        let later = now + Span::seconds(PAUSE_SECONDS);
        assert_eq!(breaker.admits(8, later), 1);
        assert!(!breaker.note(false, later));
        assert_eq!(breaker.admits(8, later), 0, "a failed probe begins the pause anew");
        breaker.note(true, later);
        assert_eq!(breaker.admits(8, later), 8);
    }

    #[test]
    fn a_success_between_failures_begins_the_count_anew() {
        let now = Timestamp::UNIX_EPOCH;
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            (0..FAILURES - 1).for_each(|_| assert!(!breaker.note(false, now)));
            breaker.note(true, now);
        }
        assert_eq!(breaker.admits(3, now), 3);
    }
}
