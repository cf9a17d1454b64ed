//! What a plan would mean for an order that waits: for a policy that is only watched.

use std::collections::HashMap;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId};

use crate::routed::input::{Intended, Snapshot};
use crate::routed::problem::OrderIndex;
use crate::routed::reasons::Reasons;
use crate::routed::{Act, Routes};

/// Who is meant for an order, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant {
    /// The driver.
    pub driver: DriverId,
    /// When they are asked.
    pub offer_at: Timestamp,
    /// When they pick it up.
    pub pickup_at: Timestamp,
    /// When they hand it over.
    pub dropoff_at: Timestamp,
}

/// What a plan means for an order that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct MeantFor {
    /// The order.
    pub order: OrderId,
    /// Who is meant; nothing where nobody can take it.
    pub meant: Option<Meant>,
    /// Why.
    pub reasons: Reasons,
}

impl Snapshot {
    /// What routes would mean for some of the waiting orders, and what they intend for each driver. Of those that nobody
    /// takes, some are left out: there is no time to say why of all.
    #[must_use]
    pub fn meant_for(&self, routes: &Routes, wanted: &[OrderId]) -> (Vec<MeantFor>, Intended) {
        let mut is_left_out = vec![false; self.orders.len()];
        self.left_out(routes).into_iter().for_each(|order| is_left_out[order as usize] = true);
        let mut driver_of: HashMap<OrderIndex, usize> = HashMap::new();
        for (d, route) in routes.iter().enumerate() {
            driver_of.extend(route.iter().map(|act| (act.order(), d)));
        }
        let mut all = Vec::with_capacity(wanted.len());
        let mut explained = 0;
        for id in wanted {
            let Some(order) = self.number(*id) else { continue };
            let (meant, reasons) = match driver_of.get(&order).copied() {
                Some(d) => {
                    let chosen = self.chosen_for(routes, order, d);
                    (self.meant(d, &routes[d], order), Reasons::Chosen(chosen))
                }
                None if is_left_out[order as usize] && explained < self.most_explained() => {
                    explained += 1;
                    (None, Reasons::Nobody(self.nobody(routes, order)))
                }
                None => continue,
            };
            all.push(MeantFor { order: *id, meant, reasons });
        }
        let intended = routes.iter().enumerate().filter(|(_, route)| !route.is_empty());
        let intended = intended.map(|(d, route)| (self.drivers[d], route.iter().map(|act| self.name(*act)).collect()));
        (all, intended.collect())
    }

    /// When a driver would have an order if they did it after all that is theirs already, asked now.
    #[must_use]
    pub fn at_the_end(&self, order: OrderId, driver: DriverId) -> Option<Meant> {
        let d = self.drivers.iter().position(|known| *known == driver)?;
        let number = self.number(order)?;
        let mut route: Vec<Act> =
            self.routes[d].iter().copied().filter(|act| self.waits(act.order()).is_none()).collect();
        route.extend([Act::Pickup(number), Act::Dropoff(number)]);
        Some(Meant { offer_at: self.now, ..self.meant(d, &route, number)? })
    }

    fn number(&self, order: OrderId) -> Option<OrderIndex> {
        self.numbers.get(&order).copied()
    }

    /// When a driver has an order of their route.
    fn meant(&self, d: usize, route: &[Act], order: OrderIndex) -> Option<Meant> {
        let moments = self.problem.moments(d, route);
        let pickup = route.iter().position(|act| *act == Act::Pickup(order))?;
        let dropoff = route.iter().position(|act| *act == Act::Dropoff(order))?;
        let ask_at = self.problem.leave_for(d, route, pickup) - self.lead;
        let last_call = self.waits(order).map_or(ask_at, |waits| waits.last_call);
        Some(Meant {
            driver: self.drivers[d],
            offer_at: self.instant(ask_at.min(last_call).max(0)),
            pickup_at: self.instant(moments[pickup]),
            dropoff_at: self.instant(moments[dropoff]),
        })
    }
}
