//! Where a driver is: from what a device sent to what the live system takes. For REST and the driver's socket.

use axum::Json;
use axum::extract::State;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::DriverId;
use posthaste_domain::place::Place;
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::problem::Answer;
use posthaste_live::presence::Fix;
use posthaste_protocol::drivers::{PositionBatch, PositionReport};
use posthaste_protocol::problem::{Code, FieldError, Problem};
use posthaste_protocol::socket::Ack;

use crate::AppState;
use crate::access::Admitted;
use crate::refusals::refused;
use crate::texts::wrong;

/// The position of a report, or the field that is wrong. A device's clock may be ahead: what it says is later than
/// `now` counts as now, so that one bad clock does not shut out what comes after.
pub(crate) fn fix(report: &PositionReport, now: Timestamp) -> Result<Fix, (&'static str, &'static str)> {
    let place = Place::new(report.lat, report.lng).map_err(|_| {
        if Place::new(report.lat, 0.0).is_err() {
            ("lat", "must lie between -90 and 90")
        } else {
            ("lng", "must lie between -180 and 180")
        }
    })?;
    let not_below_zero = |value: Option<f32>| value.is_none_or(|v| v.is_finite() && v >= 0.0);
    if !not_below_zero(report.accuracy_meters) {
        return Err(("accuracy_meters", "must not be negative"));
    }
    if !not_below_zero(report.speed_meters_per_second) {
        return Err(("speed_meters_per_second", "must not be negative"));
    }
    if report.heading_degrees.is_some_and(|d| !(0.0..=360.0).contains(&d)) {
        return Err(("heading_degrees", "must lie between 0 and 360"));
    }
    Ok(Fix {
        place,
        at: report.at.map_or(now, |at| at.min(now)),
        heading_degrees: report.heading_degrees,
        speed_meters_per_second: report.speed_meters_per_second,
        accuracy_meters: report.accuracy_meters,
    })
}

/// The positions of a batch, oldest first, or every field that is wrong.
pub(crate) fn fixes(batch: &PositionBatch, most: u32, now: Timestamp) -> Answer<Vec<Fix>> {
    let count = batch.positions.len();
    if count == 0 {
        return Err(Problem::invalid("positions", "must not be empty").into());
    }
    if count > most as usize {
        let error = wrong("positions", format!("at most {most} in one batch"));
        return Err(Problem::new(Code::TooLarge).errors(vec![error]).into());
    }
    let mut errors: Vec<FieldError> = Vec::new();
    let mut fixes = Vec::with_capacity(count);
    for (n, report) in batch.positions.iter().enumerate() {
        match fix(report, now) {
            Ok(fix) => fixes.push(fix),
            Err((field, problem)) => errors.push(wrong(format!("positions[{n}].{field}"), problem)),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::new(Code::Invalid).errors(errors).into());
    }
    fixes.sort_by_key(|fix| fix.at);
    Ok(fixes)
}

/// Hand in positions
///
/// A batch that a device collected, in any order, with its own times. Answered when they are stored; the newest
/// becomes the present position if it is newer than what is known. Those older than tracks are kept (30 days unless
/// configured otherwise) are left out, so that a device whose clock was wrong gets rid of them; `changed` is false when
/// that was all.
#[utoipa::path(post, path = "/v1/drivers/{id}/positions", tag = "drivers at work",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = PositionBatch, example = json!({"positions": [
        {"lat": 52.5163, "lng": 13.3777, "at": "2026-05-01T12:00:00Z", "accuracy_meters": 8.0},
        {"lat": 52.5168, "lng": 13.3790, "at": "2026-05-01T12:00:10Z", "speed_meters_per_second": 5.5},
    ]})),
    responses((status = 200, body = Ack)))]
pub(crate) async fn report(
    State(app): State<AppState>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
    Body { value: batch, .. }: Body<PositionBatch>,
) -> Answer<Json<Ack>> {
    admitted.driver(id)?;
    let now = app.system().clock().now();
    let fixes = fixes(&batch, app.limits().socket.batch_positions, now)?;
    let changed = app.system().drivers().positions(id, fixes).await.map_err(refused)?;
    Ok(Json(Ack::new(changed, Some(now))))
}

/// A sign of life
///
/// For a driver whose network eats sockets: without one now and then he gets no new work.
#[utoipa::path(post, path = "/v1/drivers/{id}/heartbeat", tag = "drivers at work",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = Ack)))]
pub(crate) async fn heartbeat(
    State(app): State<AppState>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
) -> Answer<Json<Ack>> {
    admitted.driver(id)?;
    app.system().drivers().presence(id).await.map_err(refused)?.heartbeat();
    Ok(Json(Ack::new(true, Some(app.system().clock().now()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::Span;

    fn report(json: serde_json::Value) -> PositionReport {
        serde_json::from_value(json).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_timestamp(1_777_777_777, 0).unwrap()
    }

    #[test]
    fn every_wrong_field_of_a_batch_is_named() {
        let batch = PositionBatch {
            positions: vec![
                report(serde_json::json!({"lat": 91, "lng": 0})),
                report(serde_json::json!({"lat": 0, "lng": 0, "heading_degrees": 361})),
                report(serde_json::json!({"lat": 0, "lng": -200})),
            ],
        };
        let problem = fixes(&batch, 500, now()).unwrap_err().into_problem();
        let fields: Vec<_> = problem.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["positions[0].lat", "positions[1].heading_degrees", "positions[2].lng"]);
    }

    #[test]
    fn a_batch_is_ordered_by_the_devices_times_and_bounded() {
        let at = |seconds: i64| report(serde_json::json!({"lat": 0, "lng": 0, "at": now() - Span::seconds(seconds)}));
        let batch = PositionBatch { positions: vec![at(5), at(20), at(10)] };
        let times: Vec<_> = fixes(&batch, 3, now()).unwrap().iter().map(|f| (now() - f.at).num_seconds()).collect();
        assert_eq!(times, [20, 10, 5]);
        assert_eq!(fixes(&batch, 2, now()).unwrap_err().problem().code, Code::TooLarge);
        assert_eq!(
            fixes(&PositionBatch { positions: Vec::new() }, 2, now()).unwrap_err().problem().code,
            Code::Invalid
        );
    }

    #[test]
    fn a_device_whose_clock_is_ahead_is_taken_to_mean_now() {
        let ahead = report(serde_json::json!({"lat": 0, "lng": 0, "at": now() + Span::hours(5)}));
        assert_eq!(fix(&ahead, now()).unwrap().at, now());
    }
}
