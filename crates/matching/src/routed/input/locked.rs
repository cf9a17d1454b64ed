//! What a driver is locked to: acts that come first in their route, and stay.

use posthaste_domain::ids::{OrderId, TaskId};
use posthaste_domain::order::{TaskKind, TaskStatus};

use super::builder::{Builder, seconds};
use super::{DriverWork, OrderInHand};
use crate::routed::problem::{OrderIndex, PlaceIndex};
use crate::routed::{Act, Second, Vehicle};

/// A driver who has to leave for a pickup within this many seconds more than they are asked ahead is as good as on
/// their way.
const DUE_MARGIN: Second = 5;
/// Of orders at one place, those that are ready within this many seconds of the first are waited for. More than that, and
/// a new plan may say that the driver comes back for them.
const STAYS_FOR: Second = 300;

impl Builder<'_> {
    /// Locks a driver to the pickups that they are on their way to, or have been asked about and have to leave for:
    /// they are not sent elsewhere before, not even in the moment until they say that they left.
    pub(super) fn lock_visit(
        &self,
        to_pick_up: &[OrderIndex],
        heads: bool,
        route: &mut Vec<Act>,
        driver: &mut Vehicle,
    ) {
        let order = |n: OrderIndex| &self.jobs[n as usize];
        let place = |index: PlaceIndex| self.places.all[index as usize];
        let (visit, ready) = match route.first() {
            Some(Act::Pickup(first)) => {
                let first = order(*first);
                (first.pickup, first.ready.from.max(driver.free_at) + STAYS_FOR)
            }
            // The next visit comes when nothing else is aboard.
            heading if route.len() == usize::from(heads) => {
                let (from, free_at) = heading.map_or((driver.place, driver.free_at), |act| {
                    let done = order(act.order());
                    (done.dropoff, driver.free_at + done.dropoff_service.before + done.dropoff_service.after)
                });
                let leaves = |n: &OrderIndex| {
                    let next = order(*n);
                    let way = seconds(self.way(place(from), place(next.pickup)));
                    free_at.max(next.ready.from - next.pickup_service.before - way)
                };
                let due = to_pick_up.iter().filter(|n| leaves(n) <= self.lead + DUE_MARGIN).min_by_key(|n| leaves(n));
                let Some(due) = due.map(|n| order(*n)) else { return };
                (due.pickup, due.ready.from.max(0) + STAYS_FOR)
            }
            _ => return,
        };
        let mut at = usize::from(heads);
        for n in to_pick_up {
            let joins = order(*n).pickup == visit && order(*n).ready.from <= ready;
            if joins && !route.contains(&Act::Pickup(*n)) {
                route.insert(at, Act::Pickup(*n));
                route.push(Act::Dropoff(*n));
                at += 1;
            }
        }
        driver.locked_acts = u32::try_from(at).unwrap_or(u32::MAX);
    }

    /// Puts the stop that the driver said they do next behind what they are at, and locks them to it.
    pub(super) fn put_chosen(
        &self,
        work: &DriverWork,
        (order, task): (OrderId, TaskId),
        heading: Option<(OrderId, TaskKind)>,
        route: &mut Vec<Act>,
        driver: &mut Vehicle,
    ) -> Option<Act> {
        let order_in_hand = work.orders.iter().find(|o| o.view.id == order)?;
        let task = order_in_hand.tasks.iter().find(|t| t.id == task)?;
        let number = *self.index.get(&order)?;
        let act = match task.kind {
            TaskKind::Pickup => Act::Pickup(number),
            _ => Act::Dropoff(number),
        };
        if heading == Some((order, task.kind)) {
            return Some(act);
        }
        // Whatever else the driver picks up where they stand is picked up before they leave.
        let arrived = |o: &&OrderInHand| o.pickups().any(|t| t.status == TaskStatus::Arrived);
        let here = work.orders.iter().filter(arrived).filter_map(|o| self.index.get(&o.view.id));
        let here: Vec<Act> = here.map(|n| Act::Pickup(*n)).filter(|a| *a != act && !route.contains(a)).collect();
        if task.kind != TaskKind::Pickup && !route.contains(&act) {
            return None;
        }
        route.retain(|a| *a != act);
        let mut at = driver.locked_acts as usize;
        for pickup in here {
            route.insert(at, pickup);
            route.push(Act::Dropoff(pickup.order()));
            at += 1;
        }
        route.insert(at, act);
        if task.kind == TaskKind::Pickup {
            route.push(Act::Dropoff(number));
        }
        driver.locked_acts = u32::try_from(at + 1).unwrap_or(u32::MAX);
        Some(act)
    }
}
