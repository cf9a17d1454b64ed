//! What the holder of a tracking link sees: one order and nothing more.

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::Order;
use posthaste_http::extract::Path;
use posthaste_http::problem::Answer;
use posthaste_protocol::tracking::{TrackingDriver, TrackingPosition, TrackingStep, TrackingView};
use posthaste_storage::orders as stored;

use crate::AppState;
use crate::access::no_such;
use crate::refusals::{refused, unread};

/// The order of a link; a link that is not ours looks like one of an order that does not exist.
pub(crate) fn tracked(app: &AppState, token: &str) -> Answer<OrderId> {
    app.keys().tracked_order(token).ok_or_else(|| no_such("tracking link"))
}

/// Follow an order
///
/// For the holder of its tracking link; no other token is needed.
#[utoipa::path(get, path = "/v1/tracking/{token}", tag = "tracking",
    params(("token" = String, Path, description = "The secret of the link.", example = "trk_AZNjyvN2fR8…")),
    responses((status = 200, body = TrackingView)))]
pub(crate) async fn read(State(app): State<AppState>, Path(token): Path<String>) -> Answer<Json<TrackingView>> {
    let id = tracked(&app, &token)?;
    let order = app.system().orders().get(id).await.map_err(refused)?;
    let events = stored::timeline(app.pool(), id, 0).await.map_err(unread)?;
    let steps = events.iter().filter_map(|(recorded, status)| TrackingStep::of(recorded, *status)).collect();
    let eta = app.system().orders().eta(&order).await;
    Ok(Json(TrackingView::of(&order, steps, driver(&app, &order).await, eta)))
}

/// The driver who has the order in hand. Without him (his record cannot be had now) the rest is still worth showing.
async fn driver(app: &AppState, order: &Order) -> Option<TrackingDriver> {
    let live = app.system().drivers().get(order.working_driver()?).await.ok()?;
    let position = live.position.map(|p| TrackingPosition {
        lat: p.lat,
        lng: p.lng,
        at: p.at,
        heading_degrees: p.heading_degrees,
    });
    let vehicle = serde_json::to_value(live.driver.vehicle).ok()?.as_str()?.to_owned();
    let name = live.driver.name.split_whitespace().next().unwrap_or_default().to_owned();
    Some(TrackingDriver { name, vehicle, position })
}
