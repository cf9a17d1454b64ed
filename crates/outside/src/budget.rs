//! How long a call may take.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// A deadline for the whole of a call, its steps and attempts together: what is left is what each may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    whole: Duration,
    ends: Instant,
}

impl Budget {
    /// So long from now.
    #[must_use]
    pub fn of(whole: Duration) -> Self {
        Self::from(Instant::now(), whole)
    }

    /// So long from an instant.
    #[must_use]
    pub fn from(begun: Instant, whole: Duration) -> Self {
        Self { whole, ends: begun + whole }
    }

    /// The share of a step: what is left, and at most so much.
    #[must_use]
    pub fn at_most(self, most: Duration) -> Self {
        self.at_most_from(Instant::now(), most)
    }

    fn at_most_from(self, now: Instant, most: Duration) -> Self {
        Self::from(now, self.left_at(now).min(most))
    }

    /// When it is used up.
    #[must_use]
    pub fn ends(self) -> Instant {
        self.ends
    }

    /// What is left of it at `now`; nothing afterwards.
    #[must_use]
    pub fn left_at(self, now: Instant) -> Duration {
        self.ends.saturating_duration_since(now)
    }

    /// Whether it is used up.
    #[must_use]
    pub fn is_spent(self) -> bool {
        self.left_at(Instant::now()).is_zero()
    }
}

/// As it was given, in seconds.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole {
            short if short < Duration::from_secs(1) => write!(f, "{} ms", short.as_millis()),
            long => write!(f, "{} s", long.as_secs_f64().round()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_shown_as_it_was_given() {
        assert_eq!(Budget::of(Duration::from_secs(15)).to_string(), "15 s");
        assert_eq!(Budget::of(Duration::from_millis(250)).to_string(), "250 ms");
    }

    proptest! {
        #[test]
        fn steps_never_end_after_the_whole(whole in 0u64..100_000, steps in prop::collection::vec((0u64..50_000, 0u64..50_000), 0..8)) {
            let begun = Instant::now();
            let budget = Budget::from(begun, Duration::from_millis(whole));
            let mut now = begun;
            for (most, took) in steps {
                let step = budget.at_most_from(now, Duration::from_millis(most));
                prop_assert!(step.left_at(now) <= Duration::from_millis(most));
                prop_assert!(step.ends() <= budget.ends().max(now), "a step outlives the whole");
                now += Duration::from_millis(took);
                prop_assert_eq!(budget.left_at(now).is_zero(), now >= budget.ends());
            }
        }
    }
}
