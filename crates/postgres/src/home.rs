//! The directory that holds an embedded server: its cluster, socket, log and the lock of its owner.
//!
//! As root, the server runs as another account, which must be able to reach its files. Where the requested place does
//! not allow that (root's own home, most often), the home moves to a directory under `/var/lib`, named after the
//! requested one so that the next start finds it again.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::{At, EmbeddedError};

/// A socket path may have 107 bytes on Linux and 103 on macOS; Postgres adds names of its own to ours. Longer than
/// this, the socket moves to a short temporary directory.
const LONGEST_SOCKET_PATH: usize = 80;
/// Where homes go that the server's account could not reach.
const FALLBACK: &str = "/var/lib/posthaste";
/// The mode of files that are for their owner alone.
pub(super) const OWN_FILE: u32 = 0o600;
/// How many names are tried for a socket directory before giving up.
const SOCKET_NAMES: u32 = 16;

/// The directory of one embedded server.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    /// The place that was asked for, when it had to be another.
    pub(super) instead_of: Option<PathBuf>,
}

/// The process that owns a home, as it left its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub Option<u32>);

/// The lock by which one process owns a home. Released when dropped, and by the system when the process dies.
#[derive(Debug)]
pub(super) struct HomeLock {
    _file: File,
}

impl Home {
    /// Makes the directory, in the requested place if the account can use that.
    pub(super) fn prepare(requested: &Path, account: &Account) -> Result<Self, EmbeddedError> {
        let requested = std::path::absolute(requested).at("resolve", requested)?;
        let path = choose_place(&requested, account);
        if account.is_dropped() {
            // Others may go through, as Postgres' account has to; what is in the home is for its owner alone.
            path.parent().map_or(Ok(()), |parent| make_dir(parent, 0o755))?;
        }
        let mode = if account.is_dropped() { 0o711 } else { 0o700 };
        make_dir(&path, mode)?;
        // Homes of older versions could be looked into. Where it is not ours, it stays as it is.
        let _ = fs::set_permissions(&path, Permissions::from_mode(mode));
        // the server reports and compares real paths
        let path = path.canonicalize().at("resolve", &path)?;
        let instead_of = (account.is_dropped() && !is_within(&requested, &path)).then_some(requested);
        Ok(Self { path, instead_of })
    }

    /// Where it is or would be, with nothing made.
    pub(super) fn locate(requested: &Path, account: &Account) -> Result<Self, EmbeddedError> {
        let requested = std::path::absolute(requested).at("resolve", requested)?;
        let path = choose_place(&requested, account);
        let path = path.canonicalize().unwrap_or(path);
        let instead_of = (account.is_dropped() && !is_within(&requested, &path)).then_some(requested);
        Ok(Self { path, instead_of })
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Takes the lock for as long as the result lives, or says who has it.
    pub(super) fn lock(&self) -> Result<HomeLock, EmbeddedError> {
        let (path, mut file) = self.open_lock()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(EmbeddedError::InUse { data_dir: self.path.clone(), owner: read_owner(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(error).at("lock", &path),
        }
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).at("write", &path)?;
        Ok(HomeLock { _file: file })
    }

    /// Who owns the home now: a process, where it left its number. None where nobody does. Nothing is made or written.
    pub(super) fn owner(&self) -> Result<Option<Owner>, EmbeddedError> {
        let path = self.path.join("lock");
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.at("open", &path)?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Owner(read_owner(&mut file)))),
            Err(TryLockError::Error(error)) => Err(error).at("lock", &path),
        }
    }

    /// Waits for the lock.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn lock_in_turn(&self) -> Result<HomeLock, EmbeddedError> {
        let (path, file) = self.open_lock()?;
        file.lock().at("lock", &path)?;
        Ok(HomeLock { _file: file })
    }

    fn open_lock(&self) -> Result<(PathBuf, File), EmbeddedError> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(OWN_FILE);
        let file = options.open(&path).at("open", &path)?;
        keep_private(&file);
        Ok((path, file))
    }

    /// Makes the private directory for the socket, within the home or, when that path is too long, a short one.
    pub(super) fn socket_dir(&self, account: &Account) -> Result<PathBuf, EmbeddedError> {
        let inside = self.path.join("socket");
        let length = inside.as_os_str().as_bytes().len() + "/.s.PGSQL.5432".len();
        if length <= LONGEST_SOCKET_PATH && inside.to_str().is_some() {
            make_private_dir(&inside, account)?;
            return Ok(inside);
        }
        let temporary = short_temporary_dir();
        let name = format!("posthaste-{}-{:016x}", account.uid, fingerprint(&self.path));
        let mut last = None;
        for attempt in 0..SOCKET_NAMES {
            let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            match make_private_dir(&temporary.join(format!("{name}{suffix}")), account) {
                Ok(dir) => return Ok(dir),
                // somebody else's directory under our name: take the next one
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(EmbeddedError::Interrupted))
    }

    /// Removes the socket's directory after a stop when it is a temporary one, so that these do not gather.
    pub(super) fn leave_socket_dir(&self, socket_dir: &Path) {
        if !socket_dir.starts_with(&self.path) {
            let _ = fs::remove_dir(socket_dir);
        }
    }
}

/// The requested place, or its stand-in under `/var/lib` when the account cannot get there. A place that already
/// holds data wins over one that does not.
fn choose_place(requested: &Path, account: &Account) -> PathBuf {
    if !account.is_dropped() || requested.starts_with(FALLBACK) {
        return requested.to_path_buf();
    }
    let reachable = is_reachable(requested);
    let stand_in = Path::new(FALLBACK).join(format!("postgres-{:016x}", fingerprint(requested)));
    let holds_data = |place: &Path| place.join("data/PG_VERSION").exists();
    if reachable && (holds_data(requested) || !holds_data(&stand_in)) {
        return requested.to_path_buf();
    }
    stand_in
}

fn read_owner(lock: &mut File) -> Option<u32> {
    let mut owner = String::new();
    lock.read_to_string(&mut owner).ok()?;
    owner.trim().parse().ok()
}

/// Takes away from others what an older version let them read.
pub(super) fn keep_private(file: &File) {
    // Where it is not ours, it stays as it is.
    let _ = file.set_permissions(Permissions::from_mode(OWN_FILE));
}

/// Whether any account may walk through every existing directory on the way to `path`, and through `path` itself.
pub(super) fn is_reachable(path: &Path) -> bool {
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.exists()) else { return false };
    let Ok(existing) = existing.canonicalize() else { return false };
    existing
        .ancestors()
        .all(|ancestor| fs::metadata(ancestor).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0))
}

fn is_within(requested: &Path, path: &Path) -> bool {
    requested.canonicalize().is_ok_and(|real| real == path)
}

/// Makes a directory and its parents with exactly this mode, whatever the umask; existing ones stay as they are.
pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dir(parent, mode)?;
    }
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).at("set the mode of", path),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error).at("create", path),
    }
}

/// Makes a directory that only the account may enter, or checks that it is one.
pub(super) fn make_private_dir(path: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => account.own(path).at("give away", path)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).at("create", path),
    }
    let metadata = fs::symlink_metadata(path).at("look at", path)?;
    let private = metadata.is_dir() && metadata.uid() == account.uid && metadata.permissions().mode() & 0o077 == 0;
    if private {
        return Ok(path.to_path_buf());
    }
    let refusal = std::io::Error::other("it belongs to another account, or others may enter it");
    Err(refusal).at("use as a private directory", path)
}

fn short_temporary_dir() -> PathBuf {
    let usual = std::env::temp_dir();
    let fits = usual.to_str().is_some_and(|text| text.len() <= 24) && is_reachable(&usual);
    if fits { usual } else { PathBuf::from("/tmp") }
}

/// A short name for a path (FNV-1a). No secret, but it names directories that hold data, so it must never change:
/// the standard library's hasher makes no such promise.
fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
