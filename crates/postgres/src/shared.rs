//! A server that many test processes share: adopted under a lock, booted fresh when none runs, stopped by nobody but
//! its watchdog.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use uuid::Uuid;

use super::account::Account;
use super::error::{At, EmbeddedError};
use super::home::{Home, HomeLock};
use super::patience::Patience;
use super::pid_file::PidFile;
use super::postmaster::Postmaster;
use super::process::{self, Identity};
use super::{Download, EmbeddedOptions, Search, blocking, boot, url};

/// A shared server, and the turn to prepare it: others wait until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The address of the maintenance database.
    pub(crate) url: String,
    postmaster: Postmaster,
    lock: HomeLock,
}

impl Turn {
    /// Throws the server and its data away, and boots a new one. Only for who knows that nobody uses it.
    pub(crate) async fn begin_anew(mut self, options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        blocking(move || {
            self.postmaster.stop(Signal::SIGQUIT, options.stop_timeout)?;
            prepare(&options, self.lock)
        })
        .await
    }
}

/// The major version that this machine's search finds for new data.
pub(crate) async fn major_version() -> Result<u32, EmbeddedError> {
    blocking(|| {
        let account = Account::choose()?;
        Ok(Search::of_this_machine(None, Download::aloud()).find(Path::new(""), None, &account)?.major)
    })
    .await
}

/// Waits for the turn, then adopts the server or boots one.
///
/// A booted one begins with nothing: what the last one held is of no use to anybody, and as it ran without fsync,
/// it may not even be sound.
pub(crate) async fn adopt_or_boot(options: EmbeddedOptions) -> Result<Turn, EmbeddedError> {
    blocking(move || {
        let account = Account::choose()?;
        let home = Home::prepare(&options.data_dir, &account)?;
        refuse_a_home_of_others(&home)?;
        let lock = home.lock_in_turn()?;
        prepare(&options, lock)
    })
    .await
}

fn prepare(options: &EmbeddedOptions, lock: HomeLock) -> Result<Turn, EmbeddedError> {
    let account = Account::choose()?;
    let home = Home::prepare(&options.data_dir, &account)?;
    let patience = Patience::of(options);
    let postmaster = match Postmaster::adopt_running(&home, options, &patience)? {
        Some(postmaster) => postmaster,
        None => {
            set_aside(&home)?;
            boot(&home, &account, options, &patience)?.0
        }
    };
    Ok(Turn { url: url(&postmaster.socket_dir, "postgres"), postmaster, lock })
}

/// Removes the home of a server whose owner is gone, and the server if it still runs.
pub(crate) fn discard(home: &Path) -> Result<(), EmbeddedError> {
    let cluster = home.join("data");
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(file) = PidFile::read(&cluster)? {
        if process::identify(file.pid, &cluster) != Identity::Ours || Instant::now() > deadline {
            break;
        }
        process::signal(file.pid, Signal::SIGQUIT);
        std::thread::sleep(Duration::from_millis(20));
    }
    remove_tree(home)
}

/// The place is known to everybody: one that another account made is not to be trusted.
fn refuse_a_home_of_others(home: &Home) -> Result<(), EmbeddedError> {
    let owner = fs::symlink_metadata(&home.path).at("look at", &home.path)?.uid();
    if owner == geteuid().as_raw() {
        return Ok(());
    }
    Err(std::io::Error::other("it belongs to another account")).at("use", &home.path)
}

/// Makes room for new data. The old is removed by a program of its own, which may outlive the test that began it: a
/// hundred databases are tens of thousands of files, and on some disks they take a minute.
fn set_aside(home: &Home) -> Result<(), EmbeddedError> {
    let cluster = home.cluster();
    let aside = home.path.join(format!("removed-{}", Uuid::now_v7().simple()));
    match fs::rename(&cluster, &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.at("set aside", &cluster)?,
    }
    let mut remove = Command::new("rm");
    remove.args(["-rf", "--"]).arg(&aside).process_group(0);
    remove.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match remove.spawn() {
        Ok(_) => Ok(()),
        Err(_) => remove_tree(&aside),
    }
}

fn remove_tree(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}
