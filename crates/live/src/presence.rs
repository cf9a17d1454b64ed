//! Where a driver is: a latest-wins slot that their socket writes and everybody else reads when needed.
//!
//! A position never travels as an actor message. It lands in the slot, on the boards of their zones and with those who
//! follow them, all in the caller's task, if it is believed ([`posthaste_domain::position`] says so). Only what changes a decision becomes a message: a silent driver who is heard
//! again wakes their actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use posthaste_clock::Clock;
use posthaste_domain::driver::Driver;
use posthaste_domain::ids::DriverId;
use posthaste_domain::place::{METERS_OF_A_DEGREE, Place};
use posthaste_domain::position::{Reason, Report, Taken, Whereabouts};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::positions::Position;
use serde::{Deserialize, Serialize};

use crate::metrics::PositionTally;
use crate::streams::{self, Follower, Streams};
use crate::zones::ZoneCell;

/// A track keeps a point when the driver has moved this far since the last one kept.
const TRACK_METERS: f64 = 25.0;
/// Or when this much time has passed since.
const TRACK_SECONDS: i64 = 60;
/// Track points held for the next checkpoint at most; a database that is away for long costs detail, not memory.
const MOST_TRACK_POINTS: usize = 256;

/// A position that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// Where.
    pub place: Place,
    /// The instant that it counts as, by our clock.
    pub at: Timestamp,
    /// Degrees from north.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
}

impl Fix {
    pub(crate) fn new(report: &Report, at: Timestamp) -> Self {
        let Report { place, heading_degrees, speed_meters_per_second, .. } = *report;
        Self { place, at, heading_degrees, speed_meters_per_second }
    }

    /// As it is stored.
    pub(crate) fn position(&self, driver: DriverId, received_at: Timestamp) -> Position {
        Position {
            driver,
            place: self.place,
            at: self.at,
            received_at,
            heading_degrees: self.heading_degrees,
            speed_meters_per_second: self.speed_meters_per_second,
        }
    }
}

/// What became of positions that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTaken {
    /// How the last of them was taken.
    pub last: Taken,
    /// By how much the device's clock is behind ours (negative: ahead), where it is off by more than half a minute.
    pub clock_behind: Option<Span>,
}

/// What a driver's actor lets everybody read of them.
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
    /// Whether what is reported is in the figures.
    is_measured: bool,
    /// Set while the actor wants to hear of the next sign of life.
    wake: AtomicBool,
    waker: Box<dyn Fn() + Send + Sync>,
    slot: Mutex<Slot>,
    boards: ArcSwap<Vec<Arc<ZoneCell>>>,
    followers: ArcSwap<Vec<Follower>>,
    summary: ArcSwap<Summary>,
}

#[derive(Default)]
struct Slot {
    whereabouts: Whereabouts,
    fix: Option<Fix>,
    received_at: Timestamp,
    dirty: bool,
    tracked: Option<Fix>,
    track: Vec<Position>,
}

impl Slot {
    /// Remembers the newest position, if there is one.
    fn moved(&mut self, newest: Option<Fix>, now: Timestamp) -> Option<Moved> {
        let to = newest?;
        let before = self.fix.replace(to).map(|fix| fix.place);
        (self.received_at, self.dirty) = (now, true);
        Some(Moved { to, before })
    }
}

/// Where a driver is, and was before, as far as that was known.
struct Moved {
    to: Fix,
    before: Option<Place>,
}

impl Presence {
    pub(crate) fn new(
        summary: Summary,
        newest: Option<Fix>,
        (kept_for, is_measured): (Span, bool),
        (clock, silence): (Clock, Clock),
        streams: Streams,
        waker: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let now = clock.now();
        let whereabouts =
            newest.map_or_else(Whereabouts::default, |fix| Whereabouts::recalled(fix.place, fix.at.min(now)));
        Self {
            driver: summary.driver.id,
            streams,
            kept_for,
            is_measured,
            heard_at: AtomicI64::new(silence.now().timestamp_micros()),
            wake: AtomicBool::new(newest.is_none()),
            waker,
            slot: Mutex::new(Slot { whereabouts, fix: newest, received_at: now, ..Slot::default() }),
            boards: ArcSwap::default(),
            followers: ArcSwap::default(),
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

    /// Takes a position: visible to dispatch and trackers when this returns, if it is believed.
    pub fn report(&self, report: &Report) -> Taken {
        let taken = self.report_all(std::slice::from_ref(report), self.clock.now());
        taken.map_or(Taken::LeftOut(Reason::Older), |taken| taken.last)
    }

    /// Takes positions that came together at `now`, in the order in which they came; each says where the driver is. Those
    /// that are believed are kept for the track; dispatch and trackers see the newest. Whatever becomes of them, they are
    /// signs of life. None where there are none.
    pub fn report_all(&self, reports: &[Report], now: Timestamp) -> Option<LastTaken> {
        self.is_heard();
        let mut tally = PositionTally::default();
        let (moved, last) = self.store(reports, now, &mut tally);
        self.count(&tally);
        self.show(moved);
        last
    }

    fn store(
        &self,
        reports: &[Report],
        now: Timestamp,
        tally: &mut PositionTally,
    ) -> (Option<Moved>, Option<LastTaken>) {
        let mut slot = self.slot.lock();
        let delivery = slot.whereabouts.begin(reports, now, self.kept_for);
        let (mut newest, mut last) = (None, None);
        for report in reports {
            let taken = match slot.whereabouts.take(&delivery, report) {
                // It says where the driver is: an old one is of no use.
                Taken::Kept { .. } => Taken::LeftOut(Reason::Older),
                taken => taken,
            };
            tally.add(taken);
            last = Some(taken);
            if let Taken::Believed { at, .. } = taken {
                let fix = Fix::new(report, at);
                newest = Some(fix);
                self.track(&mut slot, &fix, now);
            }
        }
        (slot.moved(newest, now), last.map(|last| LastTaken { last, clock_behind: delivery.clock_behind() }))
    }

    /// What a batch will come to, before it is stored: in the order given, which is that of the device's times.
    pub(crate) fn weigh(&self, batch: &[Report], now: Timestamp) -> Vec<Taken> {
        let mut whereabouts = self.slot.lock().whereabouts;
        let delivery = whereabouts.begin(batch, now, self.kept_for);
        batch.iter().map(|report| whereabouts.take(&delivery, report)).collect()
    }

    /// Takes a batch that was stored, as [`Self::weigh`] does.
    pub(crate) fn stored(&self, batch: &[Report], now: Timestamp) -> (Vec<Taken>, Option<Span>) {
        let mut newest = None;
        let (moved, taken, clock_behind) = {
            let mut slot = self.slot.lock();
            let delivery = slot.whereabouts.begin(batch, now, self.kept_for);
            let taken: Vec<_> = batch.iter().map(|report| slot.whereabouts.take(&delivery, report)).collect();
            for (report, taken) in batch.iter().zip(&taken) {
                if let Taken::Believed { at, .. } = taken {
                    newest = Some(Fix::new(report, *at));
                }
            }
            slot.tracked = newest.or(slot.tracked);
            (slot.moved(newest, now), taken, delivery.clock_behind())
        };
        self.is_heard();
        self.show(moved);
        (taken, clock_behind)
    }

    /// Somebody says where the driver is now.
    pub(crate) fn said(&self, place: Place) {
        let now = self.clock.now();
        self.is_heard();
        let moved = {
            let mut slot = self.slot.lock();
            let at = slot.whereabouts.said(place, now);
            let fix = Fix { place, at, heading_degrees: None, speed_meters_per_second: None };
            self.track(&mut slot, &fix, now);
            slot.moved(Some(fix), now)
        };
        self.show(moved);
    }

    /// Keeps a position for the track, if it adds to it.
    fn track(&self, slot: &mut Slot, fix: &Fix, now: Timestamp) {
        if slot.track.len() < MOST_TRACK_POINTS && slot.tracked.is_none_or(|last| is_worth_keeping(&last, fix)) {
            slot.tracked = Some(*fix);
            slot.track.push(fix.position(self.driver, now));
        }
    }

    /// Shows dispatch and those who follow the driver where they are.
    fn show(&self, moved: Option<Moved>) {
        if let Some(Moved { to, before }) = moved {
            for board in self.boards.load().iter() {
                board.move_driver(self.driver, to.place);
            }
            let (followers, summary) = (self.followers.load(), self.summary.load());
            streams::moved(&self.streams, self.driver, &to, before, &followers, &summary.driver.zones);
        }
        self.wake_up();
    }

    /// A sign of life with a place that is none.
    pub fn report_no_place(&self) {
        self.heartbeat();
        let mut tally = PositionTally::default();
        tally.add(Taken::LeftOut(Reason::NotAPlace));
        self.count(&tally);
    }

    /// Adds to the figures how positions were taken.
    pub(crate) fn count(&self, tally: &PositionTally) {
        if self.is_measured {
            tally.count();
        }
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

    /// What the checkpointer has to write: the newest position if it changed, and the track since.
    pub(crate) fn take_dirty(&self) -> (Option<Position>, Vec<Position>) {
        let mut slot = self.slot.lock();
        let track = std::mem::take(&mut slot.track);
        let newest = slot.fix.filter(|_| slot.dirty).map(|fix| fix.position(self.driver, slot.received_at));
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

    /// Forgets where the driver is and was.
    pub(crate) fn forget(&self) {
        *self.slot.lock() = Slot { received_at: self.clock.now(), ..Slot::default() };
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

    pub(crate) fn set_followers(&self, followers: Vec<Follower>) {
        self.followers.store(Arc::new(followers));
    }

    pub(crate) fn set_summary(&self, summary: Summary) {
        self.summary.store(Arc::new(summary));
    }

    pub(crate) fn summary(&self) -> Arc<Summary> {
        self.summary.load_full()
    }
}
