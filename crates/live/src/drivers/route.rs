//! What a driver has to do, in the order in which they are to do it.

use std::sync::Arc;

use posthaste_domain::ids::{DriverId, OrderId, TaskId};
use posthaste_domain::order::{Order, Status, Task, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::words::RouteReason;
use serde::{Deserialize, Serialize};

use super::actor::DriverState;
use super::{PlannedStop, Standby};

/// The last stop that a driver has done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LastDone {
    /// When.
    pub(crate) at: Timestamp,
    /// Where.
    pub(crate) place: Place,
    /// How long they stay after that.
    pub(crate) stays: Span,
}

impl LastDone {
    /// The last stop of an order that a driver has, or had.
    pub(crate) fn of(order: &Order, driver: DriverId) -> Option<Self> {
        order.assignment.filter(|a| a.driver == driver)?;
        let done = order.tasks.iter().filter(|t| t.status == TaskStatus::Done);
        let last = done.filter_map(|t| t.done_at.map(|at| (at, t))).max_by_key(|(at, _)| *at);
        last.map(|(at, task)| Self {
            at,
            place: task.place,
            stays: Span::seconds(i64::from(task.service_seconds - task.service_seconds / 2)),
        })
    }
}

/// A driver's part of a zone's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRoute {
    /// Which plan.
    pub generation: u64,
    /// Why it differs from the one before, in the words of the wire.
    pub reason: RouteReason,
    /// When it was made.
    pub made_at: Timestamp,
    /// Pickups and doors of the orders in hand, in order, with the moment that is planned for each.
    pub stops: Vec<PlannedStop>,
}

impl PlannedRoute {
    /// What is left of it without an order that its driver does not deliver any more.
    fn without(&self, order: OrderId) -> Self {
        let stops = self.stops.iter().copied().filter(|stop| stop.order != order).collect();
        Self { reason: RouteReason::OrderGone, stops, ..*self }
    }
}

/// What a driver has to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Work {
    /// Orders in hand.
    pub in_hand: Vec<Arc<Order>>,
    /// Orders offered to them.
    pub offered: Vec<Arc<Order>>,
    /// The route that is planned for them, in a zone that plans routes.
    pub planned: Option<Arc<PlannedRoute>>,
    /// The stop that they said they do next.
    pub chosen: Option<TaskId>,
    /// Where they are advised to wait for work.
    pub standby: Option<Standby>,
}

impl Work {
    /// When a stop of the plan is planned, where the plan has it.
    pub(crate) fn planned_at(&self, order: OrderId, kind: TaskKind) -> Option<Timestamp> {
        self.planned(order, kind).map(|(_, at)| at)
    }

    /// What is to be done, next first: where they are, what they chose, what is planned; what no plan knows yet comes last,
    /// as it is.
    pub(crate) fn open_stops(&self) -> Vec<(&Order, &Task)> {
        let mut orders: Vec<&Order> = self.in_hand.iter().map(AsRef::as_ref).collect();
        orders.sort_by_key(|o| (o.assignment.map(|a| a.commitment.start()), o.id));
        let open = |task: &&Task| !task.status.is_final();
        let mut stops: Vec<(&Order, &Task)> =
            orders.into_iter().flat_map(|o| o.tasks.iter().filter(open).map(move |t| (o, t))).collect();
        stops.sort_by_key(|(order, task)| {
            let turn = match self.chosen {
                Some(chosen) if task.status == TaskStatus::Arrived && task.id != chosen => 0,
                Some(chosen) if task.id == chosen => 1,
                _ => 2,
            };
            (turn, self.planned(order.id, task.kind).map_or(usize::MAX, |(n, _)| n))
        });
        stops
    }

    /// Which stop of the plan it is, and when.
    fn planned(&self, order: OrderId, kind: TaskKind) -> Option<(usize, Timestamp)> {
        let mut stops = self.planned.iter().flat_map(|p| p.stops.iter().enumerate());
        stops.find(|(_, s)| s.order == order && s.kind == kind).map(|(n, s)| (n, s.at))
    }
}

impl DriverState {
    /// An order that they were to deliver was canceled, is another's, or goes back: their plan says so until the next comes.
    pub(super) fn has_lost(&mut self, driver: DriverId, before: &Order, now: &Order) {
        let is_theirs = |order: &Order| {
            let door_is_open = order.delivery().is_some_and(|door| !door.status.is_final());
            order.assignment.is_some_and(|a| a.driver == driver) && !order.status().is_final() && door_is_open
        };
        if is_theirs(before) && !is_theirs(now) && now.status() != Status::Delivered {
            self.planned = self.planned.take().map(|planned| Arc::new(planned.without(now.id)));
        }
    }
}
