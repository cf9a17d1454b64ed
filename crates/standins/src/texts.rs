//! A sender of texts with the interface of Twilio's Messages resource (API of 2010-04-01): Basic authentication, a form in,
//! JSON out, errors as `{code, message, more_info, status}`.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use posthaste_domain::ids::{Id, MessageId};
use serde_json::{Value, json};

use crate::kept::{Kind, Sent};
use crate::rules::{Manner, SLOWEST};
use crate::{ACCOUNT, FROM, Shared, TOKEN};

/// The longest text, in characters.
const LONGEST: usize = 1600;
/// Messages on a page, where the caller does not say, and at most.
const PAGE: usize = 50;

pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/2010-04-01/Accounts/{account}/Messages.json", post(create).get(list))
        .route("/2010-04-01/Accounts/{account}/Messages/{file}", get(fetch))
        .with_state(shared)
}

/// What is refused, by Twilio's code.
fn refused(code: u16) -> Response {
    let (status, message) = match code {
        20003 => (401, "account and token do not fit"),
        20404 => (404, "there is nothing here"),
        20429 => (429, "too many requests"),
        21211 => (400, "the receiver is no telephone number"),
        21408 => (403, "texts to this country are not enabled"),
        21602 => (400, "a text needs a body"),
        21603 => (400, "a text needs a sender"),
        21604 => (400, "a text needs a receiver"),
        21606 => (400, "the sender is no number of this account"),
        21610 => (400, "the receiver wants no texts from here"),
        21612 => (400, "the receiver cannot be reached from this sender"),
        21614 => (400, "the receiver's telephone takes no texts"),
        21617 => (400, "the body is too long"),
        _ => (400, "refused"),
    };
    answer(status, code, message)
}

fn answer(status: u16, code: u16, message: &str) -> Response {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({"code": code, "message": message, "more_info": more_info, "status": status});
    let mut response = (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), Json(body)).into_response();
    if status == 429 {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

async fn create(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let manner = shared.rules().with_caller(Kind::Text);
    if let Some(instead) = early(manner).await {
        return instead;
    }
    if !is_signed_in(&headers, &account) {
        return refused(20003);
    }
    let form: HashMap<String, String> = url::form_urlencoded::parse(&form).into_owned().collect();
    let (to, body) = match read(&form) {
        Ok(read) => read,
        Err(code) => return refused(code),
    };
    let manner = shared.rules().with_receiver(Kind::Text, to);
    match manner {
        Some(Manner::Refuses { code } | Manner::RefusesContents { code }) => return refused(code),
        other => {
            if let Some(instead) = early(other).await {
                return instead;
            }
        }
    }
    let id: MessageId = shared.clock().id();
    let sent = Sent {
        id: format!("SM{}", id.uuid().simple()),
        kind: Kind::Text,
        from: form.get("From").map_or(FROM, String::as_str).to_owned(),
        to: vec![to.to_owned()],
        text: body.to_owned(),
        at: shared.clock().wall(),
    };
    let answer = (StatusCode::CREATED, Json(resource(&sent))).into_response();
    shared.keep(sent);
    match manner {
        Some(Manner::TakesAndHangs) => std::future::pending().await,
        // The task of the connection ends here, and with it the connection: the one way to hang up without an answer. It is
        // no fault, so that no hook is told of it.
        Some(Manner::TakesAndCuts) => std::panic::resume_unwind(Box::new("hung up on purpose")),
        _ => answer,
    }
}

/// For how many seconds who is too busy (429) asks to be left alone.
pub const BUSY_FOR: u16 = 600;

/// What is answered whatever is asked.
async fn early(manner: Option<Manner>) -> Option<Response> {
    match manner? {
        Manner::Closed { code } => {
            let mut closed = answer(code, code, "closed on purpose");
            if code == StatusCode::TOO_MANY_REQUESTS.as_u16() {
                closed.headers_mut().insert(header::RETRY_AFTER, BUSY_FOR.into());
            }
            Some(closed)
        }
        Manner::Silent => std::future::pending().await,
        Manner::Garbage => Some("<html>a hotel's welcome page</html>".into_response()),
        Manner::WrongPassword => Some(refused(20003)),
        Manner::Slow { millis } => {
            tokio::time::sleep(Duration::from_millis(millis.min(SLOWEST))).await;
            None
        }
        _ => None,
    }
}

fn is_signed_in(headers: &HeaderMap, account: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let given = given.and_then(|text| STANDARD.decode(text).ok());
    account == ACCOUNT && given.as_deref() == Some(format!("{ACCOUNT}:{TOKEN}").as_bytes())
}

/// Receiver and body, or the code of what is wrong.
fn read(form: &HashMap<String, String>) -> Result<(&str, &str), u16> {
    let field = |name: &str| form.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let to = field("To").ok_or(21604u16)?;
    if field("From").or(field("MessagingServiceSid")).is_none() {
        return Err(21603);
    }
    let body = field("Body").ok_or(21602u16)?;
    let digits = to.strip_prefix('+').ok_or(21211u16)?;
    if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(21211);
    }
    if body.chars().count() > LONGEST {
        return Err(21617);
    }
    Ok((to, body))
}

async fn fetch(
    State(shared): State<Shared>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_signed_in(&headers, &account) {
        return refused(20003);
    }
    let id = file.strip_suffix(".json").unwrap_or(&file);
    let found = shared.sent().all().find(|sent| sent.kind == Kind::Text && sent.id == id).map(resource);
    found.map_or_else(|| refused(20404), |found| Json(found).into_response())
}

/// The newest, on one page.
async fn list(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !is_signed_in(&headers, &account) {
        return refused(20003);
    }
    let most = asked.get("PageSize").and_then(|size| size.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let fits = |sent: &&Sent| sent.kind == Kind::Text && asked.get("To").is_none_or(|to| sent.to.contains(to));
    let messages: Vec<_> = shared.sent().all().rev().filter(fits).take(most).map(resource).collect();
    let uri = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    Json(json!({
        "messages": messages, "page": 0, "page_size": most, "start": 0, "end": most, "uri": uri, "first_page_uri": uri,
        "next_page_uri": null, "previous_page_uri": null,
    }))
    .into_response()
}

fn resource(sent: &Sent) -> Value {
    let (at, uri) = (sent.at.to_rfc2822(), format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{}", sent.id));
    json!({
        "sid": sent.id, "account_sid": ACCOUNT, "api_version": "2010-04-01", "direction": "outbound-api", "status": "queued",
        "to": sent.to.first(), "from": sent.from, "messaging_service_sid": null, "body": sent.text, "num_segments": "1",
        "num_media": "0", "date_created": at, "date_updated": at, "date_sent": null, "error_code": null,
        "error_message": null, "price": null, "price_unit": "USD", "uri": format!("{uri}.json"),
        "subresource_uris": {"media": format!("{uri}/Media.json")},
    })
}
