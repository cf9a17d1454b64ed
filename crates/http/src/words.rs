//! Plain words for what a reader of JSON or of a query says of a value that does not fit. Callers write programs in any
//! language: names of types of this one tell them nothing.

use strsim::levenshtein;

/// How many names are listed at most.
const MOST_NAMES: usize = 16;

/// What was said of a value, in words for whoever sent it. Words that are ours already stay as they are.
#[must_use]
pub fn plain(said: &str) -> String {
    let said = without_place(said);
    for start in ["invalid type: ", "invalid value: "] {
        // The last one: what stands before it is the caller's.
        if let Some((_, expected)) = said.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected ")) {
            return format!("must be {}", wanted(expected));
        }
    }
    if said.starts_with("invalid length ") {
        return "has another number of entries than is wanted".to_owned();
    }
    if said.starts_with("unknown variant `") {
        let names = names(said);
        return if names.is_empty() { "is not known".to_owned() } else { format!("must be {}", one_of(&names)) };
    }
    if let Some(rest) = said.strip_prefix("unknown field `") {
        return unknown(rest.split('`').next().unwrap_or_default(), &names(said));
    }
    if said.starts_with("missing field `") {
        return "is required".to_owned();
    }
    if said.starts_with("duplicate field `") {
        return "is given more than once".to_owned();
    }
    if said.starts_with("data did not match any variant") || said.starts_with("no variant of enum") {
        return "has none of the shapes that are known here".to_owned();
    }
    match said {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => "must be a whole number that is not too large".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "must be a number".to_owned(),
        "provided string was not `true` or `false`" => "must be true or false".to_owned(),
        "premature end of input"
        | "trailing input"
        | "input contains invalid characters"
        | "input is out of range"
        | "input is not enough for unique date and time"
        | "no possible date and time matching input" => "must be a time like 2026-05-01T12:00:00Z".to_owned(),
        "expected value" => "is of another type than is wanted".to_owned(),
        ours => ours.to_owned(),
    }
}

/// What is wrong about a text that is no JSON, and where.
#[must_use]
pub fn not_json(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let what = without_place(&said);
    let what = match what {
        "expected ident" | "expected value" => "expected a value",
        what if what.starts_with("EOF while parsing") => "it ends too early",
        what => what,
    };
    format!("not valid JSON: {what} at line {} column {}", error.line(), error.column())
}

/// Without line and column, which say nothing about a field.
fn without_place(said: &str) -> &str {
    match said.rfind(" at line ") {
        Some(end) => &said[..end],
        None => said,
    }
}

fn wanted(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => {
            "a whole number"
        }
        "a string" | "a borrowed string" | "string" | "str" | "a character" => "a text",
        "a boolean" => "true or false",
        "unit" | "null" => "null",
        "a map" => "an object",
        _ if ["a sequence", "a tuple", "an array", "tuple "].iter().any(|start| expected.starts_with(start)) => {
            "a list"
        }
        _ if ["struct ", "internally tagged", "adjacently tagged"].iter().any(|start| expected.starts_with(start)) => {
            "an object"
        }
        _ if expected.starts_with("a ") || expected.starts_with("an ") => expected,
        _ => "of another type",
    }
}

/// The names between backticks after the first one, which is the caller's.
fn names(said: &str) -> Vec<&str> {
    let known = said.rsplit_once("`, expected ").map_or("", |(_, known)| known);
    known.split('`').skip(1).step_by(2).collect()
}

/// The names in a row, `or` before the last.
#[must_use]
pub fn one_of<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names.iter().take(MOST_NAMES).map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        None => "another".to_owned(),
        Some((only, [])) => only.clone(),
        Some((_, _)) if names.len() > MOST_NAMES => format!("one of {}, …", quoted.join(", ")),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// What is said of a name that is not known, where these are.
#[must_use]
pub fn unknown<T: AsRef<str>>(name: &str, known: &[T]) -> String {
    match nearest(name, known) {
        Some(near) => format!("is not known here: did you mean `{near}`?"),
        None if known.is_empty() => "is not known here".to_owned(),
        None => format!("is not known here, but {} is", one_of(known)),
    }
}

/// The known name that is nearly the same.
fn nearest<'k, T: AsRef<str>>(name: &str, known: &'k [T]) -> Option<&'k str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    let far =
        |other: &str| if other.starts_with(&name) || name.starts_with(other) { 1 } else { levenshtein(&name, other) };
    let all = known.iter().map(AsRef::as_ref).filter(|known| known.len() <= LONGEST);
    let (near, far) = all.map(|known| (known, far(known))).min_by_key(|(_, far)| *far)?;
    (!name.is_empty() && far <= 1 + name.len() / 4).then_some(near)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum Either {
        #[expect(dead_code, reason = "only read")]
        Flag(bool),
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Thing {
        #[serde(default)]
        count: u32,
        #[serde(default)]
        ratio: f64,
        #[serde(default)]
        name: String,
        #[serde(default)]
        is_new: bool,
        colour: Option<Colour>,
        either: Option<Either>,
        list: Option<Vec<u8>>,
        map: Option<BTreeMap<String, u8>>,
        inner: Option<Box<Thing>>,
        at: Option<chrono::DateTime<chrono::Utc>>,
    }

    fn said(body: &Value) -> String {
        plain(&serde_json::from_str::<Thing>(&body.to_string()).unwrap_err().to_string())
    }

    #[test]
    fn what_serde_says_is_told_in_plain_words() {
        for (body, words) in [
            (json!({"count": "3, expected f64"}), "must be a whole number"),
            (json!({"count": -1}), "must be a whole number"),
            (json!({"ratio": "north"}), "must be a number"),
            (json!({"name": 3}), "must be a text"),
            (json!({"is_new": "yes"}), "must be true or false"),
            (json!({"colour": "blue"}), "must be `red` or `green`"),
            (json!({"colour": "`, expected `x"}), "must be `red` or `green`"),
            (json!({"either": 3}), "has none of the shapes that are known here"),
            (json!({"list": 3}), "must be a list"),
            (json!({"map": 3}), "must be an object"),
            (json!({"inner": 3}), "must be an object"),
            (json!({"at": "tomorrow"}), "must be a time like 2026-05-01T12:00:00Z"),
            (json!({"cuont": 3}), "is not known here: did you mean `count`?"),
            (json!({"count_": 3}), "is not known here: did you mean `count`?"),
        ] {
            assert_eq!(said(&body), words, "{body}");
        }
        assert!(said(&json!({"tip": 3})).starts_with("is not known here, but `count`, `ratio`, "));
        let twice = serde_json::from_str::<Thing>(r#"{"count":1,"count":2}"#).unwrap_err();
        assert_eq!(plain(&twice.to_string()), "is given more than once");
        assert_eq!(
            plain("must lie in the years 2000 to 2200 at line 1 column 2"),
            "must lie in the years 2000 to 2200"
        );
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let words = |text: &str| not_json(&serde_json::from_str::<Value>(text).unwrap_err());
        assert_eq!(words("{\"a\":"), "not valid JSON: it ends too early at line 1 column 5");
        assert!(words("{\"a\": fast}").starts_with("not valid JSON: expected a value at line 1 column "));
    }

    proptest! {
        #[test]
        fn the_nearest_name_is_found_whatever_is_asked(name in ".{0,70}") {
            let _ = unknown(&name, &["lat", "lng", "contact"]);
            prop_assert_eq!(levenshtein(&name, &name), 0);
        }
    }
}
