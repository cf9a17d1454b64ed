//! Examples of what is answered, put together from the examples of fields, so that they follow the schemas.

use serde_json::{Map, Value, json};
use utoipa::openapi::{OpenApi, RefOr};

/// How far in a body examples go. No body of ours is deeper; a schema that holds itself would be.
const DEEPEST: usize = 16;

/// Gives every JSON body of an answer that has none an example.
pub fn write(document: &mut OpenApi) {
    let Ok(known) = serde_json::to_value(&*document) else { return };
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                let Some(RefOr::T(content)) = response.content.get_mut("application/json") else { continue };
                if !status.starts_with('2') || content.example.is_some() || !content.examples.is_empty() {
                    continue;
                }
                let schema = content.schema.as_ref().and_then(|schema| serde_json::to_value(schema).ok());
                content.example = schema.and_then(|schema| of(&known, &schema, 0));
            }
        }
    }
}

/// An example of a schema; none where it is not said what there could be.
#[must_use]
pub fn of(document: &Value, schema: &Value, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    if let Some(given) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return Some(given.clone());
    }
    if let Some(usual) = schema.get("default").filter(|usual| !usual.is_null() && !usual.is_object()) {
        return Some(usual.clone());
    }
    if let Some(target) = schema["$ref"].as_str() {
        return of(document, document.pointer(target.strip_prefix('#')?)?, depth + 1);
    }
    if let Some(first) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return Some(first.clone());
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().filter_map(|part| of(document, part, depth + 1));
        return Some(Value::Object(parts.filter_map(|part| part.as_object().cloned()).flatten().collect()));
    }
    if let Some(kinds) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return kinds.iter().find(|kind| kind["type"] != "null").and_then(|kind| of(document, kind, depth + 1));
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null")?,
        kind => kind,
    };
    match kind.as_str()? {
        "object" => Some(of_object(document, schema, depth)),
        "array" => Some(of(document, &schema["items"], depth + 1).map_or_else(|| json!([]), |item| json!([item]))),
        "string" => match schema["format"].as_str() {
            Some("date-time") => Some(json!("2026-05-01T12:00:00Z")),
            Some("date") => Some(json!("2026-05-01")),
            _ => None,
        },
        "integer" => Some(json!(schema["minimum"].as_i64().unwrap_or(0).max(1))),
        "number" => Some(json!(schema["minimum"].as_f64().unwrap_or(0.0).max(1.0))),
        "boolean" => Some(json!(false)),
        _ => None,
    }
}

/// What is always there, and what may be and has an example or a default.
fn of_object(document: &Value, schema: &Value, depth: usize) -> Value {
    let mut example = Map::new();
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let shown = property.get("example").or_else(|| property.get("default")).is_some_and(|value| !value.is_null());
        if !required(name) && !shown {
            continue;
        }
        if let Some(value) = of(document, property, depth + 1) {
            example.insert(name.clone(), value);
        }
    }
    Value::Object(example)
}
