//! Who decides in a simulated day.

use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::{Act, Second};

use super::world::World;

/// What is to be done from now on. Orders and couriers are given by their number in the day.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Who is asked for what. Couriers accept at once.
    pub offers: Vec<(usize, u32)>,
    /// In which order some couriers are to do what they have, what they are just asked for included. Acts that are not
    /// theirs say nothing; what is theirs and not named comes last.
    pub routes: Vec<(usize, Vec<Act>)>,
    /// Idle couriers sent to a restaurant ahead of work, and until when they need wait there.
    pub sent_ahead: Vec<(usize, PlaceIndex, Second)>,
    /// When to decide again at the latest.
    pub next: Option<Second>,
}

/// A policy.
pub trait Policy {
    /// Decides on the world as it is.
    fn decide(&mut self, world: &World) -> Decision;
}

/// The orders of a route, each once.
pub fn orders_of(route: &[Act]) -> impl Iterator<Item = u32> + '_ {
    route.iter().filter_map(|act| match act {
        Act::Dropoff(order) => Some(*order),
        Act::Pickup(_) => None,
    })
}
