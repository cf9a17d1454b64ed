//! Does jobs: claims what is due, runs it, notes what became of it.
//!
//! Any number of processes may do so beside each other: a job belongs to whoever claimed it, until its lease ends. Who dies in
//! between leaves a lease that ends, and the job is run again; an outcome counts only for the newest claim.

mod passes;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::ids::JobId;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::StorageError;
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio::task::{Id as TaskId, JoinError, JoinHandle, JoinSet};
use tracing::Instrument;

use crate::Jobs;
use crate::kind::{Kind, NOTING};
use crate::retry::{self, Next};
use crate::store::{self, Claimed};
use crate::worker::passes::{Pause, pass};

/// How long a worker sleeps at most, in real time: what another process put is seen by then, and what a killed one was doing is
/// taken over so soon after its lease.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// How long to wait when Postgres is away.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);
/// How much of the lease's last part is left when noting is given up: the job is run again afterwards.
const NOTING_ENDS_BEFORE: Duration = Duration::from_secs(3);
/// Characters of a reason that are kept.
const MOST_WHY: usize = 500;

/// A job as who runs it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id, the same at every run.
    pub id: JobId,
    /// What was put into it.
    pub payload: Vec<u8>,
    /// Its group; empty where it has none.
    pub group: String,
    /// Its lane.
    pub lane: Option<String>,
    /// How often it was begun, this run included.
    pub attempts: u32,
    /// The same since it was put or last tried again by hand.
    pub tries: u32,
    /// When it was put, by the clock of its kind.
    pub created_at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is done.
    Done,
    /// Not now: it is tried again as its kind says, or not before `after`.
    Retry {
        /// How long somebody asked to be left alone, in the time of the kind's clock.
        after: Option<Span>,
        /// Why, without anything that is secret or personal.
        why: String,
    },
    /// Never.
    Dead {
        /// Why, without anything that is secret or personal.
        why: String,
    },
}

impl Ended {
    fn why(&self) -> Option<&str> {
        match self {
            Self::Done => None,
            Self::Retry { why, .. } | Self::Dead { why } => Some(why),
        }
    }
}

/// What is done of a kind.
pub trait Work: Send + Sync + 'static {
    /// What a run leaves to be noted with its outcome; the default where it did not come to its end.
    type Report: Default + Send + Sync;

    /// Does a job. It may have been done before, by whoever died over it.
    fn run(&self, job: &Job) -> impl Future<Output = (Ended, Self::Report)> + Send;

    /// Writes what follows from a run, in the transaction that notes it, before the job itself is touched; all of it is undone
    /// where the job is no longer this run's. None where that is known already.
    fn note(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        noted: &Noted<'_, Self::Report>,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send {
        let _ = (connection, job, noted);
        async { Ok(true) }
    }

    /// Told once, when a run was noted.
    fn was_noted(&self, job: &Job, noted: &Noted<'_, Self::Report>) {
        let _ = (job, noted);
    }

    /// Whether it is nobody's business outside of this machine: such work goes on in a copy of a database.
    fn stays_inside(&self) -> bool {
        false
    }

    /// How many may be under way now, of as many as the kind allows: a breaker's word.
    fn admits(&self, most: usize) -> usize {
        most
    }

    /// How long to wait, in real time, until it is worth asking again, where it admits nothing.
    fn admits_again_in(&self) -> Duration {
        LONGEST_SLEEP
    }
}

/// What is noted of a run.
#[derive(Debug)]
pub struct Noted<'a, R> {
    /// How it ended.
    pub ended: &'a Ended,
    /// What becomes of the job.
    pub next: Next,
    /// What the run left.
    pub report: &'a R,
    /// The instant now, by the clock of the kind.
    pub now: Timestamp,
}

/// The running worker of a kind. It ends when this is dropped: what was being done is done again after its lease.
#[derive(Debug)]
pub struct Worker {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Worker {
    /// Begins nothing more, and waits at most so long for what is under way. What does not end by then is done again after its
    /// lease.
    pub async fn stop(mut self, within: Duration) {
        let _ = self.stop.send(true);
        // What is left is ended by the drop.
        let _ = tokio::time::timeout(within, &mut self.task).await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Jobs {
    /// Begins to do jobs of a kind.
    #[must_use]
    pub fn start<W: Work>(&self, kind: &'static Kind, work: W) -> Worker {
        let (stop, stopped) = watch::channel(false);
        self.register(kind);
        let duty = Duty {
            name: kind.duty,
            world: self.world(),
            does: kind.does,
            period: LONGEST_SLEEP,
            trigger: Some("a job is put, or was done"),
            runs: Runs::Leader,
        };
        self.clock().duties().register(duty);
        let task = tokio::spawn(run(self.clone(), kind, Arc::new(work), duty, stopped).in_current_span());
        Worker { task, stop }
    }
}

/// Runs that are under way, and whose time they take.
#[derive(Default)]
pub(crate) struct UnderWay {
    runs: JoinSet<()>,
    groups: HashMap<TaskId, String>,
    of_group: HashMap<String, usize>,
}

impl UnderWay {
    pub(crate) fn begin(&mut self, group: String, run: impl Future<Output = ()> + Send + 'static) {
        *self.of_group.entry(group.clone()).or_default() += 1;
        let task = self.runs.spawn(run);
        self.groups.insert(task.id(), group);
    }

    pub(crate) fn count(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn of_group(&self) -> &HashMap<String, usize> {
        &self.of_group
    }

    fn forget(&mut self, ended: Result<(TaskId, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a run of a job broke off: it is run again after its lease");
                error.id()
            }
        };
        let Some(group) = self.groups.remove(&id) else { return };
        if let Some(count) = self.of_group.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.of_group.remove(&group);
            }
        }
    }

    async fn one_ends(&mut self) {
        match self.runs.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.runs.try_join_next_with_id() {
            self.forget(ended);
        }
    }
}

async fn run<W: Work>(jobs: Jobs, kind: &'static Kind, work: Arc<W>, duty: Duty, mut stopped: watch::Receiver<bool>) {
    let mut under_way = UnderWay::default();
    let wakes = jobs.wakes(kind);
    while !*stopped.borrow() {
        let looked = jobs.clock().duties().did(duty, pass(&jobs, kind, &work, &mut under_way)).await;
        let pause = looked.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(kind = kind.name, error, "jobs wait: the database is away");
            Pause::of(AFTER_TROUBLE)
        });
        tokio::select! {
            () = pause.over(&jobs, kind) => {}
            () = wakes.notified() => {}
            () = under_way.one_ends() => {}
            _ = stopped.changed() => {}
        }
        under_way.forget_ended();
    }
    while under_way.count() > 0 {
        under_way.one_ends().await;
    }
}

/// Runs a claimed job and notes what became of it.
pub(crate) async fn perform<W: Work>(jobs: Jobs, kind: &'static Kind, work: Arc<W>, claimed: Claimed) {
    let (ended, report, job) = match opened(&jobs, kind, &claimed) {
        Some(payload) => {
            let job = job(&claimed, payload);
            // A run that panics is a run that failed: it is counted and given up as others are, and is not begun for ever.
            let run = AssertUnwindSafe(work.run(&job)).catch_unwind();
            let (ended, report) = match tokio::time::timeout(kind.longest, run).await {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) => (broke_off(kind, &job), W::Report::default()),
                Err(_) => (too_slow(kind), W::Report::default()),
            };
            (ended, report, job)
        }
        None => {
            let why = "sealed with another secret".to_owned();
            (Ended::Dead { why }, W::Report::default(), job(&claimed, Vec::new()))
        }
    };
    let now = jobs.now(kind);
    let next = retry::next(&kind.retries, &ended, claimed.tries, now, rand::random());
    crate::metrics::attempted(&jobs, kind, next);
    log(kind, &job, &ended, next);
    let noted = Noted { ended: &ended, next, report: &report, now };
    note(&jobs, kind, &*work, &claimed, &job, &noted).await;
}

fn job(claimed: &Claimed, payload: Vec<u8>) -> Job {
    Job {
        id: claimed.id,
        payload,
        group: claimed.group.clone(),
        lane: claimed.lane.clone(),
        attempts: claimed.attempts,
        tries: claimed.tries,
        created_at: claimed.created_at,
    }
}

/// The payload; none where it cannot be opened.
fn opened(jobs: &Jobs, kind: &Kind, claimed: &Claimed) -> Option<Vec<u8>> {
    use posthaste_domain::ids::Id;
    match kind.sealed_for {
        Some(purpose) => jobs.seal().open(purpose, claimed.id.uuid().as_bytes(), &claimed.payload).ok(),
        None => Some(claimed.payload.clone()),
    }
}

fn too_slow(kind: &Kind) -> Ended {
    Ended::Retry { after: None, why: format!("it took longer than {} s", kind.longest.as_secs()) }
}

/// What it says stands in the log already, where it may: a panic's words may hold what a job holds.
fn broke_off(kind: &Kind, job: &Job) -> Ended {
    tracing::error!(job = %job.id, kind = kind.name, "a run broke off by a fault of the program");
    Ended::Retry { after: None, why: "it broke off by a fault of the program".to_owned() }
}

fn log(kind: &Kind, job: &Job, ended: &Ended, next: Next) {
    let (id, attempts, why) = (job.id, job.attempts, ended.why().unwrap_or_default());
    match next {
        Next::Done => tracing::debug!(job = %id, kind = kind.name, "a job is done"),
        // Where somebody else keeps the record of it, they say so too.
        Next::Dead if kind.dead_kept.is_some() => {
            tracing::error!(job = %id, kind = kind.name, attempts, why, "a job is given up");
        }
        Next::RetryAt(at) if kind.dead_kept.is_some() => {
            tracing::warn!(job = %id, kind = kind.name, attempts, why, again_at = %at, "a job was not done");
        }
        Next::Dead | Next::RetryAt(_) => {
            tracing::debug!(job = %id, kind = kind.name, attempts, why, ?next, "a job was not done");
        }
    }
}

/// Notes what became of it, also when Postgres is away for a while: unnoted, it would be run again.
async fn note<W: Work>(
    jobs: &Jobs,
    kind: &'static Kind,
    work: &W,
    claimed: &Claimed,
    job: &Job,
    noted: &Noted<'_, W::Report>,
) {
    let noting = tokio::time::timeout(NOTING - NOTING_ENDS_BEFORE, async {
        while let Err(error) = note_once(jobs, kind, work, claimed, job, noted).await {
            if jobs.pool().refuses() {
                return false;
            }
            tracing::warn!(job = %job.id, error = &error as &dyn std::error::Error, "a run is not noted yet");
            tokio::time::sleep(AFTER_TROUBLE).await;
        }
        true
    });
    if !noting.await.unwrap_or(false) {
        tracing::error!(job = %job.id, kind = kind.name, "a run was not noted: it is made again");
    }
}

async fn note_once<W: Work>(
    jobs: &Jobs,
    kind: &'static Kind,
    work: &W,
    claimed: &Claimed,
    job: &Job,
    noted: &Noted<'_, W::Report>,
) -> Result<(), StorageError> {
    let mut transaction = jobs.pool().connections().begin().await?;
    if !work.note(&mut transaction, job, noted).await? {
        return Ok(());
    }
    let why = noted.ended.why().map(|why| why.chars().take(MOST_WHY).collect::<String>());
    if !store::settle(&mut transaction, kind, claimed, noted.next, why.as_deref(), noted.now).await? {
        tracing::info!(job = %job.id, kind = kind.name, "somebody else has taken a job over: this run does not count");
        return Ok(());
    }
    transaction.commit().await?;
    work.was_noted(job, noted);
    Ok(())
}
