//! Where a driver is: from what a device sent to what the live system takes. For REST and the driver's socket.

use axum::Json;
use axum::extract::State;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::DriverId;
use posthaste_domain::place::Place;
use posthaste_domain::position::{Measures, Report};
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::problem::Answer;
use posthaste_live::drivers::Received;
use posthaste_protocol::drivers::{PositionBatch, PositionReport, PositionsTaken};
use posthaste_protocol::problem::{Code, FieldError, Problem};
use posthaste_protocol::socket::Ack;

use crate::Dispatch;
use crate::access::Admitted;
use crate::refusals::refused;
use crate::texts::wrong;

/// What a device reports, or the field that is no place. What else it measured, and its time, are never wrong: what says
/// nothing counts as left out.
pub(crate) fn read_report(given: &PositionReport) -> Result<Report, (&'static str, &'static str)> {
    let place = Place::new(given.lat, given.lng).map_err(|_| {
        if Place::new(given.lat, 0.0).is_err() {
            ("lat", "must lie between -90 and 90")
        } else {
            ("lng", "must lie between -180 and 180")
        }
    })?;
    let measures = Measures {
        heading_degrees: given.heading_degrees,
        speed_meters_per_second: given.speed_meters_per_second,
        accuracy_meters: given.accuracy_meters,
    };
    Ok(Report::new(place, given.at, measures))
}

/// The positions of a batch, none for each whose place is none. Where that is all, every field that is wrong.
pub(crate) fn reports(batch: &PositionBatch, most: u32) -> Answer<Vec<Option<Report>>> {
    let count = batch.positions.len();
    if count == 0 {
        return Err(Problem::invalid("positions", "must not be empty").into());
    }
    if count > most as usize {
        let error = wrong("positions", format!("at most {most} in one batch"));
        return Err(Problem::new(Code::TooLarge).errors(vec![error]).into());
    }
    let mut errors: Vec<FieldError> = Vec::new();
    let mut reports = Vec::with_capacity(count);
    for (n, given) in batch.positions.iter().enumerate() {
        let read = read_report(given);
        if let Err((field, problem)) = read {
            errors.push(wrong(format!("positions[{n}].{field}"), problem));
        }
        reports.push(read.ok());
    }
    if errors.len() == count {
        return Err(Problem::new(Code::Invalid).errors(errors).into());
    }
    Ok(reports)
}

/// The answer to a batch.
pub(crate) fn received(Received { changed, taken, clock_behind }: Received, now: Timestamp) -> Ack {
    let positions = Some(Box::new(PositionsTaken::of(&taken, clock_behind)));
    Ack { positions, ..Ack::new(changed, Some(now)) }
}

pub(crate) const REPORT: Rule = Rule::post("/v1/drivers/{id}/positions", Access::ADMIN_OR_DRIVER);

/// Hand in positions
///
/// A batch that a device collected, in any order, with its own times. Answered when they are stored; the newest
/// becomes the present position if it is newer than what is known, older ones are kept for the track. A position that
/// cannot be believed costs only itself: `positions` in the answer says how many were taken, and names those that were
/// left out. They are not to be sent again. Of several with one time the last counts; `changed` is false when nothing was new. A batch in which nothing is a place is
/// refused.
#[utoipa::path(post, path = "/v1/drivers/{id}/positions", tag = "drivers at work",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = PositionBatch, example = json!({"positions": [
        {"lat": 52.5163, "lng": 13.3777, "at": "2026-05-01T12:00:00Z", "accuracy_meters": 8.0},
        {"lat": 52.5168, "lng": 13.3790, "at": "2026-05-01T12:00:10Z", "speed_meters_per_second": 5.5},
    ]})),
    responses((status = 200, body = Ack)))]
pub(crate) async fn report(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
    Body { value: batch, .. }: Body<PositionBatch>,
) -> Answer<Json<Ack>> {
    admitted.driver(id)?;
    let reports = reports(&batch, app.limits().socket.batch_positions)?;
    let outcome = app.live().positions(id, reports).await.map_err(refused)?;
    Ok(Json(received(outcome, app.clock().now())))
}

pub(crate) const HEARTBEAT: Rule = Rule::post("/v1/drivers/{id}/heartbeat", Access::ADMIN_OR_DRIVER);

/// A sign of life
///
/// For a driver whose network eats sockets: without one now and then they get no new work.
#[utoipa::path(post, path = "/v1/drivers/{id}/heartbeat", tag = "drivers at work",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = Ack)))]
pub(crate) async fn heartbeat(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
) -> Answer<Json<Ack>> {
    admitted.driver(id)?;
    app.live().slot(id).await.map_err(refused)?.heartbeat();
    Ok(Json(Ack::new(true, Some(app.clock().now()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn batch(positions: &[Value]) -> PositionBatch {
        serde_json::from_value(json!({ "positions": positions })).unwrap()
    }

    #[test]
    fn a_batch_without_a_place_is_refused_and_every_wrong_field_named() {
        let nowhere = [json!({"lat": 91, "lng": 0}), json!({"lat": null, "lng": 0}), json!({"lat": 0, "lng": -200})];
        let problem = reports(&batch(&nowhere), 500).unwrap_err().into_problem();
        let fields: Vec<_> = problem.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["positions[0].lat", "positions[1].lat", "positions[2].lng"]);
    }

    #[test]
    fn one_that_is_no_place_costs_only_itself() {
        let read = reports(&batch(&[json!({"lat": 91, "lng": 0}), json!({"lat": 52.5, "lng": 13.4})]), 500).unwrap();
        assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_batch_is_bounded() {
        let three = vec![json!({"lat": 52.5, "lng": 13.4}); 3];
        assert_eq!(reports(&batch(&three), 3).unwrap().len(), 3);
        assert_eq!(reports(&batch(&three), 2).unwrap_err().problem().code, Code::TooLarge);
        assert_eq!(reports(&batch(&[]), 2).unwrap_err().problem().code, Code::Invalid);
    }
}
