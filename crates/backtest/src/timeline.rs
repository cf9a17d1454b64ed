//! When a courier of a recorded day is where: the rules of the instances, as functions of instants.

use posthaste_domain::{Span, Timestamp};

use crate::Point;
use crate::instance::Parameters;

/// A span from minutes.
#[must_use]
pub fn minutes(minutes: f64) -> Span {
    #[expect(clippy::cast_possible_truncation, reason = "minutes of a day as microseconds fit")]
    let micros = (minutes * 60e6).round() as i64;
    Span::microseconds(micros)
}

/// Travel takes whole minutes, rounded up; none at the same place.
#[must_use]
pub fn travel(from: Point, to: Point, meters_per_minute: f64) -> Span {
    minutes((from.meters_to(to) / meters_per_minute).ceil())
}

/// One stop of a courier: when they get there and the earliest that it can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The courier sets out.
    pub departs: Timestamp,
    /// The courier is there.
    pub arrives: Timestamp,
    /// The pickup or the drop, at the earliest.
    pub done: Timestamp,
}

impl Parameters {
    /// A visit to a restaurant: after half the service, and not before everything is ready.
    #[must_use]
    pub fn pickup(&self, departs: Timestamp, way: Span, ready: Option<Timestamp>) -> Visit {
        let arrives = departs + way;
        let served = arrives + minutes(self.pickup_service_minutes / 2.0);
        Visit { departs, arrives, done: ready.map_or(served, |ready| ready.max(served)) }
    }

    /// A visit to a door: after half the service.
    #[must_use]
    pub fn dropoff(&self, departs: Timestamp, way: Span) -> Visit {
        let arrives = departs + way;
        Visit { departs, arrives, done: arrives + minutes(self.dropoff_service_minutes / 2.0) }
    }

    /// When the courier leaves a restaurant, by the instant that the server recorded for the pickup.
    #[must_use]
    pub fn leaves_restaurant(&self, picked_up: Timestamp) -> Timestamp {
        picked_up + minutes(self.pickup_service_minutes / 2.0)
    }

    /// When the courier leaves a door, by the instant that the server recorded for the drop.
    #[must_use]
    pub fn leaves_door(&self, delivered: Timestamp) -> Timestamp {
        delivered + minutes(self.dropoff_service_minutes / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::tiny;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::minutes(minute)
    }

    #[test]
    fn travel_is_rounded_up_to_whole_minutes_and_nothing_at_the_same_place() {
        let origin = Point { x: 0.0, y: 0.0 };
        assert_eq!(travel(origin, origin, 300.0), Span::zero());
        assert_eq!(travel(origin, Point { x: 300.0, y: 400.0 }, 500.0), Span::minutes(1));
        assert_eq!(travel(origin, Point { x: 300.0, y: 401.0 }, 500.0), Span::minutes(2));
        assert_eq!(travel(origin, Point { x: 1.0, y: 0.0 }, 500.0), Span::minutes(1));
    }

    #[test]
    fn a_pickup_waits_for_half_the_service_and_for_what_is_not_ready() {
        let rules = tiny().parameters;
        let visit = rules.pickup(at(10), Span::minutes(3), Some(at(12)));
        assert_eq!((visit.arrives, visit.done), (at(13), at(15)));
        assert_eq!(rules.pickup(at(10), Span::minutes(3), Some(at(20))).done, at(20));
        assert_eq!(rules.leaves_restaurant(at(20)), at(22));
    }

    #[test]
    fn a_drop_takes_half_the_service_before_and_half_after() {
        let rules = tiny().parameters;
        assert_eq!(rules.dropoff(at(22), Span::minutes(4)).done, at(28));
        assert_eq!(rules.leaves_door(at(28)), at(30));
    }
}
