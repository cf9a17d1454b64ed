//! The fields of the API document: inputs have bounds, every one has a description, examples are what they are of.

use std::collections::BTreeSet;

use posthaste_gate::openapi::document;
use serde_json::Value;

use crate::document::operations;

fn parts_of(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten()
}

fn resolve<'a>(document: &'a Value, target: &str) -> &'a Value {
    document.pointer(&target[1..]).unwrap_or_else(|| panic!("{target} leads nowhere"))
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    }
}

/// Every input of the schema that is not bounded.
fn unbounded(document: &Value, schema: &Value, path: &str, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
    let has = |names: &[&str]| names.iter().any(|name| schema.get(*name).is_some());
    if let Some(target) = schema["$ref"].as_str() {
        if seen.insert(target.to_owned()) {
            let name = target.rsplit('/').next().unwrap();
            unbounded(document, resolve(document, target), name, seen, found);
        }
        return;
    }
    for part in parts_of(schema) {
        unbounded(document, part, path, seen, found);
    }
    let mut note = |what: &str| found.insert(format!("{path}: {what}"));
    if is(schema, "string") && !has(&["maxLength", "pattern", "format", "enum", "const"]) {
        note("a text without maxLength, pattern, format or enum");
    }
    if is(schema, "array") && !has(&["maxItems"]) {
        note("a list without maxItems");
    }
    let number = is(schema, "number") || is(schema, "integer");
    if number && !(has(&["minimum", "exclusiveMinimum"]) && has(&["maximum", "exclusiveMaximum"])) {
        note("a number without bounds");
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(document, property, &format!("{path}.{name}"), seen, found);
    }
    for inner in ["items", "additionalProperties"].into_iter().filter_map(|name| schema.get(name)) {
        unbounded(document, inner, &format!("{path}[]"), seen, found);
    }
}

#[test]
fn every_input_is_bounded() {
    let document = serde_json::to_value(document()).unwrap();
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    for (method, path, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = format!("{method} {path} {} {}", parameter["in"], parameter["name"]);
            unbounded(&document, &parameter["schema"], &name, &mut seen, &mut found);
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        unbounded(&document, body, &format!("{method} {path}"), &mut seen, &mut found);
    }
    assert!(seen.len() > 30, "only {} schemas of inputs", seen.len());
    assert!(found.is_empty(), "say in the limits of the context (`LIMITS`) what is allowed:\n{found:#?}");
}

#[test]
fn every_field_and_parameter_has_a_description() {
    fn look(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let mut said = std::iter::once(property).chain(parts_of(property));
            if !said.any(|schema| schema["description"].as_str().is_some_and(|text| !text.is_empty())) {
                found.push(path.clone());
            }
            look(property, &path, found);
        }
        for part in parts_of(schema).chain(schema.get("items")) {
            look(part, path, found);
        }
    }
    let document = serde_json::to_value(document()).unwrap();
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        look(schema, name, &mut found);
    }
    for (method, path, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{method} {path} {}", parameter["name"]));
            }
        }
    }
    assert!(found.is_empty(), "without a description: {found:#?}");
}

/// What is wrong with a value, by its schema. Patterns and formats are left to the contract run.
fn faults(document: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    if let Some(target) = schema["$ref"].as_str() {
        return faults(document, resolve(document, target), value, path);
    }
    let mut found = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(faults(document, part, value, path));
    }
    for of in ["oneOf", "anyOf"].into_iter().filter_map(|of| schema[of].as_array()) {
        if !of.iter().any(|kind| faults(document, kind, value, path).is_empty()) {
            found.push(format!("{path}: fits none of its kinds"));
        }
    }
    let mut wrong = |is_wrong: bool, what: &str| {
        if is_wrong {
            found.push(format!("{path}: {what}: {value}"));
        }
    };
    let kinds = match value {
        Value::Null => &["null"][..],
        Value::Bool(_) => &["boolean"],
        Value::Number(n) if n.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    };
    wrong(schema.get("type").is_some() && !kinds.iter().any(|kind| is(schema, kind)), "another type");
    wrong(schema["enum"].as_array().is_some_and(|all| !all.contains(value)), "none of the enum");
    let above = |bound: &str, n: f64| schema[bound].as_f64().is_some_and(|bound| n > bound);
    let below = |bound: &str, n: f64| schema[bound].as_f64().is_some_and(|bound| n < bound);
    let size = match value {
        Value::Number(n) => (n.as_f64().unwrap(), "minimum", "maximum"),
        Value::String(text) => (text.chars().count() as f64, "minLength", "maxLength"),
        Value::Array(items) => (items.len() as f64, "minItems", "maxItems"),
        _ => (0.0, "", ""),
    };
    wrong(below(size.1, size.0) || above(size.2, size.0), "out of bounds");
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(document, &schema["items"], item, &format!("{path}[{n}]")));
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                found.push(format!("{path}.{name}: is required"));
            }
        }
        for (name, field) in fields {
            match schema["properties"].get(name) {
                Some(property) => found.extend(faults(document, property, field, &format!("{path}.{name}"))),
                None if schema["additionalProperties"] == false => found.push(format!("{path}.{name}: is not known")),
                None => {}
            }
        }
    }
    found
}

#[test]
fn every_body_has_an_example_that_fits_its_schema() {
    let document = serde_json::to_value(document()).unwrap();
    let (mut missing, mut wrong, mut tried) = (Vec::new(), Vec::new(), 0);
    for (method, path, operation) in operations() {
        let answers = operation["responses"].as_object().unwrap().iter();
        let bodies =
            answers.filter(|(status, _)| status.starts_with('2')).map(|(status, answer)| (status.as_str(), answer));
        for (what, body) in bodies.chain([("request", &operation["requestBody"])]) {
            let what = format!("{method} {path} {what}");
            let Some(content) = body["content"].get("application/json") else { continue };
            match content.get("example") {
                Some(example) => wrong.extend(faults(&document, &content["schema"], example, &what)),
                None => missing.push(what),
            }
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} bodies");
    assert!(missing.is_empty() && wrong.is_empty(), "without an example: {missing:#?}\nwrong: {wrong:#?}");
}

#[test]
fn what_does_not_fit_its_schema_is_found() {
    let document = serde_json::to_value(document()).unwrap();
    let schema = serde_json::json!({"$ref": "#/components/schemas/CreateDriver"});
    let sound = serde_json::json!({"name": "Grace", "vehicle": "bicycle", "zones": ["zon_01jd8v7cjxfm9sxv0q3e0b5z1c"]});
    assert_eq!(faults(&document, &schema, &sound, "body"), Vec::<String>::new());
    for (field, value) in [
        ("name", Value::Null),
        ("name", "".into()),
        ("name", "x".repeat(101).into()),
        ("vehicle", "rocket".into()),
        ("capacity", 0.into()),
        ("capacity", 1.5.into()),
        ("zones", serde_json::json!([])),
        ("wings", 2.into()),
    ] {
        let mut body = sound.clone();
        body[field] = value;
        assert_eq!(faults(&document, &schema, &body, "body").len(), 1, "{body}");
    }
}
