//! What a request may hold, read from the API document: what states a limit enforces it. Bodies and queries whose texts and
//! lists are longer than the document says are refused, with every field named, before a handler sees them.
//!
//! Almost every body is far within: a look over its bytes says so, and only what has a long text or many entries is looked at
//! field by field. Of what could not be read, the same document says what is wrong with it ([`shapes`](crate::shapes)).

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::Method;
use posthaste_protocol::problem::{Code, FieldError, Problem};
use serde_json::Value;

use crate::problem::Answer;
use crate::shapes::{Faults, Lists, Shape};
use crate::words::unknown;

/// How deep schemas are followed: none of ours holds itself.
const DEEPEST: usize = 12;

/// The limits of every operation.
#[derive(Debug, Default)]
pub struct AllBounds(HashMap<String, HashMap<Method, Bounds>>);

/// The limits of one operation.
#[derive(Debug, Default)]
pub struct Bounds {
    body: Part,
    /// The least of the body's limits on texts, in characters, and on lists, in entries.
    shortest: usize,
    fewest: usize,
    query: Vec<(String, usize)>,
    document: Arc<Value>,
    schema: Value,
    lists: Lists,
    parameters: Vec<Value>,
}

/// The limits of a part of a body.
#[derive(Debug, Default)]
struct Part {
    characters: Option<usize>,
    entries: Option<usize>,
    fields: HashMap<String, Part>,
    items: Option<Box<Part>>,
    /// Schemas that hold for it as well.
    also: Vec<Part>,
}

impl AllBounds {
    /// The limits that an API document (OpenAPI 3.1) states.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let mut all = Self::default();
        let whole = Arc::new(document.clone());
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let Ok(method) = method.to_uppercase().parse() else { continue };
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let mut bounds = Bounds { shortest: usize::MAX, fewest: usize::MAX, ..Bounds::default() };
                bounds.body = part(document, schema, 0);
                bounds.body.least(&mut bounds.shortest, &mut bounds.fewest);
                (bounds.document, bounds.schema) = (Arc::clone(&whole), schema.clone());
                bounds.lists = Lists::of(document, schema);
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    if parameter["in"] == "query" {
                        bounds.parameters.push(parameter.clone());
                    }
                    if let (Some("query"), Some(name), Some(most)) =
                        (parameter["in"].as_str(), parameter["name"].as_str(), most(&parameter["schema"], "maxLength"))
                    {
                        bounds.query.push((name.to_owned(), most));
                    }
                }
                all.0.entry(path.clone()).or_default().insert(method, bounds);
            }
        }
        all
    }

    /// Leaves the sizes of an operation's body to the rules of what it becomes.
    pub fn leave_sizes(&mut self, method: &Method, path: &str) {
        if let Some(bounds) = self.0.get_mut(path).and_then(|methods| methods.get_mut(method)) {
            (bounds.body, bounds.shortest, bounds.fewest) = (Part::default(), usize::MAX, usize::MAX);
        }
    }

    /// The limits of an operation, by its method and its path as it is routed.
    #[must_use]
    pub fn get(&self, method: &Method, path: &str) -> Option<&Bounds> {
        self.0.get(path)?.get(method)
    }
}

fn most(schema: &Value, name: &str) -> Option<usize> {
    schema[name].as_u64().and_then(|most| usize::try_from(most).ok())
}

fn part(document: &Value, schema: &Value, depth: usize) -> Part {
    if depth > DEEPEST || schema.is_null() {
        return Part::default();
    }
    if let Some(target) = schema["$ref"].as_str() {
        return document.pointer(&target[1..]).map(|schema| part(document, schema, depth + 1)).unwrap_or_default();
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    let also = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|way| schema[way].as_array()).flatten();
    Part {
        characters: most(schema, "maxLength"),
        entries: most(schema, "maxItems"),
        fields: fields.map(|(name, field)| (name.clone(), part(document, field, depth + 1))).collect(),
        items: schema.get("items").map(|items| Box::new(part(document, items, depth + 1))),
        also: also.map(|schema| part(document, schema, depth + 1)).collect(),
    }
}

impl Part {
    fn least(&self, shortest: &mut usize, fewest: &mut usize) {
        *shortest = (*shortest).min(self.characters.unwrap_or(usize::MAX));
        *fewest = (*fewest).min(self.entries.unwrap_or(usize::MAX));
        let inner = self.fields.values().chain(self.items.as_deref()).chain(&self.also);
        inner.for_each(|part| part.least(shortest, fewest));
    }

    fn check(&self, value: &Value, path: &str, wrong: &mut Vec<FieldError>) {
        let mut refuse = |problem: String| wrong.push(FieldError { field: path.to_owned(), problem });
        match value {
            Value::String(text) => {
                if let Some(most) = self.characters.filter(|most| text.chars().count() > *most) {
                    refuse(format!("longer than {most} characters"));
                }
            }
            Value::Array(entries) => {
                if let Some(most) = self.entries.filter(|most| entries.len() > *most) {
                    refuse(format!("more than {most} entries"));
                } else if let Some(items) = &self.items {
                    for (n, entry) in entries.iter().enumerate() {
                        items.check(entry, &format!("{path}[{n}]"), wrong);
                    }
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Some(field) = self.fields.get(name) {
                        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        field.check(value, &inner, wrong);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        for part in &self.also {
            part.check(value, path, wrong);
        }
    }
}

impl Bounds {
    /// Refuses a body that was read, and holds more than it may, or a list where an object is wanted, with every field that does.
    ///
    /// # Errors
    ///
    /// 422 `invalid`.
    pub fn check(&self, body: &[u8]) -> Answer<()> {
        if self.lists.may_be_stray(body) {
            let faults = serde_json::from_slice(body).map(|value| self.faults(&value)).unwrap_or_default();
            if faults.has_stray_list {
                return Err(Problem::new(Code::Invalid).errors(faults.fields).into());
            }
        }
        if (self.shortest, self.fewest) == (usize::MAX, usize::MAX) {
            return Ok(());
        }
        let (longest, commas) = measure(body);
        if longest <= self.shortest && commas < self.fewest {
            return Ok(());
        }
        let Ok(value) = serde_json::from_slice(body) else { return Ok(()) };
        let mut wrong = Vec::new();
        self.body.check(&value, "", &mut wrong);
        wrong.dedup_by(|a, b| a.field == b.field);
        if wrong.is_empty() { Ok(()) } else { Err(Problem::new(Code::Invalid).errors(wrong).into()) }
    }

    /// What is wrong with a body, by the document.
    #[must_use]
    pub fn faults(&self, body: &Value) -> Faults {
        if self.schema.is_null() {
            Faults::default()
        } else {
            Shape::new(&self.document, &self.schema).faults(body, "")
        }
    }

    /// What is wrong with a query, by the document.
    #[must_use]
    pub fn faults_of_query(&self, given: &[(String, String)]) -> Faults {
        let mut all = Faults::default();
        let names: Vec<_> = self.parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
        let mut refuse = |field: &str, problem| all.fields.push(FieldError { field: field.to_owned(), problem });
        for (n, (name, text)) in given.iter().enumerate() {
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter["name"] == name.as_str()) else {
                refuse(&crate::shapes::cut(name), unknown(name, &names));
                continue;
            };
            if given[..n].iter().any(|(before, _)| before == name) {
                refuse(name, "is given more than once".to_owned());
                continue;
            }
            let faults = Shape::new(&self.document, &parameter["schema"]).faults_of_text(text, name);
            faults.fields.into_iter().for_each(|fault| refuse(name, fault.problem));
        }
        for parameter in self.parameters.iter().filter(|parameter| parameter["required"] == true) {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !given.iter().any(|(given, _)| given == name) {
                refuse(name, "is required".to_owned());
            }
        }
        all.fields.truncate(crate::shapes::MOST_NAMED);
        all
    }

    /// Refuses a query with a parameter that is longer than it may be.
    ///
    /// # Errors
    ///
    /// 422 `invalid`.
    pub fn check_query(&self, query: &str) -> Answer<()> {
        let mut wrong = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let most = self.query.iter().find(|(known, _)| known == name).map_or(usize::MAX, |(_, most)| *most);
            if value.len() > most && characters(value) > most {
                wrong.push(FieldError { field: name.to_owned(), problem: format!("longer than {most} characters") });
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Problem::new(Code::Invalid).errors(wrong).into()) }
    }
}

/// How many characters a value of a query stands for.
fn characters(value: &str) -> usize {
    let mut count = 0;
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().map_or("0".to_owned(), |byte| char::from(byte).to_string());
        let byte = if byte == b'%' { u8::from_str_radix(&(digit() + &digit()), 16).unwrap_or(b'%') } else { byte };
        // The rest of a character in UTF-8 begins with the bits 10.
        count += usize::from(byte & 0b1100_0000 != 0b1000_0000);
    }
    count
}

/// The bytes of the longest text in a JSON text, and how many commas stand between texts. An escape counts as it is written:
/// never less than it stands for.
fn measure(body: &[u8]) -> (usize, usize) {
    let (mut longest, mut commas, mut start) = (0, 0, None);
    let mut is_escaped = false;
    for (at, byte) in body.iter().enumerate() {
        match (start, byte) {
            (None, b'"') => start = Some(at + 1),
            (None, b',') => commas += 1,
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(from), b'"') => {
                longest = longest.max(at - from);
                start = None;
            }
            _ => {}
        }
    }
    (longest, commas)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn bounds() -> Bounds {
        let document = json!({
            "paths": {"/things": {"post": {
                "parameters": [{"in": "query", "name": "q", "schema": {"maxLength": 3}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
            }}},
            "components": {"schemas": {
                "Thing": {"properties": {
                    "name": {"type": "string", "maxLength": 4},
                    "parts": {"type": "array", "maxItems": 2, "items": {"oneOf": [{"$ref": "#/components/schemas/Part"}]}},
                }},
                "Part": {"properties": {"note": {"maxLength": 5}}},
            }},
        });
        let mut all = AllBounds::of(&document);
        all.0.remove("/things").unwrap().remove(&Method::POST).unwrap()
    }

    fn wrong(body: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let by_field = bounds();
        by_field.body.check(body, "", &mut wrong);
        let fields: Vec<_> = wrong.into_iter().map(|error| error.field).collect();
        assert_eq!(by_field.check(body.to_string().as_bytes()).is_err(), !fields.is_empty(), "{body}");
        fields
    }

    #[test]
    fn every_field_that_is_too_long_is_named() {
        assert_eq!(wrong(&json!({"name": "four", "parts": [{"note": "five5"}, {}]})), Vec::<String>::new());
        let longer = json!({"name": "fiveé", "parts": [{}, {"note": "sixsix"}]});
        assert_eq!(wrong(&longer), ["name", "parts[1].note"]);
        assert_eq!(wrong(&json!({"parts": [1, 2, 3]})), ["parts"]);
        assert_eq!(wrong(&json!({"name": "éééé", "parts": []})), Vec::<String>::new(), "characters, not bytes");
        assert_eq!(wrong(&json!({"name": "\"\\\"\\"})), Vec::<String>::new(), "as they are read");
        assert!(bounds().check_query("q=abc&x=abcdef").is_ok() && bounds().check_query("q=%C3%A9bc").is_ok());
        assert!(bounds().check_query("x=1&q=abcd").is_err());
    }

    proptest! {
        #[test]
        fn the_look_over_the_bytes_misses_nothing(name in ".{0,8}", notes in prop::collection::vec(".{0,8}", 0..4)) {
            let parts: Vec<_> = notes.iter().map(|note| json!({"note": note})).collect();
            wrong(&json!({"name": name, "parts": parts}));
        }
    }
}
