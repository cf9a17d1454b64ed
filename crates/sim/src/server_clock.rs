//! The server's clock, followed from here: what its time is now, and sleeping until it is later.
//!
//! The estimate never runs ahead of the server: a reading was taken before it arrived, so it counts as taken at
//! its arrival, and of several readings the latest time wins. Whoever acts at an instant of this clock is never
//! early at the server.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_client::Client;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::clock::ClockView;
use tokio::time::Instant;

use crate::error::SimError;

/// Readings taken at the start.
const FIRST_READINGS: usize = 8;
/// A reading that is behind the estimate by more real time than this is not a slow answer but another clock:
/// the server has started anew.
const ANOTHER_CLOCK: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
struct Reading {
    taken: Instant,
    micros: i64,
    speed: f64,
}

impl Reading {
    fn micros_at(self, instant: Instant) -> i64 {
        let real = instant.saturating_duration_since(self.taken).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, reason = "292,000 years of microseconds fit")]
        let elapsed = (real * 1e6 * self.speed) as i64;
        self.micros + elapsed
    }
}

/// The server's product time. Cheap to clone; clones follow together.
#[derive(Debug, Clone)]
pub struct ServerClock(Arc<Mutex<Reading>>);

impl ServerClock {
    /// A clock from one reading that has just arrived.
    #[must_use]
    pub fn from_reading(view: ClockView) -> Self {
        let reading = Reading { taken: Instant::now(), micros: view.now.timestamp_micros(), speed: view.speed };
        Self(Arc::new(Mutex::new(reading)))
    }

    /// Reads the server's clock a few times.
    pub async fn read(client: &Client) -> Result<Self, SimError> {
        let clock = Self::from_reading(client.clock().await.map_err(SimError::server("reading the clock"))?);
        for _ in 1..FIRST_READINGS {
            clock.follow(client.clock().await.map_err(SimError::server("reading the clock"))?);
        }
        Ok(clock)
    }

    /// Takes in a reading that has just arrived.
    pub fn follow(&self, view: ClockView) {
        let new = Reading { taken: Instant::now(), micros: view.now.timestamp_micros(), speed: view.speed };
        let mut known = self.0.lock();
        let behind = known.micros_at(new.taken) - new.micros;
        #[expect(clippy::cast_precision_loss, reason = "an estimate in microseconds")]
        let real_behind = behind as f64 / 1e6 / new.speed;
        let other_pace = (known.speed - new.speed).abs() > 1e-9;
        if behind < 0 || other_pace || real_behind > ANOTHER_CLOCK.as_secs_f64() {
            *known = new;
        }
    }

    /// The server's time now, or a little before.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let reading = *self.0.lock();
        Timestamp::from_timestamp_micros(reading.micros_at(Instant::now())).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Product seconds per real second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.0.lock().speed
    }

    /// How long a span of product time takes here.
    #[must_use]
    pub fn real(&self, span: Span) -> Duration {
        span.to_std().unwrap_or(Duration::ZERO).div_f64(self.speed().max(1e-6))
    }

    /// How much product time passes in a real time.
    #[must_use]
    pub fn product(&self, real: Duration) -> Span {
        Span::from_std(real.mul_f64(self.speed().max(1e-6))).unwrap_or(Span::MAX)
    }

    /// Sleeps until the server's time is `at` or a little later.
    pub async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at - self.now();
            if left <= Span::zero() {
                return;
            }
            // Long sleeps are cut, so that a clock that was set anew is noticed.
            tokio::time::sleep(self.real(left).min(Duration::from_secs(5))).await;
        }
    }

    /// Sleeps for a span of product time.
    pub async fn sleep(&self, span: Span) {
        self.sleep_until(self.now() + span).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(now: &str, speed: f64) -> ClockView {
        ClockView { now: now.parse().unwrap(), speed }
    }

    #[tokio::test]
    async fn sleeping_is_scaled_and_never_ends_early() {
        let clock = ServerClock::from_reading(reading("2026-05-01T12:00:00Z", 600.0));
        let (began, until) = (Instant::now(), clock.now() + Span::minutes(1));
        clock.sleep_until(until).await;
        assert!(clock.now() >= until && began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_slow_answer_does_not_set_the_clock_back_but_a_new_server_does() {
        let clock = ServerClock::from_reading(reading("2026-05-01T12:00:00Z", 60.0));
        clock.follow(reading("2026-05-01T11:59:00Z", 60.0));
        assert!(clock.now() >= "2026-05-01T12:00:00Z".parse::<Timestamp>().unwrap(), "one real second late");
        clock.follow(reading("2026-05-01T12:05:00Z", 60.0));
        assert!(clock.now() >= "2026-05-01T12:05:00Z".parse::<Timestamp>().unwrap());
        clock.follow(reading("2026-05-01T06:00:00Z", 60.0));
        assert!(clock.now() < "2026-05-01T07:00:00Z".parse::<Timestamp>().unwrap());
    }
}
