//! The dispatcher of a zone: decides which driver is asked next.
//!
//! Holds nothing that it could not read again from the zone's cell: kill it, and its successor goes on from there.
//! It is supervised, with the zone's actor, by the zones' keeper. A pass is debounced: a burst of news is one pass.
//! Each choice is a question to the driver's actor, which alone knows whether the time is still free; a plan made on
//! a stale board is refused there, and the next pass asks the next candidate.

mod plans;

use std::sync::Arc;
use std::time::Duration;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_matching::plan::precedence;
use posthaste_matching::routed::input::RefusedBy;
use posthaste_matching::{Decision, OrderView};
use posthaste_protocol::socket::Alert;
use posthaste_protocol::words::AlertKind;
use posthaste_storage::decisions::NewDecision;
use posthaste_storage::journal::Entry;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::Value;

use self::plans::Plans;
use super::actor::LOOK_AGAIN_SECONDS;
use super::cell::{Waiting, ZoneCell};
use super::routed::ZonePlan;
use super::shadow::{Shadow, ShadowInput, ShadowOutcome};
use crate::drivers::{DriverMsg, Proposal};
use crate::streams::Scope;
use crate::system::Doors;

/// How long news is gathered before a pass (real time). Lower decides single orders sooner, higher decides bursts
/// together; both are far below what a driver notices.
const GATHER: Duration = Duration::from_millis(3);
/// Orders decided in one go; the rest follows in the next, so that the mailbox is read in between.
const MOST_IN_A_PASS: usize = 256;
/// A decision without a driver is recorded again after this long (real time) in the same words, or when its words have
/// changed, but not sooner than a quarter of it: at a fast clock or with many drivers the words change all the time.
const RECORD_AGAIN: Duration = Duration::from_secs(20);

/// Messages of a dispatcher.
pub(crate) enum DispatcherMsg {
    /// There may be something to decide.
    Wake,
    /// The driver who was asked to hold time for the order could not.
    Refused(OrderId),
    /// Enough gathered.
    Internal,
    /// A plan is made.
    Planned(Box<ZonePlan>),
    /// The search failed: its thread ended without a plan.
    PlanLost,
    /// The policy in the shadow evaluated an input; or failed to.
    Evaluated(Option<Box<ShadowOutcome>>),
}

/// The dispatcher.
pub(crate) struct Dispatcher {
    pub(crate) cell: Arc<ZoneCell>,
    pub(crate) doors: Arc<Doors>,
}

/// Whether a pass is on its way, and how many of the most urgent orders it leaves out, as the one before found
/// nobody for them.
#[derive(Default)]
pub(crate) struct DispatcherState {
    scheduled: bool,
    passed_over: usize,
    /// There was news while the most urgent orders were left out: they have their turn again.
    begins_anew: bool,
    plans: Plans,
    shadow: Shadow,
}

impl Actor for Dispatcher {
    type Msg = DispatcherMsg;
    type State = DispatcherState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<DispatcherMsg>, (): ()) -> Result<DispatcherState, ActorProcessingErr> {
        self.cell.dispatcher.take(myself.clone());
        let mut state = DispatcherState::default();
        schedule(&myself, &mut state);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<DispatcherMsg>,
        message: DispatcherMsg,
        state: &mut DispatcherState,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(message, DispatcherMsg::Wake | DispatcherMsg::Refused(_)) {
            self.cell.dispatcher.handled();
        }
        match message {
            DispatcherMsg::Wake => schedule_for_news(&myself, state),
            DispatcherMsg::Refused(order) => {
                self.on_refused(order);
                schedule_for_news(&myself, state);
            }
            DispatcherMsg::Internal => {
                state.scheduled = false;
                let mut watched = ShadowInput::take(&self.cell, self.doors.clock.now(), &mut state.shadow);
                if self.cell.plans_routes() {
                    self.plan_routes(&myself, &mut state.plans);
                } else {
                    let rest = self.pass(state.passed_over, watched.as_mut());
                    state.passed_over = rest.unwrap_or(0);
                    // Who came while a long list was gone through may be the one for an order at its beginning.
                    if rest.is_some() || std::mem::take(&mut state.begins_anew) {
                        schedule(&myself, state);
                    }
                }
                if let Some(watched) = watched {
                    self.evaluate(&myself, &mut state.shadow, watched);
                }
            }
            DispatcherMsg::Planned(plan) => {
                self.carry_out(&mut state.plans, *plan);
                if std::mem::take(&mut state.plans.again) {
                    schedule(&myself, state);
                }
            }
            DispatcherMsg::Evaluated(outcome) => self.on_evaluated(&myself, &mut state.shadow, outcome.map(|o| *o)),
            DispatcherMsg::PlanLost => return Err("a plan was lost".into()),
        }
        Ok(())
    }
}

fn schedule(myself: &ActorRef<DispatcherMsg>, state: &mut DispatcherState) {
    if state.scheduled {
        return;
    }
    state.scheduled = true;
    let myself = myself.clone();
    crate::world::spawn(async move {
        tokio::time::sleep(GATHER).await;
        let _ = myself.cast(DispatcherMsg::Internal);
    });
}

/// There may be something to decide that was not there before.
fn schedule_for_news(myself: &ActorRef<DispatcherMsg>, state: &mut DispatcherState) {
    state.begins_anew |= state.passed_over > 0;
    schedule(myself, state);
}

impl Dispatcher {
    /// The driver who was asked for an order could not hold time for it.
    fn on_refused(&self, order: OrderId) {
        let now = self.doors.clock.now();
        let asked = self.cell.waiting.lock().get_mut(&order).and_then(|waiting| waiting.asked.take());
        let Some((driver, _)) = asked else { return };
        let refused = self.cell.board.lock().driver(driver).map(|driver| RefusedBy::new(driver, now));
        if let (Some(refused), Some(waiting)) = (refused, self.cell.waiting.lock().get_mut(&order)) {
            waiting.refused.retain(|before| before.is_recent(now));
            waiting.refused.push(refused);
        }
    }

    /// Decides what waits, most urgent first, after those that were passed over. Returns how many the next pass
    /// leaves out; nothing when every order has had its turn.
    fn pass(&self, passed_over: usize, mut watched: Option<&mut ShadowInput>) -> Option<usize> {
        let now = self.doors.clock.now();
        let mut due: Vec<OrderView> = {
            let waiting = self.cell.waiting.lock();
            waiting.values().filter(|w| w.asked.is_none()).map(|w| w.view.clone()).collect()
        };
        due.sort_by_key(precedence);
        due.drain(..passed_over.min(due.len()));
        let more = due.len() > MOST_IN_A_PASS;
        due.truncate(MOST_IN_A_PASS);
        let looked_at = due.len();
        let travel = self.cell.travel(now);
        let mut unserved = Vec::new();
        let mut asked = 0;
        for order in due {
            let decision = self.cell.board.lock().decide(&order, now, &travel);
            if decision.chosen.is_some() {
                asked += 1;
                if let Some(watched) = &mut watched {
                    watched.asked(&decision);
                }
                self.ask(&order, &decision, now);
            } else {
                let detail = || serde_json::to_value(&decision).unwrap_or_default();
                let later = decision.later.map(|choice| choice.commitment.start());
                if let Some(at) = later.filter(|at| *at <= now + Span::seconds(LOOK_AGAIN_SECONDS)) {
                    let cell = Arc::clone(&self.cell);
                    self.doors.alarms.set(at, move || cell.dispatch(DispatcherMsg::Wake));
                }
                unserved.extend(self.to_record(decision.order, decision.summary(), detail, now, later.is_some()));
            }
        }
        if !unserved.is_empty() {
            self.doors.journal.note(Entry::decisions(unserved));
        }
        more.then(|| passed_over + looked_at - asked)
    }

    fn ask(&self, order: &OrderView, decision: &Decision, now: Timestamp) {
        let Some(choice) = decision.chosen else { return };
        match self.cell.waiting.lock().get_mut(&order.id) {
            Some(waiting) => {
                if self.doors.is_measured() {
                    crate::metrics::dispatched(waiting.noticed.elapsed());
                }
                waiting.asked = Some((choice.driver, std::time::Instant::now()));
            }
            None => {
                // It waits no more, and the driver would look taken until something else changes.
                self.cell.board.lock().release(choice.driver, order.id);
                return;
            }
        }
        self.propose(order, choice.driver, choice.commitment, None, record(decision, now));
    }

    /// Asks the driver to hold time. Of a planned route: `shared`, with all orders on it.
    fn propose(
        &self,
        order: &OrderView,
        driver: DriverId,
        commitment: Window,
        shared: Option<Arc<[OrderId]>>,
        decision: NewDecision,
    ) {
        let proposal = Proposal {
            order: order.id,
            zone: self.cell.id,
            size: order.size,
            commitment,
            shared,
            offer_for: self.cell.config.load().rules.offer_span(),
            decision,
        };
        match self.doors.drivers.door.present(driver) {
            Some(actor) => {
                let _ = actor.cast(DriverMsg::Consider(Box::new(proposal)));
            }
            None => {
                // The driver's actor is being revived; it comes back on the board by itself.
                self.cell.remove_driver(driver);
                if let Some(waiting) = self.cell.waiting.lock().get_mut(&order.id) {
                    waiting.asked = None;
                }
            }
        }
    }

    /// A decision without a driver, when it says something new. That nobody has to leave `yet` is said once, and alarms
    /// nobody.
    fn to_record(
        &self,
        order: OrderId,
        summary: String,
        detail: impl FnOnce() -> Value,
        now: Timestamp,
        yet: bool,
    ) -> Option<NewDecision> {
        let mut waiting = self.cell.waiting.lock();
        let entry = waiting.get_mut(&order)?;
        let in_the_same_words = entry.recorded.as_ref().is_some_and(|(_, said)| *said == summary);
        let is_news = match in_the_same_words {
            true => !yet && is_over(entry, RECORD_AGAIN),
            false => may_be_recorded(entry),
        };
        if !is_news {
            return None;
        }
        if !yet && !std::mem::replace(&mut entry.alerted, true) {
            let alert = Alert {
                kind: AlertKind::OrderWaiting,
                text: format!("order {order} waits: {summary}"),
                order_id: Some(order),
                driver_id: None,
                zone_id: Some(self.cell.id),
            };
            let places = vec![entry.view.first_stop()];
            self.doors.alert(alert, Scope { places, ..Scope::of_zone(self.cell.id) });
        }
        entry.recorded = Some((std::time::Instant::now(), summary.clone()));
        Some(NewDecision { order, driver: None, at: now, summary, detail: detail() })
    }
}

/// Whether a decision without a driver would be recorded if it has other words than the last one.
pub(super) fn may_be_recorded(waiting: &Waiting) -> bool {
    is_over(waiting, RECORD_AGAIN / 4)
}

/// Whether the last decision without a driver is older than this, or there was none.
fn is_over(waiting: &Waiting, age: Duration) -> bool {
    waiting.recorded.as_ref().is_none_or(|(at, _)| at.elapsed() >= age)
}

fn record(decision: &Decision, at: Timestamp) -> NewDecision {
    NewDecision {
        order: decision.order,
        driver: decision.chosen.map(|c| c.driver),
        at,
        summary: decision.summary(),
        detail: serde_json::to_value(decision).unwrap_or_default(),
    }
}
