//! Assignments by hand: operations give an order to a driver, or take it back.

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::OrderId;
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::problem::Answer;
use posthaste_protocol::orders::{AssignOrder, OrderView};

use crate::AppState;
use crate::access::Admitted;
use crate::orders::answer;
use crate::refusals::refused;

/// Give an order to a driver
///
/// His calendar must have the time: otherwise it is `driver_busy`. An open offer of the order is withdrawn.
#[utoipa::path(post, path = "/v1/orders/{id}/assign", tag = "assignments",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = AssignOrder, example = json!({"driver_id": "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"})),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn assign(
    State(app): State<AppState>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
    Body { value: body, .. }: Body<AssignOrder>,
) -> Answer<Json<OrderView>> {
    let done = app.system().orders().assign(id, body.driver_id, admitted.cause()).await.map_err(refused)?;
    Ok(answer(&admitted, &done))
}

/// Take an order back from its driver
///
/// Before anything is picked up. The order waits for a driver again.
#[utoipa::path(post, path = "/v1/orders/{id}/unassign", tag = "assignments",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn unassign(
    State(app): State<AppState>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<OrderView>> {
    let done = app.system().orders().unassign(id, admitted.cause()).await.map_err(refused)?;
    Ok(answer(&admitted, &done))
}
