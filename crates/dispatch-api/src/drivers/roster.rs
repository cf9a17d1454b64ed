//! The roster: which shifts drivers are planned to work.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::ids::{DriverId, ShiftId};
use posthaste_domain::place::Place;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::idempotency::{IdempotencyKey, replayed};
use posthaste_http::problem::Answer;
use posthaste_live::Once;
use posthaste_protocol::drivers::{PlanShift, PlannedShiftView};
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::Code;
use posthaste_protocol::problem::Problem;
use serde::Deserialize;

use crate::Dispatch;
use crate::access::Admitted;
use crate::refusals::refused;

/// A planned shift of a driver's.
#[derive(Debug, Deserialize)]
pub(crate) struct ShiftPath {
    id: DriverId,
    shift: ShiftId,
}

pub(crate) const PLAN_SHIFT: Rule = Rule::post("/v1/drivers/{id}/shifts", Access::ADMIN).codes(&[Code::Conflict]);

/// Plan a shift
///
/// Plans of a zone reckon with the driver half an hour before it begins, if it says where; nothing is offered to
/// them before they say themselves that they are there. Two planned shifts of a driver never overlap.
#[utoipa::path(post, path = "/v1/drivers/{id}/shifts", tag = "drivers",
    params(
        ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day."),
    ),
    request_body(content = PlanShift, example = json!({
        "start": "2026-05-01T10:00:00Z", "end": "2026-05-01T18:00:00Z", "place": {"lat": 52.5163, "lng": 13.3777},
    })),
    responses((status = 201, body = PlannedShiftView, headers(
        ("location" = String, description = "Path of the planned shift."),
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn plan_shift(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
    IdempotencyKey(key): IdempotencyKey,
    Body { value: new, bytes }: Body<PlanShift>,
) -> Answer<Response> {
    let path = format!("/v1/drivers/{id}/shifts");
    let place = new.place.map(|p| Place::new(p.lat, p.lng)).transpose();
    let place = place.map_err(|error| Problem::invalid("place", error.to_string()))?;
    let running = key.as_deref().map(|key| app.in_flight().enter(admitted.caller.party, key)).transpose()?;
    let idempotency = key.map(|key| admitted.idempotency(key, &path, &bytes));
    let planned = app.live().plan_shift(id, new.start, new.end, place, idempotency, admitted.cause()).await;
    drop(running);
    Ok(match planned.map_err(refused)? {
        Once::New(shift) => {
            let location = format!("{path}/{}", shift.id);
            (StatusCode::CREATED, [(header::LOCATION, location)], Json(PlannedShiftView::of(&shift))).into_response()
        }
        Once::Replayed { status, body } => replayed(status, body, &path),
    })
}

pub(crate) const PLANNED_SHIFTS: Rule = Rule::get("/v1/drivers/{id}/shifts", Access::ADMIN_OR_DRIVER);

/// List a driver's planned shifts
///
/// Those that are not over, the first to end first, on one page of at most 500.
#[utoipa::path(get, path = "/v1/drivers/{id}/shifts", tag = "drivers",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = Page<PlannedShiftView>)))]
pub(crate) async fn planned_shifts(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
) -> Answer<Json<Page<PlannedShiftView>>> {
    admitted.driver(id)?;
    let shifts = app.live().planned_shifts(id).await.map_err(refused)?;
    Ok(Json(Page { items: shifts.iter().map(PlannedShiftView::of).collect(), next_cursor: None }))
}

pub(crate) const DROP_SHIFT: Rule = Rule::delete("/v1/drivers/{id}/shifts/{shift}", Access::ADMIN);

/// Drop a planned shift
///
/// A driver who is at work by then stays so.
#[utoipa::path(delete, path = "/v1/drivers/{id}/shifts/{shift}", tag = "drivers",
    params(
        ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("shift" = String, Path, description = "The shift.", example = "shf_01jd8v7cjxfm9sxv0q3e0b5z1c"),
    ),
    responses((status = 204)))]
pub(crate) async fn drop_shift(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(ShiftPath { id, shift }): Path<ShiftPath>,
) -> Answer<StatusCode> {
    app.live().drop_shift(id, shift, admitted.cause()).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}
