//! Duties: what happens by the clock and not by anybody's wish. Each has a name, says how often and where it runs, and is
//! remembered with its last result, so that whoever is on call sees at one place what is done beside requests.
//!
//! Duties are beside the clock because whoever has duties has the clock. [`Duties::every`] is the usual loop; a loop that is
//! woken by something else says what it did through [`Duties::did`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_domain::Timestamp;
use tokio::task::JoinHandle;

use crate::manual::{Hands, ManualRound};

/// Where a duty runs, once there are several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runs {
    /// In every process: it looks after that process's own memory.
    Everywhere,
    /// In one process of all: it looks after what all share.
    Leader,
    /// In the process that serves the region: it looks after its drivers, orders and zones.
    Region,
}

impl Runs {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Leader => "leader",
            Self::Region => "region",
        }
    }
}

/// A duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duty {
    /// Context and verb: `streams.sweep`.
    pub name: &'static str,
    /// Whose it is, where it is not the live world's.
    pub world: Option<&'static str>,
    /// What it does, in a few words.
    pub does: &'static str,
    /// How often, in real time; what is woken by something else runs at the latest after so long.
    pub period: Duration,
    /// What wakes it before that; none where the clock alone does.
    pub trigger: Option<&'static str>,
    /// Where it runs.
    pub runs: Runs,
}

/// A duty, and how it went.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The duty.
    pub duty: Duty,
    /// Whether it is at it now.
    pub is_running: bool,
    /// When it was done last, or failed (the machine's own time).
    pub ended_at: Option<Timestamp>,
    /// How long that took.
    pub took: Option<Duration>,
    /// What was wrong the last time; none where it went well.
    pub problem: Option<String>,
    /// How often it was done.
    pub done: u64,
    /// How often it failed.
    pub failed: u64,
}

/// A duty's world and name.
type Key = (Option<&'static str>, &'static str);

/// Every duty of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Duties {
    all: Arc<Mutex<BTreeMap<Key, Standing>>>,
    /// Who says when a period is over, where the clock is set by hand.
    hands: Option<Arc<Hands>>,
}

/// The rounds of a duty that the clock alone wakes.
pub struct Rounds(Period);

enum Period {
    Real(Duration),
    Manual(ManualRound),
}

impl Rounds {
    /// Waits a period (on a clock that is set by hand, until it has been moved by one). What was done before is over.
    pub async fn next(&mut self) {
        match &mut self.0 {
            Period::Real(period) => tokio::time::sleep(*period).await,
            Period::Manual(round) => round.due().await,
        }
    }
}

impl Duties {
    pub(crate) fn by_hand(hands: Arc<Hands>) -> Self {
        Self { all: Arc::default(), hands: Some(hands) }
    }

    /// Names a duty, and counts its periods from now on: for a loop that is not the usual one.
    #[must_use]
    pub fn rounds(&self, duty: Duty) -> Rounds {
        self.register(duty);
        Rounds(match &self.hands {
            None => Period::Real(duty.period),
            Some(hands) => Period::Manual(ManualRound::new(Arc::clone(hands), duty.name, duty.period)),
        })
    }

    /// Names a duty before it is done for the first time.
    pub fn register(&self, duty: Duty) {
        self.change(duty, |_| ());
    }

    fn change(&self, duty: Duty, change: impl FnOnce(&mut Standing)) {
        let mut all = self.all.lock();
        let standing = all.entry((duty.world, duty.name)).or_insert_with(|| Standing {
            duty,
            is_running: false,
            ended_at: None,
            took: None,
            problem: None,
            done: 0,
            failed: 0,
        });
        change(standing);
    }

    /// Does it once, and remembers how it went. Gives back what it came to.
    pub async fn did<T, E: Display>(&self, duty: Duty, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = std::time::Instant::now();
        let at_it = AtIt::begin(self, duty);
        let outcome = work.await;
        drop(at_it);
        let problem = outcome.as_ref().err().map(ToString::to_string);
        let result = if problem.is_none() { "done" } else { "failed" };
        let world = duty.world.unwrap_or("live");
        metrics::counter!("posthaste_duties_total", "duty" => duty.name, "world" => world, "result" => result)
            .increment(1);
        self.change(duty, |standing| {
            standing.ended_at = Some(chrono::Utc::now());
            standing.took = Some(began.elapsed());
            *(if problem.is_none() { &mut standing.done } else { &mut standing.failed }) += 1;
            standing.problem = problem;
        });
        outcome
    }

    /// The usual loop: it waits, does the work, and waits again, until it is aborted. What goes wrong is logged, and the
    /// next time tries again.
    #[must_use]
    pub fn every<W, E>(&self, duty: Duty, mut work: impl FnMut() -> W + Send + 'static) -> JoinHandle<()>
    where
        W: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let (duties, mut rounds) = (self.clone(), self.rounds(duty));
        tokio::spawn(async move {
            loop {
                rounds.next().await;
                if let Err(error) = duties.did(duty, work()).await {
                    tracing::warn!(duty = duty.name, world = duty.world, %error, "a duty failed; the next time tries again");
                }
            }
        })
    }

    /// How each stands, by world and name.
    #[must_use]
    pub fn all(&self) -> Vec<Standing> {
        self.all.lock().values().cloned().collect()
    }
}

/// While a duty is done: one that is broken off is not running any more either.
struct AtIt<'d> {
    duties: &'d Duties,
    duty: Duty,
}

impl<'d> AtIt<'d> {
    fn begin(duties: &'d Duties, duty: Duty) -> Self {
        duties.change(duty, |standing| standing.is_running = true);
        Self { duties, duty }
    }
}

impl Drop for AtIt<'_> {
    fn drop(&mut self) {
        self.duties.change(self.duty, |standing| standing.is_running = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: Duty = Duty {
        name: "streams.sweep",
        world: None,
        does: "forgets streams that nobody follows",
        period: Duration::from_secs(60),
        trigger: None,
        runs: Runs::Everywhere,
    };

    #[tokio::test]
    async fn what_was_done_and_what_was_wrong_is_remembered() {
        let duties = Duties::default();
        duties.register(SWEEP);
        assert!(duties.all()[0].ended_at.is_none());
        assert_eq!(duties.did(SWEEP, async { Ok::<_, String>(7) }).await, Ok(7));
        assert_eq!(
            duties.did(SWEEP, async { Err::<(), _>("the database is away") }).await,
            Err("the database is away")
        );
        let test = Duty { world: Some("test"), ..SWEEP };
        duties.did(test, async { Ok::<_, String>(()) }).await.unwrap();
        let [live, test] = &duties.all()[..] else { panic!("two worlds") };
        assert_eq!((live.done, live.failed, live.problem.as_deref()), (1, 1, Some("the database is away")));
        assert!(live.ended_at.is_some() && live.took.is_some() && !live.is_running);
        assert_eq!((test.done, test.failed, test.duty.world), (1, 0, Some("test")));
    }

    #[tokio::test]
    async fn one_that_is_broken_off_is_not_at_it_any_more() {
        let duties = Duties::default();
        let task = {
            let duties = duties.clone();
            tokio::spawn(async move { duties.did(SWEEP, std::future::pending::<Result<(), String>>()).await })
        };
        while !duties.all().iter().any(|standing| standing.is_running) {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.is_err());
        let [standing] = &duties.all()[..] else { panic!("one duty") };
        assert!(!standing.is_running && standing.done == 0 && standing.failed == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_goes_on_after_a_failure() {
        let duties = Duties::default();
        let mut times = 0;
        let task = duties.every(SWEEP, move || {
            times += 1;
            std::future::ready(if times == 1 { Err("away") } else { Ok(()) })
        });
        while duties.all()[0].done < 2 {
            tokio::time::advance(SWEEP.period).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(duties.all()[0].failed, 1);
        task.abort();
    }
}
