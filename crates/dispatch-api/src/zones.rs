//! Zones: make, read, replace, remove, and what their dispatchers see.

use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_protocol::problem::Code;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::ids::ZoneId;
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::idempotency::{IdempotencyKey, replayed};
use posthaste_http::problem::Answer;
use posthaste_live::zones::{DriverOnBoard, WaitingOrder, ZoneBoard};
use posthaste_live::{Once, views};
use posthaste_protocol::page::Page;
use posthaste_protocol::zones::{BoardDriver, BoardOrder, BoardView, PutZone, ZoneView};

use crate::Dispatch;
use crate::access::Admitted;
use crate::refusals::refused;

const PATH: &str = "/v1/zones";

pub(crate) const CREATE: Rule = Rule::post("/v1/zones", Access::ADMIN).outline().codes(&[Code::Conflict]);

/// Make a zone
///
/// It takes orders when this is answered. The area is a GeoJSON Polygon or MultiPolygon; holes are fine, crossing
/// the antimeridian is not.
#[utoipa::path(post, path = "/v1/zones", tag = "zones",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day.")),
    request_body(content = PutZone, example = json!({
        "name": "Centre",
        "area": {"type": "Polygon", "coordinates": [[[13.3, 52.4], [13.5, 52.4], [13.5, 52.6], [13.3, 52.6], [13.3, 52.4]]]},
        "rules": {"offer_seconds": 30},
        "travel": {"meters_per_second": 5.0},
    })),
    responses((status = 201, body = ZoneView, headers(
        ("location" = String, description = "Path of the zone."),
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn create(
    State(app): State<Dispatch>,
    admitted: Admitted,
    IdempotencyKey(key): IdempotencyKey,
    Body { value: zone, bytes }: Body<PutZone>,
) -> Answer<Response> {
    let running = key.as_deref().map(|key| app.in_flight().enter(admitted.caller.party, key)).transpose()?;
    let idempotency = key.map(|key| admitted.idempotency(key, PATH, &bytes));
    let created = app.live().create_zone(zone.into(), idempotency, admitted.cause()).await.map_err(refused)?;
    drop(running);
    Ok(match created {
        Once::New(zone) => {
            let location = format!("{PATH}/{}", zone.zone.id);
            (StatusCode::CREATED, [(header::LOCATION, location)], Json(views::zone(&zone))).into_response()
        }
        Once::Replayed { status, body } => replayed(status, body, PATH),
    })
}

pub(crate) const LIST: Rule = Rule::get("/v1/zones", Access::ANY_ROLE).key(KeyScope::ZonesRead);

/// List zones
///
/// All of them, by name, on one page.
#[utoipa::path(get, path = "/v1/zones", tag = "zones", responses((status = 200, body = Page<ZoneView>)))]
pub(crate) async fn list(State(app): State<Dispatch>, _: Admitted) -> Answer<Json<Page<ZoneView>>> {
    let items = app.live().zones().await.map_err(refused)?.iter().map(views::zone).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

pub(crate) const READ: Rule = Rule::get("/v1/zones/{id}", Access::ANY_ROLE).key(KeyScope::ZonesRead);

/// One zone
#[utoipa::path(get, path = "/v1/zones/{id}", tag = "zones",
    params(("id" = String, Path, description = "The zone.", example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = ZoneView)))]
pub(crate) async fn read(State(app): State<Dispatch>, _: Admitted, Path(id): Path<ZoneId>) -> Answer<Json<ZoneView>> {
    let zone = app.live().zone(id).await.map_err(refused)?;
    Ok(Json(views::zone(&zone)))
}

pub(crate) const REPLACE: Rule = Rule::put("/v1/zones/{id}", Access::ADMIN).outline().codes(&[Code::Conflict]);

/// Replace a zone
///
/// Name, area, rules and travel model. Orders under way keep their zone.
#[utoipa::path(put, path = "/v1/zones/{id}", tag = "zones",
    params(("id" = String, Path, description = "The zone.", example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = PutZone, example = json!({
        "name": "Centre",
        "area": {"type": "Polygon", "coordinates": [[[13.3, 52.4], [13.6, 52.4], [13.6, 52.6], [13.3, 52.6], [13.3, 52.4]]]},
    })),
    responses((status = 200, body = ZoneView)))]
pub(crate) async fn replace(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<ZoneId>,
    Body { value: zone, .. }: Body<PutZone>,
) -> Answer<Json<ZoneView>> {
    let zone = app.live().replace_zone(id, zone.into(), admitted.cause()).await.map_err(refused)?;
    Ok(Json(views::zone(&zone)))
}

pub(crate) const REMOVE: Rule = Rule::delete("/v1/zones/{id}", Access::ADMIN).codes(&[Code::Conflict]);

/// Remove a zone
///
/// It takes no new orders. What waits there moves to another zone around its pickup, where there is one; what is
/// under way is finished.
#[utoipa::path(delete, path = "/v1/zones/{id}", tag = "zones",
    params(("id" = String, Path, description = "The zone.", example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn remove(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<ZoneId>,
) -> Answer<StatusCode> {
    app.live().remove_zone(id, admitted.cause()).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) const BOARD: Rule = Rule::get("/v1/zones/{id}/board", Access::ADMIN);

/// What a zone's dispatcher sees
///
/// Drivers with their load, and orders that wait.
#[utoipa::path(get, path = "/v1/zones/{id}/board", tag = "zones",
    params(("id" = String, Path, description = "The zone.", example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = BoardView)))]
pub(crate) async fn board(State(app): State<Dispatch>, _: Admitted, Path(id): Path<ZoneId>) -> Answer<Json<BoardView>> {
    let board = app.live().board(id).await.map_err(refused)?;
    Ok(Json(seen(id, board)))
}

/// A board as operations see it.
fn seen(zone: ZoneId, board: ZoneBoard) -> BoardView {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let driver = |driver: DriverOnBoard| BoardDriver {
        id: driver.id,
        shift: driver.shift.name().to_owned(),
        stale: driver.stale,
        open_orders: driver.open_orders,
        committed_seconds: driver.committed_seconds,
        place: Some(driver.place.into()),
    };
    let order = |order: WaitingOrder| BoardOrder {
        id: order.id,
        waiting_since: order.since,
        promised_at: order.promised_at,
        pickup: order.pickup,
    };
    BoardView {
        zone,
        drivers_total: count(board.drivers_total),
        waiting_total: count(board.waiting_total),
        drivers: board.drivers.into_iter().map(driver).collect(),
        waiting: board.waiting.into_iter().map(order).collect(),
    }
}
