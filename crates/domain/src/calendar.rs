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
}

/// Where an order rides that shares its driver's time; `None` for one that has it alone.
pub type Lane = Option<u16>;

/// A commitment that cannot be taken because another order has the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// Holds `window` for an order that is being offered. Holding again for the same order moves its interval.
    pub fn hold(&mut self, order: OrderId, window: Window) -> Result<(), Overlap> {
        self.insert(Commitment { order, window, tentative: true, lane: None })
    }

    /// Commits `window` to an assigned order, whether it was held before or not.
    pub fn commit(&mut self, order: OrderId, window: Window) -> Result<(), Overlap> {
        self.insert(Commitment { order, window, tentative: false, lane: None })
    }

    /// Takes `window` in a lane, or without one.
    pub fn take(&mut self, order: OrderId, window: Window, lane: Lane, tentative: bool) -> Result<(), Overlap> {
        self.insert(Commitment { order, window, tentative, lane })
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
                    Step::Hold(o, s, l) => calendar.hold(order(o), Window::new(at(s), at(s + l)).unwrap()).is_err(),
                    Step::Commit(o, s, l) => calendar.commit(order(o), Window::new(at(s), at(s + l)).unwrap()).is_err(),
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

    #[test]
    fn touching_ends_do_not_overlap() {
        let mut calendar = Calendar::default();
        calendar.commit(order(1), Window::new(at(0), at(30)).unwrap()).unwrap();
        calendar.hold(order(2), Window::new(at(30), at(60)).unwrap()).unwrap();
        let refused = calendar.hold(order(3), Window::new(at(59), at(61)).unwrap()).unwrap_err();
        assert_eq!(refused.with.order, order(2));
        assert_eq!(calendar.committed_ahead(at(15)), Span::minutes(45));
    }
}
