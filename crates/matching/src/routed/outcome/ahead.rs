//! Idle drivers who are sent to shops ahead of work.
//!
//! It is advice, not an order: nobody is held to it, and whoever has it can be offered anything. Who has it is planned
//! for as one who goes there.

use std::collections::HashMap;

use posthaste_domain::Span;
use posthaste_domain::ids::{DriverId, MerchantId};

use super::Standby;
use crate::routed::forecast::Seen;
use crate::routed::input::{SeenOrders, Snapshot};
use crate::routed::problem::{NEVER, PlaceIndex};
use crate::routed::standby::{Eagerness, HORIZON, Stand, send_ahead};
use crate::routed::{Act, Routes, Second, Service, Travel, Vehicle};

/// Nobody is sent ahead whose shift ends sooner than this.
const SHORTEST_STAND: Second = HORIZON;

/// What is known of shops and of who has nothing to do.
#[derive(Debug, Clone)]
pub(in crate::routed) struct Ahead {
    /// Orders seen lately.
    seen: Vec<Seen>,
    /// Whose shop it is.
    merchants: HashMap<PlaceIndex, MerchantId>,
    /// For each driver, whether they were sent somewhere already.
    is_sent: Vec<bool>,
}

impl Ahead {
    pub(in crate::routed) fn new(known: &SeenOrders, seen: Vec<Seen>, is_sent: Vec<bool>) -> Self {
        let merchants =
            seen.iter().zip(known.iter()).filter_map(|(s, k)| k.merchant.map(|merchant| (s.pickup, merchant)));
        Self { merchants: merchants.collect(), seen, is_sent }
    }
}

impl Snapshot {
    /// Who is to be sent where, when everybody does what is planned for them.
    pub(super) fn send_ahead(&self, routes: &Routes) -> Vec<(DriverId, Standby)> {
        let Some(ahead) = &self.ahead else { return Vec::new() };
        let fleet: Vec<Stand> = (0..self.drivers.len()).map(|d| self.stand(d, &routes[d], ahead.is_sent[d])).collect();
        let sent = send_ahead(&self.problem.travel, &fleet, &ahead.seen, Eagerness::default());
        let advice = sent.into_iter().filter_map(|(d, index)| {
            let way = self.problem.travel.seconds(fleet[d].place, index);
            Some((
                self.drivers[d],
                Standby {
                    place: *self.problem.travel.places.get(index as usize)?,
                    merchant: ahead.merchants.get(&index).copied(),
                    arrives_at: self.instant(way),
                    until: self.now + Span::seconds(i64::from(HORIZON)),
                },
            ))
        });
        advice.collect()
    }

    /// Where a driver is free next, once they have done what is planned for them; idle when that is nothing.
    fn stand(&self, d: usize, route: &[Act], is_sent: bool) -> Stand {
        let driver = &self.problem.drivers[d];
        let Some(last) = route.last() else {
            let free_at = if is_sent { 0 } else { driver.free_at };
            return Stand { place: driver.place, free_at, idle: !is_sent && is_idle(driver) };
        };
        let order = &self.problem.orders[last.order() as usize];
        let Service { after, .. } = order.dropoff_service;
        let moment = self.problem.moments(d, route).last().copied().unwrap_or(0);
        Stand { place: order.dropoff, free_at: moment + after, idle: false }
    }
}

/// Whether one without a route can be sent: they are at work, and for long enough.
fn is_idle(driver: &Vehicle) -> bool {
    driver.free_at <= 0 && driver.free_at > -NEVER && driver.shift_end >= SHORTEST_STAND
}
