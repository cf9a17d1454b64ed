//! A call to an outside service, whatever its protocol: may it be made, how long, what became of it.

use std::future::Future;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_domain::Span;
use tokio::time::{Instant, timeout_at};

use crate::breaker::{Breakers, Limits};
use crate::budget::Budget;
use crate::metrics;
use crate::operation::Operation;
use crate::outcome::{Outcome, Refusal, Scope, Unknown};

/// Who makes calls, with their breakers. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Calls {
    breakers: Breakers,
    clock: Clock,
}

impl Default for Calls {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Calls {
    /// No service has failed yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { breakers: Breakers::new(limits), clock: Clock::system() }
    }

    /// The machine's own time, which outside services keep.
    pub(crate) fn wall(&self) -> posthaste_domain::Timestamp {
        self.clock.wall()
    }

    /// Makes a call, where its breaker admits it, within the budget. Whoever drops it has given it up.
    pub async fn call<T>(
        &self,
        operation: Operation,
        budget: Budget,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let now = self.wall();
        let permit = match self.breakers.begin(operation, now) {
            Err(until) => {
                let mut refusal = Refusal::new(Scope::Service, "left alone for a while, as it kept failing");
                refusal.retry_after = (until - now).to_std().ok();
                return not_made(operation, refusal);
            }
            Ok(_) if budget.is_spent() => {
                return not_made(operation, Refusal::new(Scope::Service, "no time was left to ask"));
            }
            Ok(permit) => permit,
        };
        let begun = Instant::now();
        let outcome = timeout_at(budget.ends(), work).await;
        let outcome = outcome.unwrap_or_else(|_| Outcome::Unknown(no_answer(budget)));
        let asked = outcome.retry_after().and_then(|asked| Span::from_std(asked).ok()).unwrap_or_default();
        let opens = permit.note(outcome.reached(), asked, self.wall());
        told(operation, &outcome, begun.elapsed());
        if opens {
            let (service, class) = (operation.service, operation.class);
            tracing::warn!(service, class, "an outside service keeps failing: it is left alone for a while");
        }
        outcome
    }
}

/// It was sent, and the budget ended first.
pub(crate) fn no_answer(budget: Budget) -> Unknown {
    Unknown::new(format!("no answer within {budget}"))
}

fn not_made<T>(operation: Operation, refusal: Refusal) -> Outcome<T> {
    metrics::called(operation, "not_made", None);
    let (service, class) = (operation.service, operation.class);
    tracing::debug!(service, class, why = refusal.why, "an outside service was not called");
    Outcome::Refused(refusal)
}

fn told<T>(operation: Operation, outcome: &Outcome<T>, took: Duration) {
    metrics::called(operation, outcome.name(), Some(took));
    let (service, class, outcome, code) = (operation.service, operation.class, outcome.name(), outcome.code());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(service, class, outcome, code, took_ms, "an outside service was called");
}

#[cfg(test)]
mod tests {
    use posthaste_clock::testing::eventually;

    use super::*;

    const SEND: Operation = Operation::new("mail", "send");

    #[tokio::test]
    async fn what_keeps_failing_is_left_alone_and_probed_after_the_pause() {
        let limits = Limits { failures: 2, pause: Span::milliseconds(50), ..Limits::default() };
        let calls = Calls::new(limits);
        let budget = Budget::of(Duration::from_secs(60));
        for _ in 0..limits.failures {
            let failed = calls.call(SEND, budget, async { Outcome::<()>::Unknown(Unknown::new("broke off")) }).await;
            assert_eq!(failed.name(), "unknown");
        }
        let mut left_alone = 0;
        // The pause passes by itself: the condition is that a call is made again.
        let done = eventually("a call is made again", async || {
            match calls.call(SEND, budget, async { Outcome::Done(()) }).await {
                Outcome::Refused(refusal) => {
                    assert!(refusal.scope == Scope::Service && refusal.retry_after.is_some(), "{refusal:?}");
                    left_alone += 1;
                    None
                }
                other => Some(other),
            }
        })
        .await;
        assert!(left_alone > 0 && done.name() == "done");
        assert_eq!(calls.breakers.paused_until(SEND), None);
    }

    #[tokio::test]
    async fn a_budget_that_is_spent_begins_nothing_and_one_that_ends_leaves_it_unknown() {
        let calls = Calls::default();
        let mut begun = false;
        let outcome = calls
            .call(SEND, Budget::of(Duration::ZERO), async {
                begun = true;
                Outcome::Done(())
            })
            .await;
        assert!(matches!(outcome, Outcome::Refused(_)) && !begun);
        let short = Budget::of(Duration::from_millis(20));
        let outcome = calls.call(SEND, short, std::future::pending::<Outcome<()>>()).await;
        assert!(
            matches!(&outcome, Outcome::Unknown(unknown) if unknown.why == "no answer within 20 ms"),
            "{outcome:?}"
        );
    }
}
