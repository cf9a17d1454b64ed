//! Where a driver is: a latest-wins slot that his socket writes and everybody else reads when needed.
//!
//! A position never travels as an actor message. It lands in the slot, on the boards of his zones and with those who
//! follow him, all in the caller's task. Only what changes a decision becomes a message: a silent driver who is heard
//! again wakes his actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use posthaste_clock::Clock;
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::DriverId;
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::positions::Position;

use crate::streams::{Scope, Streams, TopicKey};
use crate::zones::ZoneCell;

/// A track keeps a point when the driver has moved this far since the last one kept.
const TRACK_METERS: f64 = 25.0;
/// Or when this much time has passed since.
const TRACK_SECONDS: i64 = 60;
/// No degree is longer than this, in latitude or longitude.
const METERS_OF_A_DEGREE: f64 = 111_200.0;
/// Track points held for the next checkpoint at most; a database that is away for long costs detail, not memory.
const MOST_TRACK_POINTS: usize = 256;

/// One position from a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Where.
    pub place: Place,
    /// The device's time.
    pub at: Timestamp,
    /// Degrees from north.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
    /// Radius of uncertainty in metres.
    pub accuracy_meters: Option<f32>,
}

impl Fix {
    /// Whether it is kept: what is older than tracks are kept for was measured by a wrong clock, or is of no use to anybody.
    pub(crate) fn is_kept(&self, now: Timestamp, kept_for: Span) -> bool {
        now - self.at <= kept_for
    }
}

/// What a driver's actor lets everybody read of him.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) driver: Arc<Driver>,
    pub(crate) stale: bool,
    pub(crate) open_orders: u32,
}

/// Whether a track keeps a position after `last`.
fn is_worth_keeping(last: &Fix, fix: &Fix) -> bool {
    // Degrees of latitude are longest: where even they would not be far enough, the exact distance need not be known.
    let (lat, lng) = (fix.place.lat() - last.place.lat(), fix.place.lng() - last.place.lng());
    let is_near = lat.hypot(lng) * METERS_OF_A_DEGREE < TRACK_METERS;
    fix.at - last.at >= Span::seconds(TRACK_SECONDS) || !is_near && last.place.meters_to(fix.place) >= TRACK_METERS
}

/// A driver's slot.
pub struct Presence {
    driver: DriverId,
    clock: Clock,
    /// The clock of silence, and when the driver was heard of last, by it.
    silence: Clock,
    heard_at: AtomicI64,
    streams: Streams,
    /// For how long tracks are kept.
    kept_for: Span,
    /// Set while the actor wants to hear of the next sign of life.
    wake: AtomicBool,
    waker: Box<dyn Fn() + Send + Sync>,
    slot: Mutex<Slot>,
    boards: ArcSwap<Vec<Arc<ZoneCell>>>,
    audience: ArcSwap<Vec<TopicKey>>,
    summary: ArcSwap<Summary>,
}

#[derive(Default)]
struct Slot {
    fix: Option<Fix>,
    received_at: Timestamp,
    dirty: bool,
    tracked: Option<Fix>,
    track: Vec<Position>,
}

impl Presence {
    pub(crate) fn new(
        summary: Summary,
        newest: Option<Fix>,
        kept_for: Span,
        (clock, silence): (Clock, Clock),
        streams: Streams,
        waker: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let now = clock.now();
        Self {
            driver: summary.driver.id,
            streams,
            kept_for,
            heard_at: AtomicI64::new(silence.now().timestamp_micros()),
            wake: AtomicBool::new(newest.is_none()),
            waker,
            slot: Mutex::new(Slot { fix: newest, received_at: now, ..Slot::default() }),
            boards: ArcSwap::default(),
            audience: ArcSwap::default(),
            summary: ArcSwap::from_pointee(summary),
            silence,
            clock,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn driver(&self) -> DriverId {
        self.driver
    }

    /// A sign of life without a position.
    pub fn heartbeat(&self) {
        self.is_heard();
        self.wake_up();
    }

    fn is_heard(&self) {
        self.heard_at.store(self.silence.now().timestamp_micros(), Ordering::Relaxed);
    }

    fn wake_up(&self) {
        if self.wake.load(Ordering::Relaxed) && self.wake.swap(false, Ordering::AcqRel) {
            (self.waker)();
        }
    }

    /// Takes a position: visible to dispatch and trackers when this returns. False when a newer one is known.
    pub fn report(&self, fix: Fix) -> bool {
        self.report_all(&[fix], self.clock.now())
    }

    /// Takes positions that came together at `now`, in the order in which they came. Each is kept for the track; dispatch
    /// and trackers see the newest. False when the last of them is not newer than what is known. One that is older than
    /// tracks are kept is a sign of life and nothing else.
    pub fn report_all(&self, fixes: &[Fix], now: Timestamp) -> bool {
        self.is_heard();
        let (newest, last_is_newer) = self.store(fixes, now);
        if let Some(fix) = newest {
            for board in self.boards.load().iter() {
                board.move_driver(self.driver, fix.place);
            }
            let audience = self.audience.load();
            if !audience.is_empty() {
                let zone = self.summary.load().driver.zones.first().copied();
                self.streams.moved(self.driver, &fix, &audience, Scope { zone, place: Some(fix.place) });
            }
        }
        self.wake_up();
        last_is_newer
    }

    /// The newest position, if one of these is, and whether the last of them was when it came.
    fn store(&self, fixes: &[Fix], now: Timestamp) -> (Option<Fix>, bool) {
        let mut slot = self.slot.lock();
        let (mut changed, mut last_is_newer) = (false, false);
        for fix in fixes {
            last_is_newer = fix.is_kept(now, self.kept_for) && slot.fix.is_none_or(|known| known.at < fix.at);
            if last_is_newer {
                changed = true;
                slot.fix = Some(*fix);
                if slot.track.len() < MOST_TRACK_POINTS && slot.tracked.is_none_or(|last| is_worth_keeping(&last, fix))
                {
                    slot.tracked = Some(*fix);
                    let point = self.position(fix, now);
                    slot.track.push(point);
                }
            }
        }
        if changed {
            slot.received_at = now;
            slot.dirty = true;
        }
        (slot.fix.filter(|_| changed), last_is_newer)
    }

    /// The newest position.
    #[must_use]
    pub fn newest(&self) -> Option<Fix> {
        self.slot.lock().fix
    }

    /// For how long the driver has not been heard of: real time.
    #[must_use]
    pub fn silent_for(&self) -> Span {
        Span::microseconds(self.silence.now().timestamp_micros() - self.heard_at.load(Ordering::Relaxed))
    }

    pub(crate) fn position(&self, fix: &Fix, received_at: Timestamp) -> Position {
        Position {
            driver: self.driver,
            place: fix.place,
            at: fix.at,
            received_at,
            heading_degrees: fix.heading_degrees,
            speed_meters_per_second: fix.speed_meters_per_second,
        }
    }

    /// What the checkpointer has to write: the newest position if it changed, and the track since.
    pub(crate) fn take_dirty(&self) -> (Option<Position>, Vec<Position>) {
        let mut slot = self.slot.lock();
        let track = std::mem::take(&mut slot.track);
        let newest = slot.fix.filter(|_| slot.dirty).map(|fix| self.position(&fix, slot.received_at));
        slot.dirty = false;
        (newest, track)
    }

    /// The checkpoint failed: the newest position is to be written again.
    pub(crate) fn mark_dirty(&self) {
        self.slot.lock().dirty = true;
    }

    /// The checkpoint failed: these points of the track are to be written again, before those that came meanwhile.
    pub(crate) fn put_back(&self, track: &[Position]) {
        let mut slot = self.slot.lock();
        let room = MOST_TRACK_POINTS.saturating_sub(slot.track.len());
        let kept = &track[track.len().saturating_sub(room)..];
        slot.track.splice(..0, kept.iter().copied());
    }

    /// The next sign of life becomes a message to the actor.
    pub(crate) fn wake_on_sign_of_life(&self) {
        self.wake.store(true, Ordering::Release);
    }

    pub(crate) fn set_boards(&self, boards: Vec<Arc<ZoneCell>>) {
        self.boards.store(Arc::new(boards));
    }

    pub(crate) fn boards(&self) -> Arc<Vec<Arc<ZoneCell>>> {
        self.boards.load_full()
    }

    pub(crate) fn set_audience(&self, audience: Vec<TopicKey>) {
        self.audience.store(Arc::new(audience));
    }

    pub(crate) fn set_summary(&self, summary: Summary) {
        self.summary.store(Arc::new(summary));
    }

    pub(crate) fn summary(&self) -> Arc<Summary> {
        self.summary.load_full()
    }
}
