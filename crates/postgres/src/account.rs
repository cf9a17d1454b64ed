//! The account that Postgres runs as: our own, or an unprivileged one when we are root, as Postgres refuses root.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::error::EmbeddedError;

/// Accounts worth dropping to, best first. `initdb` wants one that has a passwd entry.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Who the server's processes and files belong to.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) uid: u32,
    dropped: Option<(u32, u32)>,
}

impl Account {
    /// The current user, or `postgres`, else `nobody`, when that is root.
    pub(super) fn choose() -> Result<Self, EmbeddedError> {
        let me = geteuid();
        if !me.is_root() {
            return Ok(Self { uid: me.as_raw(), dropped: None });
        }
        CANDIDATES
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| {
                let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
                Self { uid, dropped: Some((uid, gid)) }
            })
            .ok_or(EmbeddedError::NoAccount)
    }

    /// Whether we are root and give that up for the server.
    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.is_some()
    }

    /// Gives a path to the account. Nothing to do when it is our own.
    pub(super) fn own(&self, path: &Path) -> std::io::Result<()> {
        match self.dropped {
            Some((uid, gid)) => std::os::unix::fs::lchown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// A command of Postgres's that runs as this account, away from the terminal and from our `PG…` environment.
    pub(super) fn command(&self, program: &Path, current_dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(current_dir).stdin(Stdio::null()).process_group(0);
        scrub(&mut command);
        if let Some((uid, gid)) = self.dropped {
            // std also clears the supplementary groups when it changes the user as root
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// Takes out of the environment what would change Postgres's behaviour or the language of its messages.
fn scrub(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_postgres_variable(&name) {
            command.env_remove(name);
        }
    }
    command.env_remove("LANGUAGE").env("LC_ALL", "C");
}

fn is_postgres_variable(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("PG"))
}
