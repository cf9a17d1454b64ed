//! `cargo xtask sqlx`: what the compiler needs to check queries without a database, in step with queries and migrations.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use crate::database::{migrate, run_to_its_end, with_postgres};
use crate::files::{self, Temporary};
use crate::workspace::{Outcome, cargo, packages, root};

/// The macros whose queries are checked when they are compiled.
const MACROS: [&str; 12] = [
    "query!",
    "query_as!",
    "query_scalar!",
    "query_file!",
    "query_file_as!",
    "query_file_scalar!",
    "query_unchecked!",
    "query_as_unchecked!",
    "query_scalar_unchecked!",
    "query_file_unchecked!",
    "query_file_as_unchecked!",
    "query_file_scalar_unchecked!",
];

/// Refresh .sqlx: compile every crate that has checked queries against a Postgres with today's migrations.
///
/// The Postgres is started for the purpose and gone afterwards. .sqlx changes only where everything compiled.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask sqlx            after a query or a migration was changed
  cargo xtask sqlx --check    whether .sqlx is what the queries need")]
pub(crate) struct Options {
    /// Change nothing, and fail where .sqlx is not what the queries need.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let crates = crates_with_queries()?;
    let kept = root().join(".sqlx");
    let needed = described(&crates)?;
    let differences = files::differences(&files::read(&kept)?, &needed);
    match (options.check, differences.is_empty()) {
        (_, true) => println!("{} queries of {} crates are in .sqlx as they are", needed.len(), crates.len()),
        (true, false) => {
            return Err(format!("{}: `cargo xtask sqlx` refreshes .sqlx", differences.join("\n")).into());
        }
        (false, false) => {
            fs::create_dir_all(&kept)?;
            files::replace(&kept, &needed)?;
            println!("{}\n{} queries are in .sqlx now: commit it", differences.join("\n"), needed.len());
        }
    }
    Ok(())
}

/// Every package of the workspace whose own code has checked queries, with its directory.
fn crates_with_queries() -> Outcome<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    // This file names the macros and calls none.
    for (name, directory) in packages()?.into_iter().filter(|(name, _)| name != env!("CARGO_PKG_NAME")) {
        if has_queries(&directory.join("src"))? {
            found.insert(name, directory);
        }
    }
    if found.is_empty() { Err("no crate has a query: is this the workspace?".into()) } else { Ok(found) }
}

/// Whether a source file somewhere below has a checked query.
fn has_queries(place: &Path) -> Outcome<bool> {
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let has_some =
            if path.is_dir() { has_queries(&path)? } else { is_source && checks(&fs::read_to_string(&path)?) };
        if has_some {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether one of the macros is called, however it was brought in. A comment counts too: to compile one crate too many costs
/// seconds, to miss one costs its queries.
fn checks(source: &str) -> bool {
    let is_of_a_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    MACROS.iter().any(|name| source.match_indices(name).any(|(at, _)| !source[..at].ends_with(is_of_a_name)))
}

/// What the compiler writes of the queries of these crates: a file for each.
fn described(crates: &BTreeMap<String, PathBuf>) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let fresh = Temporary::new("sqlx")?;
    // What is not compiled anew writes nothing. The time is put back afterwards, so that no other build is.
    let mut touched = Vec::new();
    for directory in crates.values() {
        let path =
            ["lib.rs", "main.rs"].map(|file| directory.join("src").join(file)).into_iter().find(|path| path.exists());
        let path = path.ok_or_else(|| format!("{} has neither src/lib.rs nor src/main.rs", directory.display()))?;
        let root = File::options().append(true).open(path)?;
        touched.push((root.metadata()?.modified()?, root));
    }
    let compiled = with_postgres(None, async |server| {
        migrate(server).await?;
        let mut check = cargo();
        check.arg("check").env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &fresh.0);
        check.env("DATABASE_URL", server.url());
        for name in crates.keys() {
            check.args(["-p", name]);
        }
        for (_, root) in &touched {
            root.set_modified(SystemTime::now())?;
        }
        run_to_its_end(check).await
    });
    for (before, root) in touched {
        root.set_modified(before)?;
    }
    compiled?;
    let described = files::read(&fresh.0)?;
    if described.is_empty() { Err("the compiler described no query".into()) } else { Ok(described) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_found_however_its_macro_is_called() {
        for source in [
            "let row = sqlx::query!(\"SELECT 1\");",
            "use sqlx::query_as;\nfn f() { query_as!(Row, \"SELECT 1\") }",
            "query_scalar! {\"SELECT 1\"}",
            "sqlx::query_file_as!(Row, \"a.sql\")",
            "sqlx::query_scalar_unchecked!(\"SELECT 1\")",
        ] {
            assert!(checks(source), "{source}");
        }
        for source in ["sqlx::query(\"SELECT 1\")", "my_query!(1)", "sqlx::raw_sql(text)", "a query! is", ""] {
            assert_eq!(checks(source), source == "a query! is", "{source}");
        }
    }

    /// Whatever is in `.sqlx` came from somewhere: each of its queries is found in the code of a crate that is refreshed.
    #[test]
    fn no_crate_with_a_query_is_forgotten() {
        let crates = crates_with_queries().unwrap();
        let mut code = String::new();
        for directory in crates.values() {
            gather(&directory.join("src"), &mut code);
        }
        let code: String = words(&code);
        let mut seen = 0;
        for (name, file) in files::read(&root().join(".sqlx")).unwrap() {
            let described: serde_json::Value = serde_json::from_slice(&file).unwrap();
            let query = described["query"].as_str().unwrap();
            assert!(code.contains(&words(query)), "{name} is of no crate that is refreshed ({crates:?}): {query}");
            seen += 1;
        }
        assert!(seen > 100, "only {seen} queries");
        let mut others = packages().unwrap();
        others.retain(|(name, _)| !crates.contains_key(name) && name != env!("CARGO_PKG_NAME"));
        for (name, directory) in others {
            let mut code = String::new();
            gather(&directory.join("src"), &mut code);
            assert!(!code.contains("sqlx::query!") && !code.contains("sqlx::query_as!"), "{name} has queries");
        }
    }

    /// All text below, that of files of SQL too.
    fn gather(place: &Path, text: &mut String) {
        for path in fs::read_dir(place).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                gather(&path, text);
            } else {
                text.push_str(&fs::read_to_string(&path).unwrap());
                text.push('\n');
            }
        }
    }

    /// Without what a literal may have and its text has not: escapes, and spaces at the ends of lines.
    fn words(text: &str) -> String {
        text.chars().filter(|letter| !letter.is_whitespace() && *letter != '\\').collect()
    }
}
