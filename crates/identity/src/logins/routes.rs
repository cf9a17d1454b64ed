//! The routes of logins. Refresh tokens travel in a cookie that no script can read, or in bodies for native apps.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::ids::LoginId;
use posthaste_http::auth::{Caller, REFRESH_COOKIE};
use posthaste_http::contract::{Access, Rule, TakenCookie};
use posthaste_http::extract::{Json as Body, JsonOrDefault, Path, Query};
use posthaste_http::problem::Answer;
use posthaste_protocol::accounts::{All, LogIn, LoginView, Refresh, RefreshIn, Secret, StepUp, SteppedUp, Tokens};
use posthaste_protocol::problem::Code;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Opened;
use crate::Identity;
use crate::audit::Origin;
use crate::cookies::{Cookie, SameSite};
use crate::refused::Refused;
use crate::routes::own;

/// The cookie. Browsers send it only to the routes that need it, only over TLS (or to the machine itself), and never
/// with a request that another site made.
pub(crate) const COOKIE: Cookie = Cookie { name: REFRESH_COOKIE, path: "/v1/sessions", same_site: SameSite::Strict };

/// Answers that hold tokens are kept by nobody on the way.
pub(crate) fn answer(identity: &Identity, status: StatusCode, opened: Opened, refresh_in: RefreshIn) -> Response {
    let in_body = refresh_in == RefreshIn::Body;
    let tokens = Tokens {
        access_token: opened.access,
        access_expires_at: opened.access_expires_at,
        refresh_token: in_body.then(|| opened.refresh.clone()),
        refresh_expires_at: opened.refresh_expires_at,
        login_id: opened.proof.login,
        account_id: opened.account.id,
        party: opened.account.party,
        may_work: opened.proof.may_work,
    };
    let mut response = (status, [(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response();
    if !in_body {
        let lives = opened.refresh_expires_at - identity.now();
        response.headers_mut().insert(header::SET_COOKIE, COOKIE.set(opened.refresh.expose(), lives));
    }
    response
}

pub(crate) const OPEN: Rule = Rule::post("/v1/sessions", Access::Public).notes_itself().own_pages().codes(&[
    Code::WrongCredentials,
    Code::SecondFactorRequired,
    Code::WrongCode,
    Code::Banned,
    Code::RateLimited,
    Code::Forbidden,
]);

/// Sign in
///
/// The access token is good for minutes, the refresh token for one refresh. `second_factor_required` asks for the same
/// again with `code`.
#[utoipa::path(post, path = "/v1/sessions", tag = "accounts",
    request_body(content = LogIn, example = json!({"email": "ada@example.org", "password": "correct horse battery"})),
    responses((status = 201, body = Tokens,
        headers(("set-cookie" = String, description = "The refresh token, unless the body was asked for.")))))]
pub(crate) async fn open(
    State(identity): State<Identity>,
    headers: HeaderMap,
    origin: Origin,
    Body { value: asked, .. }: Body<LogIn>,
) -> Answer<Response> {
    // It only shows a known device: who has several signs in as one who has none.
    let cookie = COOKIE.read(&headers).ok().flatten();
    let opened = identity.log_in(&asked, cookie.as_ref(), &origin).await?;
    Ok(answer(&identity, StatusCode::CREATED, opened, asked.refresh_in))
}

pub(crate) const REFRESH: Rule = Rule::post("/v1/sessions/refresh", Access::Public)
    .notes_itself()
    .cookie(TakenCookie::Refresh)
    .own_pages()
    .codes(&[Code::LoginEnded, Code::Banned, Code::Forbidden]);

/// Go on
///
/// Trades the refresh token, from the cookie or the body, for the next one and a new access token. One that was used
/// before ends the session, but for a few seconds in which the same may be sent twice.
#[utoipa::path(post, path = "/v1/sessions/refresh", tag = "accounts",
    request_body(content = Refresh, example = json!({"refresh_token": "phr_8Zk0xJ3mQw7nYb2LrT5cVd9HsG1fKpXeA4uNzM6oQiB"})),
    responses((status = 200, body = Tokens,
        headers(("set-cookie" = String, description = "The next refresh token, where it came in a cookie.")))))]
pub(crate) async fn refresh(
    State(identity): State<Identity>,
    headers: HeaderMap,
    origin: Origin,
    JsonOrDefault(asked): JsonOrDefault<Refresh>,
) -> Answer<Response> {
    let (token, refresh_in) = token(asked, &headers)?;
    match identity.refresh(&token, &origin).await {
        Ok(opened) => Ok(answer(&identity, StatusCode::OK, opened, refresh_in)),
        Err(refused) => {
            let over = matches!(refused, Refused::LoginEnded | Refused::Banned { .. });
            let mut response = posthaste_http::problem::Failure::from(refused).into_response();
            if over && refresh_in == RefreshIn::Cookie {
                response.headers_mut().insert(header::SET_COOKIE, COOKIE.clear());
            }
            Ok(response)
        }
    }
}

fn token(asked: Refresh, headers: &HeaderMap) -> Result<(Secret, RefreshIn), Refused> {
    if let Some(token) = asked.refresh_token {
        return Ok((token, RefreshIn::Body));
    }
    let token = COOKIE.read(headers)?.ok_or(Refused::LoginEnded)?;
    Ok((token, RefreshIn::Cookie))
}

pub(crate) const END: Rule = Rule::post("/v1/sessions/end", Access::Public)
    .notes_itself()
    .cookie(TakenCookie::Refresh)
    .own_pages()
    .codes(&[Code::Forbidden]);

/// Sign out
///
/// With the refresh token, so that it works after the access token has ended too. A token that is over is fine.
#[utoipa::path(post, path = "/v1/sessions/end", tag = "accounts",
    request_body(content = Refresh, example = json!({"refresh_token": "phr_8Zk0xJ3mQw7nYb2LrT5cVd9HsG1fKpXeA4uNzM6oQiB"})),
    responses((status = 204, description = "Nobody is signed in with it any more.",
        headers(("set-cookie" = String, description = "Takes the cookie away, where one came.")))))]
pub(crate) async fn end(
    State(identity): State<Identity>,
    headers: HeaderMap,
    origin: Origin,
    JsonOrDefault(asked): JsonOrDefault<Refresh>,
) -> Answer<Response> {
    let came = COOKIE.read(&headers)?;
    if let Ok((token, _)) = token(asked, &headers) {
        identity.log_out(&token, &origin).await?;
    }
    // Only a cookie that came is taken away: somebody who was sent here without theirs keeps it.
    let taken_away = came.map(|_| [(header::SET_COOKIE, COOKIE.clear())]);
    Ok(match taken_away {
        Some(header) => (StatusCode::NO_CONTENT, header).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

pub(crate) const LIST_SESSIONS: Rule = Rule::get("/v1/account/sessions", Access::ACCOUNT).before_second_factor();

/// List one's sessions
///
/// Those that are not over, with device and last use.
#[utoipa::path(get, path = "/v1/account/sessions", tag = "accounts", responses((status = 200, body = All<LoginView>)))]
pub(crate) async fn list_sessions(State(identity): State<Identity>, caller: Caller) -> Answer<Json<All<LoginView>>> {
    Ok(Json(All { items: identity.logins(&own(&caller)?).await? }))
}

pub(crate) const END_ONE: Rule = Rule::delete("/v1/account/sessions/{id}", Access::ACCOUNT)
    .before_second_factor()
    .notes_itself()
    .codes(&[Code::Conflict]);

/// End one session
///
/// Its tokens are refused at once, and its sockets close.
#[utoipa::path(delete, path = "/v1/account/sessions/{id}", tag = "accounts",
    params(("id" = String, Path, description = "The session.", example = "lgn_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 204, description = "It is over.")))]
pub(crate) async fn end_one(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<LoginId>,
) -> Answer<StatusCode> {
    let ended = identity.end_logins(own(&caller)?.account, Some(id), None, &origin).await?;
    if ended == 0 {
        return Err(Refused::NotFound("session").into());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Which of one's sessions end.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Ending {
    /// With `true` the session of this request ends too.
    #[serde(default)]
    including_this: bool,
}

pub(crate) const END_OTHERS: Rule =
    Rule::delete("/v1/account/sessions", Access::ACCOUNT).before_second_factor().notes_itself();

/// End all other sessions, or all
///
/// Their tokens are refused at once, and their sockets close. With `including_this` nobody is signed in any more.
#[utoipa::path(delete, path = "/v1/account/sessions", tag = "accounts", params(Ending),
    responses((status = 204, description = "Only the session of this request is left, or none.")))]
pub(crate) async fn end_others(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Query(ending): Query<Ending>,
) -> Answer<StatusCode> {
    let proof = own(&caller)?;
    let but = (!ending.including_this).then_some(proof.login);
    identity.end_logins(proof.account, None, but, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) const STEP_UP: Rule = Rule::post("/v1/account/step-up", Access::ACCOUNT)
    .before_second_factor()
    .notes_itself()
    .codes(&[Code::WrongCredentials, Code::SecondFactorRequired, Code::WrongCode, Code::Conflict, Code::RateLimited]);

/// Show again who you are
///
/// For what is sensitive: the second factor where it is on, the password where it is not. The new access token says that
/// it was just now.
#[utoipa::path(post, path = "/v1/account/step-up", tag = "accounts",
    request_body(content = StepUp, example = json!({"code": "123456"})),
    responses((status = 200, body = SteppedUp)))]
pub(crate) async fn step_up(
    State(identity): State<Identity>,
    caller: Caller,
    origin: Origin,
    Body { value: asked, .. }: Body<StepUp>,
) -> Answer<Response> {
    let stepped = identity.step_up(&own(&caller)?, &asked, &origin).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(stepped)).into_response())
}
