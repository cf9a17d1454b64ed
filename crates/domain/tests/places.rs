//! Documents that list places of the code list all of them, and none that is gone.

mod sources;

use std::collections::BTreeSet;
use std::path::Path;

use posthaste_domain::order::Status;
use sources::{code, is_of_tests, own_tests, relative, root, rust_files};

/// Whether code names a status: one of them, all of them, or one in SQL.
fn names_status(text: &str) -> bool {
    let in_rust = |line: &str| {
        line.match_indices("Status::").any(|(at, _)| {
            let own = !line[..at].ends_with(|before: char| before.is_alphanumeric());
            let word: String = line[at + "Status::".len()..].chars().take_while(|c| c.is_alphanumeric()).collect();
            own && (word == "ALL" || Status::ALL.iter().any(|status| format!("{status:?}") == word))
        })
    };
    let in_sql = |line: &str| {
        let mut after = line.split("status ").skip(1);
        after.any(|rest| (rest.starts_with("= '") || rest.starts_with("IN ('")) && names_one(rest))
    };
    code(own_tests(text).0).lines().any(|line| in_rust(line) || in_sql(line))
}

fn names_one(sql: &str) -> bool {
    let word = sql.split('\'').nth(1).unwrap_or_default();
    Status::ALL.iter().any(|status| status.name() == word)
}

#[test]
fn every_place_of_a_status_stands_in_its_how_to() {
    let guide = std::fs::read_to_string(root().join("docs/how-to/add-a-status.md")).expect("the guide");
    let all = rust_files("crates").into_iter().map(|path| (relative(&path), path));
    let product = all.filter(|(name, _)| name.contains("/src/") && !is_of_tests(name));
    let names = |path: &Path| names_status(&std::fs::read_to_string(path).expect("a source"));
    let found: BTreeSet<String> = product.filter(|(_, path)| names(path)).map(|(name, _)| name).collect();
    let listed = guide.split('`').filter(|word| word.starts_with("crates/") && word.contains("/src/"));
    // Places of its words, where no status is named.
    let listed: BTreeSet<String> =
        listed.filter(|file| *file != "crates/webhooks/src/types.rs").map(str::to_owned).collect();
    assert!(found.len() > 15, "the sources were read: {found:?}");
    let unlisted: Vec<_> = found.difference(&listed).collect();
    assert!(unlisted.is_empty(), "these name a status and are not in docs/how-to/add-a-status.md: {unlisted:?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "docs/how-to/add-a-status.md lists these, which name no status: {gone:?}");
}

/// What is not there yet: words for people, and what will be there.
fn not_built_yet() -> Vec<(String, String)> {
    let list = std::fs::read_to_string(root().join("docs/not-built-yet.txt")).expect("the list");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (words, sign) = line.split_once(" | ").unwrap_or_else(|| panic!("a line without a sign: {line}"));
            (words.to_owned(), sign.to_owned())
        })
        .collect()
}

#[test]
fn the_readme_ends_with_what_is_not_built_yet() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let (_, last) = readme.rsplit_once("\n## ").expect("sections");
    let list = last.strip_prefix("Not built yet\n\n").expect("the last section is `Not built yet`");
    let said: Vec<_> = list
        .split("\n- ")
        .map(|item| item.trim_start_matches("- ").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let meant: Vec<_> = not_built_yet().into_iter().map(|(words, _)| format!("{words}.")).collect();
    assert!(!meant.is_empty());
    assert_eq!(said, meant);
}

#[test]
fn what_is_said_to_be_not_built_is_not_there() {
    let document = std::fs::read_to_string(root().join("docs/openapi.json")).expect("the document");
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let commands = std::fs::read_to_string(root().join("crates/server/src/cli.rs")).expect("the commands");
    let is_there = |sign: &str| match sign.split(' ').collect::<Vec<_>>()[..] {
        ["route", path] => document["paths"][path].is_object(),
        ["route", method, path] => document["paths"][path][method.to_lowercase()].is_object(),
        ["crate", name] => root().join("crates").join(name).exists(),
        ["command", name] => {
            let variant = name[..1].to_uppercase() + &name[1..];
            commands
                .lines()
                .any(|line| line.trim().starts_with(&format!("{variant}(")) || line.trim() == format!("{variant},"))
        }
        _ => panic!("no sign that can be looked for: {sign}"),
    };
    for known in ["route /v1/orders", "route POST /v1/orders", "crate live", "command serve"] {
        assert!(is_there(known), "{known} would not be seen");
    }
    let there: Vec<_> = not_built_yet().into_iter().filter(|(_, sign)| is_there(sign)).collect();
    assert!(there.is_empty(), "these are built: take them from docs/not-built-yet.txt and the README: {there:?}");
}
