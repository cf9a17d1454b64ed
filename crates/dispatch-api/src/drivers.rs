//! Drivers: register, read, list. What a driver does at work is in `work`, where they are in `positions`.

pub(crate) mod positions;
pub(crate) mod roster;
pub(crate) mod work;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, ZoneId};
use posthaste_domain::order::MOST_SIZE;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, Path, Query};
use posthaste_http::idempotency::{IdempotencyKey, replayed};
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_live::drivers::RegisterDriver;
use posthaste_live::{Live, Once, Refused, views};
use posthaste_protocol::drivers::{CreateDriver, DriverView};
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::FieldError;
use posthaste_storage::drivers::{self as stored, ListFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Dispatch;
use crate::access::Admitted;
use crate::orders::query_id;
use crate::refusals::{refused, unread};
use crate::texts::{MOST_NAME, all_right, wrong, wrong_length};

const PATH: &str = "/v1/drivers";
/// The most zones that one driver serves.
pub(crate) const MOST_ZONES: usize = 50;

pub(crate) const CREATE: Rule = Rule::post("/v1/drivers", Access::ADMIN);

/// Register a driver
///
/// They are offline until they say otherwise.
#[utoipa::path(post, path = "/v1/drivers", tag = "drivers",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day.")),
    request_body(content = CreateDriver, example = json!({
        "name": "Grace Hopper", "vehicle": "bicycle", "capacity": 2, "zones": ["zon_01jd8v7cjxfm9sxv0q3e0b5z1c"],
    })),
    responses((status = 201, body = DriverView, headers(
        ("location" = String, description = "Path of the driver."),
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn create(
    State(app): State<Dispatch>,
    admitted: Admitted,
    IdempotencyKey(key): IdempotencyKey,
    Body { value: new, bytes }: Body<CreateDriver>,
) -> Answer<Response> {
    let unknown = unknown(app.live(), &new.zones[..new.zones.len().min(MOST_ZONES)]).await.map_err(refused)?;
    all_right(faults(&new, |zone| !unknown.contains(&zone)))?;
    let CreateDriver { name, vehicle, capacity, zones, speeds } = new;
    let register = RegisterDriver { id: None, name: name.trim().to_owned(), vehicle, capacity, zones, speeds };
    let running = key.as_deref().map(|key| app.in_flight().enter(admitted.caller.party, key)).transpose()?;
    let idempotency = key.map(|key| admitted.idempotency(key, PATH, &bytes));
    let registered = app.live().register_driver(register, idempotency, admitted.cause()).await.map_err(refused)?;
    drop(running);
    Ok(match registered {
        Once::New(driver) => {
            let location = format!("{PATH}/{}", driver.id);
            let view = views::new_driver(&driver);
            (StatusCode::CREATED, [(header::LOCATION, location)], Json(view)).into_response()
        }
        Once::Replayed { status, body } => replayed(status, body, PATH),
    })
}

/// Those of the zones that are not there.
pub(crate) async fn unknown(live: &dyn Live, zones: &[ZoneId]) -> Result<Vec<ZoneId>, Refused> {
    let mut unknown = Vec::new();
    for zone in zones {
        match live.zone(*zone).await {
            Ok(_) => {}
            Err(Refused::NotFound(_)) => unknown.push(*zone),
            Err(refused) => return Err(refused),
        }
    }
    Ok(unknown)
}

/// Every field of a new driver that is wrong.
fn faults(new: &CreateDriver, is_zone: impl Fn(ZoneId) -> bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(problem) = wrong_length(&new.name, MOST_NAME) {
        errors.push(wrong("name", problem));
    }
    if !(1..=MOST_SIZE).contains(&new.capacity) {
        errors.push(wrong("capacity", format!("must lie between 1 and {MOST_SIZE}")));
    }
    if new.zones.is_empty() || new.zones.len() > MOST_ZONES {
        errors.push(wrong("zones", format!("must name 1 to {MOST_ZONES} zones")));
    }
    for (n, zone) in new.zones.iter().enumerate().take(MOST_ZONES) {
        if new.zones[..n].contains(zone) {
            errors.push(wrong(format!("zones[{n}]"), "stands there twice"));
        } else if !is_zone(*zone) {
            errors.push(wrong(format!("zones[{n}]"), "no such zone"));
        }
    }
    if new.speeds.is_empty() {
        errors.push(wrong("speeds", "must name fast, slow or both"));
    }
    for (n, speed) in new.speeds.iter().enumerate() {
        if new.speeds[..n].contains(speed) {
            errors.push(wrong(format!("speeds[{n}]"), "stands there twice"));
            break;
        }
    }
    errors
}

pub(crate) const READ: Rule = Rule::get("/v1/drivers/{id}", Access::ADMIN_OR_DRIVER);

/// One driver
#[utoipa::path(get, path = "/v1/drivers/{id}", tag = "drivers",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = DriverView)))]
pub(crate) async fn read(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
) -> Answer<Json<DriverView>> {
    admitted.driver(id)?;
    let live = app.live().driver(id).await.map_err(refused)?;
    Ok(Json(views::driver(&live)))
}

/// Which drivers. All that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Who serve this zone.
    zone_id: Option<String>,
    /// `offline`, `available` or `on_break`.
    #[param(example = "available")]
    shift: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 where absent.
    #[param(example = "20")]
    limit: Option<String>,
}

pub(crate) const LIST: Rule = Rule::get("/v1/drivers", Access::ADMIN);

/// List drivers
///
/// Newest first. With `available` or `on_break` a page may hold fewer than `limit`: go on while there is a
/// `next_cursor`.
#[utoipa::path(get, path = "/v1/drivers", tag = "drivers", params(Asked),
    responses((status = 200, body = Page<DriverView>)))]
pub(crate) async fn list(
    State(app): State<Dispatch>,
    _: Admitted,
    Query(asked): Query<Asked>,
) -> Answer<Json<Page<DriverView>>> {
    let mut errors = Vec::new();
    let zone = query_id("zone_id", asked.zone_id.as_deref(), &mut errors);
    let shift = asked.shift.as_deref();
    let on_shift = shift.map(|name| name != Shift::Offline.name());
    if shift.is_some_and(|name| !["offline", "available", "on_break"].contains(&name)) {
        errors.push(wrong("shift", "must be offline, available or on_break"));
    }
    let limit = pages::limit(asked.limit.as_deref(), &mut errors);
    let cursor = pages::cursor(asked.cursor.as_deref(), &mut errors);
    all_right(errors)?;
    let before = cursor.map(|c| DriverId::from_uuid(c.id));
    let page = stored::list(app.pool(), ListFilter { zone, on_shift }, before, limit).await.map_err(unread)?;
    let next_cursor = page.next.and_then(|id| {
        let last = page.drivers.iter().rev().find(|d| d.id == id)?;
        Some(Cursor { at: last.created_at, id: id.uuid() }.encode())
    });
    let asked_for = page.drivers.into_iter().filter(|d| shift.is_none_or(|name| d.shift.name() == name));
    let live = app.live().drivers(asked_for.collect()).await.map_err(refused)?;
    let items = live.iter().map(views::driver).collect();
    Ok(Json(Page { items, next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_of_a_new_driver_is_named() {
        let zone = ZoneId::from_uuid(uuid::Uuid::from_u128(1));
        let new: CreateDriver = serde_json::from_value(serde_json::json!({
            "name": " ", "vehicle": "van", "capacity": 0, "zones": [zone, zone], "speeds": ["fast", "fast"],
        }))
        .unwrap();
        let fields: Vec<_> = faults(&new, |_| false).into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["name", "capacity", "zones[0]", "zones[1]", "speeds[1]"]);
        let empty = CreateDriver { name: "A".into(), capacity: 1, zones: Vec::new(), speeds: Vec::new(), ..new };
        let fields: Vec<_> = faults(&empty, |_| true).into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["zones", "speeds"]);
    }
}
