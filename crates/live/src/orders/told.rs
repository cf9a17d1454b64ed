//! Who hears of an order's steps, and how much of them they have been told.
//!
//! What was committed is told once, by whoever committed it. Where that one came to nothing in between (its commit's
//! outcome was unknown, it failed), its successor reads what is stored and tells the rest: nobody is left with a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Command, Event, Order, Recorded, Status};
use posthaste_protocol::socket::Alert;
use posthaste_protocol::words::{AlertKind, OfferOutcome};

use super::OrderMsg;
use crate::drivers::DriverMsg;
use crate::streams::Scope;
use crate::system::Doors;
use crate::zones::ZoneMsg;
use crate::{Cause, Refused};

/// The newest event of an order that everybody concerned has been told of. Outlives the order's actor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<AtomicU64>);

impl Told {
    /// Nothing after this event is news.
    pub(crate) fn up_to(version: u64) -> Self {
        Self(Arc::new(AtomicU64::new(version)))
    }

    /// The number of the newest event that was told.
    pub(crate) fn version(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn note(&self, version: u64) {
        self.0.fetch_max(version, Ordering::AcqRel);
    }
}

impl Doors {
    /// Who is concerned hears of a step that was committed: drivers before and after it, the zone, the streams.
    pub(super) fn tell_step(&self, before: Option<&Order>, order: &Arc<Order>, events: Arc<[(Recorded, Status)]>) {
        let outcome = events.iter().find_map(|(recorded, _)| offer_outcome(&recorded.event));
        for driver in concerned(before, order) {
            let _ = self.drivers.door.tell(driver, DriverMsg::OrderChanged(Arc::clone(order), outcome));
        }
        let waits = |o: &Order| o.status() == Status::Confirmed;
        if let Some(before) = before.filter(|before| before.zone != order.zone) {
            self.zones.tell(before.zone, ZoneMsg::Gone(order.id));
        }
        if order.status().is_waiting() && self.find_zone(order) {
            // The zone that it goes to hears of it, this one does not: nobody is asked meanwhile.
        } else if waits(order) {
            self.zones.tell(order.zone, ZoneMsg::Waiting(Arc::clone(order)));
        } else if before.is_some_and(waits) {
            self.zones.tell(order.zone, ZoneMsg::Gone(order.id));
        }
        let was_over = before.is_some_and(|before| before.status().is_final());
        if order.status().is_final() && !was_over {
            if self.is_measured() {
                crate::metrics::settled(order.status());
            }
            self.learned.settled(order, &self.zones.travel(order.zone));
        }
        self.alert_of(before, order);
        self.show_order(Arc::clone(order), events);
    }

    fn alert_of(&self, before: Option<&Order>, order: &Order) {
        if matches!(order.status(), Status::Failed | Status::Expired) {
            let why = order.ended_because.as_deref().unwrap_or("no reason given");
            let text = format!("order {} has {}: {why}", order.id, order.status().name());
            self.alert(order_alert(AlertKind::OrderFailed, text, order), Scope::of_order(order));
        }
        let was_escalated = before.is_some_and(|before| before.escalated.is_some());
        if let Some(escalated) = order.escalated.filter(|_| !was_escalated) {
            let text = format!("order {} is aboard with a driver who is gone: {}", order.id, escalated.reason.name());
            self.alert(order_alert(AlertKind::OrderStranded, text, order), Scope::of_order(order));
        }
    }

    /// How an order stands, for those who may have lost or never had it.
    pub(super) fn tell_standing(&self, order: &Arc<Order>) {
        for driver in concerned(None, order) {
            let _ = self.drivers.door.tell(driver, DriverMsg::OrderChanged(Arc::clone(order), None));
        }
        let moves = self.find_zone(order);
        let message = match order.status() {
            Status::Confirmed if !moves => ZoneMsg::Waiting(Arc::clone(order)),
            _ => ZoneMsg::Gone(order.id),
        };
        self.zones.tell(order.zone, message);
    }

    /// What waits in a removed zone goes to another around its pickup, where there is one: it tells itself so. Otherwise
    /// it stays, and the removed zone's drivers finish it. Says whether it goes.
    pub(super) fn find_zone(&self, order: &Order) -> bool {
        if !order.status().is_waiting() || !self.zones.is_removed(order.zone) {
            return false;
        }
        let pickup = order.pickups().next().map(|task| task.place);
        let Some(zone) = pickup.and_then(|place| self.zones.at(place)) else { return false };
        let command = Box::new(Command::ChangeZone { zone });
        let message = OrderMsg::Command { command, cause: Cause::system(), decision: None, reply: None };
        self.orders.door.tell(order.id, message).is_ok()
    }

    /// Reads what is stored of an order, and tells everybody concerned what they have not been told. `None` when there
    /// is no such order. Whether there was something to tell.
    pub(super) async fn tell_missed(&self, id: OrderId, told: &Told) -> Result<Option<(Arc<Order>, bool)>, Refused> {
        let Some(order) = posthaste_storage::orders::get(&self.pool, id).await?.map(Arc::new) else { return Ok(None) };
        let known = told.version();
        if order.version <= known {
            return Ok(Some((order, false)));
        }
        let history = posthaste_storage::orders::timeline(&self.pool, id, 0).await?;
        // More may have been committed between the two readings: that is told by who commits it.
        let until = |seq: u64| history.partition_point(|(recorded, _)| recorded.seq <= seq);
        let (from, to) = (until(known), until(order.version));
        let before = Order::replay(history[..from].iter().map(|(recorded, _)| recorded));
        let events: Arc<[(Recorded, Status)]> = history[from..to].into();
        // Every driver that the missed steps speak of, not only those at their ends.
        for driver in events.iter().filter_map(|(recorded, _)| recorded.event.driver()) {
            let _ = self.drivers.door.tell(driver, DriverMsg::OrderChanged(Arc::clone(&order), None));
        }
        self.tell_step(before.as_ref(), &order, events);
        told.note(order.version);
        Ok(Some((order, true)))
    }
}

fn order_alert(kind: AlertKind, text: String, order: &Order) -> Alert {
    Alert {
        kind,
        text,
        order_id: Some(order.id),
        driver_id: order.assignment.map(|a| a.driver),
        zone_id: Some(order.zone),
    }
}

/// How an event ends the open offer.
fn offer_outcome(event: &Event) -> Option<OfferOutcome> {
    match event {
        Event::Assigned { offer: Some(_), .. } => Some(OfferOutcome::Accepted),
        Event::OfferDeclined { silent: true, .. } => Some(OfferOutcome::Lapsed),
        Event::OfferDeclined { silent: false, .. } => Some(OfferOutcome::Declined),
        Event::OfferWithdrawn { .. } | Event::Canceled { .. } | Event::Expired => Some(OfferOutcome::Withdrawn),
        _ => None,
    }
}

/// Drivers who had, have, are or were being asked for the order.
fn concerned(before: Option<&Order>, after: &Order) -> Vec<DriverId> {
    let drivers = |o: &Order| [o.offer.map(|offer| offer.driver), o.assignment.map(|a| a.driver)];
    let mut all: Vec<_> = before.into_iter().flat_map(drivers).chain(drivers(after)).flatten().collect();
    all.sort();
    all.dedup();
    all
}
