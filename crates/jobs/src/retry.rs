//! What becomes of a job after a run. Pure: the time and randomness come in.

use posthaste_domain::{Span, Timestamp};

use crate::kind::Retries;
use crate::worker::Ended;

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It was done.
    Done,
    /// It is tried again.
    RetryAt(Timestamp),
    /// It is given up.
    Dead,
}

/// What becomes of a job whose run ended at `now`, begun `tries` times (this run too). `jitter` is random in 0..1.
pub(crate) fn next(retries: &Retries, ended: &Ended, tries: u32, now: Timestamp, jitter: f64) -> Next {
    let asked = match ended {
        Ended::Done => return Next::Done,
        Ended::Dead { .. } => return Next::Dead,
        Ended::Retry { after, .. } => after.unwrap_or_default(),
    };
    let failed = (tries as usize).saturating_sub(1);
    let Some(seconds) = retries.seconds.get(failed) else { return Next::Dead };
    let wait = Span::seconds(*seconds).max(asked.min(retries.longest_asked));
    let part = retries.jitter * jitter.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "a part of a wait of hours, in milliseconds")]
    let later = (wait.num_milliseconds() as f64 * part) as i64;
    Next::RetryAt(now + wait + Span::milliseconds(later))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RETRIES: Retries = Retries { seconds: &[5, 300, 36_000], jitter: 0.2, longest_asked: Span::hours(10) };

    fn failed(after: Option<Span>) -> Ended {
        Ended::Retry { after, why: String::new() }
    }

    #[test]
    fn the_schedule_is_followed_and_then_it_is_dead() {
        let now = Timestamp::UNIX_EPOCH;
        for (tries, seconds) in (1..).zip(RETRIES.seconds) {
            assert_eq!(next(&RETRIES, &failed(None), tries, now, 0.0), Next::RetryAt(now + Span::seconds(*seconds)));
        }
        assert_eq!(next(&RETRIES, &failed(None), 4, now, 0.0), Next::Dead);
        assert_eq!(next(&RETRIES, &failed(Some(Span::hours(1))), 4, now, 0.0), Next::Dead, "asking keeps none alive");
        assert_eq!(next(&RETRIES, &Ended::Done, 4, now, 0.0), Next::Done);
        assert_eq!(next(&RETRIES, &Ended::Dead { why: String::new() }, 1, now, 0.0), Next::Dead);
    }

    proptest! {
        #[test]
        fn a_retry_never_comes_early_and_little_late(tries in 1u32..4, jitter: f64, asked in -5i64..200_000) {
            let ended = failed(Some(Span::seconds(asked)));
            let wait = RETRIES.seconds[tries as usize - 1].max(asked.min(36_000));
            let now = Timestamp::UNIX_EPOCH;
            let Next::RetryAt(at) = next(&RETRIES, &ended, tries, now, jitter) else { panic!("not the last") };
            let waits = (at - now).num_milliseconds();
            prop_assert!(waits >= wait * 1000 && waits <= wait * 1200, "{waits} ms for {wait} s");
        }
    }
}
