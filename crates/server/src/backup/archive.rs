//! What is in a backup, as `pg_restore` lists it.

use std::path::{Path, PathBuf};

use super::tools::Tool;
use crate::Fatal;

/// The table that says which migrations a database had.
const MIGRATIONS: &str = "_sqlx_migrations";
/// What is left out: a comment that only the extension's owner may make, who may be somebody else.
const LEFT_OUT: &str = " COMMENT - EXTENSION ";

/// A backup's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// When it was made, in `pg_dump`'s words.
    pub(super) made_at: String,
    /// The major version of the Postgres that it is of.
    pub(super) major: Option<u32>,
    /// Tables with data.
    pub(super) tables: usize,
    /// The migrations that its database had.
    pub(super) migrations: Vec<i64>,
    /// What is to be restored.
    list: String,
}

impl Contents {
    /// Reads all of a backup, and says what is in it.
    pub(super) async fn of(tool: &Tool, file: &Path) -> Result<Self, Fatal> {
        let path = file.display().to_string();
        let listed = tool.output(&["--list", &path]).await;
        let listed = listed.map_err(|error| format!("{path} is no backup that can be read: {error}"))?;
        let rows = tool.output(&["--data-only", "--table", MIGRATIONS, "--file", "-", &path]).await?;
        let contents = Self::read(&listed, &rows);
        if contents.migrations.is_empty() {
            return Err(format!("{path} is no backup of posthaste: it has no {MIGRATIONS}").into());
        }
        // Every block of it, to nowhere.
        tool.output(&["--file", "/dev/null", &path]).await.map_err(|error| format!("{path} is damaged: {error}"))?;
        Ok(contents)
    }

    fn read(listed: &str, rows: &str) -> Self {
        let header = |name: &str| {
            let line = listed.lines().find_map(|line| line.strip_prefix(';')?.trim().strip_prefix(name));
            line.map(|rest| rest.trim_start_matches([':', ' ']).trim().to_owned())
        };
        let major = header("Dumped from database version")
            .and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let list: Vec<_> = listed.lines().filter(|line| !line.contains(LEFT_OUT)).collect();
        Self {
            made_at: header("Archive created at").unwrap_or_default(),
            major,
            tables: listed.lines().filter(|line| line.contains(" TABLE DATA ")).count(),
            migrations: migrations(rows),
            list: list.join("\n"),
        }
    }

    /// Writes what is to be restored beside the backup, or where temporary files go.
    pub(super) fn write_list(&self, file: &Path) -> Result<List, Fatal> {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = std::env::temp_dir().join(format!("posthaste-{}-{name}.list", std::process::id()));
        std::fs::write(&path, &self.list).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(List { path })
    }
}

/// A file that is gone when this is.
pub(super) struct List {
    pub(super) path: PathBuf,
}

impl Drop for List {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The first column of what is copied into tables of migrations, in either world.
fn migrations(rows: &str) -> Vec<i64> {
    let mut versions: Vec<i64> = Vec::new();
    let mut inside = false;
    for line in rows.lines() {
        match line {
            _ if line.starts_with("COPY ") => inside = line.contains(MIGRATIONS),
            "\\." => inside = false,
            _ if inside => versions.extend(line.split('\t').next().and_then(|version| version.parse::<i64>().ok())),
            _ => {}
        }
    }
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = ";\n; Archive created at 2026-05-01 12:00:00 UTC\n;     dbname: posthaste\n;     TOC Entries: 4\n\
        ;     Dumped from database version: 15.14 (Debian 15.14-0)\n;     Dumped by pg_dump version: 17.2\n;\n\
        2; 3079 16385 EXTENSION - btree_gist \n3456; 0 0 COMMENT - EXTENSION btree_gist \n\
        215; 1259 1 TABLE public orders postgres\n3400; 0 1 TABLE DATA public orders postgres\n";
    const ROWS: &str = "SET x = 1;\nCOPY public._sqlx_migrations (version, description) FROM stdin;\n1\torders\n32\tinstallation\n\
        \\.\n\nCOPY posthaste_test._sqlx_migrations (version, description) FROM stdin;\n1\torders\n\\.\n";

    #[test]
    fn a_list_says_when_and_of_what_it_was_made() {
        let contents = Contents::read(LISTED, ROWS);
        assert_eq!((contents.made_at.as_str(), contents.major), ("2026-05-01 12:00:00 UTC", Some(15)));
        assert_eq!((contents.tables, contents.migrations.as_slice()), (1, &[1, 32][..]));
        assert!(contents.list.contains("EXTENSION - btree_gist") && !contents.list.contains("COMMENT"));
        assert_eq!(Contents::read("", "").migrations, Vec::<i64>::new());
    }
}
