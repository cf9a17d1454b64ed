//! Orders: place, read, list, and what their merchants and customers ask of them.

mod list;
mod place;

use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::{MerchantId, OrderId, TaskId};
use posthaste_domain::order::{Command, Order};
use posthaste_http::extract::{Json as Body, JsonOrDefault, Path};
use posthaste_http::problem::Answer;
use posthaste_live::orders::Done;
use posthaste_protocol::audience::{self, timeline_entry};
use posthaste_protocol::orders::{
    CancelOrder, ConfirmOrder, DecisionView, OrderView, RejectOrder, TimelineEntry, TrackingLink,
};
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_storage::{decisions, orders as stored};
use serde::Deserialize;

use crate::Dispatch;
use crate::access::{Admitted, Scope, no_such};
use crate::refusals::{refused, unread};
use crate::texts;

pub(crate) use list::{__path_list, LIST, id as query_id, list, time as query_time};
pub(crate) use place::{__path_place, PLACE, place};

/// The order, if it is the caller's business.
pub(crate) async fn visible(app: &Dispatch, admitted: &Admitted, id: OrderId) -> Answer<Arc<Order>> {
    let order = app.live().order(id).await.map_err(refused)?;
    admitted.order(&order)?;
    Ok(order)
}

/// The order after a command, as the caller may see it.
pub(crate) fn answer(admitted: &Admitted, done: &Done) -> Json<OrderView> {
    Json(OrderView::of(&done.order, admitted.caller.audience()))
}

async fn ask(app: &Dispatch, admitted: &Admitted, id: OrderId, command: Command) -> Answer<Json<OrderView>> {
    let done = app.live().command_order(id, command, admitted.cause()).await.map_err(refused)?;
    Ok(answer(admitted, &done))
}

pub(crate) const READ: Rule = Rule::get("/v1/orders/{id}", Access::WHOM_IT_CONCERNS).key(KeyScope::OrdersRead);

/// One order
///
/// Codes and contacts are shown to those who need them: a seller of a part sees that part, the code of its pickup, status and
/// driver; the owning merchant and the customer the code of the delivery; a driver no code, and a stop's contact while the
/// stop is theirs to do.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn read(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<OrderView>> {
    let order = visible(&app, &admitted, id).await?;
    Ok(Json(OrderView::of(&order, admitted.caller.audience())))
}

pub(crate) const CANCEL: Rule = Rule::post("/v1/orders/{id}/cancel", Access::ADMIN_OWNER_CUSTOMER)
    .key(KeyScope::OrdersWrite)
    .codes(&[Code::OrderEnded, Code::GoodsOnBoard]);

/// Cancel an order
///
/// By whoever may, at any stage before the end. With goods on board they go back: the order is then `returning`, and
/// `returned` when its sellers have them. On the way back it cannot be canceled.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = CancelOrder, example = json!({"reason": "ordered twice"})),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn cancel(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
    Body { value: body, .. }: Body<CancelOrder>,
) -> Answer<Json<OrderView>> {
    texts::reason("reason", &body.reason)?;
    visible(&app, &admitted, id).await?;
    ask(&app, &admitted, id, Command::Cancel { by: admitted.caller.party, reason: body.reason }).await
}

pub(crate) const CONFIRM: Rule = Rule::post("/v1/orders/{id}/confirm", Access::ADMIN_OR_SELLER)
    .key(KeyScope::OrdersWrite)
    .codes(&[Code::Conflict, Code::OrderEnded]);

/// Confirm a seller's part
///
/// The seller will have it ready; `ready_at` may say when. Operations say for which seller with `merchant_id`.
#[utoipa::path(post, path = "/v1/orders/{id}/confirm", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = ConfirmOrder, example = json!({"ready_at": "2026-05-01T12:20:00Z"})),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn confirm(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
    JsonOrDefault(body): JsonOrDefault<ConfirmOrder>,
) -> Answer<Json<OrderView>> {
    let seller = seller(&admitted, body.merchant_id)?;
    visible(&app, &admitted, id).await?;
    ask(&app, &admitted, id, Command::Confirm { seller, ready_at: body.ready_at }).await
}

pub(crate) const REJECT: Rule = Rule::post("/v1/orders/{id}/reject", Access::ADMIN_OR_SELLER)
    .key(KeyScope::OrdersWrite)
    .codes(&[Code::Conflict, Code::OrderEnded]);

/// Reject a seller's part
///
/// The order goes on with the other sellers' parts; without any left it is `rejected`.
#[utoipa::path(post, path = "/v1/orders/{id}/reject", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = RejectOrder, example = json!({"reason": "sold out"})),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn reject(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
    Body { value: body, .. }: Body<RejectOrder>,
) -> Answer<Json<OrderView>> {
    texts::reason("reason", &body.reason)?;
    let seller = seller(&admitted, body.merchant_id)?;
    visible(&app, &admitted, id).await?;
    ask(&app, &admitted, id, Command::Reject { seller, reason: body.reason }).await
}

/// A merchant speaks for itself; operations have to say for whom.
fn seller(admitted: &Admitted, named: Option<MerchantId>) -> Answer<MerchantId> {
    match (admitted.caller.merchant(), named) {
        (Some(own), None) => Ok(own),
        (Some(own), Some(named)) if own == named => Ok(own),
        (Some(_), Some(_)) => Err(Problem::invalid("merchant_id", "is another merchant: leave it out").into()),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(Problem::invalid("merchant_id", "is required: say for which seller").into()),
    }
}

pub(crate) const TIMELINE: Rule =
    Rule::get("/v1/orders/{id}/timeline", Access::ADMIN_SELLER_CUSTOMER).key(KeyScope::OrdersRead);

/// What happened to an order
///
/// Every event, oldest first, numbered without gaps, on one page. Who was asked is seen by operations alone, and a seller of a
/// part sees what is of that part.
#[utoipa::path(get, path = "/v1/orders/{id}/timeline", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = Page<TimelineEntry>)))]
pub(crate) async fn timeline(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<Page<TimelineEntry>>> {
    let order = visible(&app, &admitted, id).await?;
    let events = stored::timeline(app.pool(), id, 0).await.map_err(unread)?;
    let looking = admitted.caller.audience();
    let entries = events.iter().map(|(recorded, status)| timeline_entry(recorded, *status, &order, looking));
    Ok(Json(Page { items: entries.collect(), next_cursor: None }))
}

pub(crate) const DECISION: Rule =
    Rule::get("/v1/orders/{id}/decision", Access::ADMIN_OR_OWNER).key(KeyScope::OrdersRead);

/// Why an order has its driver, or none
///
/// The dispatcher's newest recorded decision: the choice, and for every candidate passed over the reason. A merchant sees how
/// many drivers were passed over for which reason, and the driver only where that driver has the order.
#[utoipa::path(get, path = "/v1/orders/{id}/decision", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = DecisionView)))]
pub(crate) async fn decision(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<DecisionView>> {
    let order = visible(&app, &admitted, id).await?;
    let newest = decisions::newest(app.pool(), id).await.map_err(unread)?;
    let decision = newest.ok_or_else(|| no_such("decision: the dispatcher has not looked at the order yet"))?;
    let view = DecisionView {
        order_id: decision.order,
        at: decision.at,
        driver_id: decision.driver,
        summary: decision.summary,
        detail: decision.detail,
    };
    Ok(Json(audience::decision(view, &order, admitted.caller.audience())))
}

pub(crate) const TRACKING_LINK: Rule =
    Rule::get("/v1/orders/{id}/tracking-link", Access::ADMIN_OWNER_CUSTOMER).key(KeyScope::OrdersRead);

/// The order's tracking link
///
/// Whoever holds it can follow the order, without a token.
#[utoipa::path(get, path = "/v1/orders/{id}/tracking-link", tag = "orders",
    params(("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = TrackingLink)))]
pub(crate) async fn tracking_link(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(id): Path<OrderId>,
) -> Answer<Json<TrackingLink>> {
    visible(&app, &admitted, id).await?;
    let token = app.keys().tracking_token(id);
    let path = format!("/v1/tracking/{token}");
    Ok(Json(TrackingLink { token, path }))
}

/// A task of an order.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskPath {
    id: OrderId,
    task: TaskId,
}

pub(crate) const UNLOCK_CODE: Rule = Rule::post("/v1/orders/{id}/tasks/{task}/unlock-code", Access::ADMIN_OR_SELLER)
    .key(KeyScope::OrdersWrite)
    .codes(&[Code::Conflict, Code::OrderEnded]);

/// Forgive a task's wrong codes
///
/// After too many wrong codes a task refuses all for a while. The owning merchant may end that at every task, a
/// seller at its own pickup.
#[utoipa::path(post, path = "/v1/orders/{id}/tasks/{task}/unlock-code", tag = "orders",
    params(
        ("id" = String, Path, description = "The order.", example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("task" = String, Path, description = "The task.", example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"),
    ),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn unlock_code(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Path(TaskPath { id, task }): Path<TaskPath>,
) -> Answer<Json<OrderView>> {
    let order = visible(&app, &admitted, id).await?;
    let seller = order.task(task).ok_or_else(|| no_such("task"))?.seller;
    let caller = admitted.caller.merchant();
    if admitted.scope != Scope::All && caller != Some(order.merchant) && caller != seller {
        return Err(Problem::new(Code::Forbidden).detail("the task is another seller's").into());
    }
    ask(&app, &admitted, id, Command::UnlockCode { task }).await
}
