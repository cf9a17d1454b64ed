//! `postmaster.pid`: the file in which a server says who and where it is, and how far it has come.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{At, EmbeddedError};

/// A number that no system gives to a process: Linux ends at 2^22, macOS at 99,998.
const NOBODY: i32 = 99_999_999;

/// How far a server has come, by the eighth line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Starting, or recovering after a crash.
    Starting,
    /// Takes connections.
    Ready,
    /// On its way down.
    Stopping,
}

/// What a `postmaster.pid` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) port: u16,
    pub(super) socket_dir: Option<PathBuf>,
    pub(super) phase: Phase,
}

impl PidFile {
    /// Where the file lies in a cluster.
    pub(super) fn path(cluster: &Path) -> PathBuf {
        cluster.join("postmaster.pid")
    }

    /// Reads the file, `None` when there is none or nothing to be understood in it.
    pub(super) fn read(cluster: &Path) -> Result<Option<Self>, EmbeddedError> {
        let path = Self::path(cluster);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("read", &path),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        // a server in single-user mode writes its number negated
        let pid = lines.next()?.trim().parse::<i32>().ok()?.checked_abs()?;
        let port = lines.nth(2).and_then(|line| line.trim().parse().ok()).unwrap_or(0);
        let socket_dir = lines.next().map(str::trim).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let phase = match lines.nth(2).map(str::trim) {
            Some("ready" | "standby") => Phase::Ready,
            Some("stopping") => Phase::Stopping,
            _ => Phase::Starting,
        };
        Some(Self { pid, port, socket_dir, phase })
    }

    /// The socket that the server named, once it has.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        self.socket_dir.as_ref().map(|dir| dir.join(format!(".s.PGSQL.{}", self.port)))
    }

    /// Makes the file of a dead server harmless when its number now belongs to another program, which Postgres
    /// cannot tell apart.
    ///
    /// Only the number is replaced: the rest names the shared memory, by which Postgres notices backends that have
    /// outlived their server, and that check should stay.
    pub(super) fn disarm(cluster: &Path) -> Result<(), EmbeddedError> {
        let path = Self::path(cluster);
        let text = match fs::read_to_string(&path) {
            // its server was ending, and has ended
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result.at("read", &path)?,
        };
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        fs::write(&path, format!("{NOBODY}\n{rest}")).at("rewrite", &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/srv/data\n1700000000\n5432\n/srv/socket\n\n  5432001     32768\nready   \n";

    #[test]
    fn a_ready_server_tells_its_number_socket_and_phase() {
        let file = PidFile::parse(READY).unwrap();
        assert_eq!(file.pid, 4711);
        assert_eq!(file.phase, Phase::Ready);
        assert_eq!(file.socket().unwrap(), Path::new("/srv/socket/.s.PGSQL.5432"));
    }

    #[test]
    fn a_server_that_has_just_begun_has_no_socket_yet() {
        let file = PidFile::parse("4711\n/srv/data\n1700000000\n5432\n\n").unwrap();
        assert_eq!((file.phase, file.socket()), (Phase::Starting, None));
    }

    #[test]
    fn an_empty_or_garbled_file_says_nothing() {
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("not a number\n"), None);
    }
}
