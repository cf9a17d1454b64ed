//! The API document: complete, consistent, and the same as the table of access.

use std::collections::BTreeSet;

use posthaste_dispatch_api::access::MESSAGES;
use posthaste_gate::access::{self, Access, RULES, rule_of};
use posthaste_gate::asyncapi;
use posthaste_gate::openapi::document;
use posthaste_protocol::socket::{ClientMessage, ServerMessage};
use serde_json::Value;

/// Every operation: method, path, and what the document says of it.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut operation = operation.clone();
            for answer in operation["responses"].as_object_mut().unwrap().values_mut() {
                if let Some(shared) = answer["$ref"].as_str() {
                    *answer = document.pointer(&shared[1..]).unwrap_or_else(|| panic!("{shared}")).clone();
                }
            }
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

#[test]
fn every_route_has_a_rule_and_every_rule_a_route() {
    let routed: BTreeSet<_> = operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    let ruled: BTreeSet<_> = RULES.iter().map(|rule| (rule.method.to_owned(), rule.path.to_owned())).collect();
    assert_eq!(routed, ruled);
}

#[test]
fn the_committed_documents_are_those_that_are_served() {
    assert_committed("openapi", &document(), include_str!("../../../../docs/openapi.json"));
    assert_committed("asyncapi", &asyncapi::document(), include_str!("../../../../docs/asyncapi.json"));
    assert_same("access", "access.md", &access::page(), include_str!("../../../../docs/access.md"));
}

fn assert_committed(name: &str, served: &impl serde::Serialize, committed: &str) {
    assert_same(name, &format!("{name}.json"), &serde_json::to_string_pretty(served).unwrap(), committed);
}

fn assert_same(command: &str, file: &str, served: &str, committed: &str) {
    let served = served.trim_end();
    let committed = committed.trim_end();
    let differs = served.lines().zip(committed.lines()).position(|(now, then)| now != then);
    let line = differs.unwrap_or_else(|| served.lines().count().min(committed.lines().count())) + 1;
    assert!(
        served == committed,
        "docs/{file} differs from line {line} on. Meant? Then: cargo run -p posthaste -- {command} > docs/{file}"
    );
}

#[test]
fn every_operation_says_what_it_answers_and_how_it_can_fail() {
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations() {
        let what = format!("{method} {path}");
        let access = rule_of(&method.parse().unwrap(), &path).unwrap().access;
        let answers = operation["responses"].as_object().unwrap();
        let has = |status: &str| assert!(answers.contains_key(status), "{what} does not name {status}");
        for status in ["408", "431", "500", "503"] {
            has(status);
        }
        if !path.starts_with("/health/") {
            has("429");
            for (status, answer) in answers {
                assert!(answer["headers"]["RateLimit"].is_object(), "{what} {status}");
            }
        }
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{what} names no security"));
        let wants_token = security.iter().any(|way| way["bearer"].is_array());
        assert_eq!(wants_token, !matches!(access, Access::Public | Access::Link), "{what}");
        if let Access::Roles(_) = access {
            has("401");
            has("403");
        }
        if path.contains('{') {
            has("400");
            has("404");
        }
        if operation["requestBody"].is_object() {
            for status in ["400", "413", "415", "422"] {
                has(status);
            }
            assert!(!operation["requestBody"]["content"]["application/json"]["example"].is_null(), "{what}: example");
        }
        let success = |status: &String| status.starts_with('2') || ["101", "303"].contains(&status.as_str());
        assert!(answers.keys().any(success), "{what}: no success");
        assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{what} has no summary");
        let name = operation["operationId"].as_str().unwrap();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_plain), "{what}: {name}");
        assert!(names.insert(name.to_owned()), "{what}: its id is taken");
        for status in answers.keys().filter(|s| s.starts_with('4') || s.starts_with('5')) {
            let content = &answers[status]["content"]["application/problem+json"];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{what} {status}");
        }
    }
}

#[test]
fn the_document_says_where_the_server_is_and_what_a_missing_scope_is() {
    let document = serde_json::to_value(document()).unwrap();
    assert_eq!(document["servers"][0]["url"], "/");
    for (method, path, operation) in operations() {
        let rule = rule_of(&method.parse().unwrap(), &path).unwrap();
        let said = operation["responses"]["403"]["description"].as_str().unwrap_or_default();
        assert_eq!(said.contains("`scope_required`"), rule.key.is_some(), "{method} {path}: {said}");
    }
}

/// Every part of the schemas that stands for itself and has no title.
fn untitled(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(fields) = schema.as_object() else { return };
    if fields.contains_key("$ref") {
        return;
    }
    if !fields.contains_key("title") {
        found.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        untitled(property, &format!("{path}.{name}"), found);
    }
    let several = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|way| schema[way].as_array()).flatten();
    for inner in several.chain(["items", "additionalProperties"].into_iter().filter_map(|name| schema.get(name))) {
        untitled(inner, &format!("{path}[]"), found);
    }
}

#[test]
fn no_schema_of_the_sockets_is_anonymous() {
    let (document, mut found) = (asyncapi::document(), Vec::new());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        untitled(schema, name, &mut found);
    }
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        untitled(&message["payload"], name, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
    let mut bad = Vec::new();
    untitled(&serde_json::json!({"title": "A", "properties": {"b": {"items": {}}}}), "A", &mut bad);
    assert_eq!(bad, ["A.b", "A.b[]"]);
}

#[test]
fn every_way_to_show_who_asks_is_a_scheme_of_the_document() {
    let document = serde_json::to_value(document()).unwrap();
    let schemes = &document["components"]["securitySchemes"];
    let mut used = BTreeSet::new();
    for (_, _, operation) in operations() {
        for way in operation["security"].as_array().into_iter().flatten() {
            used.extend(way.as_object().unwrap().keys().cloned());
        }
    }
    assert_eq!(used, schemes.as_object().unwrap().keys().cloned().collect());
    for path in ["refresh", "end"] {
        let security = &document["paths"][format!("/v1/sessions/{path}")]["post"]["security"];
        assert_eq!(security[0], serde_json::json!({"refresh_cookie": []}));
    }
    let cookie = &schemes["refresh_cookie"];
    assert_eq!((&cookie["in"], &cookie["name"]), (&"cookie".into(), &"__Secure-posthaste_refresh".into()));
}

#[test]
fn every_parameter_of_a_path_is_described() {
    for (method, path, operation) in operations() {
        let wanted: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let given = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<_> = given
            .iter()
            .filter(|p| p["in"] == "path" && p["description"].is_string())
            .filter_map(|p| p["name"].as_str())
            .collect();
        assert_eq!(wanted, described, "{method} {path}");
    }
}

#[test]
fn every_reference_resolves() {
    assert_resolved(&serde_json::to_value(document()).unwrap());
    assert_resolved(&asyncapi::document());
}

fn assert_resolved(document: &Value) {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_str() {
                        Some(target) if name == "$ref" => found.push(target.to_owned()),
                        _ => references(field, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(found.len() > 100, "only {} references", found.len());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

#[test]
fn the_document_of_the_sockets_has_every_channel_and_every_message_with_its_rule() {
    let document = asyncapi::document();
    let routed: BTreeSet<_> = RULES.iter().filter(|rule| rule.socket).map(|rule| rule.path).collect();
    let channels = document["channels"].as_object().unwrap();
    assert_eq!(channels.values().map(|c| c["address"].as_str().unwrap()).collect::<BTreeSet<_>>(), routed);
    let messages = document["components"]["messages"].as_object().unwrap();
    let named: BTreeSet<_> = messages.keys().cloned().collect();
    let client = ClientMessage::KINDS.iter().map(|kind| format!("client_{kind}"));
    let server = ServerMessage::KINDS.iter().map(|kind| format!("server_{kind}"));
    assert_eq!(named, client.chain(server).collect());
    for (name, message) in messages {
        assert!(!message["examples"].as_array().unwrap().is_empty(), "{name} has no example");
        assert!(message["summary"].as_str().is_some_and(|text| text.len() > 3), "{name} has no summary");
        assert!(channels.values().any(|channel| !channel["messages"][name].is_null()), "{name} is said nowhere");
    }
    assert_eq!(MESSAGES.len(), ClientMessage::KINDS.len());
    for (name, operation) in document["operations"].as_object().unwrap() {
        let channel = operation["channel"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        assert_eq!(operation["security"].is_array(), channel != "track", "{name}");
    }
}
