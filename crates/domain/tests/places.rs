//! Documents that list places of the code list all of them, and none that is gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use posthaste_domain::order::Status;

/// The folder of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the folder of the checkout")
}

/// The Rust files in a folder and in those in it, but tests.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            into.push(path);
        }
    }
}

/// Whether code names a status: one of them, all of them, or one in SQL.
fn names_status(text: &str) -> bool {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
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
    code.iter().any(|line| in_rust(line) || in_sql(line))
}

fn names_one(sql: &str) -> bool {
    let word = sql.split('\'').nth(1).unwrap_or_default();
    Status::ALL.iter().any(|status| status.name() == word)
}

#[test]
fn every_place_of_a_status_stands_in_its_how_to() {
    let guide = std::fs::read_to_string(root().join("docs/how-to/add-a-status.md")).expect("the guide");
    let mut all = Vec::new();
    for folder in std::fs::read_dir(root().join("crates")).expect("the folder of crates") {
        sources(&folder.expect("an entry").path().join("src"), &mut all);
    }
    let relative = |path: &Path| path.strip_prefix(root()).expect("in the checkout").display().to_string();
    let names = |path: &&PathBuf| names_status(&std::fs::read_to_string(path).expect("a source"));
    let found: BTreeSet<String> = all.iter().filter(names).map(|path| relative(path)).collect();
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
