//! How far a test driver gets.

use posthaste_domain::Span;
use posthaste_domain::place::Place;

/// How much faster than life test drivers are. Slower makes engineers wait; faster leaves nothing to see on a map.
pub(crate) const FASTER: f64 = 30.0;
/// A bicycle's pace in a town, in metres per second.
const PACE: f64 = 5.0;
/// Who is so near is there.
const THERE_METERS: f64 = 5.0;

/// Whether one place is as good as the other.
pub(crate) fn is_there(place: Place, goal: Place) -> bool {
    place.meters_to(goal) <= THERE_METERS
}

/// How long the way takes.
pub(crate) fn takes(from: Place, goal: Place) -> Span {
    #[expect(clippy::cast_possible_truncation, reason = "half the globe is 20,000 km")]
    Span::milliseconds((from.meters_to(goal) / (PACE * FASTER) * 1000.0) as i64)
}

/// Metres per second, as devices tell it.
pub(crate) fn pace() -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "150")]
    let pace = (PACE * FASTER) as f32;
    pace
}

/// Where somebody is after a while on the straight way to `goal`.
pub(crate) fn toward(from: Place, goal: Place, spent: Span) -> Place {
    let (whole, spent) = (takes(from, goal).as_seconds_f64(), spent.as_seconds_f64().max(0.0));
    if whole <= spent || is_there(from, goal) {
        return goal;
    }
    let part = spent / whole;
    let between = |a: f64, b: f64| a + (b - a) * part;
    Place::new(between(from.lat(), goal.lat()), between(from.lng(), goal.lng())).unwrap_or(goal)
}

/// The direction of a way, in degrees from north.
pub(crate) fn heading(from: Place, goal: Place) -> f32 {
    let (north, east) = (goal.lat() - from.lat(), (goal.lng() - from.lng()) * from.lat().to_radians().cos());
    #[expect(clippy::cast_possible_truncation, reason = "0 to 360")]
    let degrees = east.atan2(north).to_degrees().rem_euclid(360.0) as f32;
    if degrees < 360.0 { degrees } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> impl Strategy<Value = Place> {
        (-60.0..60.0, -170.0..170.0).prop_map(|(lat, lng)| Place::new(lat, lng).unwrap())
    }

    fn near(place: Place) -> impl Strategy<Value = (Place, Place)> {
        (-0.1..0.1, -0.1..0.1)
            .prop_map(move |(lat, lng)| (place, Place::new(place.lat() + lat, place.lng() + lng).unwrap()))
    }

    proptest! {
        #[test]
        fn every_way_comes_to_its_end_without_turning_back((from, goal) in place().prop_flat_map(near)) {
            let (mut at, mut beats) = (from, 0);
            while !is_there(at, goal) {
                let next = toward(at, goal, Span::seconds(1));
                prop_assert!(next.meters_to(goal) < at.meters_to(goal));
                at = next;
                beats += 1;
                prop_assert!(beats < 300);
            }
        }

        #[test]
        fn a_heading_is_one((from, goal) in place().prop_flat_map(near)) {
            prop_assert!((0.0..360.0).contains(&heading(from, goal)));
        }
    }

    #[test]
    fn three_kilometers_take_twenty_seconds_and_no_time_takes_nobody_anywhere() {
        let (from, goal) = (Place::new(52.5, 13.4).unwrap(), Place::new(52.527, 13.4).unwrap());
        assert_eq!(takes(from, goal).num_seconds(), 20);
        assert_eq!(toward(from, goal, Span::zero()), from);
        assert_eq!(toward(from, goal, Span::seconds(-5)), from);
        assert!(heading(from, goal).abs() < 0.1 && (heading(goal, from) - 180.0).abs() < 0.1);
    }
}
