//! What a driver has to do, in the order in which he is to do it.

use std::sync::Arc;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Order, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::drivers::{OfferView, PlanView, RouteView, StopView};
use posthaste_protocol::orders::{Audience, OrderView};

/// The last stop that a driver has done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LastDone {
    /// When.
    pub(crate) at: Timestamp,
    /// Where.
    pub(crate) place: Place,
    /// How long he stays after that.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRoute {
    /// Which plan.
    pub generation: u64,
    /// Why it differs from the one before, as [`PlanView`] has it.
    pub reason: &'static str,
    /// When it was made.
    pub made_at: Timestamp,
    /// Pickups and doors of the orders in hand, in order, with the moment that is planned for each.
    pub stops: Vec<PlannedStop>,
}

/// A planned stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedStop {
    /// The order.
    pub order: OrderId,
    /// Its pickups, or its door.
    pub kind: TaskKind,
    /// When.
    pub at: Timestamp,
}

/// What a driver has to do.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Orders in hand.
    pub in_hand: Vec<Arc<Order>>,
    /// Orders offered to him.
    pub offered: Vec<Arc<Order>>,
    /// The route that is planned for him, in a zone that plans routes.
    pub planned: Option<Arc<PlannedRoute>>,
}

/// Stops in the order in which they are to be done, and offers.
#[must_use]
pub fn route_view(driver: DriverId, work: &Work) -> RouteView {
    let planned = |order: OrderId, kind: TaskKind| {
        let stops = work.planned.iter().flat_map(|p| p.stops.iter().enumerate());
        stops.into_iter().find(|(_, s)| s.order == order && s.kind == kind).map(|(n, s)| (n, s.at))
    };
    let mut orders: Vec<_> = work.in_hand.iter().collect();
    orders.sort_by_key(|o| (o.assignment.map(|a| a.commitment.start()), o.id));
    let mut stops: Vec<StopView> = orders
        .iter()
        .flat_map(|order| {
            let view = OrderView::of(order, Audience::Driver);
            let (status, promised_at, order_id) = (view.status, view.promised_at, view.id);
            view.tasks.into_iter().filter(|task| !task.status.is_final()).map(move |task| StopView {
                order_id,
                order_status: status,
                promised_at,
                planned_at: planned(order_id, task.kind).map(|(_, at)| at),
                task,
            })
        })
        .collect();
    // What no plan knows yet comes after what is planned, as it is.
    stops.sort_by_key(|s| planned(s.order_id, s.task.kind).map_or(usize::MAX, |(n, _)| n));
    let plan = work.planned.as_ref().map(|p| PlanView {
        generation: p.generation,
        reason: p.reason.to_owned(),
        made_at: p.made_at,
    });
    RouteView { driver_id: driver, stops, plan, offers: work.offered.iter().filter_map(|o| OfferView::of(o)).collect() }
}
