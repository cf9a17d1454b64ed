//! Orders that were seen lately, and those that they let expect.

use std::collections::VecDeque;

use posthaste_domain::Timestamp;
use posthaste_matching::routed::Order as Carried;
use posthaste_matching::routed::forecast::{Forecast, Seen};

use super::orders::halves;
use super::{Builder, seconds};
use crate::zones::cell::SeenOrder;

impl Builder<'_> {
    pub(super) fn seen(&mut self, known: &VecDeque<SeenOrder>) -> Vec<Seen> {
        known
            .iter()
            .map(|s| Seen {
                known_at: seconds(s.at - self.now),
                pickup: self.places.index(s.pickup),
                dropoff: self.places.index(s.dropoff),
                preparation: seconds(s.preparation),
            })
            .collect()
    }

    pub(super) fn expected(&mut self, seen: &[Seen], first: Option<Timestamp>, seed: u64) -> Vec<Carried> {
        let Some(first) = first else { return Vec::new() };
        let service =
            self.carried.first().map_or((halves(240), halves(240)), |o| (o.pickup_service, o.dropoff_service));
        Forecast::default().sample(seen, self.at(first), service, seed)
    }
}
