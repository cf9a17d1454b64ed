//! What actors hold in memory, for whoever is on call and has to find out why one does what it does.

use axum::Json;
use axum::extract::State;
use posthaste_domain::calendar::Commitment;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Path;
use posthaste_http::problem::Answer;
use posthaste_live::inside::{DriverInside, OrderInside};
use posthaste_protocol::inside::{
    ArmedView, CommitmentView, DriverActorView, KnownOrderView, OrderActorView, ProposedView,
};

use crate::Dispatch;
use crate::access::Admitted;
use crate::refusals::refused;

pub(crate) const ORDER: Rule = Rule::get("/v1/orders/{id}/actor", Access::ADMIN);

/// What an order's actor holds
///
/// Its state in memory, how much of it others have been told, and the deadlines that it has set alarms for. An order that is
/// over has no actor: 404.
#[utoipa::path(get, path = "/v1/orders/{id}/actor", tag = "server",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = OrderActorView)))]
pub(crate) async fn order(
    State(app): State<Dispatch>,
    _: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<OrderActorView>> {
    let OrderInside { order, told_version, armed } = app.live().order_inside(id).await.map_err(refused)?;
    let armed = armed.into_iter().map(|(deadline, at)| ArmedView { deadline: deadline.name().to_owned(), at });
    Ok(Json(OrderActorView {
        order_id: order.id,
        version: order.version,
        status: order.status().name().to_owned(),
        told_version,
        zone_id: order.zone,
        driver_id: order.assignment.map(|assignment| assignment.driver),
        armed: armed.collect(),
    }))
}

pub(crate) const DRIVER: Rule = Rule::get("/v1/drivers/{id}/actor", Access::ADMIN);

/// What a driver's actor holds
///
/// Their calendar, time that is held for orders which have not made their offer yet, orders as they are known there, and whether
/// they count as silent or gone.
#[utoipa::path(get, path = "/v1/drivers/{id}/actor", tag = "server",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = DriverActorView)))]
pub(crate) async fn driver(
    State(app): State<Dispatch>,
    _: Admitted,
    Path(id): Path<DriverId>,
) -> Answer<Json<DriverActorView>> {
    Ok(Json(view(app.live().driver_inside(id).await.map_err(refused)?)))
}

fn view(inside: DriverInside) -> DriverActorView {
    let proposed = inside.proposed.into_iter();
    let known = inside.orders.iter();
    DriverActorView {
        driver_id: inside.driver.id,
        version: inside.driver.version,
        shift: inside.driver.shift.name().to_owned(),
        stale: inside.stale,
        gone: inside.gone.map(|why| why.name().to_owned()),
        silent_seconds: inside.silent.as_secs_f64(),
        commitments: inside.commitments.into_iter().map(commitment).collect(),
        proposed: proposed
            .map(|(order_id, size, held)| ProposedView { order_id, size, for_seconds: held.as_secs_f64() })
            .collect(),
        orders: known
            .map(|order| KnownOrderView {
                order_id: order.id,
                version: order.version,
                status: order.status().name().to_owned(),
            })
            .collect(),
        settled: inside.settled,
        declined: inside.declined,
        plan_generation: inside.plan_generation,
    }
}

fn commitment(held: Commitment) -> CommitmentView {
    CommitmentView {
        order_id: held.order,
        start: held.window.start(),
        end: held.window.end(),
        tentative: held.tentative,
        lane: held.lane,
        size: held.size,
        aboard: held.aboard,
    }
}
