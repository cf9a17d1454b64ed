//! What waits for one subscriber: a bounded queue for what must not be lost, and a slot for the position of each driver or
//! order, latest wins.
//!
//! Two may empty it. The connection's own task takes what is pending and writes it. While that task only waits,
//! whoever filled the queue may write straight to the connection ([`SendQueue::flush`]): a message to many then wakes
//! nobody. What the connection does not take at once stays for its task, so that a slow reader costs others nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{Closed, Frame};

/// Bytes written together. More gains nothing; less costs system calls.
const TOGETHER: usize = 32 * 1024;

/// A connection that takes bytes without being waited for.
pub trait Direct: Send + Sync {
    /// Hands whole frames over, in one piece.
    fn offer(&self, frames: &Bytes) -> Offered;
}

/// What a connection did with an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// All is written.
    Written,
    /// A part is written. The connection keeps the rest, and its own task must write it.
    Begun,
    /// Nothing is written.
    Refused,
}

/// A subscriber's pending frames.
pub struct SendQueue {
    state: Mutex<State>,
    filled: Notify,
    /// Frames that may wait. Too few closes readers over a hiccup; too many lets one slow reader hold much memory.
    capacity: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(u64, Frame)>,
    positions: Vec<(Uuid, Frame)>,
    /// The number of the newest message that was queued, or sent by other means (a snapshot, missed messages). None
    /// until that is known.
    newest: Option<u64>,
    closed: Option<Closed>,
    direct: Option<Arc<dyn Direct>>,
    /// The connection's task waits in [`SendQueue::next`] and has nothing of its own to write.
    waits: bool,
    /// The connection has the rest of a frame that others began.
    begun: bool,
}

/// Whether a filled queue is emptied by [`SendQueue::flush`] or by its own task, which was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Call [`SendQueue::flush`].
    Flush,
    /// Nothing to do.
    Woken,
}

impl State {
    /// What is pending, as far as it is written together.
    fn together(&self) -> (Bytes, usize, usize) {
        let (mut size, mut queued, mut placed) = (0, 0, 0);
        let mut fits = |frame: &Frame| {
            size += frame.wire().len();
            size <= TOGETHER || size == frame.wire().len()
        };
        while self.queue.get(queued).is_some_and(|(_, frame)| fits(frame)) {
            queued += 1;
        }
        if queued == self.queue.len() {
            while self.positions.get(placed).is_some_and(|(_, frame)| fits(frame)) {
                placed += 1;
            }
        }
        let mut frames = self.queue.iter().map(|(_, frame)| frame).take(queued);
        let mut positions = self.positions.iter().map(|(_, frame)| frame).take(placed);
        let bytes = match (queued, placed) {
            (1, 0) => frames.next().map(|frame| frame.wire().clone()).unwrap_or_default(),
            (0, 1) => positions.next().map(|frame| frame.wire().clone()).unwrap_or_default(),
            _ => frames.chain(positions).flat_map(|frame| frame.wire().iter().copied()).collect(),
        };
        (bytes, queued, placed)
    }

    fn drop_written(&mut self, queued: usize, placed: usize) {
        self.queue.drain(..queued);
        self.positions.drain(..placed);
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.positions.is_empty()
    }
}

impl SendQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { state: Mutex::new(State::default()), filled: Notify::new(), capacity }
    }

    /// Names the connection that others may write to while its task waits.
    pub(crate) fn attach(&self, direct: Arc<dyn Direct>) {
        self.state.lock().direct = Some(direct);
    }

    /// Queues a frame that must not be lost. What the reader has already is left out; where the frame does not fit, or
    /// one before it never came, the queue is closed: a reader never sees a gap.
    pub(crate) fn push(&self, seq: u64, frame: &Frame) -> Filled {
        let mut state = self.state.lock();
        if state.closed.is_some() || state.newest.is_some_and(|newest| seq <= newest) {
            return Filled::Woken;
        }
        if state.newest.is_some_and(|newest| seq > newest + 1) {
            // What is in its place so far is still written.
            state.closed = Some(Closed::Missed);
        } else if state.queue.len() >= self.capacity {
            state.closed = Some(Closed::TooSlow);
            state.queue = VecDeque::new();
            state.positions = Vec::new();
        } else {
            state.newest = Some(seq);
            state.queue.push_back((seq, frame.clone()));
            if state.waits {
                return Filled::Flush;
            }
        }
        drop(state);
        self.filled.notify_one();
        Filled::Woken
    }

    /// Replaces the waiting position of the same driver, or order.
    pub(crate) fn place(&self, whose: Uuid, frame: &Frame) -> Filled {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Filled::Woken;
        }
        match state.positions.iter_mut().find(|(of, _)| *of == whose) {
            Some((_, waiting)) => *waiting = frame.clone(),
            None => state.positions.push((whose, frame.clone())),
        }
        if state.waits {
            return Filled::Flush;
        }
        drop(state);
        self.filled.notify_one();
        Filled::Woken
    }

    /// Has the connection's own task empty the queue.
    pub(crate) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Writes what is pending straight to the connection, if its task waits; what it does not take is left to it.
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock();
        while state.waits && !state.is_empty() {
            let Some(direct) = &state.direct else { break };
            let (bytes, queued, placed) = state.together();
            let offered = direct.offer(&bytes);
            if offered != Offered::Refused {
                state.drop_written(queued, placed);
            }
            if offered != Offered::Written {
                state.waits = false;
                state.begun = offered == Offered::Begun;
                drop(state);
                self.filled.notify_one();
                return;
            }
        }
    }

    /// The first message that the reader gets here is the one after `seq`. To be said before anything is queued.
    pub(crate) fn begin_after(&self, seq: u64) {
        self.state.lock().newest = Some(seq);
    }

    /// Messages up to `seq` are already on their way by other means; those queued by now go.
    pub(crate) fn skip_up_to(&self, seq: u64) {
        let mut state = self.state.lock();
        state.queue.retain(|(n, _)| *n > seq);
        state.newest = Some(state.newest.map_or(seq, |newest| newest.max(seq)));
        if state.queue.front().is_some_and(|(n, _)| *n > seq + 1) {
            state.queue = VecDeque::new();
            state.closed.get_or_insert(Closed::Missed);
        }
    }

    /// Ends the subscription from the system's side.
    pub(crate) fn close(&self, why: Closed) {
        self.state.lock().closed.get_or_insert(why);
        self.filled.notify_one();
    }

    /// Waits until the subscription is ended from elsewhere: for a connection that does not read from it yet.
    pub async fn ended(&self) -> Closed {
        loop {
            if let Some(why) = self.state.lock().closed {
                return why;
            }
            self.filled.notified().await;
        }
    }

    /// Waits until the connection's task has something to write, and takes all that is pending. It may be nothing:
    /// then the connection has the rest of a frame that others began.
    pub(crate) async fn next(&self, into: &mut Vec<Frame>) -> Result<(), Closed> {
        while !self.take(into)? {
            let _waiting = Waiting(self);
            self.filled.notified().await;
        }
        Ok(())
    }

    /// Takes all that is pending; whether there was something. If not, others may write from now on.
    fn take(&self, into: &mut Vec<Frame>) -> Result<bool, Closed> {
        let mut state = self.state.lock();
        into.extend(state.queue.drain(..).map(|(_, frame)| frame));
        into.extend(state.positions.drain(..).map(|(_, frame)| frame));
        if state.queue.capacity() > 64 {
            state.queue.shrink_to(16);
        }
        if std::mem::take(&mut state.begun) || !into.is_empty() {
            return Ok(true);
        }
        if let Some(why) = state.closed {
            return Err(why);
        }
        state.waits = state.direct.is_some();
        Ok(false)
    }

    /// How many frames wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.positions.len()
    }
}

/// While this lives, others may write to the connection.
struct Waiting<'a>(&'a SendQueue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waits = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame::of(text)
    }

    fn driver() -> Uuid {
        Uuid::from_u128(1)
    }

    #[tokio::test]
    async fn positions_are_latest_wins_and_events_keep_their_order() {
        let queue = SendQueue::new(4);
        queue.place(driver(), &frame("old"));
        queue.push(1, &frame("one"));
        queue.place(driver(), &frame("new"));
        queue.push(2, &frame("two"));
        let mut got = Vec::new();
        queue.next(&mut got).await.unwrap();
        assert_eq!(got, [frame("one"), frame("two"), frame("new")]);
    }

    #[tokio::test]
    async fn a_reader_too_slow_for_its_events_is_closed_but_positions_never_close_it() {
        let queue = SendQueue::new(2);
        for _ in 0..100 {
            queue.place(driver(), &frame("here"));
        }
        assert_eq!(queue.waiting(), 1);
        for n in 1..=3 {
            queue.push(n, &frame("event"));
        }
        assert_eq!(queue.next(&mut Vec::new()).await, Err(Closed::TooSlow));
    }

    #[tokio::test]
    async fn a_reader_gets_each_number_once_and_never_one_whose_forerunner_is_missing() {
        let queue = SendQueue::new(8);
        queue.begin_after(3);
        for n in [2, 3, 4, 4, 5, 7, 8] {
            queue.push(n, &frame(&n.to_string()));
        }
        let mut got = Vec::new();
        queue.next(&mut got).await.unwrap();
        assert_eq!(got, [frame("4"), frame("5")]);
        got.clear();
        assert_eq!(queue.next(&mut got).await, Err(Closed::Missed), "6 never came");
    }

    #[tokio::test]
    async fn what_came_before_the_beginning_was_known_follows_it_or_ends_the_subscription() {
        let read = async |queued: &[u64], sent: u64, after: &[u64]| {
            let queue = SendQueue::new(8);
            queued.iter().for_each(|n| _ = queue.push(*n, &frame(&n.to_string())));
            queue.skip_up_to(sent);
            after.iter().for_each(|n| _ = queue.push(*n, &frame(&n.to_string())));
            let mut got = Vec::new();
            queue.next(&mut got).await.map(|()| got.iter().map(|f| f.text().to_owned()).collect::<Vec<_>>().concat())
        };
        assert_eq!(read(&[4, 5, 6], 5, &[7]).await.as_deref(), Ok("67"));
        assert_eq!(read(&[4], 5, &[5, 6]).await.as_deref(), Ok("6"), "what is sent already is left out");
        assert_eq!(read(&[], 5, &[6]).await.as_deref(), Ok("6"));
        assert_eq!(read(&[7], 5, &[]).await, Err(Closed::Missed), "6 never came");
        assert_eq!(read(&[], 5, &[7]).await, Err(Closed::Missed));
    }

    /// A connection that takes so many bytes, and keeps the rest of the frame that was cut.
    #[derive(Default)]
    struct Pipe {
        state: Mutex<(usize, Vec<u8>)>,
    }

    impl Direct for Pipe {
        fn offer(&self, frames: &Bytes) -> Offered {
            let mut state = self.state.lock();
            let (room, written) = &mut *state;
            let taken = frames.len().min(*room);
            *room -= taken;
            written.extend_from_slice(&frames[..taken]);
            match taken {
                0 => Offered::Refused,
                n if n == frames.len() => Offered::Written,
                _ => Offered::Begun,
            }
        }
    }

    fn wire(texts: &[&str]) -> Vec<u8> {
        texts.iter().flat_map(|text| frame(text).wire().to_vec()).collect()
    }

    #[tokio::test]
    async fn others_write_only_while_the_task_waits_and_what_is_not_taken_is_left_to_it() {
        let (queue, pipe) = (SendQueue::new(8), Arc::new(Pipe::default()));
        queue.attach(pipe.clone());
        pipe.state.lock().0 = 100;
        assert_eq!(queue.push(1, &frame("one")), Filled::Woken, "its task is busy");
        queue.flush();
        assert!(pipe.state.lock().1.is_empty());

        let mut got = Vec::new();
        queue.next(&mut got).await.unwrap();
        assert_eq!(got, [frame("one")]);
        got.clear();
        {
            let mut next = std::pin::pin!(queue.next(&mut got));
            assert!(futures_poll(next.as_mut()).is_none());
            assert_eq!(queue.push(2, &frame("two")), Filled::Flush);
            assert_eq!(queue.place(driver(), &frame("here")), Filled::Flush);
            queue.flush();
            assert_eq!(pipe.state.lock().1, wire(&["two", "here"]), "together, and nobody was woken");
            assert!(futures_poll(next.as_mut()).is_none());

            pipe.state.lock().0 = 3;
            queue.push(3, &frame("three"));
            queue.push(4, &frame("four"));
            queue.flush();
            assert_eq!(queue.push(5, &frame("five")), Filled::Woken, "its task has the rest of three to write");
            next.await.unwrap();
        }
        assert_eq!(got, [frame("five")], "three and four are the connection's");
        got.clear();
        {
            let mut next = std::pin::pin!(queue.next(&mut got));
            assert!(futures_poll(next.as_mut()).is_none());
            assert_eq!(queue.push(6, &frame("six")), Filled::Flush);
            queue.flush();
            next.await.unwrap();
        }
        assert_eq!(got, [frame("six")], "the connection took nothing");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_ends_the_others_leave_to_write() {
        let (queue, pipe) = (SendQueue::new(8), Arc::new(Pipe::default()));
        queue.attach(pipe.clone());
        pipe.state.lock().0 = 100;
        let mut got = Vec::new();
        {
            let mut next = std::pin::pin!(queue.next(&mut got));
            assert!(futures_poll(next.as_mut()).is_none());
            assert_eq!(queue.push(1, &frame("one")), Filled::Flush);
        }
        queue.flush();
        assert!(pipe.state.lock().1.is_empty());
        queue.next(&mut got).await.unwrap();
        assert_eq!(got, [frame("one")]);
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
