//! The cluster on disk: made once by `initdb`, and only opened by the major version that wrote it.

use std::fs::{self, File};
use std::path::Path;

use super::account::Account;
use super::binaries::Binaries;
use super::error::{At, EmbeddedError};
use super::home::{Home, make_private_dir};

/// What the names of half-made clusters begin with.
const UNFINISHED: &str = "data.tmp.";

/// The major version that wrote the cluster, `None` when there is none yet.
pub(super) fn version(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().parse().map_err(std::io::Error::other).at("understand", &path)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &path),
    }
}

/// Makes the cluster. It gets its name only when it is whole, so that a crash in between leaves nothing that looks
/// like data.
pub(super) fn create(home: &Home, account: &Account, binaries: &Binaries, durable: bool) -> Result<(), EmbeddedError> {
    remove_unfinished(home)?;
    let unfinished = home.path.join(format!("{UNFINISHED}{}", std::process::id()));
    make_private_dir(&unfinished, account)?;
    let initdb = binaries.directory.join("initdb");
    let mut command = account.command(&initdb, &home.path);
    command
        .arg("-D")
        .arg(&unfinished)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
        // order by code point: the same on every machine, and no index breaks when the system's library changes
        .args(["--locale=C", if cfg!(target_os = "macos") { "--lc-ctype=UTF-8" } else { "--lc-ctype=C.UTF-8" }])
        .arg(if durable { "--data-checksums" } else { "--no-sync" });
    let output = command.output().map_err(|source| EmbeddedError::Command { program: initdb, source })?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&unfinished);
        let output = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return Err(EmbeddedError::InitFailed { output: output.trim().to_owned() });
    }
    fs::rename(&unfinished, home.cluster()).at("rename", &unfinished)?;
    if durable {
        File::open(&home.path).and_then(|directory| directory.sync_all()).at("flush", &home.path)?;
    }
    Ok(())
}

/// Removes what earlier attempts left. Only called by the holder of the lock.
fn remove_unfinished(home: &Home) -> Result<(), EmbeddedError> {
    for entry in fs::read_dir(&home.path).at("list", &home.path)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).at("remove", &entry.path())?;
        }
    }
    Ok(())
}
