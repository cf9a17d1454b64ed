//! Assignments by hand: operations give an order to a driver, take it back, or say how urgent it is.

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::OrderId;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::problem::Answer;
use posthaste_protocol::orders::{AssignOrder, OrderView, PutPriority};
use posthaste_protocol::problem::Code;

use crate::Dispatch;
use crate::access::Admitted;
use crate::orders::answer;
use crate::refusals::refused;

pub(crate) const ASSIGN: Rule = Rule::post("/v1/orders/{id}/assign", Access::ADMIN).codes(&[
    Code::Conflict,
    Code::OrderEnded,
    Code::DriverBusy,
    Code::GoodsOnBoard,
]);

/// Give an order to a driver
///
/// The driver's calendar must have the time: otherwise it is `driver_busy`. An open offer of the order is withdrawn, and
/// whoever has it loses it. What is aboard changes hands only where it is escalated, as its driver is gone: otherwise it is
/// `goods_on_board`. How the goods get from one to the other is for the two to arrange.
#[utoipa::path(post, path = "/v1/orders/{id}/assign", tag = "assignments",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = AssignOrder, example = json!({"driver_id": "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"})),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn assign(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
    Body { value: body, .. }: Body<AssignOrder>,
) -> Answer<Json<OrderView>> {
    let done = app.live().assign_order(id, body.driver_id, admitted.cause()).await.map_err(refused)?;
    Ok(answer(&admitted, &done))
}

pub(crate) const PRIORITISE: Rule = Rule::put("/v1/orders/{id}/priority", Access::ADMIN).codes(&[Code::OrderEnded]);

/// Change an order's priority
///
/// Dispatch looks again at once.
#[utoipa::path(put, path = "/v1/orders/{id}/priority", tag = "assignments",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = PutPriority, example = json!({"priority": 5})),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn prioritise(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
    Body { value: body, .. }: Body<PutPriority>,
) -> Answer<Json<OrderView>> {
    let done = app.live().prioritise_order(id, body.priority, admitted.cause()).await.map_err(refused)?;
    Ok(answer(&admitted, &done))
}

pub(crate) const UNASSIGN: Rule = Rule::post("/v1/orders/{id}/unassign", Access::ADMIN).codes(&[
    Code::Conflict,
    Code::OrderEnded,
    Code::GoodsOnBoard,
]);

/// Take an order back from its driver
///
/// Before anything is picked up. The order waits for a driver again.
#[utoipa::path(post, path = "/v1/orders/{id}/unassign", tag = "assignments",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn unassign(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<OrderView>> {
    let done = app.live().unassign_order(id, admitted.cause()).await.map_err(refused)?;
    Ok(answer(&admitted, &done))
}
