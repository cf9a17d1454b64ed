//! Whatever stands in a body, a query or a path instead of what the document says: refused by its name, every one of several,
//! in words that somebody understands who does not know what the server is written in.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use posthaste_gate::access::rule_of;
use posthaste_gate::openapi::document;
use serde_json::{Value, json};

use crate::access::World;
use crate::bounds::{Callers, at, field_of, sample, with};
use crate::document::operations;
use crate::stage::{Answer, Stage, order_body};

/// What is said by the server's own readers, and nowhere else.
const FOREIGN: &[&str] = &[
    "invalid type",
    "invalid value",
    "invalid length",
    "invalid digit",
    "unknown variant",
    "unknown field",
    "missing field",
    "duplicate field",
    "did not match",
    "premature end",
    "invalid characters",
    "trailing input",
    "struct",
    "enum",
    "variant",
    "sequence",
    "deserialize",
    "serde",
    "untagged",
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "bool",
    "Vec",
    "Option",
    "String",
    "EOF",
];

fn foreign_words(text: &str) -> Vec<&'static str> {
    let words: BTreeSet<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
    FOREIGN
        .iter()
        .copied()
        .filter(|one| if one.contains(' ') { text.contains(one) } else { words.contains(one) })
        .collect()
}

/// What is wrong about a refusal, if anything.
fn fault(answer: &Answer, fields: &[String]) -> Option<String> {
    if !answer.status.is_client_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Some(format!("is no refusal: {answer:?}"));
    }
    let named = answer.fields();
    if let Some(missing) = fields.iter().find(|field| !named.contains(&field.as_str())) {
        return Some(format!("does not name {missing}: {answer:?}"));
    }
    let foreign = foreign_words(&answer.body.to_string());
    (!foreign.is_empty()).then(|| format!("says {foreign:?}: {answer:?}"))
}

#[test]
fn foreign_words_are_found_and_others_are_not() {
    assert_eq!(foreign_words("invalid type: string, expected f64"), ["invalid type", "f64"]);
    assert_eq!(
        foreign_words("must be an id like ord_01jd8v7cjxfm9sxv0q3e0b5z1c, a structure, u81"),
        Vec::<&str>::new()
    );
}

/// The types that may stand at a place, through references and alternatives.
fn types(document: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(target) = schema["$ref"].as_str() {
        return types(document, document.pointer(&target[1..]).unwrap());
    }
    let several = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|way| schema[way].as_array()).flatten();
    let mut all: BTreeSet<_> = several.flat_map(|one| types(document, one)).collect();
    match &schema["type"] {
        Value::String(one) => _ = all.insert(one.clone()),
        Value::Array(many) => all.extend(many.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => {}
    }
    all
}

/// Whether not every text is right.
fn is_narrow(document: &Value, schema: &Value) -> bool {
    if let Some(target) = schema["$ref"].as_str() {
        return is_narrow(document, document.pointer(&target[1..]).unwrap());
    }
    let several = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|way| schema[way].as_array()).flatten();
    let is_id = schema["pattern"].as_str().is_some_and(|form| form.ends_with("_[0-7][0-9a-hjkmnp-tv-z]{25}$"));
    let is_time = ["date", "date-time"].iter().any(|format| schema["format"] == *format);
    is_id || is_time || schema["enum"].is_array() || several.into_iter().any(|one| is_narrow(document, one))
}

/// Values that do not fit, of several types.
fn misfits(document: &Value, schema: &Value) -> Vec<Value> {
    let types = types(document, schema);
    let has = |kind: &str| types.contains(kind);
    let all = [
        (json!(7.5), has("number")),
        (json!("no such thing"), has("string") && !is_narrow(document, schema)),
        (json!(true), has("boolean")),
        (json!(["x"]), has("array")),
        (json!({"x": 1}), has("object")),
    ];
    if types.is_empty() {
        Vec::new()
    } else {
        all.into_iter().filter(|(_, fits)| !fits).map(|(value, _)| value).collect()
    }
}

/// A place in a body.
struct Spot {
    pointer: String,
    /// Whether there is nothing further in.
    is_leaf: bool,
    /// Whether only known fields are taken there.
    is_closed: bool,
}

/// Every place in a body, from the outside in.
fn places(document: &Value, schema: &Value, pointer: &str, depth: usize, found: &mut Vec<Spot>) {
    if depth > 10 {
        return;
    }
    if let Some(target) = schema["$ref"].as_str() {
        return places(document, document.pointer(&target[1..]).unwrap(), pointer, depth + 1, found);
    }
    let several = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|way| schema[way].as_array()).flatten();
    let mut inner = 0;
    for one in several.filter(|one| one["type"] != "null") {
        places(document, one, pointer, depth + 1, found);
        inner += 1;
    }
    if inner > 0 {
        return;
    }
    let fields = schema["properties"].as_object();
    found.push(Spot {
        pointer: pointer.to_owned(),
        is_leaf: fields.is_none() && !schema["items"].is_object(),
        is_closed: schema["additionalProperties"] == false,
    });
    for (name, field) in fields.into_iter().flatten() {
        places(document, field, &format!("{pointer}/{name}"), depth + 1, found);
    }
    if schema["items"].is_object() {
        places(document, &schema["items"], &format!("{pointer}/0"), depth + 1, found);
    }
}

fn name_of(pointer: &str) -> String {
    if pointer.is_empty() { "body".to_owned() } else { field_of(pointer) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_named_and_told_in_plain_words() {
    let world = World::new().await;
    let callers = Callers::new(&world).await;
    let all = serde_json::to_value(document()).unwrap();
    let (mut tried, mut wrong) = (0, Vec::new());
    for (method, path, operation) in operations() {
        let schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
        if schema.is_null() {
            continue;
        }
        let method: Method = method.parse().unwrap();
        let rule = rule_of(&method, &path).unwrap();
        let (role, token) = callers.of(&world, rule);
        let url = world.path_of_owner(&path, role).await;
        let sound = world.body(&path, &operation, role).unwrap_or_else(|| sample(&all, &schema));
        let ask = async |body: &Value| world.stage.call(method.clone(), &url, token.as_deref(), Some(body)).await;
        let mut found = Vec::new();
        places(&all, &schema, "", 0, &mut found);
        let mut at_once = (sound.clone(), Vec::new());
        for Spot { pointer, is_leaf, is_closed } in found {
            let here = at(&all, &schema, &pointer);
            let mut bad: Vec<_> = misfits(&all, here).into_iter().map(|value| (pointer.clone(), value)).collect();
            if let Some((_, value)) = bad.first().filter(|_| is_leaf) {
                at_once.0 = with(&all, &schema, &at_once.0, &pointer, value);
                at_once.1.push(name_of(&pointer));
            }
            if is_closed {
                bad.push((format!("{pointer}/no_such_field"), json!(1)));
            }
            for (pointer, value) in bad {
                let body = with(&all, &schema, &sound, &pointer, &value);
                let answer = ask(&body).await;
                let fault = fault(&answer, &[name_of(&pointer)]);
                wrong.extend(fault.map(|it| format!("{method} {path} {pointer} = {value}: {it}")));
                tried += 1;
            }
        }
        let (body, names) = at_once;
        if !names.is_empty() {
            wrong.extend(fault(&ask(&body).await, &names).map(|it| format!("{method} {path} with all wrong: {it}")));
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
    assert!(tried > 500, "only {tried} values were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_do_not_fit_are_named_and_told_in_plain_words() {
    let world = World::new().await;
    let callers = Callers::new(&world).await;
    let all = serde_json::to_value(document()).unwrap();
    let (mut tried, mut wrong) = (0, Vec::new());
    for (method, path, operation) in operations() {
        let method: Method = method.parse().unwrap();
        let rule = rule_of(&method, &path).unwrap();
        if rule.socket {
            continue;
        }
        let (role, token) = callers.of(&world, rule);
        let mut urls = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            if parameter["in"] == "query" {
                let url = world.path_of_owner(&path, role).await;
                if is_narrow(&all, schema) || !types(&all, schema).contains("string") {
                    urls.push((name, format!("{url}?{name}=no%20such%20thing")));
                }
                if !path.contains("google") {
                    urls.push(("no_such_name", format!("{url}?{name}=&no_such_name=1")));
                }
            }
            if parameter["in"] == "path" && is_narrow(&all, schema) && name != "code" {
                let wrong = path.replace(&format!("{{{name}}}"), "x");
                urls.push((name, world.path_of_owner(&wrong, role).await));
            }
        }
        for (name, url) in urls {
            let body = world.body(&path, &operation, role);
            let answer = world.stage.call(method.clone(), &url, token.as_deref(), body.as_ref()).await;
            wrong.extend(fault(&answer, &[name.to_owned()]).map(|it| format!("{method} {url}: {it}")));
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
    assert!(tried > 80, "only {tried} parameters were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_not_taken_for_an_object_by_the_order_of_its_entries() {
    let stage = Stage::new().await;
    for (field, value) in [("delivery", json!([52.5208, 13.4094])), ("codes", json!([true, true]))] {
        let mut body = order_body();
        body[field] = value;
        let answer = stage.post("/v1/orders", &stage.merchant, &body).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field]), "{answer:?}");
        assert_eq!(answer.body["errors"][0]["problem"], "must be an object");
    }
    let answer = stage.post("/v1/orders", &stage.merchant, &json!([order_body()])).await;
    assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["body"]), "{answer:?}");
}
