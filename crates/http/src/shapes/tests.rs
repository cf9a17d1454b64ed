use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn document() -> Value {
    json!({"components": {"schemas": {
        "Order": {"type": "object", "additionalProperties": false, "required": ["speed", "pickups", "delivery"], "properties": {
            "speed": {"type": "string", "enum": ["fast", "slow"]},
            "size": {"type": "integer", "minimum": 1, "maximum": 1000},
            "merchant_id": {"type": ["string", "null"], "pattern": "^mer_[0-7][0-9a-hjkmnp-tv-z]{25}$"},
            "pickups": {"type": "array", "maxItems": 3, "items": {"$ref": "#/components/schemas/Stop"}},
            "delivery": {"$ref": "#/components/schemas/Stop"},
        }},
        "Stop": {"type": "object", "additionalProperties": false, "required": ["lat"], "properties": {
            "lat": {"type": "number", "minimum": -90.0, "maximum": 90.0},
            "ready_at": {"type": ["string", "null"], "format": "date-time"},
            "contact": {"$ref": "#/components/schemas/Contact"},
            "window": {"oneOf": [{"$ref": "#/components/schemas/Window"}, {"type": "null"}]},
        }},
        "Contact": {"type": "object", "additionalProperties": false, "properties": {
            "name": {"type": ["string", "null"], "maxLength": 5}, "phone": {"type": ["string", "null"]},
        }},
        "Window": {"type": "object", "required": ["start"], "properties": {"start": {"type": "string", "format": "date-time"}}},
    }}})
}

fn order() -> Value {
    json!({"speed": "fast", "pickups": [{"lat": 1}], "delivery": {"lat": 2.5, "window": null, "contact": {"name": "Ada"}}})
}

fn faults(value: &Value) -> Vec<String> {
    let (document, schema) = (document(), json!({"$ref": "#/components/schemas/Order"}));
    let found = Shape::new(&document, &schema).faults(value, "");
    let lists = Lists::of(&document, &schema);
    // The cheap look never misses what the close one finds.
    assert!(!found.has_stray_list || lists.may_be_stray(value.to_string().as_bytes()), "{value}");
    found.fields.into_iter().map(|fault| format!("{}: {}", fault.field, fault.problem)).collect()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut order = order();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match order.pointer_mut(parent).unwrap() {
        Value::Object(fields) => _ = fields.insert(name.to_owned(), value),
        other => *other = value,
    }
    order
}

#[test]
fn what_fits_has_no_faults_and_what_does_not_is_told_what_is_wanted() {
    assert_eq!(faults(&order()), Vec::<String>::new());
    for (value, fault) in [
        (json!([]), "body: must be an object"),
        (json!("x"), "body: must be an object"),
        (with("/speed", json!("medium")), "speed: must be `fast` or `slow`"),
        (with("/speed", json!(3)), "speed: must be `fast` or `slow`"),
        (with("/size", json!(1.5)), "size: must be a whole number from 1 to 1000"),
        (with("/size", json!(-1)), "size: must be a whole number from 1 to 1000"),
        (with("/merchant_id", json!("drv_1")), "merchant_id: must be an id like mer_01jd8v7cjxfm9sxv0q3e0b5z1c"),
        (with("/delivery", json!([52.5, 13.4])), "delivery: must be an object"),
        (with("/delivery/lat", json!("north")), "delivery.lat: must be a number from -90 to 90"),
        (with("/delivery/lat", Value::Null), "delivery.lat: must be a number from -90 to 90"),
        (with("/delivery/ready_at", json!("tomorrow")), "delivery.ready_at: must be a time like 2026-05-01T12:00:00Z"),
        (
            with("/delivery/window", json!({"start": 3})),
            "delivery.window.start: must be a time like 2026-05-01T12:00:00Z",
        ),
        (with("/delivery/window", json!({})), "delivery.window.start: is required"),
        (with("/delivery/window", json!([1])), "delivery.window: must be an object"),
        (with("/delivery/contact/name", json!("Charles")), "delivery.contact.name: longer than 5 characters"),
        (with("/delivery/latt", json!(1)), "delivery.latt: is not known here: did you mean `lat`?"),
        (with("/delivery/phone", json!(1)), "delivery.phone: is not known here: did you mean `contact.phone`?"),
        (with("/pickups", json!([{"lat": 1}, {"lat": 1}, {}, {}])), "pickups: more than 3 entries"),
        (with("/pickups", json!({"lat": 1})), "pickups: must be a list"),
    ] {
        assert_eq!(faults(&value), [fault], "{value}");
    }
}

#[test]
fn of_several_wrong_fields_every_one_is_named() {
    let value =
        json!({"pickups": [{"lat": "x"}, [], {"lat": 1, "contact": {"name": 3}}], "delivery": {"tip": 1}, "size": "x"});
    let named: Vec<_> = faults(&value).iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect();
    let all =
        ["delivery.tip", "delivery.lat", "pickups[0].lat", "pickups[1]", "pickups[2].contact.name", "size", "speed"];
    assert_eq!(named, all);
}

#[test]
fn what_is_named_is_bounded() {
    let many: Vec<_> = (0..1000).map(|n| (format!("{n}{}", "x".repeat(1000)), json!(1))).collect();
    let value = Value::Object(many.into_iter().collect());
    let found = faults(&value);
    assert_eq!(found.len(), MOST_NAMED);
    assert!(found.iter().all(|fault| fault.len() < 200), "{found:?}");
}

#[test]
fn a_text_is_read_as_what_it_stands_for() {
    let document = Value::Null;
    let fault = |schema: Value, text: &str| {
        Shape::new(&document, &schema).faults_of_text(text, "q").fields.pop().map(|fault| fault.problem)
    };
    let number = json!({"type": "integer", "minimum": 1, "maximum": 100});
    assert_eq!(fault(number.clone(), "7"), None);
    for text in ["x", "", "0", "1.5", "\"7\"", "true"] {
        assert_eq!(fault(number.clone(), text), Some("must be a whole number from 1 to 100".to_owned()), "{text}");
    }
    assert_eq!(fault(json!({"type": "boolean"}), "true"), None);
    assert_eq!(fault(json!({"type": "boolean"}), "yes"), Some("must be true or false".to_owned()));
    assert_eq!(fault(json!({"type": "string", "enum": ["true", "7"]}), "true"), None, "a text that looks like one");
}

#[test]
fn the_readers_word_is_added_where_nothing_was_found() {
    let of = |path: &str, said: &str| with_readers_word(Faults::default(), path, said);
    assert_eq!(of("at", "must lie in the years 2000 to 2200")[0].problem, "must lie in the years 2000 to 2200");
    let found =
        || Faults { fields: vec![FieldError { field: "a.b".into(), problem: "x".into() }], ..Faults::default() };
    assert_eq!(with_readers_word(found(), "a", "invalid type: map, expected f64").len(), 1);
    assert_eq!(with_readers_word(found(), "c", "invalid type: map, expected f64")[1].problem, "must be a number");
}

#[test]
fn a_list_is_looked_at_by_what_stands_before_it() {
    let (document, schema) = (document(), json!({"$ref": "#/components/schemas/Order"}));
    let lists = Lists::of(&document, &schema);
    assert!(!lists.may_be_stray(b"{\"pickups\" : [{\"lat\":1}],\"delivery\":{}}"));
    for body in [
        "[1]",
        " [",
        "{\"delivery\":[1]}",
        "{\"deliver\\u0079\": [1]}",
        "{\"pickups\":[[1]]}",
        "{\"pickups\":[{},[1]]}",
    ] {
        assert!(lists.may_be_stray(body.as_bytes()), "{body}");
    }
    let open = json!({"properties": {"area": {"type": "object"}, "rules": {"properties": {"n": {}}}}});
    let lists = Lists::of(&document, &open);
    assert!(!lists.may_be_stray(b"{\"area\":{\"coordinates\":[[[1,2],[3,4]]]}}"));
    assert!(lists.may_be_stray(b"{\"area\":{\"coordinates\":[[[1,2],[3,4]]]},\"rules\":[1]}"));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        "[a-z\\[\":]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let names = prop_oneof![Just("pickups"), Just("delivery"), Just("lat"), Just("contact"), Just("other")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_is_looked_at_and_no_stray_list_is_missed(value in any_value()) {
        faults(&value);
    }
}
