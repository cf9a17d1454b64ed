//! What a driver has to do, in the order in which they are to do it.

use std::collections::HashMap;
use std::sync::Arc;

use posthaste_domain::ids::{DriverId, OrderId, TaskId};
use posthaste_domain::order::{Order, Status, Task, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::audience::Audience;
use posthaste_protocol::drivers::{OfferView, PlanView, RouteView, StopView};
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::words::RouteReason;
use serde::{Deserialize, Serialize};

use super::actor::DriverState;
use super::standby::standby_view;
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
    /// Why it differs from the one before, as [`PlanView`] has it.
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

/// What is to be done, next first: where they are, what they chose, what is planned; what no plan knows yet comes last, as
/// it is.
pub(super) fn open_stops(work: &Work) -> Vec<(&Order, &Task)> {
    let mut orders: Vec<&Order> = work.in_hand.iter().map(AsRef::as_ref).collect();
    orders.sort_by_key(|o| (o.assignment.map(|a| a.commitment.start()), o.id));
    let open = |task: &&Task| !task.status.is_final();
    let mut stops: Vec<(&Order, &Task)> =
        orders.into_iter().flat_map(|o| o.tasks.iter().filter(open).map(move |t| (o, t))).collect();
    stops.sort_by_key(|(order, task)| {
        let turn = match work.chosen {
            Some(chosen) if task.status == TaskStatus::Arrived && task.id != chosen => 0,
            Some(chosen) if task.id == chosen => 1,
            _ => 2,
        };
        (turn, work.planned(order.id, task.kind).map_or(usize::MAX, |(n, _)| n))
    });
    stops
}

/// Stops in the order in which they are to be done, and offers.
#[must_use]
pub fn route_view(driver: DriverId, work: &Work) -> RouteView {
    let views: HashMap<OrderId, OrderView> =
        work.in_hand.iter().map(|o| (o.id, OrderView::of(o, Audience::Driver(driver)))).collect();
    let stop = |(order, task): (&Order, &Task)| {
        let view = views.get(&order.id)?;
        let task_view = view.tasks.iter().find(|t| t.id == task.id)?.clone();
        Some(StopView {
            order_id: order.id,
            order_status: view.status,
            promised_at: view.promised_at,
            planned_at: work.planned(order.id, task.kind).map(|(_, at)| at),
            chosen: work.chosen == Some(task.id),
            task: task_view,
        })
    };
    let plan =
        work.planned.as_ref().map(|p| PlanView { generation: p.generation, reason: p.reason, made_at: p.made_at });
    RouteView {
        driver_id: driver,
        stops: open_stops(work).into_iter().filter_map(stop).collect(),
        plan,
        standby: work.standby.map(standby_view),
        offers: work.offered.iter().filter_map(|o| OfferView::of(o)).collect(),
    }
}
