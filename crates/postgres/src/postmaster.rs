//! One server process: started or adopted, waited for until it is ready, and stopped.
//!
//! Everything here blocks, and is called from threads that may. The caller holds the home's lock while it starts or
//! adopts, so nobody else changes the cluster meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::account::Account;
use super::binaries::Binaries;
use super::error::{At, EmbeddedError};
use super::home::{Home, OWN_FILE, keep_private};
use super::patience::Patience;
use super::pid_file::{Phase, PidFile};
use super::process::{self, Identity};
use super::{EmbeddedOptions, settings};

/// How often a condition is looked at. A start takes about a hundred milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long one question to a server may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a live server may leave questions unanswered before it counts as stuck and is stopped.
const UNRESPONSIVE: Duration = Duration::from_secs(6);
/// How long backends get to notice that their server was killed, before they are told.
const ORPHANS_LEAVE: Duration = Duration::from_secs(3);
/// How long an immediate stop may take: Postgres itself kills what is left after 5 s.
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);
/// How often it is said that a start takes long.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// A log larger than this is set aside at a start.
const LARGEST_LOG: u64 = 8 << 20;
/// How much of the log an error quotes.
const LOG_TAIL: u64 = 2_000;

/// A server that takes connections.
#[derive(Debug)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) socket_dir: PathBuf,
    pub(super) adopted: bool,
    cluster: PathBuf,
    child: Option<Child>,
    /// How it ended, where it was our child and has.
    ended: Option<ExitStatus>,
}

/// What is already there when a start begins.
enum Standing {
    Nothing,
    /// The pid file of a dead server, whose number may belong to another program now.
    Stale,
    /// Our server, ready.
    Serving(PidFile),
    /// Our server, on its way up or down, or stuck.
    Busy(PidFile),
    /// Something answers that is not to be seen from here.
    Elsewhere,
}

impl Postmaster {
    /// The directory of the socket of a server that runs on this cluster and takes connections. Nothing is changed.
    pub(super) fn serving(cluster: &Path) -> Result<Option<PathBuf>, EmbeddedError> {
        Ok(match survey(cluster)? {
            Standing::Serving(file) => file.socket_dir,
            _ => None,
        })
    }

    /// Adopts the server that already runs on this cluster. `None` when there is none and one may be started.
    pub(super) fn adopt_running(
        home: &Home,
        options: &EmbeddedOptions,
        patience: &Patience,
    ) -> Result<Option<Self>, EmbeddedError> {
        let cluster = home.cluster();
        let began = Instant::now();
        loop {
            patience.goes_on()?;
            match survey(&cluster)? {
                Standing::Nothing => return Ok(None),
                Standing::Stale => {
                    tracing::info!(cluster = %cluster.display(), "the last server did not end in order: it is recovered");
                    PidFile::disarm(&cluster)?;
                    return Ok(None);
                }
                Standing::Serving(file) => return Ok(Some(Self::adopt(cluster, file))),
                Standing::Elsewhere if began.elapsed() > UNRESPONSIVE => {
                    return Err(EmbeddedError::ServedElsewhere { data_dir: home.path.clone() });
                }
                Standing::Busy(file) if is_stuck(&file, began, options, patience) => {
                    tracing::warn!(pid = file.pid, "a server that does not answer is stopped");
                    Self::adopt(cluster.clone(), file).stop(Signal::SIGINT, UNRESPONSIVE)?;
                }
                Standing::Busy(_) | Standing::Elsewhere => sleep(LOOK_AGAIN),
            }
        }
    }

    fn adopt(cluster: PathBuf, file: PidFile) -> Self {
        let socket_dir = file.socket_dir.unwrap_or_default();
        Self { pid: file.pid, socket_dir, adopted: true, cluster, child: None, ended: None }
    }

    /// Starts a server on this socket, again if backends of a killed one still hold its memory.
    pub(super) fn start(
        home: &Home,
        account: &Account,
        binaries: &Binaries,
        options: &EmbeddedOptions,
        socket_dir: &Path,
        patience: &Patience,
    ) -> Result<Self, EmbeddedError> {
        let began = Instant::now();
        let mut told = false;
        loop {
            patience.goes_on()?;
            remove_sockets(socket_dir);
            let error = match Self::launch(home, account, binaries, options, socket_dir, patience) {
                Err(EmbeddedError::StartFailed { log, tail }) if tail.contains("shared memory block") => {
                    EmbeddedError::StartFailed { log, tail }
                }
                result => return result,
            };
            if began.elapsed() > ORPHANS_LEAVE + IMMEDIATE_STOP {
                return Err(error);
            }
            if began.elapsed() > ORPHANS_LEAVE && !told {
                told = true;
                for pid in process::working_in(&home.cluster()) {
                    tracing::warn!(pid, "a backend that outlived its server is stopped");
                    process::signal(pid, Signal::SIGQUIT);
                }
            }
            sleep(LOOK_AGAIN * 10);
        }
    }

    fn launch(
        home: &Home,
        account: &Account,
        binaries: &Binaries,
        options: &EmbeddedOptions,
        socket_dir: &Path,
        patience: &Patience,
    ) -> Result<Self, EmbeddedError> {
        let cluster = home.cluster();
        let log = Log::open(home.log())?;
        let program = binaries.directory.join("postgres");
        let child = account
            .command(&program, &home.path)
            .arg("-D")
            .arg(&cluster)
            .args(settings::arguments(options, socket_dir))
            .stdout(log.writer()?)
            .stderr(log.writer()?)
            .spawn()
            .map_err(|source| EmbeddedError::Command { program, source })?;
        let pid = i32::try_from(child.id()).map_err(|_| EmbeddedError::Interrupted)?;
        let mut postmaster = Self {
            pid,
            socket_dir: socket_dir.to_path_buf(),
            adopted: false,
            cluster,
            child: Some(child),
            ended: None,
        };
        match postmaster.wait_until_ready(&log, patience) {
            Ok(()) => Ok(postmaster),
            Err(error) => {
                // ended, or too slow: nothing may be left behind
                let _ = postmaster.stop(Signal::SIGINT, IMMEDIATE_STOP);
                Err(error)
            }
        }
    }

    fn wait_until_ready(&mut self, log: &Log, patience: &Patience) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        let mut said = began;
        loop {
            patience.goes_on()?;
            if !self.is_running() {
                return Err(EmbeddedError::StartFailed { log: log.path.clone(), tail: log.tail() });
            }
            let file = PidFile::read(&self.cluster)?;
            if file.is_some_and(|file| file.pid == self.pid && file.phase == Phase::Ready) {
                return Ok(());
            }
            if let Some(most) = patience.start.filter(|most| began.elapsed() > *most) {
                let (log, tail) = (log.path.clone(), log.tail());
                return Err(EmbeddedError::StartTimeout { seconds: most.as_secs(), log, tail });
            }
            if said.elapsed() > SAY_EVERY {
                said = Instant::now();
                tracing::warn!(pid = self.pid, waited = ?began.elapsed(), "Postgres is not ready yet: it recovers");
            }
            sleep(LOOK_AGAIN);
        }
    }

    /// How it ended, in words for a log, as far as that is known.
    pub(super) fn end(&self) -> String {
        self.ended.map_or_else(|| "unknown: it was not our child".to_owned(), |status| status.to_string())
    }

    /// Whether the process still lives. Reaps it when it was our child.
    pub(super) fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => match child.try_wait() {
                Ok(Some(status)) => {
                    self.ended = Some(status);
                    false
                }
                _ => true,
            },
            None => match process::identify(self.pid, &self.cluster) {
                Identity::Ours => true,
                Identity::Unknown => self.holds_the_cluster(),
                Identity::Foreign | Identity::Dead => false,
            },
        }
    }

    /// Whether the pid file still names this server.
    fn holds_the_cluster(&self) -> bool {
        PidFile::read(&self.cluster).ok().flatten().is_some_and(|file| file.pid == self.pid)
    }

    /// Tells the server to stop and waits; after `patience` it is told to drop everything.
    pub(super) fn stop(&mut self, how: Signal, patience: Duration) -> Result<(), EmbeddedError> {
        if self.signal_and_wait(how, patience) {
            return Ok(());
        }
        tracing::warn!(pid = self.pid, "Postgres is slow to stop and is told to stop at once");
        if self.signal_and_wait(Signal::SIGQUIT, IMMEDIATE_STOP) {
            return Ok(());
        }
        if self.signal_and_wait(Signal::SIGKILL, IMMEDIATE_STOP) {
            return Ok(());
        }
        let seconds = (patience + 2 * IMMEDIATE_STOP).as_secs();
        Err(EmbeddedError::StopTimeout { pid: self.pid, seconds })
    }

    /// Sends a signal, and says whether the server was gone in time.
    pub(super) fn signal_and_wait(&mut self, signal: Signal, patience: Duration) -> bool {
        if !self.is_running() {
            return true;
        }
        process::signal(self.pid, signal);
        // a frozen process hears nothing else
        process::signal(self.pid, Signal::SIGCONT);
        let deadline = Instant::now() + patience;
        while self.is_running() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(LOOK_AGAIN);
        }
        true
    }
}

/// Looks at what the pid file says and whether that is still true.
fn survey(cluster: &Path) -> Result<Standing, EmbeddedError> {
    let Some(file) = PidFile::read(cluster)? else { return Ok(Standing::Nothing) };
    let answers = file.socket().is_some_and(|socket| answers(&socket).unwrap_or(false));
    Ok(match (process::identify(file.pid, cluster), answers) {
        (Identity::Ours | Identity::Unknown, true) if file.phase == Phase::Ready => Standing::Serving(file),
        (Identity::Ours, _) | (Identity::Unknown, true) => Standing::Busy(file),
        (Identity::Foreign | Identity::Dead, true) => Standing::Elsewhere,
        // Postgres would take a number that a zombie or another program has for a live server
        (Identity::Foreign | Identity::Dead | Identity::Unknown, false) => Standing::Stale,
    })
}

/// Whether a server reacts on this socket. That it can be connected to says nothing: the system does that for a frozen
/// process, too. So it is asked whether it speaks TLS, which every Postgres answers at any time with one letter.
fn answers(socket: &Path) -> std::io::Result<bool> {
    const DO_YOU_SPEAK_TLS: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(&DO_YOU_SPEAK_TLS)?;
    let mut answer = [0];
    Ok(stream.read(&mut answer)? == 1)
}

/// Whether a live server has had long enough. One that recovers after a crash says so, and gets the whole patience.
fn is_stuck(file: &PidFile, began: Instant, options: &EmbeddedOptions, patience: &Patience) -> bool {
    let most = match file.phase {
        Phase::Starting => patience.start,
        Phase::Stopping => Some(options.stop_timeout),
        Phase::Ready => Some(UNRESPONSIVE),
    };
    most.is_some_and(|most| began.elapsed() > most)
}

/// Removes what a dead server left in the socket's directory: its lock may hold another program's number, too.
fn remove_sockets(socket_dir: &Path) {
    for name in [".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
        let _ = fs::remove_file(socket_dir.join(name));
    }
}

/// The server's log, of which an error quotes what this start wrote.
struct Log {
    path: PathBuf,
    file: File,
    from: u64,
}

impl Log {
    fn open(path: PathBuf) -> Result<Self, EmbeddedError> {
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LARGEST_LOG) {
            fs::rename(&path, path.with_extension("log.old")).at("set aside", &path)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(OWN_FILE).open(&path).at("open", &path)?;
        keep_private(&file);
        let from = file.metadata().at("look at", &path)?.len();
        Ok(Self { path, file, from })
    }

    fn writer(&self) -> Result<Stdio, EmbeddedError> {
        Ok(self.file.try_clone().at("open", &self.path)?.into())
    }

    fn tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.from.max(length.saturating_sub(LOG_TAIL))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
    }
}
