//! What the holder of a tracking link sees: one order and nothing more.

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::OrderId;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Path;
use posthaste_http::problem::Answer;
use posthaste_protocol::tracking::TrackingView;

use crate::Dispatch;
use crate::access::no_such;
use crate::refusals::refused;

/// The order of a link; a link that is not ours looks like one of an order that does not exist.
pub(crate) fn tracked(app: &Dispatch, token: &str) -> Answer<OrderId> {
    app.keys().tracked_order(token).ok_or_else(|| no_such("tracking link"))
}

pub(crate) const READ: Rule = Rule::get("/v1/tracking/{token}", Access::Link);

/// Follow an order
///
/// For the holder of its tracking link; no other token is needed.
#[utoipa::path(get, path = "/v1/tracking/{token}", tag = "tracking",
    params(("token" = String, Path, description = "The secret of the link.", example = "trk_AZNjyvN2fR8…")),
    responses((status = 200, body = TrackingView)))]
pub(crate) async fn read(State(app): State<Dispatch>, Path(token): Path<String>) -> Answer<Json<TrackingView>> {
    let id = tracked(&app, &token)?;
    let tracked = app.live().track_order(id).await.map_err(refused)?;
    Ok(Json(posthaste_live::views::tracking(&tracked)))
}
