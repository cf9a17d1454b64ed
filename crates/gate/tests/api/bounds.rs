//! Every maximum that the document states, and one more: refused by name, by every route that takes it.

use std::collections::BTreeSet;

use axum::http::Method;
use posthaste_gate::access::{Access, Rule, rule_of};
use posthaste_gate::openapi::document;
use posthaste_http::auth::Role;
use serde_json::{Value, json};

use crate::access::World;
use crate::accounts::people::{self, Login};
use crate::document::operations;
use crate::stage::Answer;

/// A way to exceed a body: where, and what stands there then.
type Excess = (String, Value);

/// Something that fits the schema.
pub(crate) fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(target) = schema["$ref"].as_str() {
        return sample(document, document.pointer(&target[1..]).unwrap());
    }
    let given = [&schema["example"], &schema["enum"][0], &schema["const"], &schema["default"]];
    if let Some(given) = given.into_iter().find(|given| !given.is_null()) {
        return given.clone();
    }
    for way in ["oneOf", "anyOf", "allOf"] {
        let fit = schema[way].as_array().into_iter().flatten().map(|one| sample(document, one)).find(|v| !v.is_null());
        if let Some(fit) = fit {
            return fit;
        }
    }
    let is =
        |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&json!(kind)));
    if is("object") || schema["properties"].is_object() {
        let wanted = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let fields = wanted.map(|name| (name.to_owned(), sample(document, &schema["properties"][name])));
        return Value::Object(fields.collect());
    }
    if is("array") {
        return json!([sample(document, &schema["items"])]);
    }
    if is("integer") || is("number") {
        return schema.get("minimum").cloned().unwrap_or(json!(1));
    }
    if schema["format"] == "date-time" {
        return json!("2026-05-01T12:00:00Z");
    }
    if is("boolean") { json!(true) } else { json!("x") }
}

/// Every value in here that is one more than it may be, as a pointer into the body.
fn excesses(document: &Value, schema: &Value, at: &str, depth: usize, found: &mut Vec<Excess>) {
    if depth > 10 {
        return;
    }
    if let Some(target) = schema["$ref"].as_str() {
        return excesses(document, document.pointer(&target[1..]).unwrap(), at, depth + 1, found);
    }
    for way in ["oneOf", "anyOf", "allOf"] {
        for one in schema[way].as_array().into_iter().flatten() {
            excesses(document, one, at, depth + 1, found);
        }
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        let start = if schema["format"] == "uri" { "https://shop.example/" } else { "" };
        let long = usize::try_from(most).unwrap() + 1 - start.len();
        found.push((at.to_owned(), json!(format!("{start}{}", "x".repeat(long)))));
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        let one = sample(document, &schema["items"]);
        found.push((at.to_owned(), Value::Array(vec![one; usize::try_from(most).unwrap() + 1])));
    }
    // Of a fix that says nothing the rest is taken: a batch is not refused for what one phone wrote into one of them.
    let is_fix = at.starts_with("/positions/0/");
    if let Some(most) = schema["maximum"].as_f64().filter(|_| !is_fix) {
        let whole = schema["type"] != "number" && most < 1e15;
        found.push((at.to_owned(), if whole { json!(most as i64 + 1) } else { json!(most * 1.001 + 1.0) }));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        excesses(document, field, &format!("{at}/{name}"), depth + 1, found);
    }
    if schema["items"].is_object() {
        excesses(document, &schema["items"], &format!("{at}/0"), depth + 1, found);
    }
}

/// The body with something else at a place, which is made where it was not.
pub(crate) fn with(document: &Value, schema: &Value, body: &Value, pointer: &str, value: &Value) -> Value {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return value.clone() };
    let mut body = body.clone();
    if body.pointer(parent).is_none_or(Value::is_null) {
        let made = sample(document, at(document, schema, parent));
        body = with(document, schema, &body, parent, &made);
    }
    match body.pointer_mut(parent).unwrap() {
        Value::Array(entries) => entries.splice(..entries.len().min(1), [value.clone()]).for_each(drop),
        Value::Object(fields) => _ = fields.insert(name.to_owned(), value.clone()),
        other => panic!("{pointer} in {other}"),
    }
    body
}

/// The schema of a place in the body.
pub(crate) fn at<'a>(document: &'a Value, schema: &'a Value, pointer: &str) -> &'a Value {
    if let Some(target) = schema["$ref"].as_str() {
        return at(document, document.pointer(&target[1..]).unwrap(), pointer);
    }
    let Some(rest) = pointer.strip_prefix('/') else { return schema };
    for way in ["oneOf", "anyOf", "allOf"] {
        let mut all = schema[way].as_array().into_iter().flatten();
        if let Some(one) = all.find(|one| one["type"] != "null") {
            return at(document, one, pointer);
        }
    }
    let (name, rest) = rest.split_once('/').map_or((rest, String::new()), |(name, rest)| (name, format!("/{rest}")));
    let inner = if schema["items"].is_object() { &schema["items"] } else { &schema["properties"][name] };
    at(document, inner, &rest)
}

/// As the problem names the place.
pub(crate) fn field_of(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(n) => field += &format!("[{n}]"),
            Err(_) if field.is_empty() => field += part,
            Err(_) => field += &format!(".{part}"),
        }
    }
    field
}

/// What is wrong about the answer, if anything.
fn not_refused(field: &str, answer: &Answer) -> Option<String> {
    if !answer.status.is_client_error() || answer.status == 429 {
        return Some(format!("takes more than the document says: {answer:?}"));
    }
    let names = answer.fields();
    let is_named = names.iter().any(|named| field.starts_with(named) || named.starts_with(field));
    (answer.status != 413 && !is_named).then(|| format!("does not name {field}: {answer:?}"))
}

/// Who may use what.
pub(crate) struct Callers(Vec<(Role, Login)>);

impl Callers {
    pub(crate) async fn new(world: &World) -> Self {
        let mut logins = Vec::new();
        for role in [Role::Customer, Role::Merchant, Role::Driver] {
            let email = format!("{role}@example.org");
            people::register(&world.stage, &role.to_string(), &email).await;
            logins.push((role, people::log_in(&world.stage, &email).await));
        }
        Self(logins)
    }

    /// Somebody who may use a route: in which role, and by which token.
    pub(crate) fn of(&self, world: &World, rule: &Rule) -> (Role, Option<String>) {
        let roles = [Role::Driver, Role::Merchant, Role::Admin, Role::Customer];
        let of_role = roles.into_iter().find(|role| rule.access.scope(*role).is_some());
        let token = match rule.access {
            Access::Public | Access::Link => None,
            Access::Account(roles) => {
                let (_, login) = self.0.iter().find(|(role, _)| roles.contains(role)).unwrap();
                Some(login.access())
            }
            Access::Roles(_) => Some(world.token(of_role.unwrap(), true)),
        };
        (of_role.unwrap_or(Role::Admin), token)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_than_the_document_says_is_refused_by_name() {
    let world = World::new().await;
    let all = serde_json::to_value(document()).unwrap();
    let callers = Callers::new(&world).await;
    let (mut tried, mut wrong) = (BTreeSet::new(), Vec::new());
    for (method, path, operation) in operations() {
        let rule = rule_of(&method.parse().unwrap(), &path).unwrap();
        let (role, token) = callers.of(&world, rule);
        let (method, schema): (Method, _) =
            (method.parse().unwrap(), operation["requestBody"]["content"]["application/json"]["schema"].clone());
        let mut more = Vec::new();
        excesses(&all, &schema, "", 0, &mut more);
        let whole = world.body(&path, &operation, role).filter(|_| !more.is_empty());
        for (pointer, value) in more {
            let example = whole.clone().unwrap_or_else(|| sample(&all, &schema));
            let body = with(&all, &schema, &example, &pointer, &value);
            let url = world.path_of_owner(&path, role).await;
            let answer = world.stage.call(method.clone(), &url, token.as_deref(), Some(&body)).await;
            wrong.extend(not_refused(&field_of(&pointer), &answer).map(|it| format!("{method} {path} {pointer} {it}")));
            tried.insert(format!("{path} {pointer}"));
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
            let (name, most) = (parameter["name"].as_str().unwrap(), parameter["schema"]["maxLength"].as_u64());
            let (Some(most), false) = (most, rule.socket) else { continue };
            let url = world.path_of_owner(&path, role).await;
            let url = format!("{url}?{name}={}", "x".repeat(usize::try_from(most).unwrap() + 1));
            let answer = world.stage.call(method.clone(), &url, token.as_deref(), None).await;
            wrong.extend(not_refused(name, &answer).map(|it| format!("{method} {path}?{name} {it}")));
            tried.insert(format!("{path} ?{name}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tried.len() > 80, "only {} maxima were tried", tried.len());
    // And nothing of all that was kept.
    assert_eq!(
        world.stage.get("/v1/accounts?waiting=true", &world.stage.admin).await.body["items"].as_array().unwrap().len(),
        2
    );
}
