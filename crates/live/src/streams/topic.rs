//! A topic: one numbering, its newest messages, and who follows it. Everybody who follows it gets all of it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::ids::DriverId;
use posthaste_protocol::socket::Unnumbered;

use super::outbox::{Filled, Outbox};
use super::{Closed, Frame};

pub(super) struct Topic {
    pub(super) epoch: String,
    state: Mutex<State>,
    /// Messages kept for those who come back. Too few means snapshots; too many holds memory for nobody.
    kept: usize,
}

#[derive(Default)]
struct State {
    seq: u64,
    /// The newest messages; the last has the number `seq`. Topics that show the same message share it.
    ring: VecDeque<Arc<Unnumbered>>,
    subscribers: Vec<Arc<Outbox>>,
    /// Connections that hold the topic, whether they have begun to follow it or not.
    open: usize,
    /// Sweeps since the last of them left.
    idle_sweeps: u32,
    /// Nothing is published here any more: who begins to follow it now is told to come back.
    ended: Option<Closed>,
}

/// Up to so many outboxes are emptied by their own tasks, or by who filled them; more by tasks that share them.
const FEW: usize = 4;
/// Outboxes that one task empties in one go. Too many holds a thread; too few is a task for each again.
const SHARE: usize = 64;

/// Outboxes whose connections wait to be written to.
#[must_use]
pub(super) struct ToFlush(Vec<Arc<Outbox>>);

impl ToFlush {
    fn of(subscribers: &[Arc<Outbox>], fill: impl Fn(&Outbox) -> Filled) -> Self {
        Self(subscribers.iter().filter(|outbox| fill(outbox) == Filled::Flush).cloned().collect())
    }

    /// Has them emptied beside the caller, who has other things to do: few by their own tasks.
    pub(super) fn beside(self) {
        match tokio::runtime::Handle::try_current() {
            Ok(_) if self.0.len() > FEW => {
                let mut outboxes = self.0.into_iter();
                loop {
                    let share: Vec<_> = outboxes.by_ref().take(SHARE).collect();
                    if share.is_empty() {
                        return;
                    }
                    crate::world::spawn(async move { share.iter().for_each(|outbox| outbox.flush()) });
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
    /// With what it missed: the messages after `from`, oldest first.
    Resumed { from: u64, missed: Vec<Arc<Unnumbered>> },
    /// With a snapshot that stands for everything up to `seq`.
    Fresh { seq: u64 },
}

impl Topic {
    pub(super) fn new(epoch: String, kept: usize) -> Self {
        Self { epoch, state: Mutex::new(State::default()), kept }
    }

    pub(super) fn seq(&self) -> u64 {
        self.state.lock().seq
    }

    /// Numbers a message, keeps it and hands it to everybody who follows. When nobody does, no frame is made.
    pub(super) fn publish(&self, message: &Arc<Unnumbered>) {
        let mut state = self.state.lock();
        state.seq += 1;
        let seq = state.seq;
        if self.kept > 0 {
            if state.ring.len() >= self.kept {
                state.ring.pop_front();
            }
            state.ring.push_back(Arc::clone(message));
        }
        if state.subscribers.is_empty() {
            return;
        }
        let frame = Frame::numbered(message, seq);
        let to_flush = ToFlush::of(&state.subscribers, |outbox| outbox.push(seq, &frame));
        drop(state);
        to_flush.beside();
    }

    /// Hands on a message that is numbered by its owner (an order's events).
    pub(super) fn publish_numbered(&self, seq: u64, frame: &Frame) {
        let mut state = self.state.lock();
        state.seq = state.seq.max(seq);
        let to_flush = ToFlush::of(&state.subscribers, |outbox| outbox.push(seq, frame));
        drop(state);
        to_flush.beside();
    }

    /// Hands on a position: no number, latest wins.
    pub(super) fn place(&self, driver: DriverId, encode: impl FnOnce() -> Frame) {
        let state = self.state.lock();
        if state.subscribers.is_empty() {
            return;
        }
        let frame = encode();
        let to_flush = ToFlush::of(&state.subscribers, |outbox| outbox.place(driver, &frame));
        drop(state);
        to_flush.at_once();
    }

    /// One more connection holds the topic. To be called where it cannot be forgotten meanwhile.
    pub(super) fn enter(&self) {
        let mut state = self.state.lock();
        state.open += 1;
        state.idle_sweeps = 0;
    }

    /// A connection lets go of the topic, and of its subscription if it had begun one.
    pub(super) fn leave(&self, outbox: Option<&Arc<Outbox>>) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        if let Some(outbox) = outbox {
            state.subscribers.retain(|other| !Arc::ptr_eq(other, outbox));
        }
    }

    /// Whether no connection holds it.
    pub(super) fn is_left(&self) -> bool {
        self.state.lock().open == 0
    }

    /// Adds a subscriber, without a gap to how it begins.
    pub(super) fn subscribe(&self, outbox: Arc<Outbox>, last: Option<u64>) -> Start {
        let mut state = self.state.lock();
        let to = state.seq;
        if let Some(why) = state.ended {
            outbox.close(why);
            return Start::Fresh { seq: to };
        }
        if self.kept > 0 {
            outbox.begin_after(to);
        }
        state.subscribers.push(outbox);
        let oldest = to + 1 - state.ring.len() as u64;
        match last {
            Some(from) if from <= to && from + 1 >= oldest => {
                let known = usize::try_from(from + 1 - oldest).unwrap_or(usize::MAX);
                Start::Resumed { from, missed: state.ring.iter().skip(known).cloned().collect() }
            }
            _ => Start::Fresh { seq: to },
        }
    }

    /// Ends every subscription; nobody can begin one here any more.
    pub(super) fn end(&self, why: Closed) {
        let mut state = self.state.lock();
        state.ended = Some(why);
        for outbox in state.subscribers.drain(..) {
            outbox.close(why);
        }
    }

    /// Called from time to time: true when nobody has held it for `most` sweeps, so that it can go.
    pub(super) fn sweep(&self, most: u32) -> bool {
        let mut state = self.state.lock();
        state.idle_sweeps = if state.open == 0 { state.idle_sweeps + 1 } else { 0 };
        state.idle_sweeps > most
    }
}
