//! What a driver does at work: the REST twins of their socket's commands. An `Idempotency-Key` is the command's id.

use axum::Json;
use axum::extract::State;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OfferId, TaskId};
use posthaste_domain::order::{Proof, ReleaseReason, TaskKind};
use posthaste_domain::place::Place;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, JsonOrDefault, Path};
use posthaste_http::idempotency::IdempotencyKey;
use posthaste_http::problem::Answer;
use posthaste_live::drivers::{DriverCommand, ShiftChange};
use posthaste_protocol::drivers::{NextStop, RouteView, ShiftView};
use posthaste_protocol::orders::{CompleteTask, FailTask, ProofView};
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::socket::Ack;
use serde::Deserialize;

use crate::Dispatch;
use crate::access::Admitted;
use crate::refusals::refused;
use crate::texts;

/// An offer to a driver.
#[derive(Debug, Deserialize)]
pub(crate) struct OfferPath {
    id: DriverId,
    offer: OfferId,
}

/// A task of a driver's.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskPath {
    id: DriverId,
    task: TaskId,
}

/// What a shift change asks for.
pub(crate) fn read_shift(view: ShiftView) -> Answer<ShiftChange> {
    let place = view.place.map(|p| Place::new(p.lat, p.lng)).transpose();
    let place = place.map_err(|error| Problem::invalid("place", error.to_string()))?;
    let shift = Shift::from(view);
    if view.hand_back && shift.is_on() {
        return Err(Problem::invalid("hand_back", "goes with offline").into());
    }
    Ok(ShiftChange { shift, place, hand_back: view.hand_back.then_some(ReleaseReason::ShiftEnded) })
}

/// What is shown for a hand-over.
pub(crate) fn read_proof(proof: Option<ProofView>) -> Answer<Option<Proof>> {
    let proof = proof.map(ProofView::into_proof).transpose();
    Ok(proof.map_err(|error| Problem::new(Code::Invalid).errors(vec![error]))?)
}

pub(crate) const SHIFT: Rule =
    Rule::put("/v1/drivers/{id}/shift", Access::ADMIN_OR_DRIVER).command().codes(&[Code::Conflict]);

/// Start, pause or end a shift
///
/// Going offline stops new work; what was assigned is still carried to the door, unless it is handed back.
#[utoipa::path(put, path = "/v1/drivers/{id}/shift", tag = "drivers at work",
    params(
        ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command's id, as on the socket."),
    ),
    request_body(content = ShiftView, example = json!({
        "state": "available", "until": "2026-05-01T20:00:00Z", "place": {"lat": 52.5163, "lng": 13.3777},
    })),
    responses((status = 200, body = ShiftView)))]
pub(crate) async fn shift(
    State(app): State<Dispatch>,
    admitted: Admitted,
    IdempotencyKey(key): IdempotencyKey,
    Path(id): Path<DriverId>,
    Body { value: wanted, .. }: Body<ShiftView>,
) -> Answer<Json<ShiftView>> {
    admitted.driver(id)?;
    let change = read_shift(wanted)?;
    let (now, _, _) = app.live().change_shift(id, change, admitted.cause().under(key)).await.map_err(refused)?;
    Ok(Json(now.into()))
}

pub(crate) const ROUTE: Rule = Rule::get("/v1/drivers/{id}/route", Access::ADMIN_OR_DRIVER);

/// What a driver has to do
///
/// Open stops, next first, and open offers.
#[utoipa::path(get, path = "/v1/drivers/{id}/route", tag = "drivers at work",
    params(("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = RouteView)))]
pub(crate) async fn route(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<DriverId>,
) -> Answer<Json<RouteView>> {
    admitted.driver(id)?;
    let work = app.live().work(id).await.map_err(refused)?;
    Ok(Json(posthaste_live::views::route(id, &work)))
}

pub(crate) const CHOOSE_NEXT: Rule = Rule::put("/v1/drivers/{id}/route/next", Access::ADMIN_OR_DRIVER)
    .command()
    .codes(&[Code::Conflict, Code::OrderEnded]);

/// Choose the next stop
///
/// The driver does this stop first, before anything else but what they are at; a plan is made around it. It holds until
/// the stop is done, the order is gone, or it is taken back. `late` names the orders whose promise that is likely to
/// break; the planned times come with the next route.
#[utoipa::path(put, path = "/v1/drivers/{id}/route/next", tag = "drivers at work",
    params(
        ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command's id, as on the socket."),
    ),
    request_body(content = NextStop, example = json!({"task_id": "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"})),
    responses((status = 200, body = Ack)))]
pub(crate) async fn choose_next(
    State(app): State<Dispatch>,
    admitted: Admitted,
    IdempotencyKey(key): IdempotencyKey,
    Path(id): Path<DriverId>,
    Body { value: next, .. }: Body<NextStop>,
) -> Answer<Json<Ack>> {
    next_is(&app, &admitted, id, Some(next.task_id), key).await
}

pub(crate) const UNDO_NEXT: Rule = Rule::delete("/v1/drivers/{id}/route/next", Access::ADMIN_OR_DRIVER)
    .command()
    .codes(&[Code::Conflict, Code::OrderEnded]);

/// Take back the choice of the next stop
#[utoipa::path(delete, path = "/v1/drivers/{id}/route/next", tag = "drivers at work",
    params(
        ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command's id, as on the socket."),
    ),
    responses((status = 200, body = Ack)))]
pub(crate) async fn undo_next(
    State(app): State<Dispatch>,
    admitted: Admitted,
    IdempotencyKey(key): IdempotencyKey,
    Path(id): Path<DriverId>,
) -> Answer<Json<Ack>> {
    next_is(&app, &admitted, id, None, key).await
}

async fn next_is(
    app: &Dispatch,
    admitted: &Admitted,
    id: DriverId,
    task: Option<TaskId>,
    key: Option<String>,
) -> Answer<Json<Ack>> {
    admitted.driver(id)?;
    let cause = admitted.cause().under(key);
    let chosen = app.live().choose_next(id, task, cause).await.map_err(refused)?;
    Ok(Json(Ack { late: chosen.late, ..Ack::new(chosen.changed, Some(chosen.at)) }))
}

async fn ask(
    app: &Dispatch,
    admitted: &Admitted,
    id: DriverId,
    command: DriverCommand,
    key: Option<String>,
) -> Answer<Json<Ack>> {
    admitted.driver(id)?;
    let done = app.live().command_driver(id, command, key, admitted.cause()).await.map_err(refused)?;
    Ok(Json(Ack::new(done.changed, Some(done.at))))
}

/// Commands that are about one thing and say no more: which parameter of the path it is, then each with its contract.
macro_rules! commands {
    (about $thing:literal, $words:literal, $example:literal, in $path_type:ident as $field:ident;
        $($(#[doc = $doc:literal])+ $name:ident: $rule:ident => $path:literal, $command:ident, [$($code:ident),*];)+) => { $(
        pub(crate) const $rule: Rule =
            Rule::post($path, Access::ADMIN_OR_DRIVER).command().codes(&[$(Code::$code),*]);

        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "drivers at work",
            params(
                ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
                ($thing = String, Path, description = $words, example = $example),
                ("Idempotency-Key" = Option<String>, Header, description = "The command's id, as on the socket."),
            ),
            responses((status = 200, body = Ack)))]
        pub(crate) async fn $name(
            State(app): State<Dispatch>,
            admitted: Admitted,
            Path($path_type { id, $field }): Path<$path_type>,
            IdempotencyKey(key): IdempotencyKey,
        ) -> Answer<Json<Ack>> {
            ask(&app, &admitted, id, DriverCommand::$command($field), key).await
        }
    )+ };
}

commands! {
    about "offer", "The offer.", "ofr_01jd8v7cjxfm9sxv0q3e0b5z1c", in OfferPath as offer;
    /// Take an offer
    ///
    /// Answered when the order is the driver's in the database.
    accept: ACCEPT => "/v1/drivers/{id}/offers/{offer}/accept", Accept, [OfferGone, DriverBusy, OrderEnded];
    /// Decline an offer
    ///
    /// It goes to another driver; this one is not asked about the order again for a while.
    decline: DECLINE => "/v1/drivers/{id}/offers/{offer}/decline", Decline, [OfferGone];
}

commands! {
    about "task", "The task.", "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c", in TaskPath as task;
    /// Set out for a task
    departed: DEPARTED => "/v1/drivers/{id}/tasks/{task}/departed", Depart, [Conflict, OrderEnded];
    /// Arrive at a task
    arrived: ARRIVED => "/v1/drivers/{id}/tasks/{task}/arrived", Arrive, [Conflict, OrderEnded];
}

macro_rules! completions {
    ($($(#[doc = $doc:literal])+ $name:ident: $rule:ident => $path:literal, $kind:ident;)+) => { $(
        pub(crate) const $rule: Rule = Rule::post($path, Access::ADMIN_OR_DRIVER).command().codes(&[
            Code::Conflict, Code::OrderEnded, Code::CodeRequired, Code::WrongCode, Code::CodeLocked,
        ]);

        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "drivers at work",
            params(
                ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
                ("task" = String, Path, description = "The task.", example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"),
                ("Idempotency-Key" = Option<String>, Header, description = "The command's id, as on the socket."),
            ),
            request_body(content = Option<CompleteTask>, example = json!({
                "code": "4711", "proof": {"received_by": "Ada", "photo_url": "https://photos.example/1.jpg"},
            })),
            responses((status = 200, body = Ack)))]
        pub(crate) async fn $name(
            State(app): State<Dispatch>,
            admitted: Admitted,
            Path(TaskPath { id, task }): Path<TaskPath>,
            IdempotencyKey(key): IdempotencyKey,
            JsonOrDefault(body): JsonOrDefault<CompleteTask>,
        ) -> Answer<Json<Ack>> {
            let command = complete(task, TaskKind::$kind, body)?;
            ask(&app, &admitted, id, command, key).await
        }
    )+ };
}

completions! {
    /// A pickup is done
    ///
    /// With the seller's code, where the order asks for one.
    picked_up: PICKED_UP => "/v1/drivers/{id}/tasks/{task}/picked_up", Pickup;
    /// The delivery is done
    ///
    /// With the customer's code, where the order asks for one.
    delivered: DELIVERED => "/v1/drivers/{id}/tasks/{task}/delivered", Delivery;
    /// A return is done
    returned: RETURNED => "/v1/drivers/{id}/tasks/{task}/returned", Return;
}

/// A task is done, as the kind that the caller believes it is.
pub(crate) fn complete(task: TaskId, kind: TaskKind, body: CompleteTask) -> Answer<DriverCommand> {
    // No code is this long: the order machine compares it, so that a wrong one counts as a try.
    texts::note("code", body.code.as_deref())?;
    Ok(DriverCommand::Complete { task, kind, code: body.code, proof: read_proof(body.proof)? })
}

pub(crate) const FAILED: Rule = Rule::post("/v1/drivers/{id}/tasks/{task}/failed", Access::ADMIN_OR_DRIVER)
    .command()
    .codes(&[Code::Conflict, Code::OrderEnded]);

/// A task cannot be done
///
/// The reason decides what becomes of the order: another driver, back to the sellers, or the end.
#[utoipa::path(post, path = "/v1/drivers/{id}/tasks/{task}/failed", tag = "drivers at work",
    params(
        ("id" = String, Path, description = "The driver.", example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("task" = String, Path, description = "The task.", example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command's id, as on the socket."),
    ),
    request_body(content = FailTask, example = json!({"reason": "customer_absent", "note": "rang twice"})),
    responses((status = 200, body = Ack)))]
pub(crate) async fn failed(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(TaskPath { id, task }): Path<TaskPath>,
    IdempotencyKey(key): IdempotencyKey,
    Body { value: body, .. }: Body<FailTask>,
) -> Answer<Json<Ack>> {
    texts::note("note", body.note.as_deref())?;
    let command = DriverCommand::Fail { task, reason: body.reason, note: body.note };
    ask(&app, &admitted, id, command, key).await
}
