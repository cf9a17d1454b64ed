//! Orders that are expected. A plan that knows only today's orders sends whoever is nearest, though they may be the
//! only one near the shop that will need somebody in five minutes; a plan that has a likely sample of the coming orders
//! in it, at a low weight, keeps them there (sampling the future in online routing: Bent and Van Hentenryck 2004).
//!
//! The sample is drawn from what was seen lately: as many a minute, from the same shops, to the same doors, with the
//! same time to cook. It uses nothing that had not happened by then.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::problem::{Job, NEVER, Opening, PlaceIndex, Second, Service};

/// An order of the past, as far as it says what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When it became known; past is negative.
    pub known_at: Second,
    /// The shop.
    pub pickup: PlaceIndex,
    /// The door.
    pub dropoff: PlaceIndex,
    /// From when it became known to when it was, or will be, ready.
    pub preparation: Second,
}

/// How much to expect, and how far ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Seconds ahead.
    pub horizon: Second,
    /// How much an expected order's waiting counts beside a real one's 100.
    pub weight: i64,
    /// Seconds of the past that the rate is taken from.
    pub window: Second,
    /// How many of the newest orders are drawn from.
    pub newest: usize,
    /// Orders expected, at most: more than a pass can look at beside the real ones shape nothing.
    pub most: usize,
}

impl Default for Forecast {
    fn default() -> Self {
        Self { horizon: 900, weight: 15, window: 3_600, newest: 150, most: MOST_EXPECTED }
    }
}

/// Orders expected at most. Recorded days never come near it; a rush of thousands does, and each costs a pass as much time
/// as a real one.
const MOST_EXPECTED: usize = 96;
/// The shortest past that a rate is taken from, so that a first order at dawn is not a rush.
const SHORTEST_WINDOW: Second = 900;

impl Forecast {
    /// A sample of the orders to come, from orders seen (oldest first). `since` is when the seeing began.
    #[must_use]
    pub fn sample(&self, seen: &[Seen], since: Second, service: (Service, Service), seed: u64) -> Vec<Job> {
        let mut rng = StdRng::seed_from_u64(seed);
        let recent = seen.iter().rev().take_while(|s| s.known_at > -self.window).count();
        if recent == 0 || self.weight == 0 {
            return Vec::new();
        }
        let window = f64::from((-since).clamp(SHORTEST_WINDOW, self.window.max(SHORTEST_WINDOW)));
        #[expect(clippy::cast_precision_loss, reason = "a count of orders")]
        let expected = recent as f64 / window * f64::from(self.horizon);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let count = expected.floor() as usize + usize::from(rng.random::<f64>() < expected.fract());
        let count = count.min(self.most);
        let pool = &seen[seen.len().saturating_sub(self.newest)..];
        let draw = |rng: &mut StdRng| {
            let like = pool[rng.random_range(0..pool.len())];
            // Never 0: what is known now is real.
            let known_at = rng.random_range(0..self.horizon.max(1)).max(1);
            Job {
                ready: Opening { from: known_at + like.preparation, to: NEVER },
                pickup_service: service.0,
                dropoff_service: service.1,
                known_at,
                weight: self.weight,
                ..Job::between(like.pickup, like.dropoff)
            }
        };
        (0..count).map(|_| draw(&mut rng)).collect()
    }
}
