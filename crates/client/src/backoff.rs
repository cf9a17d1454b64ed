//! How long to wait between tries: doubling, bounded, with jitter so that many clients do not return at once.

use std::time::Duration;

/// Doubling waits between `first` and `most`, each drawn from the upper half of its step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits that begin near `first` and grow to `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.next.min(self.most);
        self.next = (step * 2).min(self.most);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..8).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100));
        assert!(waits[7] >= Duration::from_millis(500) && waits[7] <= Duration::from_secs(1));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
