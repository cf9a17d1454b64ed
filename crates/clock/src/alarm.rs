//! Alarms: one task for all timers of product time, so that a hundred thousand waiting deadlines cost
//! a heap entry each and not a task each. An alarm cannot be canceled; whoever sets one gives it a
//! generation and ignores what comes late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::{Span, Timestamp};
use tokio::sync::Notify;

use crate::{Clock, Pace};

type Action = Box<dyn FnOnce() + Send>;

struct Alarm {
    at: Timestamp,
    number: u64,
    action: Action,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Alarm {}
impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Default)]
struct Waiting {
    heap: BinaryHeap<Reverse<Alarm>>,
    number: u64,
}

/// The alarms of one clock that have not rung yet.
pub(crate) struct Heap {
    waiting: Mutex<Waiting>,
    /// Held from before an alarm is taken until its action has run: each is handed over before a later one.
    ringing: Mutex<()>,
    is_of_silence: bool,
}

impl Heap {
    /// Whether its instants are those of silence, beside a clock that is set by hand.
    pub(crate) fn is_of_silence(&self) -> bool {
        self.is_of_silence
    }

    /// When the first rings.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.waiting.lock().heap.peek().map(|Reverse(head)| head.at)
    }

    /// Rings what is due.
    pub(crate) fn ring(&self, now: Timestamp) {
        let _each_before_the_next = self.ringing.lock();
        while let Some(due) = self.due(now) {
            (due.action)();
        }
    }

    fn due(&self, now: Timestamp) -> Option<Alarm> {
        let mut waiting = self.waiting.lock();
        let is_due = waiting.heap.peek().is_some_and(|Reverse(head)| head.at <= now);
        if is_due { waiting.heap.pop().map(|Reverse(due)| due) } else { None }
    }
}

/// Sets alarms. Cheap to clone; the task behind it ends with the last clone.
#[derive(Clone)]
pub struct Alarms {
    clock: Clock,
    heap: Arc<Heap>,
    earlier: Arc<Notify>,
    _task: Arc<TaskGuard>,
}

struct TaskGuard(tokio::task::JoinHandle<()>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Alarms {
    /// Starts the task. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(clock: Clock) -> Self {
        let is_of_silence = matches!(clock.0.pace, Pace::ManualSilence(_));
        let heap = Arc::new(Heap { waiting: Mutex::default(), ringing: Mutex::default(), is_of_silence });
        if let Some(hands) = clock.hands() {
            hands.enlist(&heap);
        }
        let earlier = Arc::new(Notify::new());
        let task = tokio::spawn(ring(clock.clone(), Arc::clone(&heap), Arc::clone(&earlier)));
        Self { clock, heap, earlier, _task: Arc::new(TaskGuard(task)) }
    }

    /// Runs `action` at `at`, or at once where that is past. The action must be short: a cast to an actor.
    pub fn set(&self, at: Timestamp, action: impl FnOnce() + Send + 'static) {
        let mut waiting = self.heap.waiting.lock();
        waiting.number += 1;
        let number = waiting.number;
        let first = waiting.heap.peek().is_none_or(|Reverse(head)| at < head.at);
        waiting.heap.push(Reverse(Alarm { at, number, action: Box::new(action) }));
        drop(waiting);
        if first {
            self.earlier.notify_one();
        }
    }

    /// Runs `action` after a span of product time.
    pub fn after(&self, span: Span, action: impl FnOnce() + Send + 'static) {
        self.set(self.clock.now() + span, action);
    }

    /// The clock that they follow.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How many alarms wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.waiting.lock().heap.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rings by itself. On a clock that is set by hand only what is set too late is left to it: the rest has rung when it wakes.
async fn ring(clock: Clock, heap: Arc<Heap>, earlier: Arc<Notify>) {
    loop {
        heap.ring(clock.now());
        match heap.first() {
            Some(at) => {
                tokio::select! {
                    () = clock.sleep_until(at) => {}
                    () = earlier.notified() => {}
                }
            }
            None => earlier.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn alarms_ring_in_order_of_their_time_whatever_the_order_they_were_set_in() {
        let clock = Clock::at_speed(1000.0, None).unwrap();
        let alarms = Alarms::start(clock.clone());
        let (sender, mut rung) = tokio::sync::mpsc::unbounded_channel();
        for minutes in [3, 1, 2] {
            let sender = sender.clone();
            alarms.after(Span::minutes(minutes), move || {
                let _ = sender.send(minutes);
            });
        }
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(rung.recv().await.unwrap());
        }
        assert_eq!(order, [1, 2, 3]);
        assert!(alarms.is_empty());
    }
}
