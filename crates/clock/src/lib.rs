//! The one clock, injected everywhere, and the timers that follow it.
//!
//! Product time runs at a speed: 1 in production, faster in demos, replays and tests, so that a
//! fifteen-minute deadline can be seen in a second through the real server. This file is the only
//! one that reads the machine's clock; [`alarm`] is the only one that sets timers for product time, and [`duty`] knows what is
//! done by the clock. Tests set a clock by hand ([`manual`]): then it stands until it is moved, and what is due rings.

pub mod alarm;
pub mod duty;
pub mod manual;
pub mod testing;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use posthaste_domain::ids::Id;
use posthaste_domain::{Span, Timestamp};

use crate::manual::Hands;
pub use crate::manual::ManualClock;

/// A speed that no clock can run at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InvalidSpeed(pub f64);

impl std::fmt::Display for InvalidSpeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a clock speed lies between 0.01 and 10000, got {}", self.0)
    }
}

impl std::error::Error for InvalidSpeed {}

/// Product time. Cheap to clone; never goes backwards.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    speed: f64,
    pace: Pace,
    /// Microseconds of product time at the start.
    start: i64,
    started: Instant,
    /// Product time minus the machine's, in microseconds; used where the machine's clock is followed, at speed 1.
    offset: i64,
    newest: AtomicI64,
    duties: duty::Duties,
}

/// What makes it go.
#[derive(Debug)]
enum Pace {
    /// The machine's clock.
    Machine,
    /// The time since the start alone.
    Steady,
    /// Whoever sets it.
    Manual(Arc<Hands>),
    /// The same, for the silence that is measured beside it.
    ManualSilence(Arc<Hands>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        let now = chrono::Utc::now();
        Self::build(1.0, now, now)
    }

    /// A clock at `speed` product seconds per real second that starts now, or at `not_before` where that is
    /// later: time that was handed out before a restart is never handed out again.
    pub fn at_speed(speed: f64, not_before: Option<Timestamp>) -> Result<Self, InvalidSpeed> {
        if !(0.01..=10_000.0).contains(&speed) {
            return Err(InvalidSpeed(speed));
        }
        let wall = chrono::Utc::now();
        let start = not_before.map_or(wall, |t| t.max(wall));
        Ok(Self::build(speed, start, wall))
    }

    /// The clock that measures silence beside this one: so many seconds of it pass in a real one, whatever the product clock
    /// does and whoever sets the machine's. Its instants mean nothing but for their distances. Beside a clock that is set by
    /// hand, silence passes as real time is moved, second by second at any speed.
    pub fn silence(&self, speed: f64) -> Result<Self, InvalidSpeed> {
        if !(0.01..=10_000.0).contains(&speed) {
            return Err(InvalidSpeed(speed));
        }
        if let Some(hands) = self.hands() {
            return Ok(Self::by_hand(hands, Pace::ManualSilence(Arc::clone(hands))));
        }
        let now = chrono::Utc::now();
        Ok(Self::made(speed, now, now, Pace::Steady))
    }

    fn build(speed: f64, start: Timestamp, wall: Timestamp) -> Self {
        #[expect(clippy::float_cmp, reason = "exactly 1 is the machine's own pace")]
        let pace = if speed == 1.0 { Pace::Machine } else { Pace::Steady };
        Self::made(speed, start, wall, pace)
    }

    fn by_hand(hands: &Arc<Hands>, pace: Pace) -> Self {
        let start = hands.wall();
        Self::made(1.0, start, start, pace)
    }

    fn made(speed: f64, start: Timestamp, wall: Timestamp, pace: Pace) -> Self {
        let start_micros = match &pace {
            Pace::Machine | Pace::Steady => start.timestamp_micros(),
            Pace::Manual(hands) => hands.product(),
            Pace::ManualSilence(hands) => hands.passed(),
        };
        let duties = match &pace {
            Pace::Machine | Pace::Steady => duty::Duties::default(),
            Pace::Manual(hands) | Pace::ManualSilence(hands) => duty::Duties::by_hand(Arc::clone(hands)),
        };
        Self(Arc::new(Inner {
            speed,
            pace,
            start: start_micros,
            started: Instant::now(),
            offset: start_micros - wall.timestamp_micros(),
            newest: AtomicI64::new(start_micros),
            duties,
        }))
    }

    /// Who moves it, where it is set by hand.
    fn hands(&self) -> Option<&Arc<Hands>> {
        match &self.0.pace {
            Pace::Machine | Pace::Steady => None,
            Pace::Manual(hands) | Pace::ManualSilence(hands) => Some(hands),
        }
    }

    /// The present instant, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let inner = &*self.0;
        let micros = match &inner.pace {
            Pace::Machine => chrono::Utc::now().timestamp_micros() + inner.offset,
            Pace::Steady => {
                let elapsed = inner.started.elapsed().as_secs_f64() * 1e6 * inner.speed;
                #[expect(clippy::cast_possible_truncation, reason = "292,000 years of microseconds fit")]
                let elapsed = elapsed as i64;
                inner.start + elapsed
            }
            Pace::Manual(hands) => hands.product(),
            Pace::ManualSilence(hands) => hands.passed(),
        };
        let newest = inner.newest.fetch_max(micros, Ordering::Relaxed).max(micros);
        Timestamp::from_timestamp_micros(newest).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// What is done by the clock.
    #[must_use]
    pub fn duties(&self) -> &duty::Duties {
        &self.0.duties
    }

    /// Product seconds per real second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.0.speed
    }

    /// The machine's own time, for what outlives or crosses the process: tokens. In whole microseconds, as it is stored.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        if let Some(hands) = self.hands() {
            return hands.wall();
        }
        let now = chrono::Utc::now();
        Timestamp::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// The machine's steady clock, for spans of real time that decide something: quotas, retries, what is held for how long.
    /// Patience with networks and disks asks the runtime and not this.
    #[must_use]
    pub fn instant(&self) -> Instant {
        match self.hands() {
            None => Instant::now(),
            Some(hands) => self.0.started + hands.since_start(),
        }
    }

    /// How long a span of product time takes in real time; nothing where it is negative.
    #[must_use]
    pub fn real(&self, span: Span) -> Duration {
        span.to_std().unwrap_or(Duration::ZERO).div_f64(self.0.speed)
    }

    /// Sleeps for a span of product time.
    pub async fn sleep(&self, span: Span) {
        match self.hands() {
            None => tokio::time::sleep(self.real(span)).await,
            Some(_) => self.sleep_until(self.now() + span).await,
        }
    }

    /// Sleeps until an instant of product time.
    pub async fn sleep_until(&self, at: Timestamp) {
        match self.hands() {
            None => tokio::time::sleep(self.real(at - self.now())).await,
            Some(hands) => hands.until(|| self.now() >= at).await,
        }
    }

    /// A fresh id of this instant. Those of a clock that stands sort as they were made, as those of one that goes.
    #[must_use]
    pub fn id<I: Id>(&self) -> I {
        let mut entropy = rand::random();
        if let Some(hands) = self.hands() {
            hands.number(&mut entropy);
        }
        I::at(self.now(), entropy)
    }

    /// A random number, for codes.
    #[must_use]
    pub fn entropy(&self) -> u32 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_behind_what_was_handed_out_before_a_restart() {
        let later = chrono::Utc::now() + Span::days(3);
        let clock = Clock::at_speed(60.0, Some(later)).unwrap();
        assert!(clock.now().timestamp_micros() >= later.timestamp_micros());
        let earlier = Clock::at_speed(1.0, Some(chrono::Utc::now() - Span::days(3))).unwrap();
        assert!((earlier.now() - chrono::Utc::now()).abs() < Span::seconds(5));
    }

    #[test]
    fn silence_is_measured_in_real_seconds_unless_told_otherwise() {
        let product = Clock::at_speed(10_000.0, None).unwrap();
        let silence = product.silence(1.0).unwrap();
        let (heard, then) = (silence.now(), product.now());
        while product.now() - then < Span::seconds(60) {
            std::thread::yield_now();
        }
        assert!(silence.now() - heard < Span::seconds(6), "a minute of product time is six thousandths of a second");
        assert!(silence.now() > heard && product.silence(0.0).is_err());
    }

    #[test]
    fn a_fast_clock_makes_waiting_short() {
        let clock = Clock::at_speed(60.0, None).unwrap();
        assert_eq!(clock.real(Span::minutes(15)), Duration::from_secs(15));
        assert_eq!(clock.real(Span::seconds(-5)), Duration::ZERO);
        assert!(Clock::at_speed(0.0, None).is_err() && Clock::at_speed(f64::NAN, None).is_err());
    }
}
