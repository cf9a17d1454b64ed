//! What operations look at, and what a message is about. One rule says what a view shows, for snapshots, messages and
//! positions alike: what is in a snapshot is what its reader hears of afterwards.

use std::hash::{Hash, Hasher};

use posthaste_domain::driver::Driver;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::order::Order;
use posthaste_domain::place::Place;

/// What operations look at.
#[derive(Debug, Clone, Copy)]
pub enum View {
    /// Everything.
    All,
    /// One zone.
    Zone(ZoneId),
    /// A box in degrees.
    Box {
        /// Western edge.
        west: f64,
        /// Southern edge.
        south: f64,
        /// Eastern edge.
        east: f64,
        /// Northern edge.
        north: f64,
    },
}

/// What a message is about.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The zones that it concerns; none in particular concerns those who look at any.
    pub zones: Option<Vec<ZoneId>>,
    /// Where; nowhere in particular concerns those who look at any place.
    pub places: Vec<Place>,
}

impl Scope {
    /// A zone, whatever is looked at in it.
    #[must_use]
    pub fn of_zone(zone: ZoneId) -> Self {
        Self { zones: Some(vec![zone]), places: Vec::new() }
    }

    /// An order: its zone, and each place where somebody goes for it.
    #[must_use]
    pub fn of_order(order: &Order) -> Self {
        Self { zones: Some(vec![order.zone]), places: order.tasks.iter().map(|task| task.place).collect() }
    }

    /// A driver: all zones that the driver serves, and where the driver is, if that is known.
    #[must_use]
    pub fn of_driver(driver: &Driver, place: Option<Place>) -> Self {
        Self { zones: Some(driver.zones.clone()), places: place.into_iter().collect() }
    }
}

impl View {
    /// Whether a message about this is in view.
    #[must_use]
    pub fn shows(&self, scope: &Scope) -> bool {
        self.shows_any(scope.zones.as_deref(), &scope.places)
    }

    /// Whether what concerns these zones and lies at these places is in view: one of them is enough.
    #[must_use]
    pub fn shows_any(&self, zones: Option<&[ZoneId]>, places: &[Place]) -> bool {
        match self {
            Self::All => true,
            Self::Zone(zone) => zones.is_none_or(|zones| zones.contains(zone)),
            Self::Box { .. } => places.is_empty() || places.iter().any(|place| self.holds(*place)),
        }
    }

    fn holds(&self, place: Place) -> bool {
        match self {
            Self::Box { west, south, east, north } => {
                (*south..=*north).contains(&place.lat()) && (*west..=*east).contains(&place.lng())
            }
            _ => true,
        }
    }

    /// What tells it from others. The two zeros are one edge.
    fn identity(&self) -> (u8, Option<ZoneId>, [u64; 4]) {
        match *self {
            Self::All => (0, None, [0; 4]),
            Self::Zone(zone) => (1, Some(zone), [0; 4]),
            Self::Box { west, south, east, north } => {
                (2, None, [west, south, east, north].map(|edge| (edge + 0.0).to_bits()))
            }
        }
    }
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for View {}

impl Hash for View {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;

    fn zone(n: u128) -> ZoneId {
        ZoneId::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_box_shows_what_has_one_place_in_it_and_what_has_none() {
        let place = |lat, lng| Place::new(lat, lng).unwrap();
        let view = View::Box { west: 13.0, south: 52.0, east: 13.2, north: 52.2 };
        let about = |places: &[Place]| Scope { zones: Some(vec![zone(1)]), places: places.to_vec() };
        assert!(view.shows(&about(&[place(52.3, 13.1), place(52.1, 13.1)])), "its door is inside");
        assert!(view.shows(&about(&[place(52.2, 13.2)])), "an edge is inside");
        assert!(!view.shows(&about(&[place(52.3, 13.1), place(52.1, 13.3)])));
        assert!(view.shows(&about(&[])), "nowhere in particular");
    }

    #[test]
    fn a_zone_shows_what_concerns_it_among_others_and_what_concerns_none_in_particular() {
        let view = View::Zone(zone(2));
        let about = |zones: Option<&[ZoneId]>| Scope { zones: zones.map(<[_]>::to_vec), places: Vec::new() };
        assert!(view.shows(&about(Some(&[zone(1), zone(2)]))));
        assert!(!view.shows(&about(Some(&[zone(1)]))));
        assert!(!view.shows(&about(Some(&[]))), "who serves no zone is in none");
        assert!(view.shows(&about(None)));
    }

    #[test]
    fn a_view_is_the_same_view_however_its_zeros_are_written() {
        let with = |west| View::Box { west, south: 0.0, east: 1.0, north: 1.0 };
        assert_eq!(with(0.0), with(-0.0));
        assert_ne!(with(0.0), with(0.1));
        assert_ne!(View::All, View::Zone(zone(1)));
    }
}
