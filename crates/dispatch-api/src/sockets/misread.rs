//! What is wrong with a frame that is no message of the protocol: every field of it, by the shapes of the sockets' document.

use std::sync::LazyLock;

use posthaste_http::extract::field_of;
use posthaste_http::shapes::{Faults, Lists, Shape, WHOLE, with_readers_word};
use posthaste_http::words;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::socket::{ClientMessage, DecodeError};
use serde_json::{Value, json};

use crate::asyncapi::shapes;

/// How the data of a message is called.
const DATA: &str = "data";

/// What stands around every message.
static ENVELOPE: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string"},
            "id": {"type": ["string", "null"]},
            "seq": {"type": ["integer", "null"], "minimum": 0},
            "ts": {"type": ["string", "null"], "format": "date-time"},
        },
    })
});

/// The problem of a frame that cannot be read, and the id of the command that it was meant to be.
pub(super) fn problem(text: &str, error: DecodeError) -> (Option<String>, Problem) {
    match error {
        DecodeError::Envelope(source) => (None, no_envelope(text, &source)),
        DecodeError::UnknownType { id, kind } => {
            let kind: String = kind.chars().take(64).collect();
            let detail = format!("the type `{kind}` {}", words::unknown(&kind, ClientMessage::KINDS));
            (id, Problem::new(Code::Malformed).detail(detail))
        }
        DecodeError::Data { id, kind, path, source } => {
            let said = source.to_string();
            let field = match field_of(&path, &said, DATA) {
                whole if whole == DATA => whole,
                field => format!("{DATA}.{field}"),
            };
            let errors = with_readers_word(faults(text, &kind), &field, &said);
            (id, Problem::new(Code::Invalid).detail(format!("in `{kind}`")).errors(errors))
        }
    }
}

fn no_envelope(text: &str, source: &serde_json::Error) -> Problem {
    let malformed = Problem::new(Code::Malformed);
    let Ok(frame) = serde_json::from_str::<Value>(text) else {
        return malformed.detail(format!("not an envelope: {}", words::not_json(source)));
    };
    if !frame.is_object() {
        return malformed.detail("not an envelope: a message is an object with `type` and `data`");
    }
    let said = source.to_string();
    let errors =
        with_readers_word(Shape::new(&Value::Null, &ENVELOPE).faults(&frame, ""), &field_of(".", &said, WHOLE), &said);
    malformed.detail("not an envelope").errors(errors)
}

/// What is wrong with the data of a message of this kind.
fn faults(text: &str, kind: &str) -> Faults {
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let data = frame.get(DATA).cloned().unwrap_or_else(|| json!({}));
    let shapes = shapes::all();
    let Some(schema) = shapes.of_client(kind) else { return Faults::default() };
    Shape::new(&shapes.document, schema).faults(&data, DATA)
}

/// The problem of a message that was read although a list stands in it where an object is wanted.
pub(super) fn stray_list(text: &str, message: &ClientMessage) -> Option<Problem> {
    static LISTS: LazyLock<Lists> = LazyLock::new(|| {
        let shapes = shapes::all();
        let all: Vec<_> = ClientMessage::KINDS.iter().filter_map(|kind| shapes.of_client(kind)).collect();
        Lists::of(&shapes.document, &json!({"properties": {DATA: {"anyOf": all}}}))
    });
    if !LISTS.may_be_stray(text.as_bytes()) {
        return None;
    }
    let faults = faults(text, message.kind());
    let problem = || Problem::new(Code::Invalid).detail(format!("in `{}`", message.kind())).errors(faults.fields);
    faults.has_stray_list.then(problem)
}

#[cfg(test)]
mod tests {
    use posthaste_protocol::socket::decode_client;

    use super::*;
    use crate::asyncapi::{Direction, examples};

    fn refused(text: &str) -> Problem {
        match decode_client(text) {
            Ok((_, message)) => stray_list(text, &message).unwrap_or_else(|| panic!("{text} is taken")),
            Err(error) => problem(text, error).1,
        }
    }

    fn fields(problem: &Problem) -> Vec<String> {
        problem.errors.iter().map(|error| format!("{}: {}", error.field, error.problem)).collect()
    }

    #[test]
    fn every_wrong_field_of_a_message_is_named_in_its_data() {
        let sleeping = refused(r#"{"type":"shift","id":"1","data":{"state":"sleeping","until":3}}"#);
        assert_eq!(
            fields(&sleeping),
            [
                "data.state: must be `offline`, `available` or `on_break`",
                "data.until: must be a time like 2026-05-01T12:00:00Z",
            ]
        );
        let failed = refused(r#"{"type":"failed","data":{"task_id":"x","reason":"tired","notes":1}}"#);
        let named: Vec<_> = failed.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(named, ["data.notes", "data.reason", "data.task_id"]);
        assert_eq!(fields(&refused(r#"{"type":"accept"}"#)), ["data.offer_id: is required"]);
        let early = refused(r#"{"type":"shift","data":{"state":"available","until":"1999-01-01T00:00:00Z"}}"#);
        assert_eq!(fields(&early), ["data.until: must lie in the years 2000 to 2200"]);
    }

    #[test]
    fn every_field_of_every_message_is_named_where_it_does_not_fit() {
        let mut tried = 0;
        for example in examples(Direction::FromClients) {
            let sound: Value = serde_json::from_str(example.frame).unwrap();
            let kind = sound["type"].as_str().unwrap();
            let with = |name: &str, value: &Value| {
                let mut message = sound.clone();
                message["data"][name] = value.clone();
                message.to_string()
            };
            let shapes = shapes::all();
            let properties = shapes.of_client(kind).unwrap()["properties"].as_object().cloned().unwrap_or_default();
            for name in properties.keys() {
                for value in [json!("no such thing"), json!(7.5), json!([[1]]), json!({"x": 1})] {
                    let text = with(name, &value);
                    let Err(error) = decode_client(&text) else { continue };
                    let (_, problem) = problem(&text, error);
                    let field = format!("data.{name}");
                    let said = format!("{problem}");
                    assert!(problem.errors.iter().any(|error| error.field.starts_with(&field)), "{text}: {problem:?}");
                    for foreign in ["invalid type", "expected", "variant", "struct", "f64", "missing field"] {
                        assert!(!said.contains(foreign), "{text}: {said}");
                    }
                    tried += 1;
                }
            }
            let named = refused(&with("no_such_field", &json!(1)))
                .errors
                .into_iter()
                .map(|error| error.field)
                .collect::<Vec<_>>();
            assert!(named.contains(&"data.no_such_field".to_owned()), "{kind}: {named:?}");
        }
        assert!(tried > 60, "only {tried}");
    }

    #[test]
    fn a_list_is_no_object() {
        for text in [
            r#"{"type":"position","data":[52.5,13.4]}"#,
            r#"{"type":"positions","data":{"positions":[[52.5,13.4]]}}"#,
            r#"{"type":"heartbeat","data":[]}"#,
        ] {
            let problem = refused(text);
            assert!(problem.errors.iter().all(|error| error.problem == "must be an object"), "{problem}");
        }
        let note =
            r#"{"type":"failed","data":{"task_id":"tsk_01jd8v7cjxfm9sxv0q3e0b5z1c","reason":"other","note":": ["}}"#;
        assert_eq!(stray_list(note, &decode_client(note).unwrap().1), None);
    }

    #[test]
    fn what_is_no_envelope_is_told_why() {
        for (text, words) in [
            ("nothing", "not valid JSON"),
            ("[]", "is an object with `type` and `data`"),
            (r#"{"type":"accpt"}"#, "did you mean `accept`?"),
        ] {
            let detail = refused(text).detail.unwrap();
            assert!(detail.contains(words), "{detail}");
        }
        assert_eq!(fields(&refused(r#"{"type":3,"id":4}"#)), ["id: must be a text", "type: must be a text"]);
        assert_eq!(fields(&refused("{}")), ["type: is required"]);
    }
}
