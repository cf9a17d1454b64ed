//! Jobs: what is to be done later, in Postgres. Whoever wants something done puts a job in the transaction of what asks for it: it
//! is done at least once, whatever is killed meanwhile, and not at all where the transaction did not come through.
//!
//! - [`kind`]: what is to be done, in how many at once, how often it is tried, for how long it is kept. [`put`]: putting jobs,
//!   and taking them back.
//! - [`worker`]: claims what is due, does it, notes what became of it. [`Work`] is what a kind does.
//!   `choose`, `retry`: pure rules. `store`: the statements.
//! - [`schedule`]: kinds that are done again and again.
//! - [`groups`]: holding and opening the jobs of one receiver, or whoever else takes their time.
//! - [`due`]: when jobs are due, for those who show it.
//! - [`held`]: what waits because nothing may leave. [`dead`]: what was given up, for whoever is on call.
//!   [`routes`](mod@routes): the same over HTTP. [`metrics`]: what is measured. `tidy`: the queue's own upkeep.
//!
//! **Lanes**: jobs of one kind and lane run one after the other, in their order, over retries too. **Groups**: of one group a few
//! run at once, so that one that hangs keeps nobody else waiting. **Leases** are real time by the clock of Postgres; due times
//! are product time, but for kinds that people outside wait for. A late outcome is told by its claim's number.
//!
//! See `docs/adr/0042-jobs.md`, and `docs/how-to/add-a-job.md`.

mod choose;
pub mod dead;
pub mod due;
pub mod groups;
pub mod held;
pub mod kind;
pub mod metrics;
pub mod put;
mod refused;
mod retry;
pub mod routes;
pub mod schedule;
mod store;
mod tidy;
pub mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_clock::Clock;
use posthaste_domain::Timestamp;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;
use tokio::sync::Notify;

pub use kind::{Kind, Retries, Times};
pub use put::{NewJob, PutError};
pub use refused::Refused;
pub use retry::Next;
pub use routes::{LIMITS, routes};
pub use tidy::Upkeep;
pub use worker::{Ended, Job, Noted, Work, Worker};

/// A connection to the database in a transaction, for who writes with what a job writes.
pub type Connection = sqlx::PgConnection;

/// The queue of one world. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    pool: Pool,
    seal: Seal,
    clock: Clock,
    outside: Outside,
    world: Option<&'static str>,
    known: Mutex<BTreeMap<&'static str, Known>>,
}

/// A kind that this process knows of.
struct Known {
    kind: &'static Kind,
    wakes: Arc<Notify>,
}

impl Jobs {
    /// The queue in a database, of the live world. While the `outside` is held, nothing is begun that reaches it.
    #[must_use]
    pub fn new(pool: Pool, seal: Seal, clock: Clock, outside: Outside) -> Self {
        Self::of(pool, seal, clock, outside, None)
    }

    /// The same of a world that is not the live one, by its name.
    #[must_use]
    pub fn of(pool: Pool, seal: Seal, clock: Clock, outside: Outside, world: Option<&'static str>) -> Self {
        Self(Arc::new(Inner { pool, seal, clock, outside, world, known: Mutex::default() }))
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Whether what reaches outside may be begun.
    #[must_use]
    pub fn outside(&self) -> Outside {
        self.0.outside
    }

    /// The instant now, by the clock of the kind.
    #[must_use]
    pub fn now(&self, kind: &Kind) -> Timestamp {
        kind.times.now(&self.0.clock)
    }

    /// Says that jobs of the kind were committed, or may be begun now: its worker looks at once.
    pub fn wake(&self, kind: &'static Kind) {
        self.wakes(kind).notify_one();
    }

    /// Names a kind: its jobs can be shown, and tried again by hand, whether or not this process does them.
    pub fn register(&self, kind: &'static Kind) {
        self.wakes(kind);
    }

    pub(crate) fn wakes(&self, kind: &'static Kind) -> Arc<Notify> {
        let mut known = self.0.known.lock();
        Arc::clone(&known.entry(kind.name).or_insert_with(|| Known { kind, wakes: Arc::default() }).wakes)
    }

    pub(crate) fn kind_of(&self, name: &str) -> Option<&'static Kind> {
        self.0.known.lock().get(name).map(|known| known.kind)
    }

    pub(crate) fn kinds(&self) -> Vec<&'static Kind> {
        self.0.known.lock().values().map(|known| known.kind).collect()
    }

    /// What keeps values so that the database cannot read them.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// Whose it is, where it is not the live world's.
    #[must_use]
    pub fn world(&self) -> Option<&'static str> {
        self.0.world
    }
}
