//! What was sent and how stand-ins misbehave, over HTTP: for programs as JSON, for people as a page.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::Shared;
use crate::kept::{Kind, Sent};
use crate::rules::Rule;

pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/messages", get(messages).delete(remove_messages))
        .route("/rules", get(rules).post(add_rule).delete(remove_rules))
        .with_state(shared)
}

/// Which messages.
#[derive(Deserialize)]
struct Which {
    kind: Option<Kind>,
    to: Option<String>,
}

/// Newest first.
async fn messages(State(shared): State<Shared>, Query(which): Query<Which>, headers: HeaderMap) -> Response {
    let sent = shared.sent();
    let fits = |sent: &&Sent| {
        which.kind.is_none_or(|kind| kind == sent.kind)
            && which.to.as_ref().is_none_or(|to| sent.to.iter().any(|each| each == to))
    };
    let chosen = sent.all().rev().filter(fits);
    let wants = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if wants.contains("text/html") {
        return Html(page(chosen)).into_response();
    }
    Json(json!({"items": chosen.collect::<Vec<_>>()})).into_response()
}

async fn remove_messages(State(shared): State<Shared>) -> StatusCode {
    shared.sent().clear();
    StatusCode::NO_CONTENT
}

async fn rules(State(shared): State<Shared>) -> Response {
    Json(json!({"items": shared.rules().all()})).into_response()
}

async fn add_rule(State(shared): State<Shared>, Json(rule): Json<Rule>) -> Response {
    match shared.rules().add(rule) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(too_many) => (StatusCode::CONFLICT, too_many.to_string()).into_response(),
    }
}

async fn remove_rules(State(shared): State<Shared>) -> StatusCode {
    shared.rules().clear();
    StatusCode::NO_CONTENT
}

fn page<'a>(sent: impl Iterator<Item = &'a Sent>) -> String {
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>What was sent</title>\
         <style>body{font:1rem system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}\
         pre{white-space:pre-wrap;background:#f4f4f4;padding:1rem}</style><h1>What was sent</h1>",
    );
    let mut is_empty = true;
    for sent in sent {
        is_empty = false;
        let (to, at) = (escaped(&sent.to.join(", ")), sent.at.to_rfc3339());
        page.push_str(&format!(
            "<h2>{to}</h2><p>{} at {at}</p><pre>{}</pre>",
            escaped(&sent.from),
            escaped(&sent.text)
        ));
    }
    if is_empty {
        page.push_str("<p>Nothing so far.</p>");
    }
    page
}

/// Whoever sends chooses the text: none of it is markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_shown_and_never_run() {
        let sent = Sent {
            id: "1".to_owned(),
            kind: Kind::Email,
            from: "<script>a".to_owned(),
            to: vec!["<script>b".to_owned()],
            text: "<script>c & \"d\"".to_owned(),
            at: posthaste_domain::Timestamp::UNIX_EPOCH,
        };
        let shown = page([&sent].into_iter());
        assert!(!shown.contains("<script>") && shown.contains("&lt;script&gt;c &amp; &quot;d&quot;"), "{shown}");
    }
}
