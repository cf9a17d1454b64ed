//! A clock that is set by hand: for tests, which have no time to wait and may not guess how long something takes.
//!
//! Three things move, together or apart: product time, the machine's clock (`wall`), and the real time that passes
//! (`Clock::instant`, silence, duties). Nothing moves by itself.
//!
//! What moving promises:
//!
//! - Alarms ring in the order of their time, those of product time and of silence among each other, and each sees the clock
//!   at its own time. When `advance` returns, those due have been *handed over*: the alarm's action has run, so its message
//!   lies in the mailbox of whom it concerns. What the actor does with it takes as long as it takes, and is waited for.
//! - An alarm that is set for a time that has come rings at once, beside whoever sets it. What an actor sets in answer to one
//!   alarm may so come after the whole of an `advance`: whoever tells of a chain moves the clock link by link.
//! - Whoever sleeps by the clock, and every duty whose period is over, wakes after the whole of it.
//!   [`ManualClock::duties_done`] waits until those duties have been done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_domain::{Span, Timestamp};
use tokio::sync::Notify;

use crate::alarm::Heap;
use crate::{Clock, Pace};

/// How long duties may take (real time).
const PATIENCE: Duration = Duration::from_secs(30);

/// The hands of a clock that tests set. Cheap to clone; every [`ManualClock::clock`] of it shows the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    clock: Clock,
    hands: Arc<Hands>,
}

/// What is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moves {
    Together,
    Product,
    Wall,
}

impl ManualClock {
    /// One that stands at `start`, product time as the machine's.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        let hands = Arc::new(Hands::at(start.timestamp_micros()));
        Self { clock: Clock::by_hand(&hands, Pace::Manual(Arc::clone(&hands))), hands }
    }

    /// One that stands at the present: what it is held against may have the machine's own time, as a database has.
    #[must_use]
    pub fn at_present() -> Self {
        Self::at(chrono::Utc::now())
    }

    /// What it shows, as everybody else reads it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// A span passes: product time, the machine's clock and real time move together.
    ///
    /// # Panics
    ///
    /// Where the span is negative: time only passes. The machine's clock is [set back](Self::set_back).
    pub fn advance(&self, span: Span) {
        self.hands.go(span, Moves::Together);
    }

    /// Product time moves and nothing else does, as under a speed that is very high.
    ///
    /// # Panics
    ///
    /// Where the span is negative.
    pub fn advance_product(&self, span: Span) {
        self.hands.go(span, Moves::Product);
    }

    /// The machine's clock and real time move, and product time stands.
    ///
    /// # Panics
    ///
    /// Where the span is negative.
    pub fn advance_wall(&self, span: Span) {
        self.hands.go(span, Moves::Wall);
    }

    /// Somebody sets the machine's clock back. Product time never runs backwards: it stands until the machine's has caught up
    /// with it. Real time neither stands nor runs backwards.
    ///
    /// # Panics
    ///
    /// Where the span is negative.
    pub fn set_back(&self, span: Span) {
        let micros = micros(span);
        let _one = self.hands.moving.lock();
        self.hands.wall.fetch_sub(micros, Ordering::SeqCst);
        self.hands.behind.fetch_add(micros, Ordering::SeqCst);
    }

    /// Waits until every duty whose period is over has been done.
    ///
    /// # Panics
    ///
    /// Where that takes half a minute of real time: it names those that are not done.
    pub async fn duties_done(&self) {
        let done = self.hands.until(|| self.hands.due_duties().is_empty());
        if tokio::time::timeout(PATIENCE, done).await.is_err() {
            panic!("duties that are due and not done: {:?}", self.hands.due_duties());
        }
    }
}

/// Where a duty stands that is done by a clock that is set by hand.
#[derive(Debug, Clone, Copy)]
struct Round {
    name: &'static str,
    /// When it is due, in microseconds of real time that has passed; none while it is done.
    due: Option<i64>,
}

/// What is moved by hand, in microseconds.
pub(crate) struct Hands {
    product: AtomicI64,
    wall: AtomicI64,
    /// Real time: it begins with the present, and only its distances mean anything.
    passed: AtomicI64,
    start: i64,
    /// How much has to pass before product time goes on: the machine's clock was set back.
    behind: AtomicI64,
    /// Ids made so far.
    ids: AtomicU64,
    /// One moves at a time.
    moving: Mutex<()>,
    heaps: Mutex<Vec<Weak<Heap>>>,
    rounds: Mutex<BTreeMap<u64, Round>>,
    changed: Notify,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("product", &self.product).field("wall", &self.wall).finish_non_exhaustive()
    }
}

fn micros(span: Span) -> i64 {
    assert!(span >= Span::zero(), "time only passes, and {span} is negative");
    span.num_microseconds().unwrap_or(i64::MAX)
}

impl Hands {
    fn at(start: i64) -> Self {
        Self {
            product: AtomicI64::new(start),
            wall: AtomicI64::new(start),
            passed: AtomicI64::new(start),
            start,
            behind: AtomicI64::new(0),
            ids: AtomicU64::new(0),
            moving: Mutex::new(()),
            heaps: Mutex::default(),
            rounds: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn product(&self) -> i64 {
        self.product.load(Ordering::SeqCst)
    }

    pub(crate) fn passed(&self) -> i64 {
        self.passed.load(Ordering::SeqCst)
    }

    pub(crate) fn since_start(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.passed() - self.start).unwrap_or(0))
    }

    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_timestamp_micros(self.wall.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Alarms that ring when it is moved.
    pub(crate) fn enlist(&self, heap: &Arc<Heap>) {
        let mut heaps = self.heaps.lock();
        heaps.retain(|heap| heap.strong_count() > 0);
        heaps.push(Arc::downgrade(heap));
    }

    /// Puts a number into the bits of an id that come after its time.
    pub(crate) fn number(&self, entropy: &mut [u8; 10]) {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        // Four, eight, six and eight bits: an id's version and variant stand before the first and the third.
        let bits = |shift: u32, mask: u64| u8::try_from(number >> shift & mask).unwrap_or(0);
        entropy[..4].copy_from_slice(&[bits(22, 0xf), bits(14, 0xff), bits(8, 0x3f), bits(0, 0xff)]);
    }

    fn go(&self, span: Span, moves: Moves) {
        let mut left = micros(span);
        let _one = self.moving.lock();
        while let Some((within, heap)) = self.next(moves)
            && within <= left
        {
            self.shift(within, moves);
            left -= within;
            heap.ring(self.reading(&heap));
        }
        self.shift(left, moves);
        self.changed.notify_waiters();
    }

    /// What of this movement rings next, and within how long.
    fn next(&self, moves: Moves) -> Option<(i64, Arc<Heap>)> {
        let heaps: Vec<_> = self.heaps.lock().iter().filter_map(Weak::upgrade).collect();
        let moved = heaps.into_iter().filter(|heap| match moves {
            Moves::Together => true,
            Moves::Product => !heap.is_of_silence(),
            Moves::Wall => heap.is_of_silence(),
        });
        moved.filter_map(|heap| Some((self.within(&heap)?, heap))).min_by_key(|(within, _)| *within)
    }

    fn within(&self, heap: &Heap) -> Option<i64> {
        let until = heap.first()?.timestamp_micros() - self.reading(heap).timestamp_micros();
        let caught_up = if heap.is_of_silence() { 0 } else { self.behind.load(Ordering::SeqCst) };
        Some(if until > 0 { until + caught_up } else { 0 })
    }

    fn reading(&self, heap: &Heap) -> Timestamp {
        let micros = if heap.is_of_silence() { self.passed() } else { self.product() };
        Timestamp::from_timestamp_micros(micros).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn shift(&self, micros: i64, moves: Moves) {
        if moves != Moves::Product {
            self.wall.fetch_add(micros, Ordering::SeqCst);
            self.passed.fetch_add(micros, Ordering::SeqCst);
        }
        if moves != Moves::Wall {
            let caught_up = self.behind.load(Ordering::SeqCst).min(micros);
            self.behind.fetch_sub(caught_up, Ordering::SeqCst);
            self.product.fetch_add(micros - caught_up, Ordering::SeqCst);
        }
    }

    /// Waits until something holds that only moving it, or a duty, can change.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before it is looked: what changes from here on is not missed.
            changed.as_mut().enable();
            if holds() {
                return;
            }
            changed.await;
        }
    }

    fn due_duties(&self) -> Vec<&'static str> {
        let now = self.passed();
        let rounds = self.rounds.lock();
        rounds.values().filter(|round| round.due.is_none_or(|due| due <= now)).map(|round| round.name).collect()
    }
}

/// A duty that is done again and again by a clock that is set by hand.
pub(crate) struct ManualRound {
    hands: Arc<Hands>,
    number: u64,
    period: i64,
}

impl ManualRound {
    pub(crate) fn new(hands: Arc<Hands>, name: &'static str, period: Duration) -> Self {
        let period = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
        let mut rounds = hands.rounds.lock();
        let number = rounds.last_key_value().map_or(0, |(last, _)| last + 1);
        rounds.insert(number, Round { name, due: Some(hands.passed().saturating_add(period)) });
        drop(rounds);
        Self { hands, number, period }
    }

    /// Waits until it is due. What was done before is over.
    pub(crate) async fn due(&mut self) {
        let due = {
            let mut rounds = self.hands.rounds.lock();
            let next = self.hands.passed().saturating_add(self.period);
            rounds.get_mut(&self.number).map_or(next, |round| *round.due.get_or_insert(next))
        };
        self.hands.changed.notify_waiters();
        self.hands.until(|| self.hands.passed() >= due).await;
        if let Some(round) = self.hands.rounds.lock().get_mut(&self.number) {
            round.due = None;
        }
    }
}

impl Drop for ManualRound {
    fn drop(&mut self) {
        self.hands.rounds.lock().remove(&self.number);
        self.hands.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
