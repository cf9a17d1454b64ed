//! The sources of the checkout, for tests that read them.

#![allow(clippy::allow_attributes, dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

/// The folder of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the folder of the checkout")
}

/// A file's path from there, as documents write it.
pub fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("in the checkout").to_str().expect("a name").to_owned()
}

/// All Rust files in a folder of the checkout and in those in it, but what was built.
pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut all = Vec::new();
    collect(&root().join(folder), &mut all);
    all
}

/// Whether a file holds tests and nothing else.
pub fn is_of_tests(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The code of a file without whole lines of remarks.
pub fn code(source: &str) -> String {
    source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The part of a file before its own tests, and those; all of it where there are none.
pub fn own_tests(source: &str) -> (&str, &str) {
    source.split_once("#[cfg(test)]\nmod tests {").unwrap_or((source, ""))
}
