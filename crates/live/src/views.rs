//! What of the live system is shown: made here, at the edge of the streams and of the API, from what it holds.
//!
//! Actors and doors speak of orders, drivers and zones as the domain has them; nothing between two of them is a view.

use std::collections::HashMap;

use posthaste_domain::driver::Driver;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Order, Recorded, Status, Task};
use posthaste_domain::roster::PlannedShift;
use posthaste_matching::routed::outcome::Standby;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::drivers::{
    DriverView, OfferView, PlanView, PlannedShiftView, PositionView, RouteView, StandbyView, StopView,
};
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::tracking::{TrackingDriver, TrackingPosition, TrackingStep, TrackingView};
use posthaste_protocol::words::StandbyReason;
use posthaste_protocol::zones::ZoneView;

use crate::drivers::{LiveDriver, Work};
use crate::orders::TrackedOrder;
use crate::presence::Fix;
use crate::zones::LiveZone;

/// A driver, for those who may know everything of them.
#[must_use]
pub fn driver(live: &LiveDriver) -> DriverView {
    let newest = live.position.map(|fix| position(live.driver.id, &fix));
    DriverView::of(&live.driver, live.stale, live.open_orders, newest)
}

/// A driver who was registered just now: nothing is live about them.
#[must_use]
pub fn new_driver(driver: &Driver) -> DriverView {
    DriverView::of(driver, false, 0, None)
}

/// A position, for those who may know the driver.
#[must_use]
pub fn position(driver: DriverId, fix: &Fix) -> PositionView {
    PositionView {
        driver_id: driver,
        lat: fix.place.lat(),
        lng: fix.place.lng(),
        at: fix.at,
        heading_degrees: fix.heading_degrees,
        speed_meters_per_second: fix.speed_meters_per_second,
    }
}

/// An order, for an audience: the answer that is kept under the key of whoever placed it.
pub(crate) fn order(order: &Order, audience: Audience) -> OrderView {
    OrderView::of(order, audience)
}

/// A planned shift: the answer that is kept under the key of whoever planned it.
pub(crate) fn planned_shift(shift: &PlannedShift) -> PlannedShiftView {
    PlannedShiftView::of(shift)
}

/// A zone, as everybody may see it.
#[must_use]
pub fn zone(live: &LiveZone) -> ZoneView {
    ZoneView::of(&live.zone, live.square_kilometers, live.cells)
}

/// An order, for the holder of its tracking link.
#[must_use]
pub fn tracking(tracked: &TrackedOrder) -> TrackingView {
    let driver = tracked.driver.as_ref().map(followed_driver);
    TrackingView::of(&tracked.order, steps(&tracked.timeline), driver, tracked.eta)
}

/// Events with the status after each, for the holder of a tracking link.
pub(crate) fn steps(events: &[(Recorded, Status)]) -> Vec<TrackingStep> {
    events.iter().map(|(recorded, status)| TrackingStep::of(recorded, *status)).collect()
}

/// Who brings an order, for those who follow it.
pub(crate) fn followed_driver(live: &LiveDriver) -> TrackingDriver {
    TrackingDriver::of(&live.driver, live.position.map(|fix| followed_position(&fix)))
}

/// Where who brings an order is, for those who follow it.
pub(crate) fn followed_position(fix: &Fix) -> TrackingPosition {
    TrackingPosition::new(fix.place, fix.at, fix.heading_degrees)
}

/// What a driver has to do, for that driver: stops in the order in which they are to be done, and offers.
#[must_use]
pub fn route(driver: DriverId, work: &Work) -> RouteView {
    let views: HashMap<OrderId, OrderView> =
        work.in_hand.iter().map(|o| (o.id, OrderView::of(o, Audience::Driver(driver)))).collect();
    let stop = |(order, task): (&Order, &Task)| {
        let view = views.get(&order.id)?;
        let task_view = view.tasks.iter().find(|t| t.id == task.id)?.clone();
        Some(StopView {
            order_id: order.id,
            order_status: view.status,
            promised_at: view.promised_at,
            planned_at: work.planned_at(order.id, task.kind),
            chosen: work.chosen == Some(task.id),
            task: task_view,
        })
    };
    let plan =
        work.planned.as_ref().map(|p| PlanView { generation: p.generation, reason: p.reason, made_at: p.made_at });
    RouteView {
        driver_id: driver,
        stops: work.open_stops().into_iter().filter_map(stop).collect(),
        plan,
        standby: work.standby.map(standby),
        offers: work.offered.iter().filter_map(|o| offer(o)).collect(),
    }
}

/// An offer of this order, for the driver who is asked; none where nobody is.
pub(crate) fn offer(order: &Order) -> Option<OfferView> {
    OfferView::of(order)
}

fn standby(standby: Standby) -> StandbyView {
    StandbyView {
        lat: standby.place.lat(),
        lng: standby.place.lng(),
        merchant_id: standby.merchant,
        reason: StandbyReason::OrdersExpected,
        until: standby.until,
    }
}
