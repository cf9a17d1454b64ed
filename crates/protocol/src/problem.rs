//! The one error format: RFC 9457 problem details with stable codes.

mod advice;

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Stable names of everything that can go wrong. Part of the API: never renamed, only added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 400: the request is not understood (bad JSON, bad query, bad id).
    Malformed,
    /// 401: no token, or one that is not accepted.
    Unauthenticated,
    /// 401: the token's time is over.
    TokenExpired,
    /// 401: email and password do not belong together.
    WrongCredentials,
    /// 401: the account wants its second factor too.
    SecondFactorRequired,
    /// 401: the login is over; sign in again.
    LoginEnded,
    /// 401: signing in with Google did not come through; begin again.
    SignInFailed,
    /// 403: whoever asks may not do this, by their role or by what they asked with.
    Forbidden,
    /// 403: the key has no scope for this; `detail` names the one that it lacks.
    ScopeRequired,
    /// 403: the account was not activated yet.
    NotActivated,
    /// 403: admins work with a second factor here: set one up (`POST /v1/account/second-factor`), or where it is on show it
    /// (`POST /v1/account/step-up`), then refresh.
    SecondFactorMissing,
    /// 403: the account is shut out; `detail` says why.
    Banned,
    /// 403: show again who you are (`/v1/account/step-up`), then repeat.
    StepUpRequired,
    /// 404: no such thing, or not one of yours.
    NotFound,
    /// 405: the resource has no such method.
    MethodNotAllowed,
    /// 408: the request took too long.
    Timeout,
    /// 409: not possible in the present state.
    Conflict,
    /// 409: the order is over.
    OrderEnded,
    /// 409: the offer is no longer open.
    OfferGone,
    /// 409: the driver's time is taken.
    DriverBusy,
    /// 409: there is an account with the email address already: sign in to it, then link the Google account.
    LinkRequired,
    /// 409: goods are on board.
    GoodsOnBoard,
    /// 409: a request with the same idempotency key is still running.
    IdempotencyRunning,
    /// 413: the body or batch is too large.
    TooLarge,
    /// 415: the body is not JSON.
    UnsupportedMediaType,
    /// 422: one or more fields are wrong; `errors` names each.
    Invalid,
    /// 422: a code is required.
    CodeRequired,
    /// 422: the code is wrong; `attempts_left` says how many tries remain.
    WrongCode,
    /// 422: the idempotency key was used with another request.
    IdempotencyMismatch,
    /// 422: the place lies in no zone.
    OutsideServiceArea,
    /// 426: the handshake of a socket speaks another version of the WebSocket protocol than 13.
    UpgradeRequired,
    /// 429: too many wrong codes.
    CodeLocked,
    /// 429: too many requests, messages or connections.
    RateLimited,
    /// 431: the head of the request is too large, or has too many fields.
    HeadTooLarge,
    /// 500: a fault of the server. The request id finds it in the log.
    Internal,
    /// 503: temporarily not possible; `Retry-After` says when to try again.
    Unavailable,
}

impl Code {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated
            | Self::TokenExpired
            | Self::WrongCredentials
            | Self::SecondFactorRequired
            | Self::LoginEnded
            | Self::SignInFailed => 401,
            Self::Forbidden
            | Self::ScopeRequired
            | Self::NotActivated
            | Self::SecondFactorMissing
            | Self::Banned
            | Self::StepUpRequired => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::Conflict
            | Self::LinkRequired
            | Self::OrderEnded
            | Self::OfferGone
            | Self::DriverBusy
            | Self::GoodsOnBoard
            | Self::IdempotencyRunning => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid
            | Self::CodeRequired
            | Self::WrongCode
            | Self::IdempotencyMismatch
            | Self::OutsideServiceArea => 422,
            Self::UpgradeRequired => 426,
            Self::CodeLocked | Self::RateLimited => 429,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// A short title, the same for every problem with the code.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request is not understood",
            Self::Unauthenticated => "A valid token is required",
            Self::TokenExpired => "The token has expired",
            Self::WrongCredentials => "Email and password do not belong together",
            Self::SecondFactorRequired => "The second factor is required",
            Self::LoginEnded => "The login is over",
            Self::SignInFailed => "Signing in with Google did not come through",
            Self::Forbidden => "Not allowed for whoever asks",
            Self::ScopeRequired => "The key lacks a scope",
            Self::NotActivated => "The account may not work yet",
            Self::SecondFactorMissing => "Admins work with a second factor",
            Self::Banned => "The account is shut out",
            Self::StepUpRequired => "A fresh proof is required",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Timeout => "The request took too long",
            Self::Conflict => "Not possible in the present state",
            Self::LinkRequired => "The account has to be linked first",
            Self::OrderEnded => "The order is over",
            Self::OfferGone => "The offer is no longer open",
            Self::DriverBusy => "The driver's time is taken",
            Self::GoodsOnBoard => "Goods are on board",
            Self::IdempotencyRunning => "The first request with this key is still running",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::Invalid => "One or more fields are wrong",
            Self::CodeRequired => "A code is required",
            Self::WrongCode => "The code is wrong",
            Self::IdempotencyMismatch => "The idempotency key was used with another request",
            Self::OutsideServiceArea => "Outside the service area",
            Self::UpgradeRequired => "Another version of the protocol is required",
            Self::CodeLocked => "Too many wrong codes",
            Self::RateLimited => "Too many requests",
            Self::HeadTooLarge => "The head of the request is too large",
            Self::Internal => "Internal error",
            Self::Unavailable => "Temporarily unavailable",
        }
    }

    /// The code as it stands in JSON.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, as in `pickups[1].ready_at`.
    #[schema(example = "delivery.window")]
    pub field: String,
    /// What is wrong, in words.
    #[schema(example = "a slow order needs a window")]
    pub problem: String,
}

/// An RFC 9457 problem, sent as `application/problem+json` and inside socket errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference for the kind of problem, `/problems/{code}`: there is a page that says what it means and what to do.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    pub kind: String,
    /// The kind in words.
    #[schema(example = "Not found")]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// What was wrong this time, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "no such order")]
    pub detail: Option<String>,
    /// Every wrong field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds after which trying again makes sense; also in `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// Wrong codes: tries that remain before a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_left: Option<u8>,
    /// The request's id, as in the `x-request-id` header and the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "req_5f3a9c0e7d1b24680000002a")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem with its code's title and status.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            kind: format!("/problems/{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: None,
            errors: Vec::new(),
            retry_after_seconds: None,
            attempts_left: None,
            request_id: None,
        }
    }

    /// Adds what was wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the wrong fields.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// One wrong field.
    #[must_use]
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(Code::Invalid).errors(vec![FieldError { field: field.into(), problem: problem.into() }])
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Temporarily not possible: try again in `seconds`.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unavailable).detail(detail).retry_after(1)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code.name())?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for error in &self.errors {
            write!(f, "; {}: {}", error.field, error.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Whether a JSON text holds the character U+0000 in any string, written `\u0000`. Postgres cannot store it in text, so
/// whoever reads JSON from outside refuses it first. (Bare, it is not JSON at all.)
#[must_use]
pub fn holds_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at + 1..].starts_with(b"u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_character_nul_is_found_and_its_look_alike_is_not() {
        assert!(holds_nul(br#"{"reference":"a\u0000b"}"#));
        assert!(!holds_nul(br#"{"reference":"a\\u0000b, \u00e9 and \\"}"#));
        assert!(!holds_nul(b"\\"));
    }
}
