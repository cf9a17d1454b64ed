//! A driver's committed time. The calendar is the first of the three places that refuse an overlap
//! (the others are the driver's live actor, which owns one, and a constraint in Postgres).

use serde::{Deserialize, Serialize};

use crate::ids::OrderId;
use crate::window::Window;
use crate::{Span, Timestamp};

/// One interval of a driver's time that an order holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// The order that holds it.
    pub order: OrderId,
    /// The interval.
    pub window: Window,
    /// True while the order is only offered: the interval is held, not yet committed.
    pub tentative: bool,
    /// An order that shares its driver's time, as those of a planned route do, rides in a lane: orders in different
    /// lanes may overlap. One without a lane overlaps with nothing.
    pub lane: Lane,
    /// Units of the vehicle's capacity that the order takes.
    pub size: u32,
    /// Whether some of it is aboard already, whenever its time begins.
    pub aboard: bool,
}

impl Commitment {
    /// Whether the order takes room in the vehicle at an instant, as things are at `now`: while its time lasts, before
    /// that if it is aboard, and up to now if it should be over and is not.
    #[must_use]
    pub fn takes_room_at(&self, at: Timestamp, now: Timestamp) -> bool {
        (self.aboard || self.window.start() <= at) && (at < self.window.end() || at <= now)
    }
}

/// The most units that are aboard at one moment of a window, as things are at `now`.
#[must_use]
pub fn most_aboard(commitments: &[Commitment], window: Window, now: Timestamp) -> u32 {
    // It only grows where one begins.
    let begin = commitments.iter().map(|c| c.window.start()).filter(|at| window.contains(*at));
    let aboard = |at| {
        let there = commitments.iter().filter(|c| c.takes_room_at(at, now));
        there.fold(0_u32, |sum, c| sum.saturating_add(c.size))
    };
    begin.chain([window.start()]).map(aboard).max().unwrap_or(0)
}

/// Where an order rides that shares its driver's time; `None` for one that has it alone.
pub type Lane = Option<u16>;

/// A commitment that cannot be taken because another order has the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the time from {} to {} is held by order {}", with.window.start(), with.window.end(), with.order)]
pub struct Overlap {
    /// The commitment in the way.
    pub with: Commitment,
}

/// Commitments by start, none overlapping another of its lane or one without a lane, at most one for an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    commitments: Vec<Commitment>,
}

impl Calendar {
    /// Takes time for an order. Taking it again for the same order moves its interval. Room is not asked for: what is
    /// assigned holds its time, and who takes on more asks for [`Self::room`] first.
    pub fn take(&mut self, commitment: Commitment) -> Result<(), Overlap> {
        self.insert(commitment)
    }

    /// Units that still fit at every moment of a window, in a vehicle of this capacity, leaving out the orders `except`.
    #[must_use]
    pub fn room(&self, window: Window, capacity: u32, now: Timestamp, except: &[OrderId]) -> u32 {
        let others: Vec<_> = self.commitments.iter().filter(|c| !except.contains(&c.order)).copied().collect();
        capacity.saturating_sub(most_aboard(&others, window, now))
    }

    /// The lowest lane that no order rides in.
    #[must_use]
    pub fn free_lane(&self) -> u16 {
        (0..u16::MAX).find(|lane| self.commitments.iter().all(|c| c.lane != Some(*lane))).unwrap_or(u16::MAX)
    }

    fn insert(&mut self, new: Commitment) -> Result<(), Overlap> {
        if let Some(with) = self.in_the_way(new.window, new.lane, Some(new.order)) {
            return Err(Overlap { with });
        }
        self.release(new.order);
        let at = self.commitments.partition_point(|c| c.window.start() < new.window.start());
        self.commitments.insert(at, new);
        Ok(())
    }

    /// Gives back whatever the order held. True when it held something.
    pub fn release(&mut self, order: OrderId) -> bool {
        let before = self.commitments.len();
        self.commitments.retain(|c| c.order != order);
        before != self.commitments.len()
    }

    /// The first commitment that overlaps `window`, leaving out the order `except`.
    #[must_use]
    pub fn conflict(&self, window: Window, except: Option<OrderId>) -> Option<Commitment> {
        self.in_the_way(window, None, except)
    }

    fn in_the_way(&self, window: Window, lane: Lane, except: Option<OrderId>) -> Option<Commitment> {
        let apart = |c: &Commitment| matches!((c.lane, lane), (Some(a), Some(b)) if a != b);
        self.commitments.iter().find(|c| Some(c.order) != except && c.window.overlaps(window) && !apart(c)).copied()
    }

    /// The commitment of an order.
    #[must_use]
    pub fn of(&self, order: OrderId) -> Option<Commitment> {
        self.commitments.iter().find(|c| c.order == order).copied()
    }

    /// All commitments, by start.
    #[must_use]
    pub fn commitments(&self) -> &[Commitment] {
        &self.commitments
    }

    /// How much time is committed at or after `now`.
    #[must_use]
    pub fn committed_ahead(&self, now: Timestamp) -> Span {
        self.commitments.iter().fold(Span::zero(), |sum, c| sum + c.window.remaining(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;
    use proptest::prelude::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::minutes(minute)
    }

    fn order(n: u8) -> OrderId {
        OrderId::from_uuid(uuid::Uuid::from_u128(u128::from(n)))
    }

    fn alone(n: u8, from: i64, to: i64, tentative: bool) -> Commitment {
        let window = Window::new(at(from), at(to)).unwrap();
        Commitment { order: order(n), window, tentative, lane: None, size: 1, aboard: false }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Hold(u8, i64, i64),
        Commit(u8, i64, i64),
        Release(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12u8, 0..200i64, 1..40i64).prop_map(|(o, s, l)| Step::Hold(o, s, l)),
            (0..12u8, 0..200i64, 1..40i64).prop_map(|(o, s, l)| Step::Commit(o, s, l)),
            (0..12u8).prop_map(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn no_interleaving_makes_an_overlap(steps in prop::collection::vec(step(), 0..80)) {
            let mut calendar = Calendar::default();
            for step in steps {
                let before = calendar.clone();
                let refused = match step {
                    Step::Hold(o, s, l) => calendar.take(alone(o, s, s + l, true)).is_err(),
                    Step::Commit(o, s, l) => calendar.take(alone(o, s, s + l, false)).is_err(),
                    Step::Release(o) => { calendar.release(order(o)); false }
                };
                if refused {
                    prop_assert_eq!(&calendar, &before, "a refusal changes nothing");
                }
                let all = calendar.commitments();
                for (i, a) in all.iter().enumerate() {
                    for b in &all[i + 1..] {
                        prop_assert!(!a.window.overlaps(b.window) && a.order != b.order);
                        prop_assert!(a.window.start() < b.window.start());
                    }
                }
            }
        }
    }

    proptest! {
        /// Room, minute by minute, by asking each order whether it is in the vehicle then.
        #[test]
        fn room_is_what_is_left_at_the_fullest_moment(
            held in prop::collection::vec((0..90i64, 1..40i64, 1..4u32, any::<bool>()), 0..8),
            (start, length) in (0..90i64, 1..40i64),
            (capacity, now) in (0..9u32, 0..100i64),
        ) {
            let mut calendar = Calendar::default();
            for (n, (s, l, size, aboard)) in (0_u8..).zip(&held) {
                let lane = Some(u16::from(n));
                calendar.take(Commitment { lane, size: *size, aboard: *aboard, ..alone(n, *s, s + l, false) }).unwrap();
            }
            let in_the_vehicle = |minute: i64| -> u32 {
                let there = |(s, l, _, aboard): &&(i64, i64, u32, bool)| {
                    let from = if *aboard { i64::MIN } else { *s };
                    let to = if s + l <= now { now + 1 } else { s + l };
                    (from..to).contains(&minute)
                };
                held.iter().filter(there).map(|h| h.2).sum()
            };
            let fullest = (start..start + length).map(in_the_vehicle).max().unwrap();
            let window = Window::new(at(start), at(start + length)).unwrap();
            prop_assert_eq!(calendar.room(window, capacity, at(now), &[]), capacity.saturating_sub(fullest));
        }
    }

    #[test]
    fn two_orders_that_do_not_meet_need_the_room_of_one() {
        let mut calendar = Calendar::default();
        calendar.take(alone(1, 0, 30, false)).unwrap();
        let room = |from, to| calendar.room(Window::new(at(from), at(to)).unwrap(), 1, at(0), &[]);
        assert_eq!((room(30, 60), room(29, 60)), (1, 0));
        assert_eq!(calendar.room(Window::new(at(0), at(9)).unwrap(), 1, at(0), &[order(1)]), 1);
    }

    #[test]
    fn touching_ends_do_not_overlap() {
        let mut calendar = Calendar::default();
        calendar.take(alone(1, 0, 30, false)).unwrap();
        calendar.take(alone(2, 30, 60, true)).unwrap();
        let refused = calendar.take(alone(3, 59, 61, true)).unwrap_err();
        assert_eq!(refused.with.order, order(2));
        assert_eq!(calendar.committed_ahead(at(15)), Span::minutes(45));
    }
}
