//! The routes of messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use posthaste_domain::ids::{Id, WebhookEndpointId, WebhookMessageId};
use posthaste_http::auth::Caller;
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, Path, Query};
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::Code;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::webhooks::{ReplayFrom, Replayed, WebhookMessageDetail, WebhookMessageView, WebhookState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::store;
use crate::routes::all_right;
use crate::{Refused, Webhooks};

pub(crate) const SEND_TEST: Rule = Rule::post("/v1/webhooks/endpoints/{id}/test", Access::ADMIN_OR_OWNER)
    .key(KeyScope::WebhooksWrite)
    .codes(&[Code::Conflict]);

/// Send a test
///
/// A message of type `webhook.test` to the endpoint, whatever types it chose. Ask for the message to see what came of
/// it.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/test", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 202, body = WebhookMessageView)))]
pub(crate) async fn send_test(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
) -> Answer<(StatusCode, Json<WebhookMessageView>)> {
    Ok((StatusCode::ACCEPTED, Json(webhooks.test(&caller, id).await?)))
}

/// Which messages.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Of this state: `waiting`, `delivered` or `set_aside`. All where absent.
    #[param(value_type = Option<WebhookState>, example = "set_aside")]
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100.
    #[param(value_type = Option<u32>, example = 20)]
    limit: Option<String>,
}

pub(crate) const LIST_MESSAGES: Rule =
    Rule::get("/v1/webhooks/endpoints/{id}/messages", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksRead);

/// Messages of an endpoint
///
/// Newest first, of the last 30 days.
#[utoipa::path(get, path = "/v1/webhooks/endpoints/{id}/messages", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c"), Listed),
    responses((status = 200, body = Page<WebhookMessageView>)))]
pub(crate) async fn list_messages(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
    Query(listed): Query<Listed>,
) -> Answer<Json<Page<WebhookMessageView>>> {
    let mut wrong = Vec::new();
    let limit = pages::limit(listed.limit.as_deref(), &mut wrong);
    let cursor = pages::cursor(listed.cursor.as_deref(), &mut wrong);
    let states = [WebhookState::Waiting, WebhookState::Delivered, WebhookState::SetAside];
    let state = states.into_iter().find(|state| listed.state.as_deref() == Some(store::state_name(*state)));
    if listed.state.is_some() && state.is_none() {
        let problem = "must be waiting, delivered or set_aside".to_owned();
        wrong.push(FieldError { field: "state".to_owned(), problem });
    }
    all_right(wrong)?;
    webhooks.endpoint(&caller, id).await?;
    let before = cursor.map(|cursor| cursor.id);
    let found = store::list(webhooks.pool(), id, state, before, limit + 1).await.map_err(Refused::from)?;
    let place = |message: &WebhookMessageView| Cursor { at: message.at, id: message.id.uuid() };
    let (items, next_cursor) = pages::cut(found, limit, place);
    Ok(Json(Page { items, next_cursor }))
}

pub(crate) const READ_MESSAGE: Rule =
    Rule::get("/v1/webhooks/messages/{id}", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksRead);

/// One message
///
/// With its attempts and what is sent.
#[utoipa::path(get, path = "/v1/webhooks/messages/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The message.", example = "whm_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = WebhookMessageDetail)))]
pub(crate) async fn read_message(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookMessageId>,
) -> Answer<Json<WebhookMessageDetail>> {
    Ok(Json(webhooks.message(&caller, id).await?))
}

pub(crate) const REPLAY_MESSAGE: Rule =
    Rule::post("/v1/webhooks/messages/{id}/replay", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksWrite);

/// Replay a message
///
/// It is sent again under the same `webhook-id`, whatever became of it before. Later messages of its order that wait
/// come after it.
#[utoipa::path(post, path = "/v1/webhooks/messages/{id}/replay", tag = "webhooks",
    params(("id" = String, Path, description = "The message.", example = "whm_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 202, body = WebhookMessageView)))]
pub(crate) async fn replay_message(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookMessageId>,
) -> Answer<(StatusCode, Json<WebhookMessageView>)> {
    Ok((StatusCode::ACCEPTED, Json(webhooks.replay(&caller, id).await?)))
}

pub(crate) const REPLAY_MESSAGES: Rule =
    Rule::post("/v1/webhooks/endpoints/{id}/replay", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksWrite);

/// Replay from a point in time
///
/// Everything that happened since, delivered or set aside, under the same `webhook-id`s, each order's events in their
/// order. At most 20,000 messages at once, of the last 30 days.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/replay", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = ReplayFrom, example = json!({"from": "2026-05-01T12:00:00Z", "only_set_aside": true})),
    responses((status = 202, body = Replayed)))]
pub(crate) async fn replay_messages(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
    Body { value: asked, .. }: Body<ReplayFrom>,
) -> Answer<(StatusCode, Json<Replayed>)> {
    Ok((StatusCode::ACCEPTED, Json(webhooks.replay_from(&caller, id, &asked).await?)))
}
