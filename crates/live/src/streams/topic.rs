//! A topic: one numbering, its newest frames, and who follows it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::ids::{DriverId, ZoneId};
use posthaste_domain::place::Place;

use super::outbox::{Filled, Outbox};
use super::{Closed, Frame, View};

/// What a message is about, for subscribers who look at a part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// The zone.
    pub(crate) zone: Option<ZoneId>,
    /// The place.
    pub(crate) place: Option<Place>,
}

impl View {
    fn shows(&self, scope: &Scope) -> bool {
        match self {
            Self::All => true,
            Self::Zone(zone) => scope.zone.is_none_or(|z| z == *zone),
            Self::Box { west, south, east, north } => {
                scope.place.is_none_or(|p| (*south..=*north).contains(&p.lat()) && (*west..=*east).contains(&p.lng()))
            }
        }
    }
}

pub(super) struct Topic {
    pub(super) epoch: String,
    state: Mutex<State>,
    /// Frames kept for those who come back. Too few means snapshots; too many holds memory for nobody.
    kept: usize,
}

#[derive(Default)]
struct State {
    seq: u64,
    ring: VecDeque<(u64, Frame, Scope)>,
    subscribers: Vec<(View, Arc<Outbox>)>,
    /// Sweeps since the last subscriber left.
    idle_sweeps: u32,
}

/// Up to so many outboxes are emptied by their own tasks, or by who filled them; more by tasks that share them.
const FEW: usize = 4;
/// Outboxes that one task empties in one go. Too many holds a thread; too few is a task for each again.
const SHARE: usize = 64;

/// Outboxes whose connections wait to be written to.
#[must_use]
pub(super) struct ToFlush(Vec<Arc<Outbox>>);

impl ToFlush {
    fn of<'a>(subscribers: impl Iterator<Item = &'a Arc<Outbox>>, fill: impl Fn(&Outbox) -> Filled) -> Self {
        Self(subscribers.filter(|outbox| fill(outbox) == Filled::Flush).cloned().collect())
    }

    /// Has them emptied beside the caller, who has other things to do: few by their own tasks.
    pub(super) fn beside(self) {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.0.len() > FEW => {
                let mut outboxes = self.0.into_iter();
                loop {
                    let share: Vec<_> = outboxes.by_ref().take(SHARE).collect();
                    if share.is_empty() {
                        return;
                    }
                    runtime.spawn(async move { share.iter().for_each(|outbox| outbox.flush()) });
                }
            }
            _ => self.0.iter().for_each(|outbox| outbox.wake()),
        }
    }

    /// Empties few at once, which spares waking their tasks; more beside the caller.
    pub(super) fn at_once(self) {
        if self.0.len() > FEW {
            return self.beside();
        }
        self.0.iter().for_each(|outbox| outbox.flush());
    }
}

/// How a subscriber begins.
pub(super) enum Start {
    /// With what it missed.
    Resumed { from: u64, to: u64, missed: Vec<Frame> },
    /// With a snapshot that stands for everything up to `seq`.
    Fresh { seq: u64 },
}

impl State {
    fn shown(&self, scope: &Scope) -> impl Iterator<Item = &Arc<Outbox>> {
        self.subscribers.iter().filter(|(view, _)| view.shows(scope)).map(|(_, outbox)| outbox)
    }
}

impl Topic {
    pub(super) fn new(epoch: String, kept: usize) -> Self {
        Self { epoch, state: Mutex::new(State::default()), kept }
    }

    pub(super) fn seq(&self) -> u64 {
        self.state.lock().seq
    }

    /// Numbers a message, keeps it and hands it to everybody who looks at its part.
    pub(super) fn publish(&self, scope: Scope, encode: impl FnOnce(u64) -> Frame) {
        let mut state = self.state.lock();
        state.seq += 1;
        let seq = state.seq;
        let frame = encode(seq);
        let to_flush = ToFlush::of(state.shown(&scope), |outbox| outbox.push(seq, &frame));
        if self.kept > 0 {
            if state.ring.len() >= self.kept {
                state.ring.pop_front();
            }
            state.ring.push_back((seq, frame, scope));
        }
        drop(state);
        to_flush.beside();
    }

    /// Hands on a message that is numbered by its owner (an order's events).
    pub(super) fn publish_numbered(&self, seq: u64, frame: &Frame) {
        let mut state = self.state.lock();
        state.seq = state.seq.max(seq);
        let to_flush = ToFlush::of(state.subscribers.iter().map(|(_, outbox)| outbox), |o| o.push(seq, frame));
        drop(state);
        to_flush.beside();
    }

    /// Hands on a position: no number, latest wins.
    pub(super) fn place(&self, driver: DriverId, scope: Scope, encode: impl FnOnce() -> Frame) {
        let state = self.state.lock();
        if state.subscribers.is_empty() {
            return;
        }
        let frame = encode();
        let to_flush = ToFlush::of(state.shown(&scope), |outbox| outbox.place(driver, &frame));
        drop(state);
        to_flush.at_once();
    }

    /// Adds a subscriber, without a gap to how it begins. Closes the oldest where there are more than `most`.
    pub(super) fn subscribe(&self, view: View, outbox: Arc<Outbox>, last: Option<u64>, most: usize) -> Start {
        let mut state = self.state.lock();
        state.subscribers.push((view, outbox));
        state.idle_sweeps = 0;
        if state.subscribers.len() > most {
            state.subscribers.remove(0).1.close(Closed::Replaced);
        }
        let to = state.seq;
        let oldest = state.ring.front().map_or(to + 1, |(seq, ..)| *seq);
        match last {
            Some(from) if from <= to && from + 1 >= oldest => {
                let missed = state.ring.iter().filter(|(seq, _, scope)| *seq > from && view.shows(scope));
                Start::Resumed { from, to, missed: missed.map(|(_, frame, _)| frame.clone()).collect() }
            }
            _ => Start::Fresh { seq: to },
        }
    }

    pub(super) fn unsubscribe(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state.lock();
        state.subscribers.retain(|(_, o)| !Arc::ptr_eq(o, outbox));
    }

    pub(super) fn close_all(&self, why: Closed) {
        for (_, outbox) in self.state.lock().subscribers.drain(..) {
            outbox.close(why);
        }
    }

    /// Called from time to time: true when nobody has followed for `most` sweeps, so that the topic can go.
    pub(super) fn sweep(&self, most: u32) -> bool {
        let mut state = self.state.lock();
        state.idle_sweeps = if state.subscribers.is_empty() { state.idle_sweeps + 1 } else { 0 };
        state.idle_sweeps > most
    }
}
