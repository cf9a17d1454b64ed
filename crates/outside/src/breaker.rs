//! A service that keeps failing is left alone for a while, so that it can recover and nobody waits for it in vain. Pure: time
//! comes in.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::{Span, Timestamp};

use crate::operation::Operation;

/// Most classes of operations that are told apart. They are names in the program's text; more are called unguarded.
pub const MOST_CLASSES: usize = 256;
/// How long a probe's end is awaited before it is worth asking again.
const PROBE: Span = Span::seconds(1);

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row after which the service is left alone. Fewer stop for one bad moment; more hammer what is down.
    pub failures: u32,
    /// How long it is left alone.
    pub pause: Span,
    /// The longest that it is left alone because it asked for it (`Retry-After`). More would let it stop us for good.
    pub longest_asked: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self { failures: 5, pause: Span::seconds(30), longest_asked: Span::minutes(5) }
    }
}

/// How one service stands: *closed*, it is called; *open*, it is left alone; *half-open*, after the pause, it is called once
/// as a probe, whose end closes it or begins the pause anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    limits: Limits,
    failures: u32,
    open_until: Option<Timestamp>,
    is_probed: bool,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many calls may be made at `now`, of `wanted`: one, as a probe, after a pause.
    #[must_use]
    pub fn admits(&self, wanted: i64, now: Timestamp) -> i64 {
        match self.open_until {
            None => wanted,
            Some(until) if now < until || self.is_probed => 0,
            Some(_) => wanted.min(1),
        }
    }

    /// Begins a call at `now`; after a pause it is the probe, and nobody else calls until its end is noted or it is given up.
    ///
    /// # Errors
    ///
    /// When it is worth asking again, where no call may be made.
    pub fn begin(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if self.admits(1, now) > 0 {
            self.is_probed = self.open_until.is_some();
            return Ok(());
        }
        Err(self.open_until.unwrap_or(now).max(now + if self.is_probed { PROBE } else { Span::zero() }))
    }

    /// A call was given up before its end: nothing is known, and another may be the probe.
    pub fn give_up(&mut self) {
        self.is_probed = false;
    }

    /// When it is worth looking again.
    #[must_use]
    pub fn paused_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Notes what became of a call. True when the service is left alone from now on.
    pub fn note(&mut self, reached: bool, now: Timestamp) -> bool {
        self.note_asked(reached, Span::zero(), now)
    }

    /// The same of a service that asked to be left alone for a while: where it is left alone, it is for so long at least.
    pub fn note_asked(&mut self, reached: bool, asked: Span, now: Timestamp) -> bool {
        self.is_probed = false;
        if reached {
            *self = Self::new(self.limits);
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.limits.failures {
            let until = now + asked.min(self.limits.longest_asked).max(self.limits.pause);
            // What failed late takes nothing from what was asked for before.
            self.open_until = self.open_until.max(Some(until));
        }
        self.failures == self.limits.failures
    }
}

/// A breaker for each class of operation of each service. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Breakers {
    limits: Limits,
    kept: Arc<Mutex<HashMap<(&'static str, &'static str), Breaker>>>,
}

impl Breakers {
    /// None is open.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, kept: Arc::default() }
    }

    /// Begins a call.
    ///
    /// # Errors
    ///
    /// When it is worth asking again, where the service is left alone.
    pub fn begin(&self, operation: Operation, now: Timestamp) -> Result<Permit, Timestamp> {
        let key = operation.is_guarded.then_some((operation.service, operation.class));
        let mut kept = self.kept.lock();
        let key = key.filter(|key| kept.contains_key(key) || kept.len() < MOST_CLASSES);
        if let Some(key) = key {
            kept.entry(key).or_insert_with(|| Breaker::new(self.limits)).begin(now)?;
        }
        Ok(Permit { kept: Arc::clone(&self.kept), key })
    }

    /// Until when a class is left alone, where it is.
    #[must_use]
    pub fn paused_until(&self, operation: Operation) -> Option<Timestamp> {
        self.kept.lock().get(&(operation.service, operation.class)).and_then(Breaker::paused_until)
    }
}

/// A call under way. Dropped without a word, it was given up.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    kept: Arc<Mutex<HashMap<(&'static str, &'static str), Breaker>>>,
    key: Option<(&'static str, &'static str)>,
}

impl Permit {
    /// Notes what became of it, and for how long the service asked to be left alone. True when it is, from now on.
    pub fn note(mut self, reached: bool, asked: Span, now: Timestamp) -> bool {
        let Some(key) = self.key.take() else { return false };
        self.kept.lock().get_mut(&key).is_some_and(|breaker| breaker.note_asked(reached, asked, now))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        if let Some(breaker) = self.kept.lock().get_mut(&key) {
            breaker.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { failures: 5, pause: Span::seconds(30), longest_asked: Span::minutes(5) };

    #[test]
    fn after_failures_in_a_row_there_is_a_pause_and_then_a_probe() {
        let now = Timestamp::UNIX_EPOCH;
        let mut breaker = Breaker::default();
        for n in 1..=LIMITS.failures {
            assert_eq!(breaker.admits(8, now), 8);
            assert_eq!(breaker.note(false, now), n == LIMITS.failures);
        }
        assert_eq!(breaker.admits(8, now), 0);
        let later = now + LIMITS.pause;
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
            (0..LIMITS.failures - 1).for_each(|_| assert!(!breaker.note(false, now)));
            breaker.note(true, now);
        }
        assert_eq!(breaker.admits(3, now), 3);
    }

    #[test]
    fn what_a_service_asks_for_is_heeded_and_bounded() {
        let now = Timestamp::UNIX_EPOCH;
        for (asked, pause) in [(0, 30), (10, 30), (120, 120), (100_000, 300)] {
            let mut breaker = Breaker::default();
            for _ in 0..LIMITS.failures {
                breaker.note_asked(false, Span::seconds(asked), now);
            }
            assert_eq!(breaker.paused_until(), Some(now + Span::seconds(pause)), "{asked}");
            // Others that were under way then failed too.
            breaker.note(false, now);
            assert_eq!(breaker.paused_until(), Some(now + Span::seconds(pause)), "{asked}");
        }
    }

    #[test]
    fn an_outage_of_one_class_stops_no_other_and_a_probe_that_is_dropped_is_given_up() {
        let (breakers, now) = (Breakers::default(), Timestamp::UNIX_EPOCH);
        let (refunds, captures) = (Operation::new("payments", "refund"), Operation::new("payments", "capture"));
        for _ in 0..LIMITS.failures {
            breakers.begin(refunds, now).unwrap().note(false, Span::zero(), now);
        }
        assert_eq!(breakers.begin(refunds, now).map(drop), Err(now + LIMITS.pause));
        assert!(breakers.begin(captures, now).is_ok() && breakers.begin(refunds.unguarded(), now).is_ok());
        let later = now + LIMITS.pause;
        let probe = breakers.begin(refunds, later).unwrap();
        assert_eq!(breakers.begin(refunds, later).map(drop), Err(later + PROBE), "one probe at a time");
        drop(probe);
        breakers.begin(refunds, later).unwrap().note(true, Span::zero(), later);
        assert_eq!(breakers.paused_until(refunds), None);
    }

    #[test]
    fn keys_are_bounded_and_what_is_beyond_them_is_called_unguarded() {
        let (breakers, now) = (Breakers::default(), Timestamp::UNIX_EPOCH);
        for n in 0..MOST_CLASSES + 10 {
            let operation = Operation::new("a service", String::leak(n.to_string()));
            for _ in 0..LIMITS.failures {
                breakers.begin(operation, now).unwrap().note(false, Span::zero(), now);
            }
            assert_eq!(breakers.begin(operation, now).is_ok(), n >= MOST_CLASSES, "{n}");
        }
        assert_eq!(breakers.kept.lock().len(), MOST_CLASSES);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Begin,
        Note(bool),
        GiveUp,
        Wait(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Begin),
            4 => prop::bool::weighted(0.2).prop_map(Step::Note),
            1 => Just(Step::GiveUp),
            2 => (0i64..40).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn it_opens_after_failures_in_a_row_alone_and_lets_one_probe_through(steps in prop::collection::vec(step(), 1..200)) {
            let (mut breaker, mut now) = (Breaker::default(), Timestamp::UNIX_EPOCH);
            let (mut in_a_row, mut last_failed, mut is_probed) = (0, now, false);
            for step in steps {
                match step {
                    Step::Begin => {
                        let is_open = in_a_row >= LIMITS.failures;
                        let may = !is_open || (now >= last_failed + LIMITS.pause && !is_probed);
                        let began = breaker.begin(now);
                        prop_assert_eq!(began.is_ok(), may);
                        if let Err(again) = began {
                            prop_assert!(again > now && again <= now + LIMITS.pause);
                        }
                        is_probed |= is_open && may;
                    }
                    Step::Note(reached) => {
                        let opens = breaker.note(reached, now);
                        (in_a_row, is_probed) = (if reached { 0 } else { in_a_row + 1 }, false);
                        last_failed = if reached { last_failed } else { now };
                        prop_assert_eq!(opens, !reached && in_a_row == LIMITS.failures);
                    }
                    Step::GiveUp => {
                        breaker.give_up();
                        is_probed = false;
                    }
                    Step::Wait(seconds) => now += Span::seconds(seconds),
                }
                prop_assert_eq!(breaker.paused_until().is_some(), in_a_row >= LIMITS.failures);
            }
        }
    }
}
