//! One look of a worker: what is due and there is room for is claimed and begun.

use std::sync::Arc;
use std::time::Duration;

use posthaste_domain::Timestamp;
use posthaste_storage::StorageError;
use tracing::Instrument;

use super::{LONGEST_SLEEP, UnderWay, Work, perform};
use crate::choose::{Room, choose};
use crate::kind::{Kind, Times};
use crate::{Jobs, metrics, store};

/// How long to leave jobs alone that others were just changing.
const AFTER_A_LOST_RACE: Duration = Duration::from_millis(20);

/// Until when it is not worth looking again, unless somebody wakes the worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// So long at most, in real time.
    longest: Duration,
    /// Until then, by the clock of the kind.
    until: Option<Timestamp>,
}

impl Pause {
    /// So long, in real time.
    pub(super) fn of(longest: Duration) -> Self {
        Self { longest: longest.min(LONGEST_SLEEP), until: None }
    }

    fn until(until: Option<Timestamp>) -> Self {
        Self { longest: LONGEST_SLEEP, until }
    }

    /// Waits.
    pub(super) async fn over(self, jobs: &Jobs, kind: &Kind) {
        match (self.until, kind.times) {
            (Some(at), Times::Product) => {
                let _ = tokio::time::timeout(self.longest, jobs.clock().sleep_until(at)).await;
            }
            (Some(at), Times::Wall) => {
                let wait = (at - jobs.now(kind)).to_std().unwrap_or_default();
                tokio::time::sleep(wait.min(self.longest)).await;
            }
            (None, _) => tokio::time::sleep(self.longest).await,
        }
    }
}

/// Begins what is due, as far as there is room; when to look again.
pub(super) async fn pass<W: Work>(
    jobs: &Jobs,
    kind: &'static Kind,
    work: &Arc<W>,
    under_way: &mut UnderWay,
) -> Result<Pause, StorageError> {
    if jobs.outside().is_held() && !work.stays_inside() {
        return Ok(Pause::of(LONGEST_SLEEP));
    }
    let again = match kind.every {
        Some(every) => Some(jobs.keep_schedule(kind, every).await?),
        None => None,
    };
    loop {
        let admitted = work.admits(kind.at_once).min(kind.at_once);
        let free = admitted.saturating_sub(under_way.count());
        if free == 0 {
            // Whoever ends makes room.
            let longest = if under_way.count() == 0 { work.admits_again_in() } else { LONGEST_SLEEP };
            return Ok(Pause { until: again, ..Pause::of(longest) });
        }
        let now = jobs.now(kind);
        let is_full = |(group, count): (&String, &usize)| *count >= kind.most_of(group);
        let full: Vec<_> =
            under_way.of_group().iter().filter(|one| is_full(*one)).map(|(group, _)| group.clone()).collect();
        let seen = store::look(jobs.pool(), kind, now, &full).await?;
        let marked = match seen.behind.as_slice() {
            [] => 0,
            behind => store::mark_behind(jobs.pool(), kind, behind).await?,
        };
        let is_behind = !seen.behind.is_empty();
        let room = Room { free, most_of: |group: &str| kind.most_of(group), under_way: under_way.of_group() };
        let chosen = choose(seen.due, &room);
        if chosen.is_empty() {
            if marked > 0 {
                continue;
            }
            if is_behind {
                return Ok(Pause::of(AFTER_A_LOST_RACE));
            }
            let next = store::next_due(jobs.pool(), kind, now).await?;
            return Ok(Pause::until(next.into_iter().chain(again).min()));
        }
        let claim = store::claim(jobs.pool(), kind, &chosen, now).await?;
        for (job, why) in &claim.given_up {
            metrics::given_up(jobs, kind);
            tracing::error!(%job, kind = kind.name, why, "a job is given up");
        }
        if claim.claimed.is_empty() && claim.given_up.is_empty() {
            return Ok(Pause::of(AFTER_A_LOST_RACE));
        }
        for claimed in claim.claimed {
            let group = claimed.group.clone();
            let work = perform(jobs.clone(), kind, Arc::clone(work), claimed);
            under_way.begin(group, work.in_current_span());
        }
    }
}
