//! The server's clock, for clients that act at certain times.

use axum::Json;
use axum::extract::State;
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_protocol::clock::ClockView;

use crate::Dispatch;

pub(crate) const READ: Rule = Rule::get("/v1/clock", Access::ANY_ROLE).key(KeyScope::OrdersRead);

/// The server's clock
///
/// Product time and its speed. Clients that act at certain times follow it.
#[utoipa::path(get, path = "/v1/clock", tag = "server", responses((status = 200, body = ClockView)))]
pub(crate) async fn read(State(app): State<Dispatch>) -> Json<ClockView> {
    Json(view(&app))
}

pub(crate) fn view(app: &Dispatch) -> ClockView {
    let clock = app.clock();
    ClockView { now: clock.now(), speed: clock.speed() }
}
