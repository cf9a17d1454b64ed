//! The routes of merchants' keys.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use posthaste_domain::ids::ApiKeyId;
use posthaste_http::auth::Caller;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::idempotency::{IdempotencyKey, fingerprints, replayed_as_it_was};
use posthaste_http::problem::Answer;
use posthaste_protocol::accounts::{All, ApiKeyCreated, ApiKeyView, CreateApiKey};
use posthaste_protocol::problem::Code;
use posthaste_storage::idempotency::Once;

use super::Made;
use crate::Identity;
use crate::audit::Origin;
use crate::routes::own;

pub(crate) const CREATE_KEY: Rule = Rule::post("/v1/account/keys", Access::MERCHANT_ACCOUNT)
    .notes_itself()
    .codes(&[Code::StepUpRequired, Code::Conflict]);

/// Make a key
///
/// For programs that call in the merchant's name. Its secret is shown this once. With an `Idempotency-Key`, sending the
/// same again gives the first answer, secret included, and makes nothing.
///
/// A key of world `test` begins with
/// `ph_test_` and reaches the test world alone: the same zones, simulated drivers who carry its orders fast, and nothing
/// of what is live. There, the first word of an order's reference may ask for an end that is not happy
/// (`test:customer_absent`), and a merchant has at most 50 orders under way.
#[utoipa::path(post, path = "/v1/account/keys", tag = "accounts",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day.")),
    request_body(content = CreateApiKey, example = json!({"name": "shop backend", "scopes": ["orders:read", "orders:write"]})),
    responses((status = 201, body = ApiKeyCreated, headers(
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn create_key(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    IdempotencyKey(key): IdempotencyKey,
    Body { value: asked, bytes }: Body<CreateApiKey>,
) -> Answer<Response> {
    let path = "/v1/account/keys";
    let once = key.map(|key| Once::new(caller.party, key, fingerprints(&Method::POST, path, &bytes)));
    Ok(match identity.create_key(&own(&caller)?, &asked, once.as_ref(), &origin).await? {
        Made::Now(created) => (StatusCode::CREATED, Json(created)).into_response(),
        Made::Again(status, body) => replayed_as_it_was(status, body),
    })
}

pub(crate) const LIST_KEYS: Rule = Rule::get("/v1/account/keys", Access::MERCHANT_ACCOUNT);

/// List keys
///
/// With their last use, without their secrets; revoked ones too.
#[utoipa::path(get, path = "/v1/account/keys", tag = "accounts", responses((status = 200, body = All<ApiKeyView>)))]
pub(crate) async fn list_keys(State(identity): State<Identity>, caller: Caller) -> Answer<Json<All<ApiKeyView>>> {
    Ok(Json(All { items: identity.keys(own(&caller)?.account).await? }))
}

pub(crate) const REVOKE_KEY: Rule =
    Rule::delete("/v1/account/keys/{id}", Access::MERCHANT_ACCOUNT).notes_itself().codes(&[Code::Conflict]);

/// Revoke a key
///
/// It is refused at once.
#[utoipa::path(delete, path = "/v1/account/keys/{id}", tag = "accounts",
    params(("id" = String, Path, description = "The key.", example = "key_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 204, description = "It is refused from now on.")))]
pub(crate) async fn revoke_key(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<ApiKeyId>,
) -> Answer<StatusCode> {
    identity.revoke_key(&own(&caller)?, id, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}
