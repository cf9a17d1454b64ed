//! Kinds of jobs: a constant of the context that does them.

use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_domain::{Span, Timestamp};

/// How much longer than a run its lease is: the time in which what became of it is noted, also while Postgres is away. Longer
/// delays what a killed process was doing.
pub(crate) const NOTING: Duration = Duration::from_secs(15);

/// A kind of jobs.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in the database, in figures and on the wire. It never changes: it stands in rows.
    pub name: &'static str,
    /// The name of the duty that looks for such jobs: context and verb.
    pub duty: &'static str,
    /// What that duty does, in a few words.
    pub does: &'static str,
    /// By which clock its jobs are due.
    pub times: Times,
    /// What its payloads are sealed for; none where they hold nothing that is secret or personal. It never changes either.
    pub sealed_for: Option<&'static str>,
    /// Runs at the same time, in one process.
    pub at_once: usize,
    /// Of these, of one group. Groups that hang must leave room for the others.
    pub of_group: usize,
    /// How long a run may take, in real time. Then it is broken off and counts as failed.
    pub longest: Duration,
    /// When it is tried again.
    pub retries: Retries,
    /// For how long the row of a job that was done is kept, in real time; none where it goes at once.
    pub done_kept: Option<Span>,
    /// The same of a dead one; none where somebody else keeps the record of it.
    pub dead_kept: Option<Span>,
    /// Whether a dead job keeps its payload, so that it can be tried again. Not where it may hold what must not lie about.
    pub dead_keeps_payload: bool,
    /// How often one is put by itself, in the time of its clock.
    pub every: Option<Span>,
}

/// By which clock jobs are due, given up and put again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The product's: at a faster clock a day's schedule can be seen in seconds.
    Product,
    /// The machine's: for what is about people outside, whose time runs as it does.
    Wall,
}

impl Times {
    /// The instant now.
    #[must_use]
    pub fn now(self, clock: &Clock) -> Timestamp {
        match self {
            Self::Product => clock.now(),
            Self::Wall => clock.wall(),
        }
    }
}

/// When jobs are tried again that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    /// Seconds from a failed run to the next one; after the last of them a job is dead.
    pub seconds: &'static [i64],
    /// How much later than that it may come, as a part of the wait, 0 to 1: many that failed at once do not come back at once.
    /// Never earlier.
    pub jitter: f64,
    /// The longest wait that a receiver can ask for. More would let it hold jobs for ever.
    pub longest_asked: Span,
}

impl Kind {
    /// How long a claim lasts, in real time: longer than a run and the noting of it.
    pub(crate) fn lease(&self) -> Duration {
        self.longest + NOTING
    }

    /// How often a job is begun at most without any word of it, before it is given up unrun. Not where somebody else keeps the record
    /// of what became of it, who has to hear of its end.
    pub(crate) fn most_tries(&self) -> i32 {
        if self.dead_kept.is_none() {
            return i32::MAX;
        }
        i32::try_from(self.retries.seconds.len()).unwrap_or(i32::MAX).saturating_add(1)
    }

    /// Of a group, how many run at once: of those that are nobody's as many as there is room for.
    pub(crate) fn most_of(&self, group: &str) -> usize {
        if group.is_empty() { self.at_once } else { self.of_group.min(self.at_once) }
    }
}
