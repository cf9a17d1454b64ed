//! The routes of the second factor.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use posthaste_http::auth::Caller;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, JsonOrDefault};
use posthaste_http::problem::Answer;
use posthaste_protocol::accounts::{FactorCode, RecoveryCodes, SecondFactorOffer, StepUp};
use posthaste_protocol::problem::Code;

use crate::Identity;
use crate::audit::Origin;
use crate::routes::own;

pub(crate) const OFFER: Rule = Rule::post("/v1/account/second-factor", Access::ACCOUNT)
    .before_second_factor()
    .notes_itself()
    .codes(&[Code::StepUpRequired, Code::Conflict, Code::WrongCredentials, Code::RateLimited]);

/// Ask for a second factor
///
/// With proof of the password, where there is one. A secret for an authenticator, with a QR code. Nothing changes until a
/// first code comes back.
#[utoipa::path(post, path = "/v1/account/second-factor", tag = "accounts",
    request_body(content = StepUp, example = json!({"password": "correct horse battery"})),
    responses((status = 200, body = SecondFactorOffer)))]
pub(crate) async fn offer(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    JsonOrDefault(shown): JsonOrDefault<StepUp>,
) -> Answer<Json<SecondFactorOffer>> {
    Ok(Json(identity.offer_second_factor(&own(&caller)?, &shown, &origin).await?))
}

pub(crate) const CONFIRM: Rule = Rule::post("/v1/account/second-factor/confirm", Access::ACCOUNT)
    .before_second_factor()
    .notes_itself()
    .codes(&[Code::StepUpRequired, Code::Conflict, Code::WrongCode, Code::RateLimited]);

/// Turn the second factor on
///
/// With a first code of the authenticator. The recovery codes are shown this once. Refresh for a token that says that
/// the second factor was shown.
#[utoipa::path(post, path = "/v1/account/second-factor/confirm", tag = "accounts",
    request_body(content = FactorCode, example = json!({"code": "123456"})),
    responses((status = 200, body = RecoveryCodes)))]
pub(crate) async fn confirm(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<FactorCode>,
) -> Answer<Json<RecoveryCodes>> {
    Ok(Json(identity.confirm_second_factor(&own(&caller)?, &asked.code, &origin).await?))
}

pub(crate) const REMOVE: Rule = Rule::delete("/v1/account/second-factor", Access::ACCOUNT).notes_itself().codes(&[
    Code::StepUpRequired,
    Code::WrongCredentials,
    Code::Conflict,
    Code::RateLimited,
]);

/// Turn the second factor off
///
/// With proof of the second factor, and of the password where there is one.
#[utoipa::path(delete, path = "/v1/account/second-factor", tag = "accounts",
    request_body(content = StepUp, example = json!({"password": "correct horse battery"})),
    responses((status = 204, description = "It is off.")))]
pub(crate) async fn remove(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    JsonOrDefault(shown): JsonOrDefault<StepUp>,
) -> Answer<StatusCode> {
    identity.drop_second_factor(&own(&caller)?, &shown, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) const RECOVERY_CODES: Rule = Rule::post("/v1/account/recovery-codes", Access::ACCOUNT)
    .notes_itself()
    .codes(&[Code::StepUpRequired, Code::WrongCredentials, Code::Conflict, Code::RateLimited]);

/// Get new recovery codes
///
/// With proof of the second factor, and of the password where there is one. Shown this once; the old ones are of no use any
/// more, and the owner is written to.
#[utoipa::path(post, path = "/v1/account/recovery-codes", tag = "accounts",
    request_body(content = StepUp, example = json!({"password": "correct horse battery"})),
    responses((status = 200, body = RecoveryCodes)))]
pub(crate) async fn recovery_codes(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    JsonOrDefault(shown): JsonOrDefault<StepUp>,
) -> Answer<Json<RecoveryCodes>> {
    Ok(Json(identity.renew_recovery_codes(&own(&caller)?, &shown, &origin).await?))
}
