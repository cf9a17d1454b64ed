//! The watcher: a server that is gone is started again, as long as its owner wants it to run.
//!
//! A thread owns the server. It looks whether the process lives, ten times a second. Gone is gone: killed, crashed, or ended
//! because its disk was full. The home's lock stays ours meanwhile, so nobody else can start one; a server that somebody
//! started by hand is taken over. It is tried again with growing pauses, until it runs or the owner ends it. Data that is
//! gone is never replaced by new.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use metrics::{counter, describe_counter};
use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::account::Account;
use super::binaries::Search;
use super::error::EmbeddedError;
use super::home::make_private_dir;
use super::patience::Patience;
use super::postmaster::Postmaster;
use super::{Server, cluster};

/// How often it is looked whether the server lives.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// First pause after a start that failed, or a server that did not live long; doubles to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause: what is repaired by hand (room on a disk, most often) is noticed within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that lived for longer than this did well: its end is no part of a series.
const LIVED_WELL: Duration = Duration::from_secs(10);

/// Counts starts after an end, by what they came to.
const STARTS: &str = "posthaste_postgres_starts_total";

/// Says what the figures are, once a recorder is there.
pub fn describe() {
    describe_counter!(STARTS, "Times that a private Postgres that had ended was started again, by what it came to.");
    for outcome in ["started", "failed"] {
        counter!(STARTS, "outcome" => outcome).absolute(0);
    }
}

/// What was done about a server that had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Starts {
    /// Times that it was started again and took connections.
    pub done: u64,
    /// Times that it could not be started.
    pub failed: u64,
}

/// The pauses between starts: none before the first, then longer and longer while servers do not live.
#[derive(Debug, Default)]
struct Pauses(Option<Duration>);

impl Pauses {
    /// A server ended that had lived for so long; or, at zero, could not be started. How long to wait.
    fn after(&mut self, lived: Duration) -> Duration {
        let last = self.0.take_if(|_| lived < LIVED_WELL);
        let pause = match last {
            // What dies for the first time is started at once.
            None if lived > Duration::ZERO => Duration::ZERO,
            None => FIRST_PAUSE,
            Some(pause) => (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
        };
        self.0 = Some(pause);
        pause
    }
}

/// The owner's end of the thread.
#[derive(Debug)]
pub(super) struct Watcher {
    patience: Patience,
    pid: Arc<AtomicI32>,
    starts: watch::Receiver<Starts>,
    thread: Option<JoinHandle<Server>>,
}

impl Watcher {
    /// Begins to watch. Without `restart` it only keeps the server.
    pub(super) fn start(server: Server, restart: bool) -> Result<Self, EmbeddedError> {
        let patience = Patience::while_it_lives();
        let pid = Arc::new(AtomicI32::new(server.postmaster.pid));
        let (tell, starts) = watch::channel(Starts::default());
        let mut watch = Watch { server, patience: patience.clone(), pid: Arc::clone(&pid), tell };
        let thread = thread::Builder::new().name("postgres-watcher".to_owned()).spawn(move || {
            if restart {
                watch.run();
            }
            watch.server
        });
        let thread = thread.map_err(|_| EmbeddedError::Interrupted)?;
        Ok(Self { patience, pid, starts, thread: Some(thread) })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.load(Ordering::Acquire)
    }

    /// How often it was started again, as it goes on.
    pub(super) fn starts(&self) -> watch::Receiver<Starts> {
        self.starts.clone()
    }

    /// Ends the watching and gives the server back. A start under way is broken off. Blocks.
    pub(super) fn end(&mut self) -> Option<Server> {
        self.patience.break_off();
        let thread = self.thread.take()?;
        thread.thread().unpark();
        thread.join().ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // The server is dropped with what this gives back, and so stopped.
        drop(self.end());
    }
}

/// The thread's.
struct Watch {
    server: Server,
    patience: Patience,
    pid: Arc<AtomicI32>,
    tell: watch::Sender<Starts>,
}

impl Watch {
    fn run(&mut self) {
        let (mut pauses, mut began) = (Pauses::default(), Instant::now());
        while self.rests(LOOK_EVERY) {
            if self.server.postmaster.is_running() {
                continue;
            }
            tracing::error!(
                pid = self.server.postmaster.pid, how = self.server.postmaster.end(),
                log = %self.server.home.log().display(), "the private Postgres has ended: it is started again"
            );
            let gone = Instant::now();
            let mut pause = pauses.after(began.elapsed());
            loop {
                if !self.rests(pause) {
                    return;
                }
                match self.server.start_again(&self.patience) {
                    Ok(()) => break,
                    Err(EmbeddedError::Interrupted) if self.patience.is_broken_off() => return,
                    Err(error) => {
                        counter!(STARTS, "outcome" => "failed").increment(1);
                        self.tell.send_modify(|starts| starts.failed += 1);
                        pause = pauses.after(Duration::ZERO);
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, again_in = ?pause, "the private Postgres cannot be started");
                    }
                }
            }
            began = Instant::now();
            counter!(STARTS, "outcome" => "started").increment(1);
            let pid = self.server.postmaster.pid;
            self.pid.store(pid, Ordering::Release);
            tracing::info!(pid, took = ?gone.elapsed(), "the private Postgres runs again");
            self.tell.send_modify(|starts| starts.done += 1);
        }
    }

    /// Waits; false when the watching is over.
    fn rests(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while !self.patience.is_broken_off() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::park_timeout(left);
        }
        false
    }
}

impl Server {
    /// Starts it again on its data and its socket.
    fn start_again(&mut self, patience: &Patience) -> Result<(), EmbeddedError> {
        let Some(written_by) = cluster::version(&self.home.cluster())? else {
            return Err(EmbeddedError::DataGone { data_dir: self.home.cluster() });
        };
        let socket_dir = self.postmaster.socket_dir.clone();
        if let Some(mut other) = Postmaster::adopt_running(&self.home, &self.options, patience)? {
            if other.socket_dir == socket_dir {
                self.postmaster = other;
                return Ok(());
            }
            tracing::warn!(pid = other.pid, "a Postgres that was started elsewhere on our data is stopped");
            other.stop(Signal::SIGINT, self.options.stop_timeout)?;
        }
        let account = Account::choose()?;
        // Whoever cleans temporary directories may have taken it away.
        make_private_dir(&socket_dir, &account)?;
        let search = Search::of_this_machine(self.options.bin_dir.clone(), self.options.download);
        let binaries = search.find(&self.home.cluster(), Some(written_by), &account)?;
        self.postmaster = Postmaster::start(&self.home, &account, &binaries, &self.options, &socket_dir, patience)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_start_is_at_once_and_pauses_grow_to_a_bound() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.after(LONG), Duration::ZERO);
        let mut before = Duration::ZERO;
        for _ in 0..20 {
            let pause = pauses.after(SHORT);
            assert!(pause > before || pause == LONGEST_PAUSE, "{pause:?} after {before:?}");
            before = pause;
        }
        assert_eq!(before, LONGEST_PAUSE);
        assert_eq!(pauses.after(LONG), Duration::ZERO, "one that lived well begins anew");
    }

    #[test]
    fn what_cannot_be_started_is_never_tried_without_a_pause() {
        let mut pauses = Pauses::default();
        pauses.after(LONG);
        for _ in 0..20 {
            assert!(pauses.after(Duration::ZERO) >= FIRST_PAUSE);
        }
        assert!(Pauses::default().after(Duration::ZERO) >= FIRST_PAUSE);
    }
}
