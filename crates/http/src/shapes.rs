//! What is wrong with a value by the schema that a document gives it: every field, by its whole path, in plain words.
//!
//! Nothing is asked here about a request that is taken. Where a body, a query or a message could not be read, its value is
//! walked beside its schema, and whatever does not fit is named, not only what the reader met first. [`Lists`] is the one
//! exception: a cheap look for lists where objects are wanted, which the reader would take by their order.

use posthaste_domain::ids::is_id;
use posthaste_protocol::instant::{is_day, is_instant};
use posthaste_protocol::problem::FieldError;
use serde_json::Value;

use crate::openapi::limits::prefixes_of;
use crate::words::{one_of, plain, unknown};

mod lists;
pub use self::lists::Lists;

/// How deep values and schemas are followed: none of ours holds itself.
const DEEPEST: usize = 24;
/// How many fields are named at most. A body has room for a hundred thousand wrong ones.
pub(crate) const MOST_NAMED: usize = 50;
/// How much of a caller's own name for a field is said again, in characters.
const MOST_OF_NAME: usize = 64;
/// What a body is called where it is no field of it that is wrong.
pub const WHOLE: &str = "body";
/// The same of a query.
pub const QUERY: &str = "query";
/// Bounds beyond this are no bounds that anybody should read.
const UNBOUNDED: f64 = 1e15;

/// A schema within a document that its references lead into.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'d> {
    document: &'d Value,
    schema: &'d Value,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Faults {
    /// Every field that is wrong.
    pub fields: Vec<FieldError>,
    /// Whether a list stands where an object is wanted.
    pub has_stray_list: bool,
}

impl<'d> Shape<'d> {
    /// The shape that a schema of the document describes.
    #[must_use]
    pub fn new(document: &'d Value, schema: &'d Value) -> Self {
        Self { document, schema }
    }

    /// What is wrong with a value, whose fields are called by their names after `root`; the value itself is called [`WHOLE`]
    /// where that is empty.
    #[must_use]
    pub fn faults(self, value: &Value, root: &str) -> Faults {
        let mut walk = Walk { document: self.document, found: Faults::default() };
        walk.check(self.schema, value, root, 0);
        walk.found
    }

    /// What is wrong with a text that stands for the value, as in a query.
    #[must_use]
    pub fn faults_of_text(self, text: &str, name: &str) -> Faults {
        let schema = resolve(self.document, self.schema);
        let value = match text.parse::<Value>() {
            Ok(value) if value.is_number() && (is(schema, "integer") || is(schema, "number")) => value,
            Ok(value) if value.is_boolean() && is(schema, "boolean") => value,
            _ => Value::from(text),
        };
        self.faults(&value, name)
    }
}

/// What was found, and what the reader said of the field at `path` where nothing of that is told yet.
#[must_use]
pub fn with_readers_word(faults: Faults, path: &str, said: &str) -> Vec<FieldError> {
    let mut fields = faults.fields;
    let is_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let is_whole = [WHOLE, QUERY].contains(&path);
    let tells =
        |there: &FieldError| is_whole || there.field == WHOLE || is_in(&there.field, path) || is_in(path, &there.field);
    if !fields.iter().any(tells) {
        fields.push(FieldError { field: cut(path), problem: plain(said) });
    }
    fields
}

/// A path as callers gave it, not longer than anybody reads.
pub(crate) fn cut(path: &str) -> String {
    at_most(path, MOST_OF_NAME * 4)
}

fn at_most(name: &str, characters: usize) -> String {
    match name.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// The name of a field in something.
fn within(path: &str, name: &str) -> String {
    let name = at_most(name, MOST_OF_NAME);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The schema that a reference leads to.
fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) else { break };
        schema = document.pointer(target).unwrap_or(&Value::Null);
    }
    schema
}

/// The ways of which one has to fit.
fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|way| schema[way].as_array()).flatten()
}

/// The types that a schema names.
fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    schema["type"].as_str().into_iter().chain(several)
}

fn is(schema: &Value, kind: &str) -> bool {
    types(schema).any(|one| one == kind) || (kind == "object" && schema["properties"].is_object())
}

/// Whether the value is of a type that the schema names.
fn fits(schema: &Value, value: &Value) -> bool {
    if types(schema).next().is_none() {
        return !schema["properties"].is_object() || value.is_object();
    }
    match value {
        Value::Null => is(schema, "null"),
        Value::Bool(_) => is(schema, "boolean"),
        Value::Number(number) => is(schema, "number") || (!number.is_f64() && is(schema, "integer")),
        Value::String(_) => is(schema, "string"),
        Value::Array(_) => is(schema, "array"),
        Value::Object(_) => is(schema, "object"),
    }
}

/// The texts of an `enum`, or of a `const`.
fn allowed(schema: &Value) -> Vec<&str> {
    let one = schema["const"].as_str();
    schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).chain(one).collect()
}

/// What is wanted, in words that follow "must be".
fn wanted(document: &Value, schema: &Value) -> String {
    let schema = resolve(document, schema);
    let ways: Vec<_> =
        alternatives(schema).map(|way| resolve(document, way)).filter(|way| way["type"] != "null").collect();
    if !ways.is_empty() {
        let mut all: Vec<_> = ways.into_iter().map(|way| wanted(document, way)).collect();
        all.dedup();
        return all.join(" or ");
    }
    if let Some(part) = schema["allOf"].as_array().and_then(|parts| parts.first()) {
        return wanted(document, part);
    }
    let words = allowed(schema);
    if !words.is_empty() {
        return one_of(&words);
    }
    if let Some(prefixes) = schema["pattern"].as_str().and_then(prefixes_of) {
        let ids: Vec<_> =
            prefixes.iter().map(|prefix| format!("{prefix}_{}", posthaste_domain::ids::EXAMPLE)).collect();
        return format!("an id like {}", ids.join(" or "));
    }
    match schema["format"].as_str() {
        Some("date-time") => return "a time like 2026-05-01T12:00:00Z".to_owned(),
        Some("date") => return "a day like 2026-05-01".to_owned(),
        Some("uri") => return "an address like https://shop.example/page".to_owned(),
        _ => {}
    }
    match types(schema).find(|kind| *kind != "null") {
        Some("string") => "a text".to_owned(),
        Some("integer") => format!("a whole number{}", bounds(schema)),
        Some("number") => format!("a number{}", bounds(schema)),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "a list".to_owned(),
        _ => "an object".to_owned(),
    }
}

/// The least and the most, where somebody may meet them.
fn bounds(schema: &Value) -> String {
    let bound = |name: &str| schema[name].as_f64().filter(|bound| bound.abs() < UNBOUNDED);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" from {least} on"),
        (None, Some(most)) => format!(" up to {most}"),
        (None, None) => String::new(),
    }
}

struct Walk<'d> {
    document: &'d Value,
    found: Faults,
}

impl<'d> Walk<'d> {
    fn refuse(&mut self, path: &str, problem: String) {
        let field = if path.is_empty() { WHOLE } else { path };
        let is_known = |there: &FieldError| there.field == field && there.problem == problem;
        if self.found.fields.len() < MOST_NAMED && !self.found.fields.iter().any(is_known) {
            self.found.fields.push(FieldError { field: field.to_owned(), problem });
        }
    }

    fn check(&mut self, schema: &'d Value, value: &Value, path: &str, depth: usize) {
        if depth > DEEPEST || self.found.fields.len() >= MOST_NAMED {
            return;
        }
        let schema = resolve(self.document, schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, path, depth + 1);
        }
        self.check_ways(schema, value, path, depth);
        if !fits(schema, value) {
            self.found.has_stray_list |= value.is_array() && is(schema, "object");
            let wanted = wanted(self.document, schema);
            return self.refuse(path, format!("must be {wanted}"));
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.check_text(schema, text, path),
            Value::Number(number) => self.check_number(schema, number.as_f64(), path),
            Value::Array(entries) => {
                match schema["maxItems"].as_u64() {
                    Some(most) if entries.len() as u64 > most => {
                        return self.refuse(path, format!("more than {most} entries"));
                    }
                    _ => {}
                }
                if let Some(items) = schema.get("items") {
                    for (n, entry) in entries.iter().enumerate() {
                        self.check(items, entry, &format!("{path}[{n}]"), depth + 1);
                    }
                }
            }
            Value::Object(fields) => self.check_fields(schema, fields, path, depth),
        }
    }

    /// One of several ways: what is wrong is told by the one that the value comes nearest to.
    fn check_ways(&mut self, schema: &'d Value, value: &Value, path: &str, depth: usize) {
        let ways: Vec<_> = alternatives(schema).map(|way| resolve(self.document, way)).collect();
        if ways.is_empty() {
            return;
        }
        let mut nearest: Option<Faults> = None;
        for way in ways.iter().filter(|way| fits(way, value)) {
            let mut walk = Walk { document: self.document, found: Faults::default() };
            walk.check(way, value, path, depth + 1);
            if walk.found.fields.is_empty() {
                return;
            }
            if nearest.as_ref().is_none_or(|near| walk.found.fields.len() < near.fields.len()) {
                nearest = Some(walk.found);
            }
        }
        match nearest {
            Some(faults) => {
                self.found.has_stray_list |= faults.has_stray_list;
                faults.fields.into_iter().for_each(|fault| self.refuse(&fault.field, fault.problem));
            }
            None => {
                self.found.has_stray_list |= value.is_array() && ways.iter().any(|way| is(way, "object"));
                let wanted = wanted(self.document, schema);
                self.refuse(path, format!("must be {wanted}"));
            }
        }
    }

    fn check_text(&mut self, schema: &Value, text: &str, path: &str) {
        let words = allowed(schema);
        let is_form_of_ids = schema["pattern"].as_str().and_then(prefixes_of);
        let fits = match (schema["format"].as_str(), is_form_of_ids) {
            _ if !words.is_empty() => words.contains(&text),
            (_, Some(prefixes)) => prefixes.iter().any(|prefix| is_id(prefix, text)),
            (Some("date-time"), _) => is_instant(text),
            (Some("date"), _) => is_day(text),
            _ => true,
        };
        if !fits {
            let wanted = wanted(self.document, schema);
            return self.refuse(path, format!("must be {wanted}"));
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| text.chars().count() as u64 > *most) {
            self.refuse(path, format!("longer than {most} characters"));
        }
    }

    fn check_number(&mut self, schema: &Value, number: Option<f64>, path: &str) {
        let Some(number) = number else { return };
        let is_low = schema["minimum"].as_f64().is_some_and(|least| number < least);
        let is_high = schema["maximum"].as_f64().is_some_and(|most| number > most);
        if is_low || is_high {
            let wanted = wanted(self.document, schema);
            self.refuse(path, format!("must be {wanted}"));
        }
    }

    fn check_fields(&mut self, schema: &'d Value, fields: &serde_json::Map<String, Value>, path: &str, depth: usize) {
        let Some(known) = schema["properties"].as_object() else { return };
        for (name, field) in fields {
            match known.get(name) {
                Some(property) => self.check(property, field, &within(path, name), depth + 1),
                None if schema["additionalProperties"] == false => {
                    let problem = self.unknown(name, known);
                    self.refuse(&within(path, name), problem);
                }
                None => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.refuse(&within(path, name), "is required".to_owned());
            }
        }
    }

    /// What is said of a field that is not known: perhaps it belongs one step further in.
    fn unknown(&self, name: &str, known: &serde_json::Map<String, Value>) -> String {
        for (outer, property) in known {
            let property = resolve(self.document, property);
            let mut inner = alternatives(property).map(|way| resolve(self.document, way)).chain([property]);
            if inner.any(|schema| schema["properties"].get(name).is_some()) {
                return format!("is not known here: did you mean `{outer}.{name}`?");
            }
        }
        let names: Vec<_> = known.keys().collect();
        unknown(name, &names)
    }
}

#[cfg(test)]
mod tests;
