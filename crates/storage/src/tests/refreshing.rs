//! The page that says how `.sqlx` is refreshed: a crate that its command leaves out would lose its queries, and with them the
//! build without a database.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Whether a source file somewhere below has a query that is checked when it is compiled.
fn has_queries(place: &Path) -> bool {
    fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return has_queries(&path);
        }
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        is_source && checks_queries(&fs::read_to_string(path).unwrap())
    })
}

fn checks_queries(source: &str) -> bool {
    ["query", "query_as", "query_scalar", "query_file", "query_file_as", "query_file_scalar"]
        .iter()
        .any(|name| source.contains(&format!("sqlx::{name}!(")))
}

/// The crates that the page's command touches, and those that it checks.
fn named(page: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let touched = page.split_once("touch crates/{").and_then(|(_, rest)| rest.split_once('}')).expect("it touches").0;
    let is_of_a_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    let checked = page.split("-p posthaste-").skip(1).map(|rest| rest.chars().take_while(is_of_a_name).collect());
    let checked = checked.collect();
    (touched.split(',').map(str::to_owned).collect(), checked)
}

#[test]
fn the_way_to_refresh_queries_names_every_crate_that_has_some() {
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let with_queries: BTreeSet<String> = crates
        .filter(|place| has_queries(&place.join("src")))
        .map(|place| place.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(with_queries.contains("storage"), "the search finds what is there: {with_queries:?}");
    let page = fs::read_to_string(root().join("docs/how-to/change-a-query.md")).unwrap();
    let (touched, checked) = named(&page);
    assert_eq!(touched, with_queries, "touched");
    assert_eq!(checked, with_queries, "checked");
}
