//! The document of the sockets (AsyncAPI 3): generated from the protocol's own types, the table of access, the routes
//! and the examples of `docs/sockets.md`. Nothing of a message is written down here a second time.
//!
//! - What is of the sockets themselves stands in `posthaste_dispatch_api::asyncapi`. `schema`: from its schemas to the document's.
//! - `page`: the document for people.

mod page;
mod schema;

use std::sync::LazyLock;

use axum::http::{HeaderMap, Method};
use axum::response::Response;
use posthaste_dispatch_api::access::MessageRule;
use posthaste_dispatch_api::asyncapi::{
    CHANNELS, Channel, Direction, Example, SENT, close_codes, examples_by_kind, shapes,
};
use posthaste_dispatch_api::sockets::SILENT_HEARTBEATS;
use posthaste_http::auth::Role;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::limits::Limits;
use posthaste_http::made_once::MadeOnce;
use posthaste_protocol::socket::{ClientMessage, Described, ServerMessage};
use serde_json::{Map, Value, json};

use self::schema::{Frames, reference};
use crate::access::{Scope, rule_of};

/// The document.
#[must_use]
pub fn document() -> Value {
    let routes = serde_json::to_value(crate::openapi::document()).unwrap_or_default();
    let schemas: Map<_, _> =
        shapes::all().schemas().map(|(name, schema)| (name.clone(), schema::ours(name, schema))).collect();
    let mut messages = Map::new();
    for (prefix, direction, frames, described) in [
        ("server", Direction::FromServer, Frames::OfServer, ServerMessage::described()),
        ("client", Direction::FromClients, Frames::OfClient, ClientMessage::described()),
    ] {
        let examples = examples_by_kind(direction);
        for one in described {
            let kind = one.kind;
            let examples = examples.get(kind).map(Vec::as_slice).unwrap_or_default();
            messages.insert(format!("{prefix}_{kind}"), message(&one, frames, examples, &schemas));
        }
    }
    let mut channels = Map::new();
    let mut operations = Map::new();
    for one in CHANNELS {
        let given = &routes["paths"][one.path]["get"];
        channels.insert(one.name.to_owned(), channel(one, given));
        operations_of(one, &mut operations);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "posthaste sockets",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" },
            "description": "Everything that happens, as it happens. Each message is one text frame with one JSON \
                object; `docs/sockets.md` tells how a connection goes, this document what exactly is sent. What a \
                socket can do, REST can do too: `/openapi.json`.",
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The access token of a login (`POST /v1/sessions`), or on `/v1/ws/merchant` a merchant's key \
                        with the scope `orders:read`.",
                },
                "query": {
                    "type": "httpApiKey", "in": "query", "name": "access_token",
                    "description": "The access token of a login, where no header can be sent: browsers. A merchant's key \
                        belongs into the header.",
                },
            },
        },
    })
}

fn servers() -> Value {
    let host = json!({ "default": "127.0.0.1:8080", "description": "Where the server is." });
    let server = |protocol: &str, description: &str| json!({ "host": "{host}", "protocol": protocol, "description": description, "variables": { "host": host } });
    json!({
        "encrypted": server("wss", "Through a proxy that speaks TLS."),
        "plain": server("ws", "As the server itself listens."),
    })
}

fn message(
    described: &Described,
    frames: Frames,
    examples: &[(Example, Value)],
    schemas: &Map<String, Value>,
) -> Value {
    let kind = described.kind;
    let payload = frames.of(kind, described.schema, schemas);
    let words = examples.first().map_or("", |(example, _)| example.words.as_str());
    let shown = examples.iter().enumerate().map(|(n, (example, frame))| {
        json!({ "name": format!("{kind}_{}", n + 1), "summary": example.words, "payload": frame })
    });
    json!({
        "name": kind,
        "title": kind,
        "summary": described.summary,
        "description": words,
        "contentType": "application/json",
        "payload": payload,
        "examples": shown.collect::<Vec<_>>(),
    })
}

/// A channel, with what its route says.
fn channel(one: &Channel, route: &Value) -> Value {
    let limits = Limits::default();
    let socket = &limits.socket;
    let mut messages = Map::new();
    for name in sent_on(one).chain(said_on(one).map(|rule| format!("client_{}", rule.kind))) {
        let target = reference(&["components", "messages", &name]);
        messages.insert(name, target);
    }
    let (mut query, mut parameters) = (Map::new(), Map::new());
    for given in route["parameters"].as_array().into_iter().flatten() {
        let Some(name) = given["name"].as_str() else { continue };
        let mut described = json!({ "description": given["description"] });
        if given["in"] == "path" {
            parameters.insert(name.to_owned(), described);
        } else {
            described["type"] = json!("string");
            query.insert(name.to_owned(), described);
        }
    }
    let mut bound = json!({ "method": "GET", "bindingVersion": "0.1.0" });
    if !query.is_empty() {
        bound["query"] = json!({ "type": "object", "properties": query });
    }
    let silence = socket.heartbeat * SILENT_HEARTBEATS;
    let codes = close_codes().into_iter().map(|c| json!({ "code": c.code, "why": c.why, "then": c.then }));
    let mut described = json!({
        "address": one.path,
        "title": route["summary"],
        "description": route["description"],
        "messages": messages,
        "bindings": { "ws": bound },
        "x-limits": {
            "frame_bytes": (one.frame_bytes)(&limits),
            "messages_per_second": socket.messages_per_second,
            "hello_within_seconds": socket.hello_within.as_secs(),
            "heartbeat_seconds": socket.heartbeat.as_secs(),
            "silence_seconds": silence.as_secs(),
        },
        "x-close-codes": codes.collect::<Vec<_>>(),
    });
    if !parameters.is_empty() {
        described["parameters"] = Value::Object(parameters);
    }
    if one.name == "driver" {
        described["x-limits"]["batch_positions"] = json!(socket.batch_positions);
        described["x-limits"]["waiting_commands"] = json!(socket.waiting_commands);
    }
    described
}

/// The names of the messages that the server sends there.
fn sent_on(one: &Channel) -> impl Iterator<Item = String> {
    let here = SENT.iter().filter(|(_, channels)| channels.contains(&one.name));
    here.map(|(kind, _)| format!("server_{kind}"))
}

/// Who may open the socket, and who that makes of them there.
fn holder(one: &Channel) -> Option<Role> {
    match rule_of(&Method::GET, one.path)?.access {
        Access::Roles(grants) => grants.first().map(|(role, _)| *role),
        Access::Public | Access::Link | Access::Account(_) => None,
    }
}

/// What may be said there.
fn said_on(one: &Channel) -> impl Iterator<Item = &'static MessageRule> {
    let holder = holder(one);
    ClientMessage::KINDS.iter().filter_map(|kind| MessageRule::of(kind)).filter(move |rule| rule.admits(holder))
}

/// One operation for all that the server sends on a channel, and one for each message that it takes there.
fn operations_of(one: &Channel, operations: &mut Map<String, Value>) {
    let at = |name: &str| reference(&["channels", one.name, "messages", name]);
    let holder = holder(one);
    let channel = reference(&["channels", one.name]);
    let mut shared = json!({ "channel": channel });
    if holder.is_some() {
        let schemes = ["bearer", "query"].map(|scheme| reference(&["components", "securitySchemes", scheme]));
        shared["security"] = json!(schemes);
    }
    let mut sends = shared.clone();
    sends["action"] = json!("send");
    sends["summary"] = json!("What the server sends here.");
    sends["messages"] = sent_on(one).map(|name| at(&name)).collect();
    operations.insert(format!("{}_is_told", one.name), sends);
    for rule in said_on(one) {
        let mut says = shared.clone();
        says["action"] = json!("receive");
        says["messages"] = json!([at(&format!("client_{}", rule.kind))]);
        let answers: &[&str] = match rule.kind {
            "hello" => &["server_resumed", "server_snapshot", "server_error"],
            _ => &["server_ack", "server_error"],
        };
        let answers: Vec<_> = answers.iter().map(|name| at(name)).collect();
        says["reply"] = json!({ "channel": channel, "messages": answers });
        let scope = holder.and_then(|role| rule.access.scope(role)).map(|scope| match scope {
            Scope::All => "all",
            Scope::Own => "own",
            Scope::Part => "part",
        });
        says["x-access"] = match (holder, scope) {
            (Some(role), Some(scope)) => json!({ "role": role.name(), "scope": scope }),
            _ => json!({ "link": true }),
        };
        operations.insert(format!("{}_says_{}", one.name, rule.kind), says);
    }
}

pub(crate) const READ: Rule = Rule::get("/asyncapi.json", Access::Public);

/// The sockets' document
///
/// AsyncAPI 3: every message that is sent over the sockets, in both directions, with schemas and examples. `/docs/sockets`
/// shows it.
#[utoipa::path(get, path = "/asyncapi.json", tag = "server",
    responses((status = 200, body = serde_json::Value, content_type = "application/json",
        example = json!({"asyncapi": "3.0.0"}))))]
pub(crate) async fn read(headers: HeaderMap) -> Response {
    static TEXT: LazyLock<MadeOnce> = LazyLock::new(|| MadeOnce::new("application/json", document().to_string()));
    TEXT.answer(&headers)
}

pub(crate) const SHOW: Rule = Rule::get("/docs/sockets", Access::Public);

/// The sockets' document as a page
#[utoipa::path(get, path = "/docs/sockets", tag = "server",
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn show(headers: HeaderMap) -> Response {
    static PAGE: LazyLock<MadeOnce> =
        LazyLock::new(|| MadeOnce::new("text/html; charset=utf-8", page::render(&document())));
    PAGE.answer(&headers)
}
