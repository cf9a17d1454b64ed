//! What validation allows, written into the schemas of the document. Each context lists its limits beside its rules, by
//! the constants that its validation uses, so that the document cannot say another number than is enforced.

use posthaste_domain::ids::{ALPHABET, TEXT_LENGTH};
use serde_json::Value;
use utoipa::Number;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{OpenApi, RefOr};

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// So many characters, at least and at most.
    Characters(usize, usize),
    /// So many entries, at least and at most.
    Entries(usize, usize),
    /// A number, at least and at most.
    Between(f64, f64),
    /// A whole number, at least and at most, also where it is read from text.
    Whole(i64, i64),
    /// A text that this regular expression finds.
    Form(&'static str),
    /// One of these texts.
    OneOf(fn() -> Vec<String>),
    /// An instant in RFC 3339.
    Instant,
    /// An address on the web.
    Address(usize),
    /// An id of this kind, by its prefix; several prefixes for a party.
    Id(&'static [&'static str]),
    /// Whatever: as here, for example.
    Like(fn() -> Value),
}

/// The names of values on the wire.
#[must_use]
pub fn names<T: serde::Serialize>(all: &[T]) -> Vec<String> {
    let texts = all.iter().filter_map(|one| serde_json::to_value(one).ok());
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A field by the name of its schema, `*` for all, and its path in there (`types[]` for the entries of a list). Of a
/// parameter the schema is `query`, `path` or `header`.
pub type FieldLimit = (&'static str, &'static str, Limit);

/// Writes `limits` into the document, and the form of ids wherever the example is one. Returns the limits whose field is
/// not there.
pub fn write(document: &mut OpenApi, limits: &[FieldLimit]) -> Vec<FieldLimit> {
    let mut homeless = Vec::new();
    for limit in limits {
        let (schema, field, allowed) = *limit;
        let mut found = false;
        if let Some(components) = &mut document.components {
            for (name, there) in &mut components.schemas {
                if schema == "*" {
                    visit(there, &mut |schema| found |= apply_to_property(schema, field, allowed));
                } else if name == schema {
                    found |= apply_at(there, field, allowed);
                }
            }
        }
        for_each_parameter(document, |parameter| {
            let place = place(parameter);
            if place == schema && parameter.name == field {
                found |= parameter.schema.as_mut().is_some_and(|there| put(there, allowed));
                if let (Limit::Whole(..), Some(Value::String(text))) = (allowed, example(parameter)) {
                    let number = text.parse().ok().map(Value::Number);
                    *parameter = ParameterBuilder::from(parameter.clone()).example(number).build();
                }
            }
        });
        if !found {
            homeless.push(*limit);
        }
    }
    let components = document.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    components.for_each(|schema| visit(schema, &mut ids_by_example));
    for_each_parameter(document, |parameter| {
        let example = example(parameter);
        let id = example.as_ref().and_then(Value::as_str).and_then(prefix_of_id);
        if let (Some(prefix), Some(RefOr::T(Schema::Object(object)))) = (id, &mut parameter.schema) {
            object.pattern.get_or_insert_with(|| form_of_ids(&[prefix]));
        }
    });
    homeless
}

fn place(parameter: &Parameter) -> &'static str {
    match parameter.parameter_in {
        ParameterIn::Query => "query",
        ParameterIn::Path => "path",
        ParameterIn::Header => "header",
        _ => "cookie",
    }
}

fn example(parameter: &Parameter) -> Option<Value> {
    serde_json::to_value(parameter).ok()?.get("example").cloned()
}

fn for_each_parameter(document: &mut OpenApi, mut act: impl FnMut(&mut Parameter)) {
    for item in document.paths.paths.values_mut() {
        let operations: [&mut Option<Operation>; 4] = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    act(parameter);
                }
            }
        }
    }
}

/// Every schema inside of one, itself too.
pub(super) fn visit(schema: &mut RefOr<Schema>, act: &mut impl FnMut(&mut Schema)) {
    let RefOr::T(schema) = schema else { return };
    act(schema);
    match schema {
        Schema::Object(object) => {
            object.properties.values_mut().for_each(|property| visit(property, act));
            if let Some(AdditionalProperties::RefOr(more)) = object.additional_properties.as_deref_mut() {
                visit(more, act);
            }
        }
        Schema::Array(Array { items: ArrayItems::RefOrSchema(items), .. }) => visit(items, act),
        Schema::OneOf(of) => of.items.iter_mut().for_each(|item| visit(item, act)),
        Schema::AllOf(of) => of.items.iter_mut().for_each(|item| visit(item, act)),
        Schema::AnyOf(of) => of.items.iter_mut().for_each(|item| visit(item, act)),
        _ => {}
    }
}

fn apply_to_property(schema: &mut Schema, field: &str, allowed: Limit) -> bool {
    let Schema::Object(object) = schema else { return false };
    object.properties.get_mut(field).is_some_and(|property| put(property, allowed))
}

/// Down the path, to put the limit there.
fn apply_at(schema: &mut RefOr<Schema>, path: &str, allowed: Limit) -> bool {
    let (field, entries) = path.strip_suffix("[]").map_or((path, false), |field| (field, true));
    let mut found = false;
    visit(schema, &mut |schema| {
        let Schema::Object(object) = schema else { return };
        let Some(property) = object.properties.get_mut(field) else { return };
        found |= match property {
            RefOr::T(Schema::Array(Array { items: ArrayItems::RefOrSchema(items), .. })) if entries => {
                put(items, allowed)
            }
            property if !entries => put(property, allowed),
            _ => false,
        };
    });
    found
}

fn put(schema: &mut RefOr<Schema>, allowed: Limit) -> bool {
    match (schema, allowed) {
        (RefOr::T(Schema::Array(array)), Limit::Entries(least, most)) => {
            array.min_items = (least > 0).then_some(least);
            array.max_items = Some(most);
            true
        }
        (RefOr::T(Schema::Object(object)), allowed) => {
            put_on(object, allowed);
            true
        }
        _ => false,
    }
}

fn put_on(object: &mut Object, allowed: Limit) {
    match allowed {
        Limit::Characters(least, most) => {
            object.min_length = (least > 0).then_some(least);
            object.max_length = Some(most);
        }
        Limit::Between(least, most) if is(object, &Type::Integer) => whole(object, least as i64, most as i64),
        Limit::Between(least, most) => {
            object.minimum = Some(Number::Float(least));
            object.maximum = Some(Number::Float(most));
        }
        Limit::Whole(least, most) => {
            if is(object, &Type::String) {
                object.schema_type = SchemaType::Type(Type::Integer);
            }
            whole(object, least, most);
        }
        Limit::Form(form) => object.pattern = Some(form.to_owned()),
        Limit::OneOf(all) => object.enum_values = Some(all().into_iter().map(Value::String).collect()),
        Limit::Instant => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
        Limit::Address(most) => {
            object.format = Some(SchemaFormat::Custom("uri".to_owned()));
            object.max_length = Some(most);
        }
        Limit::Id(prefixes) => object.pattern = Some(form_of_ids(prefixes)),
        Limit::Like(example) => object.example = Some(example()),
        Limit::Entries(..) => {}
    }
    // Null has to stay allowed where it was.
    if let (SchemaType::Array(types), Some(values)) = (&object.schema_type, &mut object.enum_values)
        && types.contains(&Type::Null)
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

fn whole(object: &mut Object, least: i64, most: i64) {
    let number = |n: i64| isize::try_from(n).ok().map(Number::Int);
    object.minimum = number(least);
    object.maximum = number(most);
}

fn is(object: &Object, kind: &Type) -> bool {
    match &object.schema_type {
        SchemaType::Type(there) => there == kind,
        SchemaType::Array(types) => types.contains(kind),
        SchemaType::AnyValue => false,
    }
}

/// A text whose example is an id holds ids of that kind, unless a limit says more.
fn ids_by_example(schema: &mut Schema) {
    if let Schema::Object(object) = schema
        && object.pattern.is_none()
        && object.enum_values.is_none()
        && let Some(prefix) = object.example.as_ref().and_then(Value::as_str).and_then(prefix_of_id)
    {
        object.pattern = Some(form_of_ids(&[prefix]));
    }
}

fn prefix_of_id(text: &str) -> Option<&str> {
    let (prefix, digits) = text.split_once('_')?;
    let is_id = prefix.len() == 3 && digits.len() == TEXT_LENGTH && digits.bytes().all(|d| ALPHABET.contains(&d));
    is_id.then_some(prefix)
}

/// What stands after the prefix of an id. The first digit holds the three highest of 128 bits; the alphabet is that of
/// `domain::ids`, in ranges.
const FORM_OF_DIGITS: &str = "_[0-7][0-9a-hjkmnp-tv-z]{25}$";

/// The regular expression of ids with one of these prefixes.
fn form_of_ids(prefixes: &[&str]) -> String {
    match prefixes {
        [one] => format!("^{one}{FORM_OF_DIGITS}"),
        several => format!("^({}){FORM_OF_DIGITS}", several.join("|")),
    }
}

/// The prefixes of the ids that a regular expression stands for; none where it is one of something else.
#[must_use]
pub fn prefixes_of(form: &str) -> Option<Vec<&str>> {
    let prefixes = form.strip_prefix('^')?.strip_suffix(FORM_OF_DIGITS)?;
    let several = prefixes.strip_prefix('(').and_then(|all| all.strip_suffix(')'));
    Some(several.map_or_else(|| vec![prefixes], |all| all.split('|').collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_ids_has_the_digits_of_ids() {
        let ranges = ["09", "ah", "jk", "mn", "pt", "vz"];
        let in_ranges = |c: u8| ranges.iter().any(|range| (range.as_bytes()[0]..=range.as_bytes()[1]).contains(&c));
        let digits: Vec<u8> = (0..=u8::MAX).filter(|c| in_ranges(*c)).collect();
        assert_eq!(digits, ALPHABET);
        assert_eq!(form_of_ids(&["mer", "drv"]), "^(mer|drv)_[0-7][0-9a-hjkmnp-tv-z]{25}$");
        assert!(FORM_OF_DIGITS.ends_with(&format!("{{{}}}$", TEXT_LENGTH - 1)));
        for prefixes in [vec!["ord"], vec!["mer", "drv"]] {
            assert_eq!(prefixes_of(&form_of_ids(&prefixes)), Some(prefixes));
        }
        assert_eq!(prefixes_of("^[A-Za-z0-9_-]{32}$"), None);
        assert_eq!(prefix_of_id("ord_01jd8v7cjxfm9sxv0q3e0b5z1c"), Some("ord"));
        for other in ["ord_01jd8v7cjxfm9sxv0q3e0b5z1", "whsec_01jd8v7cjxfm9sxv0q3e0b5z1c", "system", ""] {
            assert_eq!(prefix_of_id(other), None, "{other}");
        }
    }
}
