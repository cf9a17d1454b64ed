//! The routes of endpoints.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::ids::{Id, MerchantId, WebhookEndpointId};
use posthaste_http::auth::Caller;
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, JsonOrDefault, Path, Query};
use posthaste_http::idempotency::{IdempotencyKey, fingerprint, fingerprints, replayed, replayed_as_it_was};
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::Code;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::webhooks::{CreateEndpoint, EndpointView, EndpointWithSecret, PutEndpoint, RotateSecret};
use posthaste_storage::idempotency::Once;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Shown, reach, store};
use crate::routes::all_right;
use crate::{Refused, Webhooks};

const PATH: &str = "/v1/webhooks/endpoints";

pub(crate) const CREATE_ENDPOINT: Rule = Rule::post("/v1/webhooks/endpoints", Access::ADMIN_OR_OWNER)
    .key(KeyScope::WebhooksWrite)
    .sensitive()
    .codes(&[Code::Conflict]);

/// Make an endpoint
///
/// Where a merchant's program is told of events, signed after Standard Webhooks. The secret is shown this once. At most
/// 10 for a merchant. Operations say for which merchant with `merchant_id`. With an `Idempotency-Key`, sending the same
/// again gives the first answer, secret included, and makes nothing.
#[utoipa::path(post, path = "/v1/webhooks/endpoints", tag = "webhooks",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day.")),
    request_body(content = CreateEndpoint,
        example = json!({"url": "https://shop.example/webhooks", "types": ["order.placed", "order.delivered"]})),
    responses((status = 201, body = EndpointWithSecret, headers(
        ("location" = String, description = "Path of the endpoint."),
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn create_endpoint(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body { value: asked, bytes }: Body<CreateEndpoint>,
) -> Answer<Response> {
    let once = key.map(|key| Once::new(caller.party, key, fingerprints(&Method::POST, PATH, &bytes)));
    Ok(match webhooks.create(&caller, asked, once.as_ref()).await? {
        Shown::Now(made) => {
            let location = format!("{PATH}/{}", made.endpoint.id);
            (StatusCode::CREATED, [(header::LOCATION, location)], Json(made)).into_response()
        }
        Shown::Again(status, body) => replayed(status, body, PATH),
    })
}

/// Which endpoints.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Of this merchant: for operations.
    #[param(example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    merchant_id: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100.
    #[param(value_type = Option<u32>, example = 20)]
    limit: Option<String>,
}

pub(crate) const LIST_ENDPOINTS: Rule =
    Rule::get("/v1/webhooks/endpoints", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksRead);

/// List endpoints
///
/// A merchant's own, newest first, on one page; everybody's, or one merchant's, for operations.
#[utoipa::path(get, path = "/v1/webhooks/endpoints", tag = "webhooks", params(Listed),
    responses((status = 200, body = Page<EndpointView>)))]
pub(crate) async fn list_endpoints(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Query(listed): Query<Listed>,
) -> Answer<Json<Page<EndpointView>>> {
    let mut wrong = Vec::new();
    let limit = pages::limit(listed.limit.as_deref(), &mut wrong);
    let cursor = pages::cursor(listed.cursor.as_deref(), &mut wrong);
    let named: Option<MerchantId> = listed.merchant_id.and_then(|text| match text.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            let invalid: posthaste_domain::ids::InvalidId = error;
            wrong.push(FieldError { field: "merchant_id".to_owned(), problem: invalid.to_string() });
            None
        }
    });
    all_right(wrong)?;
    // What somebody else's list would hold is not there for them: an empty list, as with orders.
    if reach(&caller).is_some() && named.is_some() && named != reach(&caller) {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    }
    if let Some(merchant) = reach(&caller).or(named) {
        let items = store::of_merchant(webhooks.pool(), merchant).await.map_err(Refused::from)?;
        return Ok(Json(Page { items, next_cursor: None }));
    }
    let before = cursor.map(|cursor| cursor.id);
    let found = store::before(webhooks.pool(), before, limit + 1).await.map_err(Refused::from)?;
    let place = |endpoint: &EndpointView| Cursor { at: endpoint.created_at, id: endpoint.id.uuid() };
    let (items, next_cursor) = pages::cut(found, limit, place);
    Ok(Json(Page { items, next_cursor }))
}

pub(crate) const READ_ENDPOINT: Rule =
    Rule::get("/v1/webhooks/endpoints/{id}", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksRead);

/// One endpoint
///
/// With how it fares: whether it is paused and why.
#[utoipa::path(get, path = "/v1/webhooks/endpoints/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = EndpointView)))]
pub(crate) async fn read_endpoint(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
) -> Answer<Json<EndpointView>> {
    Ok(Json(webhooks.endpoint(&caller, id).await?))
}

pub(crate) const REPLACE_ENDPOINT: Rule = Rule::put("/v1/webhooks/endpoints/{id}", Access::ADMIN_OR_OWNER)
    .key(KeyScope::WebhooksWrite)
    .sensitive()
    .codes(&[Code::Conflict]);

/// Change an endpoint
///
/// All of what its owner chooses is replaced. Messages that wait go to the new URL.
#[utoipa::path(put, path = "/v1/webhooks/endpoints/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = PutEndpoint,
        example = json!({"url": "https://shop.example/webhooks", "types": [], "enabled": true})),
    responses((status = 200, body = EndpointView)))]
pub(crate) async fn replace_endpoint(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
    Body { value: asked, .. }: Body<PutEndpoint>,
) -> Answer<Json<EndpointView>> {
    Ok(Json(webhooks.replace(&caller, id, asked).await?))
}

pub(crate) const DELETE_ENDPOINT: Rule = Rule::delete("/v1/webhooks/endpoints/{id}", Access::ADMIN_OR_OWNER)
    .key(KeyScope::WebhooksWrite)
    .sensitive()
    .codes(&[Code::Conflict]);

/// Remove an endpoint
///
/// It is sent nothing more. Its messages are gone.
#[utoipa::path(delete, path = "/v1/webhooks/endpoints/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete_endpoint(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
) -> Answer<StatusCode> {
    webhooks.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) const ROTATE_SECRET: Rule =
    Rule::post("/v1/webhooks/endpoints/{id}/secret", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksWrite).sensitive();

/// Rotate a secret
///
/// The new one is shown this once, and signs from now on. The one before signs too for `overlap_hours` (24 where left
/// out): every message then carries two signatures, and receivers may know either. A third is never valid: where the
/// answer was lost, the same `Idempotency-Key` gives it again, where rotating anew would end the secret before.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/secret", tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day."),
    ),
    request_body(content = RotateSecret, example = json!({"overlap_hours": 24})),
    responses((status = 200, body = EndpointWithSecret, headers(
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn rotate_secret(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
    IdempotencyKey(key): IdempotencyKey,
    JsonOrDefault(asked): JsonOrDefault<RotateSecret>,
) -> Answer<Response> {
    let path = format!("{PATH}/{id}/secret");
    // A body that was left out means the same as one that says so.
    let meant = asked.overlap_hours.to_be_bytes();
    let once = key.map(|key| Once::new(caller.party, key, fingerprint(&Method::POST, &path, &meant)));
    Ok(match webhooks.rotate(&caller, id, &asked, once.as_ref()).await? {
        Shown::Now(made) => Json(made).into_response(),
        Shown::Again(status, body) => replayed_as_it_was(status, body),
    })
}

pub(crate) const RESUME_ENDPOINT: Rule = Rule::post("/v1/webhooks/endpoints/{id}/resume", Access::ADMIN_OR_OWNER)
    .key(KeyScope::WebhooksWrite)
    .codes(&[Code::Conflict]);

/// Resume an endpoint
///
/// One that the server paused because it kept failing. What was collected meanwhile goes out at once, each order's
/// events in their order.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/resume", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = EndpointView)))]
pub(crate) async fn resume_endpoint(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Path(id): Path<WebhookEndpointId>,
) -> Answer<Json<EndpointView>> {
    Ok(Json(webhooks.resume(&caller, id).await?))
}
