//! A subscriber's pending frames: a bounded queue for what must not be lost, and a slot per driver for
//! positions, latest wins.

use std::collections::VecDeque;

use parking_lot::Mutex;
use posthaste_domain::ids::DriverId;
use tokio::sync::Notify;

use super::{Closed, Frame};

/// A subscriber's pending frames.
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    /// Frames that may wait. Too few closes readers over a hiccup; too many lets one slow reader hold much memory.
    capacity: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Frame>,
    positions: Vec<(DriverId, Frame)>,
    /// Numbered frames up to this one have been sent by other means (a snapshot, missed messages).
    sent_up_to: u64,
    closed: Option<Closed>,
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::new(State::default()), filled: Notify::new(), capacity }
    }

    /// Queues a frame that must not be lost; closes the outbox as too slow where it does not fit.
    pub(super) fn push(&self, seq: u64, frame: &Frame) {
        let mut state = self.state.lock();
        if state.closed.is_some() || seq <= state.sent_up_to {
            return;
        }
        if state.queue.len() >= self.capacity {
            state.closed = Some(Closed::TooSlow);
            state.queue = VecDeque::new();
            state.positions = Vec::new();
        } else {
            state.queue.push_back(frame.clone());
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Replaces the driver's waiting position.
    pub(super) fn place(&self, driver: DriverId, frame: &Frame) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        match state.positions.iter_mut().find(|(d, _)| *d == driver) {
            Some((_, waiting)) => *waiting = frame.clone(),
            None => state.positions.push((driver, frame.clone())),
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Numbered frames up to `seq` are already on their way; those queued by now go.
    pub(super) fn skip_up_to(&self, seq: u64, of: impl Fn(&Frame) -> Option<u64>) {
        let mut state = self.state.lock();
        state.sent_up_to = seq;
        state.queue.retain(|frame| of(frame).is_none_or(|n| n > seq));
    }

    /// Ends the subscription from the system's side.
    pub(super) fn close(&self, why: Closed) {
        self.state.lock().closed.get_or_insert(why);
        self.filled.notify_one();
    }

    pub(super) async fn next(&self, into: &mut Vec<Frame>) -> Result<(), Closed> {
        loop {
            {
                let mut state = self.state.lock();
                into.extend(state.queue.drain(..));
                into.extend(state.positions.drain(..).map(|(_, frame)| frame));
                if state.queue.capacity() > 64 {
                    state.queue.shrink_to(16);
                }
                if !into.is_empty() {
                    return Ok(());
                }
                if let Some(why) = state.closed {
                    return Err(why);
                }
            }
            self.filled.notified().await;
        }
    }

    /// How many frames wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.positions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;

    fn frame(text: &'static str) -> Frame {
        Frame::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn positions_are_latest_wins_and_events_keep_their_order() {
        let outbox = Outbox::new(4);
        let driver = DriverId::from_uuid(uuid::Uuid::from_u128(1));
        outbox.place(driver, &frame("old"));
        outbox.push(1, &frame("one"));
        outbox.place(driver, &frame("new"));
        outbox.push(2, &frame("two"));
        let mut got = Vec::new();
        outbox.next(&mut got).await.unwrap();
        assert_eq!(got, [frame("one"), frame("two"), frame("new")]);
    }

    #[tokio::test]
    async fn a_reader_too_slow_for_its_events_is_closed_but_positions_never_close_it() {
        let outbox = Outbox::new(2);
        let driver = DriverId::from_uuid(uuid::Uuid::from_u128(1));
        for _ in 0..100 {
            outbox.place(driver, &frame("here"));
        }
        assert_eq!(outbox.waiting(), 1);
        for n in 1..=3 {
            outbox.push(n, &frame("event"));
        }
        assert_eq!(outbox.next(&mut Vec::new()).await, Err(Closed::TooSlow));
    }
}
