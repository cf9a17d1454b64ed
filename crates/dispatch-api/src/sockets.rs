//! The sockets: `docs/sockets.md` as code. Each connection is one small task.
//!
//! A request is checked like any other before it is upgraded, so that a wrong token or somebody else's order is
//! answered over HTTP. What a socket follows, and what it missed, is the live system's business; here are the frames.
//!
//! - `handshake`: the connection is taken out of the HTTP server. `inbox`: frames as they come in.
//! - `line`: one connection's frames, read together, written together. `end`: why it is closed, and with which code.
//! - `misread`: what is wrong with a frame that is no message.
//! - `session`: greeting and following, the same for all; that is all there is to sockets that only read.
//! - `driver`: a driver's socket, which also commands. `position`: what it says most, read quickly. `command`: what it
//!   asks to be done, one after the other.

#[cfg(test)]
mod against;
mod command;
mod driver;
mod end;
mod handshake;
mod holders;
mod inbox;
mod line;
mod misread;
#[cfg(test)]
mod paths;
mod position;
mod session;

use axum::extract::State;
use axum::response::Response;
use posthaste_http::auth::{KeyScope, Role};
use posthaste_http::contract::{Access, Routes, Rule, Scope};
use posthaste_http::extract::{Path, Query};
use posthaste_http::problem::Answer;
use posthaste_live::streams::{self, Subject, View};
use posthaste_protocol::problem::{Code, FieldError, Problem};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use utoipa_axum::routes;

use self::handshake::Handshake;
pub use self::handshake::TakeOut;
use self::holders::Holder;
pub(crate) use self::holders::Holders;
pub use self::session::SILENT_HEARTBEATS;
use self::session::Session;
use crate::Dispatch;
use crate::access::Admitted;
use crate::orders::query_id;
use crate::refusals::refused;
use crate::texts::{all_right, wrong};
use crate::tracking::tracked;

/// The longest message of a socket that only reads: `hello` and `heartbeat` are shorter.
pub(crate) const FRAME_OF_READERS: usize = 2048;
/// Sockets of one driver: the phone, and the phone again before its old connection has timed out.
const SOCKETS_OF_ONE_DRIVER: usize = 2;

fn seat(app: &Dispatch) -> Answer<OwnedSemaphorePermit> {
    let seat = app.seat();
    Ok(seat.ok_or_else(|| Problem::unavailable("too many sockets are open").retry_after(5))?)
}

/// Upgrades to a socket that only reads, of who was admitted or who has a link.
async fn follow(
    app: Dispatch,
    handshake: Handshake,
    subject: impl Into<Subject>,
    path: &'static str,
    admitted: Result<&Admitted, Holder>,
) -> Answer<Response> {
    let seat = seat(&app)?;
    let holders = admitted.err().map(|link| (link, app.limits().socket.of_one_link));
    let stream = app.streams().open(subject).await.map_err(|why| refused(why.into()))?;
    let world = app.spans().clone();
    let session = Session::new(app, stream, seat, path, admitted.ok().map(|a| &a.caller), holders);
    Ok(handshake.upgrade(&world, move |upgraded| session.follow(upgraded)))
}

const DRIVER: Rule =
    Rule::socket("/v1/ws/driver", Access::Roles(&[(Role::Driver, Scope::Own)])).codes(&[Code::NotFound]);

/// The driver's socket
///
/// Offers, route and shift, and every command of a driver's work. See the description of the socket protocol.
/// Browsers pass the token as `access_token`.
#[utoipa::path(get, path = "/v1/ws/driver", tag = "sockets",
    params(("access_token" = Option<String>, Query, description = "The token, where no header can be sent.")),
    responses((status = 101, description = "The socket is open.")))]
async fn driver(State(app): State<Dispatch>, admitted: Admitted, handshake: Handshake) -> Answer<Response> {
    let id = admitted.caller.driver().ok_or(Code::Forbidden)?;
    let seat = seat(&app)?;
    let slot = app.live().slot(id).await.map_err(refused)?;
    let stream = app.streams().open(streams::driver(id)).await.map_err(|why| refused(why.into()))?;
    let (after, world) = (handshake.after, app.spans().clone());
    let holders = [(Holder::Driver(id), SOCKETS_OF_ONE_DRIVER)];
    let session = Session::new(app, stream, seat, "/v1/ws/driver", Some(&admitted.caller), holders);
    Ok(handshake.upgrade(&world, move |upgraded| session.drive(upgraded, slot, after)))
}

const MERCHANT: Rule =
    Rule::socket("/v1/ws/merchant", Access::Roles(&[(Role::Merchant, Scope::Part)])).key(KeyScope::OrdersRead);

/// The merchant's socket
///
/// Every order that the merchant owns or sells a part of, and where its drivers are.
#[utoipa::path(get, path = "/v1/ws/merchant", tag = "sockets",
    params(("access_token" = Option<String>, Query, description = "The token, where no header can be sent.")),
    responses((status = 101, description = "The socket is open.")))]
async fn merchant(State(app): State<Dispatch>, admitted: Admitted, handshake: Handshake) -> Answer<Response> {
    let id = admitted.caller.merchant().ok_or(Code::Forbidden)?;
    follow(app, handshake, streams::merchant(id), "/v1/ws/merchant", Ok(&admitted)).await
}

const CUSTOMER: Rule = Rule::socket("/v1/ws/customer", Access::Roles(&[(Role::Customer, Scope::Own)]));

/// The customer's socket
///
/// Every order of the customer, when it is expected at the door, and where its driver is while it is on the way. It shows
/// no more of a driver than a tracking link does.
#[utoipa::path(get, path = "/v1/ws/customer", tag = "sockets",
    params(("access_token" = Option<String>, Query, description = "The token, where no header can be sent.")),
    responses((status = 101, description = "The socket is open.")))]
async fn customer(State(app): State<Dispatch>, admitted: Admitted, handshake: Handshake) -> Answer<Response> {
    let id = admitted.caller.customer().ok_or(Code::Forbidden)?;
    follow(app, handshake, streams::customer(id), "/v1/ws/customer", Ok(&admitted)).await
}

/// What operations look at.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// One zone.
    zone_id: Option<String>,
    /// A box in degrees: west, south, east, north.
    #[param(example = "13.3,52.4,13.5,52.6")]
    bbox: Option<String>,
    /// The token, where no header can be sent.
    #[serde(rename = "access_token")]
    _access_token: Option<String>,
}

const OPERATIONS: Rule = Rule::socket("/v1/ws/operations", Access::ADMIN);

/// The socket of operations
///
/// Orders, drivers, zones and alerts: all of them, of one zone, or inside a box.
#[utoipa::path(get, path = "/v1/ws/operations", tag = "sockets", params(Asked),
    responses((status = 101, description = "The socket is open.")))]
async fn operations(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Query(asked): Query<Asked>,
    handshake: Handshake,
) -> Answer<Response> {
    let mut errors = Vec::new();
    let view = asked.view(&mut errors);
    all_right(errors)?;
    if let View::Zone(zone) = view {
        app.live().zone(zone).await.map_err(refused)?;
    }
    follow(app, handshake, view, "/v1/ws/operations", Ok(&admitted)).await
}

impl Asked {
    fn view(&self, errors: &mut Vec<FieldError>) -> View {
        match (self.zone_id.as_deref(), self.bbox.as_deref()) {
            (None, None) => View::All,
            (Some(zone), None) => query_id("zone_id", Some(zone), errors).map_or(View::All, View::Zone),
            (None, Some(text)) => bbox(text).unwrap_or_else(|problem| {
                errors.push(wrong("bbox", problem));
                View::All
            }),
            (Some(_), Some(_)) => {
                errors.push(wrong("bbox", "give a zone or a box, not both"));
                View::All
            }
        }
    }
}

fn bbox(text: &str) -> Result<View, &'static str> {
    let edges: Result<Vec<f64>, _> = text.split(',').map(|edge| edge.trim().parse::<f64>()).collect();
    let Ok(&[west, south, east, north]) = edges.as_deref() else {
        return Err("must be four numbers: west,south,east,north");
    };
    let on_globe = [west, east].iter().all(|lng| (-180.0..=180.0).contains(lng))
        && [south, north].iter().all(|lat| (-90.0..=90.0).contains(lat));
    if !on_globe {
        return Err("longitudes lie between -180 and 180, latitudes between -90 and 90");
    }
    if west > east || south > north {
        return Err("west must not lie east of east, nor south north of north");
    }
    Ok(View::Box { west, south, east, north })
}

const TRACK: Rule = Rule::socket("/v1/ws/track/{token}", Access::Link);

/// The tracking socket
///
/// One order, for the holder of its tracking link; no other token is needed.
#[utoipa::path(get, path = "/v1/ws/track/{token}", tag = "sockets",
    params(("token" = String, Path, description = "The secret of the link.", example = "trk_AZNjyvN2fR8…")),
    responses((status = 101, description = "The socket is open.")))]
async fn track(State(app): State<Dispatch>, Path(token): Path<String>, handshake: Handshake) -> Answer<Response> {
    let order = tracked(&app, &token)?;
    follow(app, handshake, streams::tracking(order), "/v1/ws/track/{token}", Err(Holder::Link(order))).await
}

/// The routes on which sockets are opened.
pub fn routes() -> Routes<Dispatch> {
    Routes::default()
        .with([DRIVER], routes!(driver))
        .with([MERCHANT], routes!(merchant))
        .with([CUSTOMER], routes!(customer))
        .with([OPERATIONS], routes!(operations))
        .with([TRACK], routes!(track))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_has_four_edges_on_the_globe_in_order() {
        let inside = View::Box { west: 13.3, south: 52.4, east: 13.5, north: 52.6 };
        assert_eq!(bbox("13.3,52.4, 13.5,52.6"), Ok(inside));
        for text in
            ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "13.5,52.4,13.3,52.6", "13,53,14,52", "-181,0,0,0", "NaN,0,0,0"]
        {
            assert!(bbox(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_zone_and_a_box_at_once_are_refused() {
        let asked = Asked { zone_id: Some("zon_1".into()), bbox: Some("0,0,1,1".into()), _access_token: None };
        let mut errors = Vec::new();
        asked.view(&mut errors);
        assert_eq!(errors[0].field, "bbox");
    }
}
