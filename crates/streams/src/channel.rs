//! A channel: one numbering, its newest messages, and who follows it. Everybody who follows it gets all of it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_protocol::socket::Unnumbered;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::queue::{Filled, SendQueue};
use crate::{Closed, Frame};

pub(crate) struct Channel {
    pub(crate) epoch: String,
    state: Mutex<State>,
    /// Messages kept for those who come back. Too few means snapshots; too many holds memory for nobody.
    kept: usize,
}

#[derive(Default)]
struct State {
    seq: u64,
    /// The newest messages; the last has the number `seq`. Channels that show the same message share it.
    ring: VecDeque<Arc<Unnumbered>>,
    subscribers: Vec<Arc<SendQueue>>,
    /// Connections that hold the channel, whether they have begun to follow it or not.
    open: usize,
    /// Sweeps since the last of them left.
    idle_sweeps: u32,
    /// Nothing is published here any more: who begins to follow it now is told to come back.
    ended: Option<Closed>,
}

/// Up to so many queues are emptied by their own tasks, or by who filled them; more by tasks that share them.
const FEW: usize = 4;
/// Queues that one task empties in one go. Too many holds a thread; too few is a task for each again.
const SHARE: usize = 64;

/// Queues whose connections wait to be written to.
#[must_use]
pub(crate) struct ToFlush(Vec<Arc<SendQueue>>);

impl ToFlush {
    fn of(subscribers: &[Arc<SendQueue>], fill: impl Fn(&SendQueue) -> Filled) -> Self {
        Self(subscribers.iter().filter(|queue| fill(queue) == Filled::Flush).cloned().collect())
    }

    /// Has them emptied beside the caller, who has other things to do: few by their own tasks.
    pub(crate) fn beside(self) {
        match tokio::runtime::Handle::try_current() {
            Ok(_) if self.0.len() > FEW => {
                let mut queues = self.0.into_iter();
                loop {
                    let share: Vec<_> = queues.by_ref().take(SHARE).collect();
                    if share.is_empty() {
                        return;
                    }
                    let flush = async move { share.iter().for_each(|queue| queue.flush()) };
                    tokio::spawn(flush.in_current_span());
                }
            }
            _ => self.0.iter().for_each(|queue| queue.wake()),
        }
    }

    /// Empties few at once, which spares waking their tasks; more beside the caller.
    pub(crate) fn at_once(self) {
        if self.0.len() > FEW {
            return self.beside();
        }
        self.0.iter().for_each(|queue| queue.flush());
    }
}

/// How a subscriber begins.
pub(crate) enum Start {
    /// With what it missed: the messages after `from`, oldest first.
    Resumed { from: u64, missed: Vec<Arc<Unnumbered>> },
    /// With a snapshot that stands for everything up to `seq`.
    Fresh { seq: u64 },
}

impl Channel {
    pub(crate) fn new(epoch: String, kept: usize) -> Self {
        Self { epoch, state: Mutex::new(State::default()), kept }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.state.lock().seq
    }

    /// Numbers a message, keeps it and hands it to everybody who follows. When nobody does, no frame is made.
    pub(crate) fn publish(&self, message: &Arc<Unnumbered>) {
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
        let to_flush = ToFlush::of(&state.subscribers, |queue| queue.push(seq, &frame));
        drop(state);
        to_flush.beside();
    }

    /// Hands on a message that is numbered by its owner (an order's events).
    pub(crate) fn publish_numbered(&self, seq: u64, frame: &Frame) {
        let mut state = self.state.lock();
        state.seq = state.seq.max(seq);
        let to_flush = ToFlush::of(&state.subscribers, |queue| queue.push(seq, frame));
        drop(state);
        to_flush.beside();
    }

    /// Hands on a position: no number, latest wins.
    pub(crate) fn place(&self, whose: Uuid, encode: impl FnOnce() -> Frame) {
        let state = self.state.lock();
        if state.subscribers.is_empty() {
            return;
        }
        let frame = encode();
        let to_flush = ToFlush::of(&state.subscribers, |queue| queue.place(whose, &frame));
        drop(state);
        to_flush.at_once();
    }

    /// One more connection holds the channel. To be called where it cannot be forgotten meanwhile.
    pub(crate) fn enter(&self) {
        let mut state = self.state.lock();
        state.open += 1;
        state.idle_sweeps = 0;
    }

    /// A connection lets go of the channel, and of its subscription if it had begun one.
    pub(crate) fn leave(&self, queue: Option<&Arc<SendQueue>>) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        if let Some(queue) = queue {
            state.subscribers.retain(|other| !Arc::ptr_eq(other, queue));
        }
    }

    /// Whether no connection holds it.
    pub(crate) fn is_left(&self) -> bool {
        self.state.lock().open == 0
    }

    /// Adds a subscriber, without a gap to how it begins.
    pub(crate) fn subscribe(&self, queue: Arc<SendQueue>, last: Option<u64>) -> Start {
        let mut state = self.state.lock();
        let to = state.seq;
        if let Some(why) = state.ended {
            queue.close(why);
            return Start::Fresh { seq: to };
        }
        if self.kept > 0 {
            queue.begin_after(to);
        }
        state.subscribers.push(queue);
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
    pub(crate) fn end(&self, why: Closed) {
        let mut state = self.state.lock();
        state.ended = Some(why);
        for queue in state.subscribers.drain(..) {
            queue.close(why);
        }
    }

    /// Called from time to time: true when nobody has held it for `most` sweeps, so that it can go.
    pub(crate) fn sweep(&self, most: u32) -> bool {
        let mut state = self.state.lock();
        state.idle_sweeps = if state.open == 0 { state.idle_sweeps + 1 } else { 0 };
        state.idle_sweeps > most
    }
}
