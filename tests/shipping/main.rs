//! What is shipped beside the program, read and tried: the image, compose files, units, alert rules, updates, staging.
//!
//! `docker/try-image` and `docker/try-proxy` run image and proxy; here everything is held that needs neither.

mod compose;
mod figures;
#[path = "../harness/mod.rs"]
mod harness;
mod image;
mod release;
mod staging;
mod units;
mod updating;

use std::path::PathBuf;

use serde_json::Value;

/// A place in the checkout.
fn place(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(place(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file, with what it takes from elsewhere in it put in its place.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts of a list; of none where it is not there.
fn texts(list: &Value) -> Vec<&str> {
    list.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}
