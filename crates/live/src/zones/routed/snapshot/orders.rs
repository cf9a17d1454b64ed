//! Orders: those that drivers have, and those that wait.

use posthaste_domain::ids::TaskId;
use posthaste_domain::order::{Order, Speed, Task};
use posthaste_matching::routed::problem::{DriverIndex, NEVER};
use posthaste_matching::routed::{Opening, Order as Carried, Second, Service};
use posthaste_matching::{DriverView, OrderView};

use super::{Builder, seconds};
use crate::zones::cell::{order_view, stop_view};

/// Priorities above this count like it.
const MOST_PRIORITY: i16 = 18;

impl Builder<'_> {
    /// An order that a driver has, or was asked about; `first` is the pickup that he begins with.
    pub(super) fn carried_order(
        &mut self,
        order: &Order,
        driver: DriverIndex,
        first: Option<TaskId>,
    ) -> Option<Carried> {
        let view = order_view(order, self.learned, self.now)?;
        let mut left = view.clone();
        let mut pickups: Vec<&Task> = order.pickups().filter(|t| !t.status.is_final()).collect();
        pickups.sort_by_key(|t| Some(t.id) != first);
        left.pickups = pickups.into_iter().map(|t| stop_view(order, t, self.learned, self.now)).collect();
        let aboard = left.pickups.is_empty();
        let mut carried = self.order(if aboard { &view } else { &left });
        carried.pinned = Some(driver);
        Some(carried)
    }

    pub(super) fn order(&mut self, view: &OrderView) -> Carried {
        let window = view.window;
        let first = view.pickups.first().copied().unwrap_or(view.delivery);
        let last = view.pickups.last().copied().unwrap_or(view.delivery);
        let mut service = halves(first.service.num_seconds());
        for pair in view.pickups.windows(2) {
            let between = self.way(pair[0].place, pair[1].place) + pair[1].service;
            service.after += seconds(between);
        }
        let opens = window.map_or(view.placed_at, |w| w.start());
        let ready = view.pickups.iter().filter_map(|p| p.ready_at).max();
        Carried {
            pickup: self.places.index(first.place),
            exit: self.places.index(last.place),
            dropoff: self.places.index(view.delivery.place),
            ready: Opening { from: ready.map_or(-NEVER, |at| self.at(at)), to: NEVER },
            due: Opening {
                from: if view.speed == Speed::Slow { self.at(opens) } else { -NEVER },
                to: self.at(view.promised_at),
            },
            pickup_service: service,
            dropoff_service: halves(view.delivery.service.num_seconds()),
            size: i64::from(view.size),
            known_at: 0,
            weight: weight(view.priority),
            strict: false,
            pinned: None,
            promised: None,
            barred: Vec::new(),
        }
    }

    pub(super) fn waiting_order(&mut self, view: &OrderView, able: &[&DriverView]) {
        let mut carried = self.order(view);
        let is_far = |d: &DriverView| {
            self.radius_meters.is_some_and(|limit| d.place.meters_to(view.first_stop()) > f64::from(limit))
        };
        let barred =
            able.iter().filter(|d| !d.serves(view.speed) || view.cooling_until(d.id, self.now).is_some() || is_far(d));
        carried.barred = barred.filter_map(|d| self.driver_index.get(&d.id).copied()).collect();
        carried.barred.sort_unstable();
        let intended = self.intended.iter().find(|(_, acts)| acts.iter().any(|(order, _)| *order == view.id));
        carried.promised = intended.and_then(|(driver, _)| self.driver_index.get(driver).copied());
        self.push(view.id, carried, true);
    }
}

pub(super) fn halves(task_seconds: i64) -> Service {
    let all = Second::try_from(task_seconds).unwrap_or(0);
    Service { before: all / 2, after: all - all / 2 }
}

/// How much an order's waiting counts: half as much again for each step of priority.
fn weight(priority: i16) -> i64 {
    100 + 50 * i64::from(priority.clamp(-1, MOST_PRIORITY))
}
