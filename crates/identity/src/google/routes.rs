//! The routes of signing in with Google.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_http::auth::{Caller, GOOGLE_COOKIE};
use posthaste_http::contract::{Access, Rule, TakenCookie};
use posthaste_http::extract::{Json as Body, JsonOrDefault, Query};
use posthaste_http::problem::{Answer, Failure};
use posthaste_protocol::accounts::{AccountView, Secret, StepUp, Tokens};
use posthaste_protocol::google::{BeginGoogle, ConfirmGoogle, ConfirmGoogleLink, EndedBy, GoogleBegun, LinkGoogle};
use posthaste_protocol::problem::Code;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{CameBack, Ending, GOOD_FOR, Start};
use crate::audit::Origin;
use crate::cookies::{Cookie, SameSite};
use crate::refused::Refused;
use crate::routes::own;
use crate::{Identity, logins};

/// Says that a browser is the one that began.
const COOKIE: Cookie = Cookie { name: GOOGLE_COOKIE, path: "/", same_site: SameSite::Lax };

fn begun(start: Start, ended_by: EndedBy) -> Response {
    let in_browser = ended_by == EndedBy::Browser;
    let cookie = COOKIE.set(start.secret.expose(), GOOD_FOR);
    let begun = GoogleBegun {
        authorization_url: String::from(start.url).into(),
        state: start.state,
        secret: (!in_browser).then_some(start.secret),
        expires_at: start.expires_at,
    };
    let mut response = ([(header::CACHE_CONTROL, "no-store")], Json(begun)).into_response();
    if in_browser {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

pub(crate) const BEGIN_GOOGLE: Rule =
    Rule::post("/v1/sessions/google", Access::Public).own_pages().codes(&[Code::NotFound]);

/// Begin to sign in with Google
///
/// The browser goes to `authorization_url`, and comes back to `return_to`. Then `/v1/sessions/google/confirm`, within
/// ten minutes, from the same browser.
#[utoipa::path(post, path = "/v1/sessions/google", tag = "accounts",
    request_body(content = BeginGoogle, example = json!({"return_to": "https://shop.example.org/signed-in",
        "register_as": "customer"})),
    responses((status = 200, body = GoogleBegun,
        headers(("set-cookie" = String, description = "Says later that it is the same browser, unless an app ends it.")))))]
pub(crate) async fn begin_google(
    State(identity): State<Identity>,
    origin: Origin,
    Body { value: asked, .. }: Body<BeginGoogle>,
) -> Answer<Response> {
    let start = identity.begin_google(&asked, None, &origin).await?;
    Ok(begun(start, asked.ended_by))
}

/// What Google sends the browser back with. What else there is does not matter here.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Given {
    /// Which sign-in.
    state: Option<String>,
    /// What is traded for an ID token.
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// Who sends the browser back (RFC 9207).
    iss: Option<String>,
}

pub(crate) const RETURNED_FROM_GOOGLE: Rule = Rule::get("/v1/sessions/google/callback", Access::Public)
    .cookie(TakenCookie::Google)
    .codes(&[Code::SignInFailed, Code::NotFound]);

/// Come back from Google
///
/// For browsers. Goes on to the page that the sign-in began with, with `google` (`returned`, `denied` or `failed`) and
/// `state` in the query. Once for each sign-in.
#[utoipa::path(get, path = "/v1/sessions/google/callback", tag = "accounts", params(Given),
    responses((status = 303, description = "On to the page.",
        headers(("location" = String, description = "The page.")))))]
pub(crate) async fn returned_from_google(
    State(identity): State<Identity>,
    headers: HeaderMap,
    Query(given): Query<Given>,
) -> Answer<Response> {
    let came = CameBack {
        state: given.state.as_deref().unwrap_or_default(),
        code: given.code.as_deref(),
        error: given.error.as_deref(),
        issuer: given.iss.as_deref(),
    };
    let page = identity.returned_from_google(&came, COOKIE.read(&headers)?.as_ref()).await?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, String::from(page))]).into_response())
}

pub(crate) const CONFIRM_GOOGLE: Rule = Rule::post("/v1/sessions/google/confirm", Access::Public)
    .notes_itself()
    .cookie(TakenCookie::Google)
    .own_pages()
    .codes(&[
        Code::SignInFailed,
        Code::SecondFactorRequired,
        Code::WrongCode,
        Code::Banned,
        Code::NotFound,
        Code::LinkRequired,
    ]);

/// Sign in with Google
///
/// Somebody whose Google account is linked signs in. Somebody new, with an email address that Google has verified and no
/// account here has, is registered as was asked for at the beginning. `second_factor_required` asks for the same again
/// with `code`; after 503 the same can be sent again. `link_required`: there is an account with the address; sign in to
/// it and link.
#[utoipa::path(post, path = "/v1/sessions/google/confirm", tag = "accounts",
    request_body(content = ConfirmGoogle, example = json!({"state": "8Zk0…"})),
    responses((status = 201, body = Tokens,
        headers(("set-cookie" = String, description = "The refresh token, unless the body was asked for.")))))]
pub(crate) async fn confirm_google(
    State(identity): State<Identity>,
    headers: HeaderMap,
    origin: Origin,
    Body { value: asked, .. }: Body<ConfirmGoogle>,
) -> Answer<Response> {
    let secret = secret(asked.secret.as_ref(), &headers)?;
    let ending = Ending { state: &asked.state, secret: secret.as_ref(), code: asked.google_code.as_ref() };
    let opened = identity.confirm_google(&asked, &ending, &origin).await?;
    let mut response = logins::routes::answer(&identity, StatusCode::CREATED, opened, asked.refresh_in);
    if asked.secret.is_none() {
        response.headers_mut().append(header::SET_COOKIE, COOKIE.clear());
    }
    Ok(response)
}

fn secret(in_body: Option<&Secret>, headers: &HeaderMap) -> Result<Option<Secret>, Refused> {
    in_body.map_or_else(|| COOKIE.read(headers), |secret| Ok(Some(secret.clone())))
}

pub(crate) const BEGIN_LINK: Rule = Rule::post("/v1/account/google", Access::ACCOUNT).notes_itself().codes(&[
    Code::StepUpRequired,
    Code::WrongCredentials,
    Code::RateLimited,
    Code::NotFound,
]);

/// Begin to link one's Google account
///
/// The browser goes to `authorization_url`, and comes back to `return_to`. Then `/v1/account/google/confirm`, in the same
/// session. It wants the account's password, as it is a way in for good; where there is none, a fresh sign-in.
#[utoipa::path(post, path = "/v1/account/google", tag = "accounts",
    request_body(content = LinkGoogle, example = json!({
        "return_to": "https://shop.example.org/account", "password": "battery staple horse",
    })),
    responses((status = 200, body = GoogleBegun,
        headers(("set-cookie" = String, description = "Says later that it is the same browser, unless an app ends it.")))))]
pub(crate) async fn begin_link(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<LinkGoogle>,
) -> Answer<Response> {
    let start = identity.begin_link(&own(&caller)?, &asked, &origin).await?;
    Ok(begun(start, asked.ended_by))
}

pub(crate) const CONFIRM_LINK: Rule = Rule::post("/v1/account/google/confirm", Access::ACCOUNT)
    .notes_itself()
    .codes(&[Code::SignInFailed, Code::Banned, Code::NotFound, Code::Conflict]);

/// Link one's Google account
///
/// From then on it signs in to this account. The owner is written to.
#[utoipa::path(post, path = "/v1/account/google/confirm", tag = "accounts",
    request_body(content = ConfirmGoogleLink, example = json!({"state": "8Zk0…"})),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn confirm_link(
    State(identity): State<Identity>,
    caller: Caller,
    headers: HeaderMap,
    origin: Origin,
    Body { value: asked, .. }: Body<ConfirmGoogleLink>,
) -> Answer<Response> {
    let proof = own(&caller)?;
    let secret = secret(asked.secret.as_ref(), &headers)?;
    let ending = Ending { state: &asked.state, secret: secret.as_ref(), code: asked.google_code.as_ref() };
    let account = identity.confirm_link(&proof, &ending, &origin).await.map_err(Failure::from)?;
    let mut response = Json(account).into_response();
    if asked.secret.is_none() {
        response.headers_mut().append(header::SET_COOKIE, COOKIE.clear());
    }
    Ok(response)
}

pub(crate) const UNLINK_GOOGLE: Rule = Rule::delete("/v1/account/google", Access::ACCOUNT).notes_itself().codes(&[
    Code::StepUpRequired,
    Code::WrongCredentials,
    Code::Conflict,
    Code::RateLimited,
]);

/// Take the link to one's Google account away
///
/// With proof of the password. Not where it is the only way in: a password is set first, by way of `/v1/password/forgot`. The
/// owner is written to.
#[utoipa::path(delete, path = "/v1/account/google", tag = "accounts",
    request_body(content = StepUp, example = json!({"password": "battery staple horse"})),
    responses((status = 204, description = "It signs in no more.")))]
pub(crate) async fn unlink_google(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    JsonOrDefault(shown): JsonOrDefault<StepUp>,
) -> Answer<StatusCode> {
    identity.unlink_google(&own(&caller)?, &shown, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}
