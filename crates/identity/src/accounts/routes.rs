//! The routes of accounts: one's own, and for admins everybody's.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::ids::{AccountId, Id};
use posthaste_http::auth::Caller;
use posthaste_http::auth::Role;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Json as Body, JsonOrDefault, Path, Query};
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_protocol::accounts::{
    AccountView, Activate, Ban, ChangeEmail, ChangePassword, CodeSent, ForgotPassword, Register, ResetPassword,
    SetPhone, StepUp, Tokens, Verify,
};
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::Code;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::profiles::{CustomerProfile, DriverProfile, MerchantProfile};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::Identity;
use crate::audit::{Origin, routes::end_of_time};
use crate::logins::{self, routes::answer};
use crate::refused::Refused;
use crate::routes::{own, sensitive};

pub(crate) const REGISTER: Rule = Rule::post("/v1/accounts", Access::Public).notes_itself().codes(&[Code::RateLimited]);

/// Register
///
/// A code goes to the email address, or with `verify_by: phone` to the telephone number; the account is made when it comes
/// back. The answer is the same where somebody has the address or number already: then they are told. Whoever was
/// verified by telephone signs in with the number, or with the email address while nobody else has it.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts",
    request_body(content = Register, example = json!({"role": "customer", "email": "ada@example.org",
        "password": "correct horse battery", "name": "Ada"})),
    responses((status = 202, body = CodeSent)))]
pub(crate) async fn register(
    State(identity): State<Identity>,
    origin: Origin,
    Body { value: asked, .. }: Body<Register>,
) -> Answer<(StatusCode, Json<CodeSent>)> {
    Ok((StatusCode::ACCEPTED, Json(identity.register(&asked, &origin).await?)))
}

pub(crate) const VERIFY: Rule = Rule::post("/v1/accounts/verify", Access::Public).notes_itself().codes(&[
    Code::NotFound,
    Code::WrongCode,
    Code::Conflict,
]);

/// Send back the code of a registration
///
/// The account is there then. Customers may begin at once, merchants and drivers when an admin has activated them.
#[utoipa::path(post, path = "/v1/accounts/verify", tag = "accounts",
    request_body(content = Verify, example = json!({"challenge_id": "chl_01jd8v7cjxfm9sxv0q3e0b5z1c", "code": "123456"})),
    responses((status = 201, body = AccountView)))]
pub(crate) async fn verify(
    State(identity): State<Identity>,
    origin: Origin,
    Body { value: asked, .. }: Body<Verify>,
) -> Answer<(StatusCode, Json<AccountView>)> {
    Ok((StatusCode::CREATED, Json(identity.verify(&asked, &origin).await?)))
}

pub(crate) const FORGOT: Rule = Rule::post("/v1/password/forgot", Access::Public).codes(&[Code::RateLimited]);

/// Ask for a new password
///
/// A code is sent if there is such an account; the answer is the same if there is not.
#[utoipa::path(post, path = "/v1/password/forgot", tag = "accounts",
    request_body(content = ForgotPassword, example = json!({"email": "ada@example.org"})),
    responses((status = 202, body = CodeSent)))]
pub(crate) async fn forgot(
    State(identity): State<Identity>,
    origin: Origin,
    Body { value: asked, .. }: Body<ForgotPassword>,
) -> Answer<(StatusCode, Json<CodeSent>)> {
    Ok((StatusCode::ACCEPTED, Json(identity.forgot(&asked, &origin).await?)))
}

pub(crate) const RESET: Rule = Rule::post("/v1/password/reset", Access::Public).notes_itself().codes(&[
    Code::NotFound,
    Code::WrongCode,
    Code::Conflict,
]);

/// Set a new password with the code
///
/// All sessions end.
#[utoipa::path(post, path = "/v1/password/reset", tag = "accounts",
    request_body(content = ResetPassword, example = json!({"challenge_id": "chl_01jd8v7cjxfm9sxv0q3e0b5z1c",
        "code": "K7QM-2XHD", "password": "battery staple horse"})),
    responses((status = 204, description = "The new password counts.")))]
pub(crate) async fn reset(
    State(identity): State<Identity>,
    origin: Origin,
    Body { value: asked, .. }: Body<ResetPassword>,
) -> Answer<StatusCode> {
    identity.reset_password(&asked, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) const READ_OWN: Rule = Rule::get("/v1/account", Access::ACCOUNT).before_second_factor();

/// Read one's account
#[utoipa::path(get, path = "/v1/account", tag = "accounts", responses((status = 200, body = AccountView)))]
pub(crate) async fn read_own(State(identity): State<Identity>, caller: Caller) -> Answer<Json<AccountView>> {
    Ok(Json(identity.account(own(&caller)?.account).await?.view()))
}

pub(crate) const DELETE_OWN: Rule = Rule::delete("/v1/account", Access::ACCOUNT).notes_itself().codes(&[
    Code::StepUpRequired,
    Code::WrongCredentials,
    Code::Conflict,
    Code::Banned,
    Code::RateLimited,
]);

/// Delete one's account
///
/// At once and for good, with proof of the password (and of the second factor where it is on): sessions, keys and sockets
/// end, and everything that the account holds about its owner goes, as do a driver's name and tracks and a merchant's
/// endpoints. Orders stay, under ids that say nothing; whom to ask for at their stops ends some days after they did.
/// Refused (`conflict`) to a driver on shift or with orders in hand, to a merchant with orders under way, and to the last
/// admin. The email address can register again. Who asks again is answered that the session is over.
#[utoipa::path(delete, path = "/v1/account", tag = "accounts",
    request_body(content = StepUp, example = json!({"password": "correct horse battery"})),
    responses((status = 204, description = "It is gone.",
        headers(("set-cookie" = String, description = "Takes the cookie of the session away.")))))]
pub(crate) async fn delete_own(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    JsonOrDefault(shown): JsonOrDefault<StepUp>,
) -> Answer<Response> {
    identity.delete_account(&own(&caller)?, &shown, &origin).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, logins::routes::COOKIE.clear())]).into_response())
}

pub(crate) const CHANGE_PASSWORD: Rule = Rule::post("/v1/account/password", Access::ACCOUNT).notes_itself().codes(&[
    Code::WrongCredentials,
    Code::StepUpRequired,
    Code::Conflict,
    Code::RateLimited,
]);

/// Change one's password
///
/// With proof of the old one. Every session ends, this one too, with all that was signed in by its tokens; a new one
/// begins, whose tokens are in the answer.
#[utoipa::path(post, path = "/v1/account/password", tag = "accounts",
    request_body(content = ChangePassword, example = json!({"password": "correct horse battery",
        "new_password": "battery staple horse"})),
    responses((status = 200, body = Tokens,
        headers(("set-cookie" = String, description = "The refresh token, unless the body was asked for.")))))]
pub(crate) async fn change_password(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<ChangePassword>,
) -> Answer<Response> {
    let opened = identity.change_password(&own(&caller)?, &asked, &origin).await?;
    Ok(answer(&identity, StatusCode::OK, opened, asked.refresh_in))
}

pub(crate) const CHANGE_EMAIL: Rule = Rule::post("/v1/account/email", Access::ACCOUNT).notes_itself().codes(&[
    Code::WrongCredentials,
    Code::StepUpRequired,
    Code::Conflict,
    Code::RateLimited,
]);

/// Change one's email address
///
/// With proof of the password; a code goes to the new address.
#[utoipa::path(post, path = "/v1/account/email", tag = "accounts",
    request_body(content = ChangeEmail, example = json!({"password": "correct horse battery",
        "email": "ada@example.com"})),
    responses((status = 202, body = CodeSent)))]
pub(crate) async fn change_email(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<ChangeEmail>,
) -> Answer<(StatusCode, Json<CodeSent>)> {
    Ok((StatusCode::ACCEPTED, Json(identity.change_email(&own(&caller)?, &asked, &origin).await?)))
}

pub(crate) const VERIFY_EMAIL: Rule = Rule::post("/v1/account/email/verify", Access::ACCOUNT).notes_itself().codes(&[
    Code::NotFound,
    Code::WrongCode,
    Code::Conflict,
]);

/// Send back the code of a new email address
///
/// All other sessions end, and the old address is told.
#[utoipa::path(post, path = "/v1/account/email/verify", tag = "accounts",
    request_body(content = Verify, example = json!({"challenge_id": "chl_01jd8v7cjxfm9sxv0q3e0b5z1c", "code": "123456"})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn verify_email(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<Verify>,
) -> Answer<Json<AccountView>> {
    let proof = own(&caller)?;
    Ok(Json(identity.confirm(&proof, "change_email", asked.challenge_id, &asked.code, &origin).await?))
}

pub(crate) const SET_PHONE: Rule = Rule::post("/v1/account/phone", Access::ACCOUNT).notes_itself().codes(&[
    Code::WrongCredentials,
    Code::StepUpRequired,
    Code::Conflict,
    Code::RateLimited,
]);

/// Set one's telephone number
///
/// With proof of the password; a code goes to the number as a text. The number that came with the registration is verified
/// without.
#[utoipa::path(post, path = "/v1/account/phone", tag = "accounts",
    request_body(content = SetPhone, example = json!({"phone": "+4930123456", "password": "correct horse battery"})),
    responses((status = 202, body = CodeSent)))]
pub(crate) async fn set_phone(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<SetPhone>,
) -> Answer<(StatusCode, Json<CodeSent>)> {
    Ok((StatusCode::ACCEPTED, Json(identity.set_phone(&own(&caller)?, &asked, &origin).await?)))
}

pub(crate) const VERIFY_PHONE: Rule = Rule::post("/v1/account/phone/verify", Access::ACCOUNT).notes_itself().codes(&[
    Code::NotFound,
    Code::WrongCode,
    Code::Conflict,
]);

/// Send back the code of a telephone number
///
/// All other sessions end, and the account's holder is written to. The number recovers the password a day later.
#[utoipa::path(post, path = "/v1/account/phone/verify", tag = "accounts",
    request_body(content = Verify, example = json!({"challenge_id": "chl_01jd8v7cjxfm9sxv0q3e0b5z1c", "code": "123456"})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn verify_phone(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<Verify>,
) -> Answer<Json<AccountView>> {
    let proof = own(&caller)?;
    Ok(Json(identity.confirm(&proof, "verify_phone", asked.challenge_id, &asked.code, &origin).await?))
}

pub(crate) const CUSTOMER_PROFILE: Rule = Rule::put("/v1/account/profile/customer", Access::Account(&[Role::Customer]))
    .notes_itself()
    .codes(&[Code::Conflict]);

/// Set a customer's profile
#[utoipa::path(put, path = "/v1/account/profile/customer", tag = "accounts",
    request_body(content = CustomerProfile, example = json!({"addresses": [{"label": "home",
        "address": "Unter den Linden 1, Berlin", "lat": 52.5163, "lng": 13.3777}]})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn customer_profile(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: new, .. }: Body<CustomerProfile>,
) -> Answer<Json<AccountView>> {
    Ok(Json(identity.set_profile(&own(&caller)?, &new, &origin).await?))
}

pub(crate) const MERCHANT_PROFILE: Rule =
    Rule::put("/v1/account/profile/merchant", Access::MERCHANT_ACCOUNT).notes_itself().codes(&[Code::Conflict]);

/// Set a merchant's profile
#[utoipa::path(put, path = "/v1/account/profile/merchant", tag = "accounts",
    request_body(content = MerchantProfile, example = json!({"stores": [{"name": "Bakery at the Gate",
        "address": "Pariser Platz 1, Berlin", "lat": 52.5163, "lng": 13.3777,
        "hours": [{"day": "monday", "opens": "07:00", "closes": "18:00"}]}]})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn merchant_profile(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: new, .. }: Body<MerchantProfile>,
) -> Answer<Json<AccountView>> {
    Ok(Json(identity.set_profile(&own(&caller)?, &new, &origin).await?))
}

pub(crate) const DRIVER_PROFILE: Rule =
    Rule::put("/v1/account/profile/driver", Access::Account(&[Role::Driver])).notes_itself().codes(&[Code::Conflict]);

/// Set a driver's profile
///
/// What the driver is activated with. Once they work, only documents are changed here.
#[utoipa::path(put, path = "/v1/account/profile/driver", tag = "accounts",
    request_body(content = DriverProfile, example = json!({"vehicle": "bicycle", "capacity": 2,
        "zones": ["zon_01jd8v7cjxfm9sxv0q3e0b5z1c"], "documents": [{"kind": "identity card", "number": "L01X00T47"}]})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn driver_profile(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: new, .. }: Body<DriverProfile>,
) -> Answer<Json<AccountView>> {
    Ok(Json(identity.set_profile(&own(&caller)?, &new, &origin).await?))
}

/// Which accounts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The one with this email address.
    email: Option<String>,
    /// `true`: those that wait to be activated.
    waiting: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 where absent.
    #[param(example = "20")]
    limit: Option<String>,
}

pub(crate) const LIST: Rule = Rule::get("/v1/accounts", Access::ADMIN).reads_persons();

/// List accounts
///
/// Newest first.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", params(Asked),
    responses((status = 200, body = Page<AccountView>)))]
pub(crate) async fn list(
    State(identity): State<Identity>,
    Query(asked): Query<Asked>,
) -> Answer<Json<Page<AccountView>>> {
    let mut errors = Vec::new();
    let limit = pages::limit(asked.limit.as_deref(), &mut errors);
    let cursor = pages::cursor(asked.cursor.as_deref(), &mut errors);
    let waiting = match asked.waiting.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            errors.push(FieldError { field: "waiting".to_owned(), problem: "must be true or false".to_owned() });
            false
        }
    };
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors).into());
    }
    let before = cursor.map_or((end_of_time(), Uuid::max()), |cursor| (cursor.at, cursor.id));
    let (pool, limit_and_one) = (identity.pool(), i64::from(limit) + 1);
    let found = match (&asked.email, waiting) {
        (Some(email), _) => super::store::by_sign_in(pool, email).await.map(|found| found.into_iter().collect()),
        (None, true) => super::store::list_waiting(pool, before, limit_and_one).await,
        (None, false) => super::store::list(pool, before, limit_and_one).await,
    };
    let found: Vec<super::Account> = found.map_err(Refused::from)?;
    let views = found.iter().map(super::Account::view).collect();
    let (items, next_cursor) =
        pages::cut(views, limit, |view: &AccountView| Cursor { at: view.created_at, id: view.id.uuid() });
    Ok(Json(Page { items, next_cursor }))
}

pub(crate) const READ: Rule = Rule::get("/v1/accounts/{id}", Access::ADMIN).reads_persons();

/// One account
#[utoipa::path(get, path = "/v1/accounts/{id}", tag = "accounts",
    params(("id" = String, Path, description = "The account.", example = "acc_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn read(State(identity): State<Identity>, Path(id): Path<AccountId>) -> Answer<Json<AccountView>> {
    Ok(Json(identity.account(id).await?.view()))
}

pub(crate) const ACTIVATE: Rule = Rule::post("/v1/accounts/{id}/activate", Access::ADMIN)
    .notes_itself()
    .codes(&[Code::StepUpRequired, Code::Conflict]);

/// Let a merchant or driver work
///
/// A driver is taken on as their profile says. With `party` the account becomes a merchant or driver who is there
/// already.
#[utoipa::path(post, path = "/v1/accounts/{id}/activate", tag = "accounts",
    params(("id" = String, Path, description = "The account.", example = "acc_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = Activate, example = json!({})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn activate(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<AccountId>,
    JsonOrDefault(asked): JsonOrDefault<Activate>,
) -> Answer<Json<AccountView>> {
    sensitive(&identity, &caller).await?;
    Ok(Json(identity.activate(&caller, id, &asked, &origin).await?))
}

pub(crate) const BAN: Rule =
    Rule::post("/v1/accounts/{id}/ban", Access::ADMIN).notes_itself().codes(&[Code::StepUpRequired, Code::Conflict]);

/// Shut an account out
///
/// Sessions, keys and sockets end within a second; a driver's open work goes back to dispatch.
#[utoipa::path(post, path = "/v1/accounts/{id}/ban", tag = "accounts",
    params(("id" = String, Path, description = "The account.", example = "acc_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    request_body(content = Ban, example = json!({"reason": "orders that were never paid"})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn ban(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<AccountId>,
    Body { value: asked, .. }: Body<Ban>,
) -> Answer<Json<AccountView>> {
    sensitive(&identity, &caller).await?;
    Ok(Json(identity.ban(&caller, id, &asked.reason, &origin).await?))
}

pub(crate) const UNBAN: Rule =
    Rule::post("/v1/accounts/{id}/unban", Access::ADMIN).notes_itself().codes(&[Code::StepUpRequired]);

/// Let an account in again
#[utoipa::path(post, path = "/v1/accounts/{id}/unban", tag = "accounts",
    params(("id" = String, Path, description = "The account.", example = "acc_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn unban(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<AccountId>,
) -> Answer<Json<AccountView>> {
    sensitive(&identity, &caller).await?;
    Ok(Json(identity.unban(&caller, id, &origin).await?))
}
