//! Work that a commit calls for. It belongs to the system, not to whoever asked: they may hang up, or lose patience,
//! in any moment between the commit and what follows it.
//!
//! [`Carried::through`] has it done by a task of the system's own, and lets the caller wait for it as long as they like.
//! A stop waits for what is being carried, within its bound.

use std::borrow::Cow;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use crate::Refused;
use crate::stopping::Stopping;
use crate::world::World;

/// What a caller hears where nobody can say yet.
pub(crate) const UNKNOWN: Refused =
    Refused::Unavailable(Cow::Borrowed("it is unknown whether it was stored; send it again"));
/// How long a caller waits for what is carried. Long enough for a commit behind a slow disk, shorter than a request may
/// take; the work goes on.
const PATIENCE: Duration = Duration::from_secs(8);
/// First pause before what became of something is looked up again; doubles to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause. Higher leaves an order lying after an outage; lower hammers a database that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A statement whose connection broke may still be at work in Postgres, and commit: until its time is over (the pool's
/// limit of a statement, and some more) what is not there may still come.
const MAY_STILL_COME: Duration = Duration::from_secs(20);

/// How long somebody waits to hear what an unknown outcome was, before they are told that it is unknown.
const MOMENTS: Duration = Duration::from_millis(600);

/// How long something is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Within {
    /// While somebody waits for the answer.
    Moments,
    /// Until nothing can come any more.
    ItsTime,
}

/// What is being carried to its end.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    world: World,
    tasks: TaskTracker,
    stopping: Stopping,
}

impl Carried {
    pub(crate) fn new(world: World, stopping: Stopping) -> Self {
        Self { world, tasks: TaskTracker::new(), stopping }
    }

    /// Does the work in a task of its own. It is done whether the caller waits or not.
    pub(crate) async fn through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refused>> + Send + 'static,
    ) -> Result<T, Refused> {
        let task = self.world.beside_and_awaited(&self.tasks, work);
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(UNKNOWN),
        }
    }

    /// Does the work beside the caller, who does not wait.
    pub(crate) fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.world.beside_and_awaited(&self.tasks, work);
    }

    /// Looks for something whose outcome is unknown, until it is there or nothing can come any more. `None` when there is
    /// nothing, or the system stops.
    pub(crate) async fn look_up<T, L>(&self, within: Within, mut look: impl FnMut() -> L) -> Option<T>
    where
        L: Future<Output = Result<Option<T>, Refused>>,
    {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let asked = began.elapsed();
            match look().await {
                Ok(Some(found)) => return Some(found),
                Ok(None) if asked > MAY_STILL_COME => return None,
                Ok(None) | Err(_) => {}
            }
            if matches!(within, Within::Moments) && began.elapsed() > MOMENTS {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.stopping.begun() => return None,
            }
        }
    }

    /// Reads something, again until the database answers.
    ///
    /// # Errors
    /// What is not a matter of time; or that the system stops.
    pub(crate) async fn read<T, L>(&self, mut read: impl FnMut() -> L) -> Result<T, Refused>
    where
        L: Future<Output = Result<T, Refused>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match read().await {
                Err(Refused::Unavailable(_)) => {}
                answer => return answer,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.stopping.begun() => return Err(Refused::Unavailable("the system is stopping".into())),
            }
        }
    }

    /// The system stops, so nothing is looked up any more. What is being carried has so long to come to its end.
    pub(crate) async fn end(&self, within: Duration) {
        self.tasks.close();
        if tokio::time::timeout(within, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "work that was begun did not end in time");
        }
    }
}
