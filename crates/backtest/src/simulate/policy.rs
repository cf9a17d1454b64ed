//! Who decides in a simulated day.

use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::{Act, Routes};

use super::world::World;

/// What is to be done from now on.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// For every courier of the day, what is left for him to do, orders by their number in the day. What he is under
    /// way to comes first, unchanged.
    pub routes: Routes,
    /// Idle couriers sent to a restaurant ahead of work.
    pub sent_ahead: Vec<(usize, PlaceIndex)>,
}

/// A policy.
pub trait Policy {
    /// Decides on the world as it is.
    fn decide(&mut self, world: &World) -> Decision;

    /// Whether what it plans is assigned at once and the couriers leave for it as soon as they can. Otherwise an order
    /// is assigned when its courier has to leave, and may be planned anew until then.
    fn commits_at_once(&self) -> bool {
        false
    }
}

/// The orders of a route, each once.
pub fn orders_of(route: &[Act]) -> impl Iterator<Item = u32> + '_ {
    route.iter().filter_map(|act| match act {
        Act::Dropoff(order) => Some(*order),
        Act::Pickup(_) => None,
    })
}
