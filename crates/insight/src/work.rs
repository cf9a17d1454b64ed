//! What an order's events say of drivers: whose it was and when, and where they stopped for it.

use posthaste_domain::ids::DriverId;
use posthaste_domain::order::{Event, Order};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::insight::OfferCounts;

use crate::intervals::Interval;

/// Pickups at one place belong to one trip if each is done this soon after the one before. More joins two visits of a
/// driver who lives next door to a shop; less parts a bundle whose codes are entered one by one.
pub const SAME_TRIP: Span = Span::seconds(30);

/// Where a driver did something for an order, and when it was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Act {
    /// When it was done.
    pub at: Timestamp,
    /// Where goods were picked up; none where they were handed over or brought back.
    pub pickup: Option<Place>,
}

/// One driver's part in an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The driver.
    pub driver: DriverId,
    /// From when to when the driver had the order in hand; it may be empty.
    pub in_hand: Interval,
    /// What they did, in the order of doing.
    pub acts: Vec<Act>,
}

/// Who had the order, one after another. `until` ends the turn of a driver who still has it.
///
/// An order given in advance is in hand from the start of the time that it holds, or from the driver's first step for it
/// where that is sooner.
#[must_use]
pub fn turns(order: &Order, events: &[(Timestamp, Event)], until: Timestamp) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut has_it = false;
    let end = order.settled_at.unwrap_or(until);
    let begin = |driver: DriverId, at: Timestamp, commitment: Window| Turn {
        driver,
        in_hand: (at.max(commitment.start()), end),
        acts: Vec::new(),
    };
    for (at, event) in events {
        if let Event::Assigned { driver, commitment, .. } = event {
            if let Some(turn) = turns.last_mut().filter(|_| has_it) {
                turn.in_hand.1 = *at;
            }
            turns.push(begin(*driver, *at, *commitment));
            has_it = true;
        }
        let Some(turn) = turns.last_mut().filter(|_| has_it) else { continue };
        match event {
            Event::Unassigned { .. } => {
                turn.in_hand.1 = *at;
                has_it = false;
            }
            Event::Departed { .. } | Event::Arrived { .. } => turn.in_hand.0 = turn.in_hand.0.min(*at),
            Event::PickedUp { task, .. } => {
                turn.in_hand.0 = turn.in_hand.0.min(*at);
                turn.acts.extend(order.task(*task).map(|task| Act { at: *at, pickup: Some(task.place) }));
            }
            Event::Delivered { .. } | Event::Returned { .. } => turn.acts.push(Act { at: *at, pickup: None }),
            _ => {}
        }
    }
    turns
}

/// Adds what became of an order's offers. One that was open when the order ended, or was given by hand, was withdrawn.
pub fn count_offers(events: &[(Timestamp, Event)], counts: &mut OfferCounts) {
    let mut open = false;
    for (_, event) in events {
        let became = match event {
            Event::Offered { .. } => {
                counts.made += 1;
                open = true;
                continue;
            }
            Event::OfferDeclined { silent: false, .. } => &mut counts.declined,
            Event::OfferDeclined { silent: true, .. } => &mut counts.lapsed,
            Event::Assigned { offer: Some(_), .. } => &mut counts.accepted,
            Event::OfferWithdrawn { .. }
            | Event::Assigned { offer: None, .. }
            | Event::Canceled { .. }
            | Event::Failed { .. }
            | Event::Expired => &mut counts.withdrawn,
            _ => continue,
        };
        *became += u64::from(open);
        open = false;
    }
}

/// Parts what one driver did into trips: for each, what was `tagged` its first pickup, and how many pickups it had.
///
/// A trip is pickups at one place, each within [`SAME_TRIP`] of the one before, with nothing handed over in between.
#[must_use]
pub fn trips<T: Copy>(mut acts: Vec<(Act, T)>) -> Vec<(T, u64)> {
    // Where a hand-over and a pickup fall together, the hand-over was first.
    acts.sort_by_key(|(act, _)| (act.at, act.pickup.is_some()));
    let mut trips: Vec<(T, u64)> = Vec::new();
    let mut before: Option<Act> = None;
    for (act, tag) in acts {
        let goes_on = act.pickup.is_some()
            && before.is_some_and(|before| before.pickup == act.pickup && act.at - before.at <= SAME_TRIP);
        match trips.last_mut().filter(|_| goes_on) {
            Some((_, pickups)) => *pickups += 1,
            None if act.pickup.is_some() => trips.push((tag, 1)),
            None => {}
        }
        before = Some(act);
    }
    trips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::seconds(second)
    }

    fn shop(n: f64) -> Option<Place> {
        Some(Place::new(52.5 + n, 13.4).expect("a place"))
    }

    fn trips_of(acts: &[(i64, Option<Place>, char)]) -> Vec<(char, u64)> {
        trips(acts.iter().map(|(second, pickup, tag)| (Act { at: at(*second), pickup: *pickup }, *tag)).collect())
    }

    #[test]
    fn pickups_soon_after_one_another_at_one_place_are_one_trip() {
        let near = shop(0.0);
        assert_eq!(trips_of(&[(60, near, 'c'), (0, near, 'a'), (30, near, 'b')]), [('a', 3)]);
        assert_eq!(trips_of(&[(0, near, 'a'), (31, near, 'b')]), [('a', 1), ('b', 1)], "too late");
        assert_eq!(trips_of(&[(0, near, 'a'), (9, shop(0.1), 'b'), (12, near, 'c')]).len(), 3, "elsewhere in between");
    }

    #[test]
    fn a_hand_over_ends_a_trip() {
        let near = shop(0.0);
        assert_eq!(trips_of(&[(0, near, 'a'), (5, None, 'a'), (10, near, 'b')]), [('a', 1), ('b', 1)]);
        assert_eq!(trips_of(&[(0, near, 'a'), (10, near, 'b'), (10, None, 'a')]), [('a', 1), ('b', 1)]);
        assert_eq!(trips_of(&[(5, None, 'a')]), []);
    }
}
