//! The routes of merchants' keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use posthaste_domain::ids::ApiKeyId;
use posthaste_http::auth::Caller;
use posthaste_http::extract::{Json as Body, Path};
use posthaste_http::problem::Answer;
use posthaste_protocol::accounts::{All, ApiKeyCreated, ApiKeyView, CreateApiKey};

use crate::Identity;
use crate::audit::Origin;
use crate::routes::own;

/// Make a key
///
/// For programs that call in the merchant's name. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/account/keys", tag = "accounts",
    request_body(content = CreateApiKey, example = json!({"name": "shop backend", "scopes": ["orders:read", "orders:write"]})),
    responses((status = 201, body = ApiKeyCreated)))]
pub(crate) async fn create_key(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<CreateApiKey>,
) -> Answer<(StatusCode, Json<ApiKeyCreated>)> {
    let created = identity.create_key(&own(&caller)?, &asked, &origin).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// List keys
///
/// With their last use, without their secrets; revoked ones too.
#[utoipa::path(get, path = "/v1/account/keys", tag = "accounts", responses((status = 200, body = All<ApiKeyView>)))]
pub(crate) async fn list_keys(State(identity): State<Identity>, caller: Caller) -> Answer<Json<All<ApiKeyView>>> {
    Ok(Json(All { items: identity.keys(own(&caller)?.account).await? }))
}

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
