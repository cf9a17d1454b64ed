//! What can be told of a private Postgres by somebody who does not own it, and how to reach it while it runs. Nothing
//! here makes, changes or starts anything.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ring::digest;

use super::account::Account;
use super::binaries::Search;
use super::error::{At, EmbeddedError};
use super::home::{Home, Owner};
use super::postmaster::Postmaster;
use super::{EmbeddedOptions, blocking, cluster, url};

/// Where the data are, in terms that a copy of them does not share. The device is not among them: it may be numbered anew
/// when the machine starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The path.
    pub path: String,
    /// The number of the directory in its file system.
    pub inode: u64,
    /// When a file in it was made that is never made again, in nanoseconds since 1970; none where the system does not keep
    /// it.
    pub made: Option<u64>,
    /// A digest of the machine's id, where it has one.
    pub machine: Option<String>,
}

/// A private Postgres as it lies there.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its directory, or where that would be.
    pub home: PathBuf,
    /// The process that owns the directory.
    pub owner: Option<Owner>,
    /// The major version that wrote its data; none where there are none yet.
    pub written_by: Option<u32>,
    /// How to reach its database, where it runs.
    pub url: Option<String>,
    /// What tells the directory from a copy of it; none where there are no data yet.
    pub directory: Option<Directory>,
}

/// Looks at the private Postgres that these options would start.
///
/// # Errors
///
/// Where the directory cannot be looked at.
pub async fn look(options: &EmbeddedOptions) -> Result<Seen, EmbeddedError> {
    let (data_dir, database) = (options.data_dir.clone(), options.database.clone());
    blocking(move || {
        let home = Home::locate(&data_dir, &Account::choose()?)?;
        let data = home.cluster();
        let serving = Postmaster::serving(&data)?;
        let written_by = cluster::version(&data)?;
        let directory = written_by.map(|_| directory(&home)).transpose()?;
        let url = serving.map(|socket_dir| url(&socket_dir, &database));
        Ok(Seen { owner: home.owner()?, written_by, url, directory, home: home.path })
    })
    .await
}

/// The directory with the binaries that these options would start, and their major version.
///
/// # Errors
///
/// Those of a start that finds none.
pub async fn binaries(options: &EmbeddedOptions) -> Result<(PathBuf, u32), EmbeddedError> {
    let options = options.clone();
    blocking(move || {
        let account = Account::choose()?;
        let cluster = Home::locate(&options.data_dir, &account)?.cluster();
        let search = Search::of_this_machine(options.bin_dir.clone(), options.download);
        let found = search.find(&cluster, cluster::version(&cluster)?, &account)?;
        Ok((found.directory, found.major))
    })
    .await
}

/// A program of Postgres' (as `pg_dump`) for a server of at least this major version: the newest of the machine.
///
/// # Errors
///
/// [`EmbeddedError::Interrupted`] where the runtime goes away.
pub async fn tool(name: &'static str, bin_dir: Option<PathBuf>, least: u32) -> Result<Option<PathBuf>, EmbeddedError> {
    blocking(move || Ok(Search::of_this_machine(bin_dir, super::Download::Never).tool(name, least))).await
}

/// Where the data are, in terms that a copy of them does not share.
pub(crate) fn directory(home: &Home) -> Result<Directory, EmbeddedError> {
    let data = home.cluster();
    let inode = std::fs::metadata(&data).at("look at", &data)?.ino();
    // Written when the cluster is made, and never again.
    let made = std::fs::metadata(data.join("PG_VERSION")).and_then(|version| version.created()).ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.and_then(|made| u64::try_from(made.as_nanos()).ok());
    Ok(Directory { path: data.display().to_string(), inode, made, machine: machine() })
}

/// A name of the machine that says nothing about it, where it has one.
fn machine() -> Option<String> {
    let id = std::fs::read(Path::new("/etc/machine-id")).ok().filter(|id| id.len() >= 32)?;
    let digest = digest::digest(&digest::SHA256, &[b"posthaste machine ", id.trim_ascii()].concat());
    Some(digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
