//! From the schemas of the protocol's types to those of the document, and the envelope around them.

use serde_json::{Map, Value, json};

/// Messages without a place in the stream.
const UNNUMBERED: &[&str] = &["welcome", "resumed", "ack", "error", "position"];
/// Messages that answer a command.
const ANSWERS: &[&str] = &["ack", "error"];

/// A reference within the document.
pub(super) fn reference(path: &[&str]) -> Value {
    json!({ "$ref": format!("#/{}", path.join("/")) })
}

/// A schema as this document writes it.
pub(super) fn ours(name: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    adapt(&mut schema);
    entitle(name, &mut schema);
    schema
}

/// Gives a schema a title, and every part of it that stands for itself: programs that make types of schemas name them so.
fn entitle(title: &str, schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if fields.contains_key("$ref") {
        return;
    }
    fields.entry("title").or_insert_with(|| title.into());
    for (name, property) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        entitle(&format!("{title}{}", in_one_word(name)), property);
    }
    for (inner, suffix) in [("items", "Item"), ("additionalProperties", "Value")] {
        if let Some(inner) = fields.get_mut(inner) {
            entitle(&format!("{title}{suffix}"), inner);
        }
    }
    for way in ["allOf", "anyOf"] {
        for (n, part) in fields.get_mut(way).and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            entitle(&format!("{title}{}", n + 1), part);
        }
    }
}

/// `ready_at` as `ReadyAt`.
pub(super) fn in_one_word(name: &str) -> String {
    name.split('_')
        .flat_map(|part| part.chars().enumerate().map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c }))
        .collect()
}

/// AsyncAPI's schemas are an older JSON Schema than OpenAPI's: an example is one of `examples`, and what stands beside a
/// reference would be ignored.
fn adapt(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if !fields.contains_key("examples")
                && let Some(example) = fields.remove("example")
            {
                fields.insert("examples".to_owned(), json!([example]));
            }
            // A position with its driver is a position without one too, to who ignores what they do not know.
            if let Some(alternatives) = fields.remove("oneOf") {
                fields.insert("anyOf".to_owned(), alternatives);
            }
            if fields.len() > 1
                && let Some(target) = fields.remove("$ref")
            {
                fields.insert("allOf".to_owned(), json!([{ "$ref": target }]));
            }
            for (name, field) in fields.iter_mut() {
                // Names of fields are not words of the schema, nor are examples.
                if name == "properties" {
                    field.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(adapt);
                } else if name != "examples" && name != "enum" && name != "default" {
                    adapt(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(adapt),
        _ => {}
    }
}

/// The envelopes of the two directions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frames {
    OfServer,
    OfClient,
}

impl Frames {
    /// The frame around the data of one message.
    pub(super) fn of(self, kind: &str, data: &str, schemas: &Map<String, Value>) -> Value {
        let sent = json!({ "type": "string", "format": "date-time", "description": "When it was sent." });
        let mut fields = json!({
            "type": { "const": kind, "description": "What it is." },
            "data": reference(&["components", "schemas", data]),
            "ts": sent,
        });
        let mut required = vec!["type"];
        match self {
            Self::OfServer => {
                required.push("data");
                if ANSWERS.contains(&kind) {
                    let words = "The command that is answered; none where a frame was not understood.";
                    fields["id"] = json!({ "type": "string", "description": words });
                }
                if !UNNUMBERED.contains(&kind) {
                    let words = "Its place in the stream: one more than that of the message before.";
                    fields["seq"] = json!({ "type": "integer", "minimum": 0, "description": words });
                    required.extend(["seq", "ts"]);
                }
            }
            Self::OfClient => {
                let words = "Names the command, new for every one: it is answered with the same. Sent again with it, the \
                    command is done once.";
                fields["id"] = json!({ "type": "string", "pattern": "^[!-~]{1,255}$", "description": words });
                let is_needed = |schema: &Value| schema["required"].as_array().is_some_and(|names| !names.is_empty());
                if schemas.get(data).is_some_and(is_needed) {
                    required.push("data");
                }
            }
        }
        let from = match self {
            Self::OfServer => "Server",
            Self::OfClient => "Client",
        };
        let title = format!("{from}{}", in_one_word(kind));
        let mut frame = json!({ "type": "object", "required": required, "properties": fields });
        entitle(&title, &mut frame);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_schema_has_a_title() {
        let schema = json!({
            "properties": {
                "ready_at": { "type": "string" },
                "stops": { "type": "array", "items": { "type": "object", "properties": { "lat": {} } } },
                "window": { "oneOf": [{ "type": "null" }, { "$ref": "#/a" }] },
            },
        });
        let entitled = json!({
            "title": "Order",
            "properties": {
                "ready_at": { "type": "string", "title": "OrderReadyAt" },
                "stops": { "type": "array", "title": "OrderStops", "items": {
                    "type": "object", "title": "OrderStopsItem", "properties": { "lat": { "title": "OrderStopsItemLat" } },
                } },
                "window": { "anyOf": [{ "type": "null", "title": "OrderWindow1" }, { "$ref": "#/a" }], "title": "OrderWindow" },
            },
        });
        assert_eq!(ours("Order", &schema), entitled);
    }

    #[test]
    fn a_field_named_as_a_word_of_the_schema_stays() {
        let mut schema = json!({
            "properties": { "example": { "type": "string", "example": "x" }, "kind": { "$ref": "#/a", "description": "k" } },
            "examples": [{ "example": 1 }],
        });
        adapt(&mut schema);
        let adapted = json!({
            "properties": {
                "example": { "type": "string", "examples": ["x"] },
                "kind": { "allOf": [{ "$ref": "#/a" }], "description": "k" },
            },
            "examples": [{ "example": 1 }],
        });
        assert_eq!(schema, adapted);
    }
}
