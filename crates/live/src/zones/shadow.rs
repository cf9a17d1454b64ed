//! A policy in the shadow: it plans on the input of the policy that decides, and decides nothing.
//!
//! Before a pass the dispatcher takes a [`ShadowInput`]: a copy of what both policies see. What the deciding policy then
//! does is added, and the input is evaluated on a thread of its own, one at a time. What came of it is recorded once
//! for each order until the policy in the shadow would have asked a driver, or means another driver than before: plans
//! of both sides, with the same reckoning of times. Nothing here is held that a restart would miss, and what cannot be
//! written is lost, with a warning: it is an observation, not a fact.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_domain::zone::Policy;
use posthaste_geography::StraightLine;
use posthaste_matching::plan::precedence;
use posthaste_matching::routed::input::{Intended, Snapshot, Whereabouts};
use posthaste_matching::routed::outcome::meant;
use posthaste_matching::{Board, Decision, OrderView};
use posthaste_storage::shadow::{Meant, NewPlan};
use ractor::ActorRef;

use super::cell::ZoneCell;
use super::dispatcher::{Dispatcher, DispatcherMsg};
use super::routed::{input, search};

/// How long the policy `routed` may search in the shadow (real time). Longer finds a little more, and takes processor
/// time from those who decide.
const SEARCH_TIME: Duration = Duration::from_millis(40);
/// Where no order is new, the shadow rests for this many times as long as it took to evaluate.
const RESTS: u32 = 4;
/// Inputs that wait at most. More come only in a burst that plans slower than it decides; those are not compared.
const MOST_INPUTS: usize = 8;

/// Orders that are evaluated at once, at most, those first of which nothing was recorded yet. With thousands waiting the
/// shadow would take longer than the policy that decides.
const MOST_WANTED: usize = 256;

/// A driver was asked.
struct Asked {
    order: OrderId,
    driver: DriverId,
    summary: String,
    detail: serde_json::Value,
}

/// What both policies saw, and what the deciding one did with it.
pub(super) struct ShadowInput {
    zone: ZoneId,
    snapshot: Snapshot,
    policy: Policy,
    /// Whether the policy in the shadow is to plan; otherwise only what was decided is recorded.
    plans: bool,
    board: Option<Board>,
    travel: StraightLine,
    waiting: Vec<OrderView>,
    deciding: Policy,
    asked: Vec<Asked>,
}

/// What came of an input.
pub(crate) struct ShadowOutcome {
    plans: Vec<NewPlan>,
    decided: Vec<NewPlan>,
    intended: Option<Intended>,
    took: Duration,
}

/// What was recorded of an order last.
struct LastRecorded {
    driver: Option<DriverId>,
    /// The policy in the shadow would have asked.
    asked: bool,
}

/// What the dispatcher remembers of the shadow; all of it can be made again.
#[derive(Default)]
pub(super) struct Shadow {
    generation: u64,
    whereabouts: Whereabouts,
    intended: Intended,
    recorded: HashMap<OrderId, LastRecorded>,
    inputs: VecDeque<ShadowInput>,
    evaluating: bool,
    rests_until: Option<Instant>,
}

impl ShadowInput {
    /// A copy of what waits and who is there; nothing where no policy is in the shadow, or it has nothing more to say.
    pub(super) fn take(cell: &ZoneCell, now: Timestamp, shadow: &mut Shadow) -> Option<Self> {
        let config = cell.config.load();
        let Some(policy) = config.rules.shadow else {
            *shadow = Shadow::default();
            return None;
        };
        let mut waiting: Vec<OrderView> = {
            let waiting = cell.waiting.lock();
            shadow.recorded.retain(|order, _| waiting.contains_key(order));
            let open = waiting.values().filter(|w| w.asked.is_none());
            open.filter(|w| shadow.recorded.get(&w.view.id).is_none_or(|s| !s.asked)).map(|w| w.view.clone()).collect()
        };
        if waiting.is_empty() || shadow.inputs.len() >= MOST_INPUTS {
            return None;
        }
        let new = waiting.iter().any(|order| !shadow.recorded.contains_key(&order.id));
        if waiting.len() > MOST_WANTED {
            waiting.sort_by_cached_key(|order| (shadow.recorded.contains_key(&order.id), precedence(order)));
            waiting.truncate(MOST_WANTED);
        }
        waiting.sort_by_cached_key(precedence);
        shadow.generation += 1;
        let input = input(cell, now, shadow.generation);
        Some(Self {
            zone: cell.id,
            snapshot: input.snapshot(&mut shadow.whereabouts, &shadow.intended),
            policy,
            plans: new || shadow.rests_until.is_none_or(|until| Instant::now() >= until),
            board: (policy == Policy::LeastBusy).then(|| cell.board.lock().clone()),
            travel: cell.travel(now),
            waiting,
            deciding: config.rules.policy,
            asked: Vec::new(),
        })
    }

    /// The deciding policy asked a driver.
    pub(super) fn asked(&mut self, decision: &Decision) {
        let Some(choice) = decision.chosen else { return };
        self.asked.push(Asked {
            order: decision.order,
            driver: choice.driver,
            summary: decision.summary(),
            detail: serde_json::to_value(decision).unwrap_or_default(),
        });
    }

    /// Whether evaluating it through would tell anything.
    fn is_idle(&self) -> bool {
        !self.plans && self.asked.is_empty()
    }

    fn plan(&self, policy: Policy, order: OrderId, meant: Option<Meant>, why: (String, serde_json::Value)) -> NewPlan {
        NewPlan {
            order,
            zone: self.zone,
            at: self.snapshot.now(),
            policy,
            decided: false,
            meant,
            summary: why.0,
            detail: why.1,
        }
    }

    /// Evaluates it. Blocks for as long as the policy in the shadow may search.
    fn evaluate(mut self) -> ShadowOutcome {
        let started = Instant::now();
        let asked = std::mem::take(&mut self.asked);
        let decided = asked.into_iter().filter_map(|asked| {
            let meant = stored(self.snapshot.at_the_end(asked.order, asked.driver)?);
            let plan = self.plan(self.deciding, asked.order, Some(meant), (asked.summary, asked.detail));
            Some(NewPlan { decided: true, ..plan })
        });
        let decided = decided.collect();
        let (plans, intended) = match (self.plans, self.board.take()) {
            (false, _) => (Vec::new(), None),
            (true, Some(board)) => (self.least_busy(board), None),
            (true, None) => {
                let wanted: Vec<OrderId> = self.waiting.iter().map(|order| order.id).collect();
                let (all, intended) = self.snapshot.meant_for(&search(&self.snapshot, SEARCH_TIME), &wanted);
                let plan = |m: meant::MeantFor| {
                    let why = (m.reasons.summary().to_owned(), serde_json::to_value(&m.reasons).unwrap_or_default());
                    self.plan(self.policy, m.order, m.meant.map(stored), why)
                };
                (all.into_iter().map(plan).collect(), Some(intended))
            }
        };
        ShadowOutcome { plans, decided, intended, took: started.elapsed() }
    }

    fn least_busy(&self, mut board: Board) -> Vec<NewPlan> {
        let choose = |order: &OrderView| {
            let decision = board.decide(order, self.snapshot.now(), &self.travel);
            let meant = decision.chosen.and_then(|choice| self.snapshot.at_the_end(order.id, choice.driver));
            let later = decision.later.and_then(|choice| {
                let meant = self.snapshot.at_the_end(order.id, choice.driver)?;
                Some(meant::Meant { offer_at: choice.commitment.start(), ..meant })
            });
            let meant = meant.or(later).map(stored);
            let why = (decision.summary(), serde_json::to_value(&decision).unwrap_or_default());
            self.plan(self.policy, order.id, meant, why)
        };
        self.waiting.iter().map(choose).collect()
    }
}

/// What is meant, as it is stored.
fn stored(meant: meant::Meant) -> Meant {
    let meant::Meant { driver, offer_at, pickup_at, dropoff_at } = meant;
    Meant { driver, offer_at, pickup_at, dropoff_at }
}

impl Shadow {
    /// Plans that say something new. Those that would have asked a driver are the last of their order.
    fn news(&mut self, plans: Vec<NewPlan>) -> Vec<NewPlan> {
        let mut news = Vec::new();
        for plan in plans {
            let driver = plan.meant.map(|m| m.driver);
            let asked = plan.meant.is_some_and(|m| m.offer_at <= plan.at);
            let known = self.recorded.get(&plan.order);
            if known.is_some_and(|last| last.asked || (last.driver == driver && !asked)) {
                continue;
            }
            self.recorded.insert(plan.order, LastRecorded { driver, asked });
            news.push(plan);
        }
        news
    }
}

impl Dispatcher {
    /// Has an input evaluated, after those that wait.
    pub(super) fn evaluate(&self, myself: &ActorRef<DispatcherMsg>, shadow: &mut Shadow, input: ShadowInput) {
        if input.is_idle() {
            return;
        }
        shadow.inputs.push_back(input);
        evaluate_next(myself, shadow);
    }

    /// Records what came of an input, and goes on with the next.
    pub(super) fn on_evaluated(
        &self,
        myself: &ActorRef<DispatcherMsg>,
        shadow: &mut Shadow,
        outcome: Option<ShadowOutcome>,
    ) {
        shadow.evaluating = false;
        if let Some(outcome) = outcome {
            shadow.rests_until = Some(Instant::now() + outcome.took * RESTS);
            if let Some(intended) = outcome.intended {
                shadow.intended = intended;
            }
            let mut plans = shadow.news(outcome.plans);
            plans.extend(outcome.decided);
            self.record_plans(plans);
        }
        evaluate_next(myself, shadow);
    }

    /// Records plans. Lost when Postgres is away.
    pub(super) fn record_plans(&self, plans: Vec<NewPlan>) {
        if plans.is_empty() {
            return;
        }
        let doors = Arc::clone(&self.doors);
        self.doors.world.beside(async move {
            if let Err(error) = posthaste_storage::shadow::insert(&doors.pool, &plans).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, plans = plans.len(), "plans of the shadow were not recorded");
            }
        });
    }
}

fn evaluate_next(myself: &ActorRef<DispatcherMsg>, shadow: &mut Shadow) {
    if shadow.evaluating {
        return;
    }
    let Some(input) = shadow.inputs.pop_front() else { return };
    shadow.evaluating = true;
    let myself = myself.clone();
    crate::world::spawn(async move {
        let outcome = tokio::task::spawn_blocking(move || input.evaluate()).await.ok();
        let _ = myself.cast(DispatcherMsg::Evaluated(outcome.map(Box::new)));
    });
}
