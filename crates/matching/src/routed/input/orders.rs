//! Orders: those that drivers have, and those that wait.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::TaskId;
use posthaste_domain::order::{Speed, TaskKind};
use posthaste_domain::place::Place;

use super::builder::{Builder, seconds};
use super::{OrderInHand, TaskInHand, WaitingOrder, Waits};
use crate::routed::problem::{DriverIndex, NEVER};
use crate::routed::{Job, Opening, Second, Service};
use crate::views::{DriverView, OrderView};

/// Priorities above this count like it.
const MOST_PRIORITY: i16 = 18;

impl OrderInHand {
    pub(super) fn pickups(&self) -> impl Iterator<Item = &TaskInHand> {
        self.tasks.iter().filter(|task| task.kind == TaskKind::Pickup)
    }

    /// Whether everything of it is picked up, or was given up.
    pub(super) fn is_aboard(&self) -> bool {
        self.pickups().all(|task| task.status.is_final())
    }
}

impl Builder<'_> {
    /// An order that a driver has, or was offered; `first` is the pickup that they begin with.
    pub(super) fn job_in_hand(&mut self, order: &OrderInHand, driver: DriverIndex, first: Option<TaskId>) -> Job {
        let mut left: Vec<&TaskInHand> = order.pickups().filter(|t| !t.status.is_final()).collect();
        left.sort_by_key(|t| Some(t.id) != first);
        let mut job = if left.is_empty() {
            self.order(&order.view)
        } else {
            self.order(&OrderView { pickups: left.into_iter().map(|t| t.stop).collect(), ..order.view.clone() })
        };
        job.pinned = Some(driver);
        job
    }

    pub(super) fn order(&mut self, view: &OrderView) -> Job {
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
        Job {
            pickup: self.places.index(first.place),
            last_pickup: self.places.index(last.place),
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

    pub(super) fn waiting_order(&mut self, waiting: &WaitingOrder, able: &[&DriverView]) {
        let WaitingOrder { view, gives_up_at, refused, may_be_recorded, .. } = waiting;
        let mut job = self.order(view);
        let is_far =
            |d: &DriverView| self.radius_meters.is_some_and(|limit| is_farther(d.place, view.first_stop(), limit));
        let cools = |d: &DriverView| !view.cooling.is_empty() && view.cooling_until(d.id, self.now).is_some();
        let has_refused = |d: &DriverView| refused.iter().any(|refused| refused.holds(d, self.now));
        let would_refuse =
            |d: &DriverView| self.is_carried_out && (has_refused(d) || has_time_for_nothing(d, self.now));
        let is_barred = |d: &DriverView| !d.serves(view.speed) || cools(d) || would_refuse(d) || is_far(d);
        let barred = able.iter().filter(|d| is_barred(d));
        job.barred = barred.filter_map(|d| self.driver_index.get(&d.id).copied()).collect();
        job.barred.sort_unstable();
        job.promised = self.meant_for.get(&view.id).and_then(|driver| self.driver_index.get(driver)).copied();
        let waits = Waits { last_call: self.at(*gives_up_at) - self.last_offers, may_be_recorded: *may_be_recorded };
        self.push(view.id, job, Some(waits));
    }
}

/// Whether a driver has an order that shares their time with no other, as those of zones that plan no routes do: they
/// would refuse whatever begins before it is over.
fn has_time_for_nothing(driver: &DriverView, now: Timestamp) -> bool {
    driver.commitments.iter().any(|c| c.lane.is_none() && c.window.start() <= now && now < c.window.end())
}

/// Metres of one degree of latitude, less than they are.
const METERS_OF_A_DEGREE: f64 = 110_000.0;

/// Whether two places are farther from each other than this, most often told by their latitudes alone.
fn is_farther(one: Place, other: Place, meters: u32) -> bool {
    let limit = f64::from(meters);
    (one.lat() - other.lat()).abs() * METERS_OF_A_DEGREE > limit || one.meters_to(other) > limit
}

pub(super) fn halves(task_seconds: i64) -> Service {
    let all = Second::try_from(task_seconds).unwrap_or(0);
    Service { before: all / 2, after: all - all / 2 }
}

/// How much an order's waiting counts: half as much again for each step of priority.
fn weight(priority: i16) -> i64 {
    100 + 50 * i64::from(priority.clamp(-1, MOST_PRIORITY))
}
