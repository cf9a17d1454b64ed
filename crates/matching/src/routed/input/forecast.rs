//! Orders that were seen lately, and those that they let expect.

use posthaste_domain::Timestamp;

use super::builder::{Builder, seconds};
use super::orders::halves;
use super::seen::SeenOrders;
use crate::routed::Job;
use crate::routed::forecast::{Forecast, Seen};

impl Builder<'_> {
    pub(super) fn seen(&mut self, known: &SeenOrders) -> Vec<Seen> {
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

    pub(super) fn expected(&mut self, seen: &[Seen], first: Option<Timestamp>, seed: u64) -> Vec<Job> {
        let Some(first) = first else { return Vec::new() };
        let service = self.jobs.first().map_or((halves(240), halves(240)), |o| (o.pickup_service, o.dropoff_service));
        Forecast::default().sample(seen, self.at(first), service, seed)
    }
}
