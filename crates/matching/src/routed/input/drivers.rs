//! Drivers: where each is free next and when, and what they have in hand.

use std::collections::{HashMap, HashSet};

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId, TaskId};
use posthaste_domain::order::{TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_geography::{TravelModel, VehicleSpeed};

use super::builder::Builder;
use super::{DriverWork, OrderInHand, TaskInHand};
use crate::routed::problem::{DriverIndex, NEVER};
use crate::routed::{Act, Second, Vehicle};
use crate::views::{DriverView, OrderView};

/// Drivers this close to their last stop still stand there, whatever their receiver says.
const SAME_PLACE_METERS: f64 = 50.0;

/// What is remembered of drivers from plan to plan.
#[derive(Debug, Clone, Default)]
pub struct Whereabouts {
    /// Where a driver is on their way to, and when they are, or were, there.
    headings: HashMap<DriverId, (TaskId, Timestamp)>,
    /// Where a driver stands, and since when.
    stands: HashMap<DriverId, (Place, Timestamp)>,
}

impl Whereabouts {
    /// Forgets all others.
    pub(super) fn keep(&mut self, known: &HashSet<DriverId>) {
        self.headings.retain(|driver, _| known.contains(driver));
        self.stands.retain(|driver, _| known.contains(driver));
    }
}

impl Builder<'_> {
    /// Where a driver is free next, and when; and the task that they are on their way to, or at.
    fn standing(
        &mut self,
        view: &DriverView,
        work: Option<&DriverWork>,
    ) -> (Place, Timestamp, Option<(OrderId, TaskKind)>) {
        let tasks = work.iter().flat_map(|w| &w.orders).flat_map(|o| o.tasks.iter().map(move |t| (o.view.id, t)));
        // A driver who says that they do another stop first turns round, unless they have arrived somewhere.
        let chosen = work.and_then(|w| w.chosen).map(|(_, task)| task);
        let under_way = |t: &TaskInHand| match t.status {
            TaskStatus::Arrived => true,
            TaskStatus::EnRoute => chosen.is_none_or(|chosen| chosen == t.id),
            _ => false,
        };
        let heading = tasks.filter(|(_, t)| under_way(t)).max_by_key(|(_, t)| (t.status == TaskStatus::Arrived, t.id));
        if let Some((order, task)) = heading {
            let arrival = match (task.arrived_at, self.whereabouts.headings.get(&view.id)) {
                (Some(at), _) if task.status == TaskStatus::Arrived => at,
                (_, Some((known, at))) if *known == task.id => *at,
                _ => self.now + self.way(view.place, task.stop.place),
            };
            self.whereabouts.headings.insert(view.id, (task.id, arrival));
            return (task.stop.place, arrival, Some((order, task.kind)));
        }
        self.whereabouts.headings.remove(&view.id);
        // A driver who was sent ahead goes there, as long as they may be on their way.
        let sent = work.and_then(|w| w.standby);
        if let Some(sent) = sent.filter(|s| self.now <= s.arrives_at || self.is_at(view.place, s.place)) {
            return (sent.place, sent.arrives_at, None);
        }
        let (place, since) = match (work.and_then(|w| w.last_stop), self.whereabouts.stands.get(&view.id)) {
            (Some(last), _) if last.free_at > self.now || self.is_at(view.place, last.place) => {
                (last.place, last.free_at)
            }
            (_, Some((place, since))) if self.is_at(view.place, *place) => (*place, *since),
            _ => (view.place, self.now),
        };
        self.whereabouts.stands.insert(view.id, (place, since));
        (place, since, None)
    }

    fn is_at(&self, one: Place, other: Place) -> bool {
        one == other || self.travel.meters(one, other) <= SAME_PLACE_METERS
    }

    /// A driver with what they have in hand, and the orders that they were just asked to hold time for.
    pub(super) fn driver(&mut self, view: &DriverView, work: Option<&DriverWork>, asked: &[&OrderView]) {
        let returning = |o: &OrderInHand| o.tasks.iter().any(|t| t.kind == TaskKind::Return && !t.status.is_final());
        if work.is_some_and(|w| w.orders.iter().any(returning)) {
            // The driver brings something back; that is not planned.
            return;
        }
        let (place, free_at, heading) = self.standing(view, work);
        let index = DriverIndex::try_from(self.drivers.len()).unwrap_or(DriverIndex::MAX);
        let mut driver = Vehicle {
            place: self.places.index(place),
            free_at: self.at(free_at),
            pace: pace(view.vehicle),
            shift_end: view.shift.until().map_or(NEVER, |until| self.at(until)),
            capacity: i64::from(view.capacity),
            load: 0,
            locked_acts: 0,
            at_work: true,
        };
        let mut route = Vec::new();
        let mut to_pick_up = Vec::new();
        for order in work.iter().flat_map(|w| &w.orders) {
            let first =
                work.and_then(|w| w.chosen).filter(|(chosen, _)| *chosen == order.view.id).map(|(_, task)| task);
            let job = self.job_in_hand(order, index, first);
            let aboard = order.is_aboard();
            let number = self.push(order.view.id, job, None);
            if aboard {
                driver.load += i64::from(order.view.size);
                route.push(Act::Dropoff(number));
            } else {
                to_pick_up.push(number);
            }
        }
        for order in asked.iter().filter(|order| work.is_none_or(|w| w.orders.iter().all(|o| o.view.id != order.id))) {
            let mut job = self.order(order);
            job.pinned = Some(index);
            to_pick_up.push(self.push(order.id, job, None));
        }
        // What holds the driver's time and is on no route takes its room all the way.
        let elsewhere = view.commitments.iter().filter(|c| !self.index.contains_key(&c.order));
        driver.capacity = (driver.capacity - elsewhere.map(|c| i64::from(c.size)).sum::<i64>()).max(0);
        if let Some((order, kind)) = heading
            && let Some(number) = self.index.get(&order)
        {
            let act = if kind == TaskKind::Pickup { Act::Pickup(*number) } else { Act::Dropoff(*number) };
            route.retain(|a| *a != act);
            route.insert(0, act);
            if kind == TaskKind::Pickup {
                route.push(Act::Dropoff(*number));
            }
            driver.locked_acts = 1;
        }
        if work.is_none_or(|w| w.chosen.is_none()) {
            self.lock_visit(&to_pick_up, heading.is_some(), &mut route, &mut driver);
        }
        let chosen = work.and_then(|w| w.chosen.and_then(|c| self.put_chosen(w, c, heading, &mut route, &mut driver)));
        self.as_intended(view, &mut route, &driver);
        self.driver_index.insert(view.id, index);
        self.drivers.push(view.id);
        self.fleet.push(driver);
        self.routes.push(route);
        self.chosen.push(chosen);
    }

    /// A driver whose shift begins later: they are planned for from then on, and asked when they are there.
    pub(super) fn driver_to_come(&mut self, view: &DriverView, start: Timestamp) {
        self.driver(view, None, &[]);
        self.whereabouts.stands.remove(&view.id);
        let free_at = self.at(start);
        if let Some(driver) = self.fleet.last_mut() {
            (driver.free_at, driver.at_work) = (free_at, false);
        }
    }
}

fn pace(vehicle: VehicleSpeed) -> Second {
    #[expect(clippy::cast_possible_truncation, reason = "a factor between 0.01 and 100")]
    let hundredths = (100.0 / vehicle.factor()).round() as Second;
    hundredths.max(1)
}
