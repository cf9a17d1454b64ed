//! The order actor: the only writer of one order.
//!
//! Owns the order's state while it is live. Supervised by the door to orders, which reloads it from Postgres when it
//! fails. After each commit it tells the drivers concerned, its zone and the streams. A restart reloads the state and
//! arms its deadlines again. Settled orders leave memory: whoever asks later is answered from Postgres.

use std::sync::Arc;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::offer::Withdrawal;
use posthaste_domain::order::{CODE_ATTEMPTS, Command, Deadline, Event, Order, Recorded, Rejected, Status};
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::socket::Alert;
use posthaste_storage::decisions::NewDecision;
use posthaste_storage::journal::{AppendError, CommitmentChange, Entry};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::Instrument;

use super::Done;
use super::expected::with_what_is_known;
use crate::door::Reply;
use crate::drivers::DriverMsg;
use crate::streams::Scope;
use crate::system::Doors;
use crate::zones::ZoneMsg;
use crate::{Cause, Refused};

/// How long a deadline that met a database outage waits before it tries again, in product seconds.
const RETRY_SECONDS: i64 = 5;

/// An order's actor.
pub(crate) type OrderRef = ActorRef<OrderMsg>;

/// What an order actor is started with.
pub(crate) struct OrderArgs {
    pub(crate) order: Arc<Order>,
}

/// The order actor.
pub(crate) struct OrderActor {
    pub(crate) id: OrderId,
    pub(crate) doors: Arc<Doors>,
}

/// What the actor remembers.
pub(crate) struct OrderState {
    order: Arc<Order>,
    /// The deadlines that alarms are set for. An alarm whose time is not among them is ignored.
    armed: Vec<(Deadline, Timestamp)>,
}

/// Messages of an order.
pub(crate) enum OrderMsg {
    /// The present state.
    Get(Reply<Arc<Order>>),
    /// Somebody asks for something. Drivers, dispatch and deadlines do not wait for the answer.
    Command {
        command: Box<Command>,
        cause: Cause,
        /// The dispatcher's reasons, recorded with the offer.
        decision: Option<Box<NewDecision>>,
        reply: Option<Reply<Done>>,
    },
    /// Tell zone and drivers how the order stands: they have lost it, or doubt it.
    Announce,
    /// Zones have changed: if it waits in one that is removed, it goes to another.
    FindZone,
    /// An alarm rang.
    Internal(Deadline, Timestamp),
}

impl Actor for OrderActor {
    type Msg = OrderMsg;
    type State = OrderState;
    type Arguments = OrderArgs;

    async fn pre_start(&self, myself: OrderRef, args: OrderArgs) -> Result<OrderState, ActorProcessingErr> {
        let mut state = OrderState { order: args.order, armed: Vec::new() };
        self.arm(&myself, &mut state);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: OrderRef,
        message: OrderMsg,
        state: &mut OrderState,
    ) -> Result<(), ActorProcessingErr> {
        // What a command needs while it waits for its commit is boxed: a waiting order, and most wait, holds none of it.
        match message {
            OrderMsg::Get(reply) => {
                let _ = reply.send(Ok(Arc::clone(&state.order)));
                Ok(())
            }
            OrderMsg::Command { command, cause, decision, reply } => {
                let span = cause.span();
                Box::pin(self.on_command(&myself, state, *command, cause, decision, reply).instrument(span)).await
            }
            OrderMsg::Announce => {
                self.announce(state);
                Ok(())
            }
            OrderMsg::FindZone => {
                self.find_zone(&state.order);
                Ok(())
            }
            OrderMsg::Internal(deadline, at) => Box::pin(self.on_deadline(&myself, state, deadline, at)).await,
        }
    }

    async fn post_stop(&self, myself: OrderRef, _: &mut OrderState) -> Result<(), ActorProcessingErr> {
        self.doors.orders.door.forget(self.id, &myself.get_cell());
        Ok(())
    }
}

impl OrderActor {
    async fn on_command(
        &self,
        myself: &OrderRef,
        state: &mut OrderState,
        command: Command,
        cause: Cause,
        decision: Option<Box<NewDecision>>,
        reply: Option<Reply<Done>>,
    ) -> Result<(), ActorProcessingErr> {
        let moves = matches!(command, Command::ChangeZone { .. });
        let outcome = self.perform(state, &command, &cause, decision).await;
        let answer = match &outcome {
            Ok(done) => code_refusal(&command, done).map_or_else(|| Ok(done.clone()), Err),
            Err(failed) => Err(failed.refused()),
        };
        if answer.is_err() {
            self.tell_refusal(state, &command);
        }
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
        match outcome {
            Ok(done) => {
                if done.changed {
                    self.arm(myself, state);
                    self.leave_when_settled(myself, state);
                }
                Ok(())
            }
            Err(Failed::Away) if moves => {
                self.find_zone_later(myself);
                Ok(())
            }
            Err(Failed::Refused(_) | Failed::Away) => Ok(()),
            Err(Failed::Overlap) => {
                self.withdraw_after_overlap(myself, state);
                Ok(())
            }
            Err(Failed::Lost) => Err(cause.of("the stored order is no longer the one in memory").into()),
        }
    }

    /// A deadline of the domain passed. Late alarms of what has changed since are ignored.
    async fn on_deadline(
        &self,
        myself: &OrderRef,
        state: &mut OrderState,
        deadline: Deadline,
        at: Timestamp,
    ) -> Result<(), ActorProcessingErr> {
        let Some(place) = state.armed.iter().position(|armed| *armed == (deadline, at)) else { return Ok(()) };
        state.armed.swap_remove(place);
        if !state.order.deadlines().contains(&(deadline, at)) {
            return Ok(());
        }
        let command = match deadline {
            Deadline::Confirmation => Command::LapseConfirmation,
            Deadline::GiveUp => Command::GiveUp,
            Deadline::Offer => match state.order.offer {
                Some(offer) => {
                    let pause = self.doors.zones.rules(state.order.zone).cool_down_span();
                    let cool_until = self.doors.clock.now() + pause;
                    Command::Decline { offer: offer.id, driver: offer.driver, cool_until, silent: true }
                }
                None => return Ok(()),
            },
        };
        match self.perform(state, &command, &Cause::system(), None).await {
            Ok(_) => {
                self.arm(myself, state);
                self.leave_when_settled(myself, state);
                Ok(())
            }
            Err(Failed::Refused(_) | Failed::Overlap) => Ok(()),
            Err(Failed::Away) => {
                let (again, myself) = (self.doors.clock.now() + Span::seconds(RETRY_SECONDS), myself.clone());
                state.armed.push((deadline, at));
                self.doors.alarms.set(again, move || {
                    let _ = myself.cast(OrderMsg::Internal(deadline, at));
                });
                Ok(())
            }
            Err(Failed::Lost) => Err("the stored order is no longer the one in memory".into()),
        }
    }

    /// The one place with I/O: decide, commit, apply, publish, in this order.
    async fn perform(
        &self,
        state: &mut OrderState,
        command: &Command,
        cause: &Cause,
        decision: Option<Box<NewDecision>>,
    ) -> Result<Done, Failed> {
        let now = self.doors.clock.now();
        let events = state.order.decide(command, now).map_err(|rejected| Failed::Refused(rejected.into()))?;
        if events.is_empty() {
            let order = Arc::clone(&state.order);
            let at = last_touched(&order);
            return Ok(Done { order, changed: false, at });
        }
        let before = Arc::clone(&state.order);
        let mut order = (*before).clone();
        let mut recorded = Vec::with_capacity(events.len());
        for event in events {
            let event = with_what_is_known(event, &order, now, &self.doors);
            order.apply(&event, now);
            recorded.push((Recorded { seq: order.version, at: now, by: cause.by, event }, order.status()));
        }
        let (order, recorded): (_, Arc<[_]>) = (Arc::new(order), recorded.into());
        let mut entry =
            Entry::order(before.version, Arc::clone(&order), Arc::clone(&recorded)).correlation(cause.ids());
        if let Some(change) = commitment_change(&before, &order) {
            entry = entry.commitment(change);
        }
        if let Some(decision) = decision {
            entry = entry.decision(*decision);
        }
        self.doors.journal.append(entry).await.map_err(|error| self.failed(error))?;
        state.order = Arc::clone(&order);
        let by = &cause.by;
        for (event, status) in recorded.iter() {
            tracing::info!(
                order = %self.id, seq = event.seq, event = event.event.name(), status = status.name(), %by,
                request_id = cause.correlation.as_deref(), "order"
            );
        }
        self.publish(&before, &order, recorded);
        Ok(Done { order, changed: true, at: now })
    }

    fn failed(&self, error: AppendError) -> Failed {
        match error {
            AppendError::CommitmentOverlap => Failed::Overlap,
            AppendError::Unavailable(cause) => {
                tracing::warn!(order = %self.id, error = %cause, "not stored: the database is away");
                Failed::Away
            }
            other => {
                tracing::error!(order = %self.id, error = %other, "not stored");
                Failed::Lost
            }
        }
    }

    /// Who is concerned hears of it: drivers before and after, the zone, the streams.
    fn publish(&self, before: &Order, order: &Arc<Order>, events: Arc<[(Recorded, Status)]>) {
        let outcome = events.iter().find_map(|(recorded, _)| offer_outcome(&recorded.event));
        for driver in concerned(before, order) {
            self.doors.drivers.door.tell(driver, DriverMsg::OrderChanged(Arc::clone(order), outcome));
        }
        let waits = |o: &Order| o.status() == Status::Confirmed;
        if before.zone != order.zone {
            self.doors.zones.tell(before.zone, ZoneMsg::Gone(order.id));
        }
        if order.status().is_waiting() && self.find_zone(order) {
            // The zone that it goes to hears of it, this one does not: nobody is asked meanwhile.
        } else if waits(order) {
            self.doors.zones.tell(order.zone, ZoneMsg::Waiting(Arc::clone(order)));
        } else if waits(before) || before.version == 0 {
            self.doors.zones.tell(order.zone, ZoneMsg::Gone(order.id));
        }
        if order.status().is_final() {
            if !before.status().is_final() && self.doors.is_measured() {
                crate::metrics::settled(order.status());
            }
            self.doors.learned.settled(order, &self.doors.zones.travel(order.zone));
        }
        if matches!(order.status(), Status::Failed | Status::Expired) {
            let why = order.ended_because.as_deref().unwrap_or("no reason given");
            let text = format!("order {} is {}: {why}", order.id, order.status().name());
            self.doors.streams.alert(order_alert("order_failed", text, order), order_scope(order));
        }
        if let Some(escalated) = order.escalated.filter(|_| before.escalated.is_none()) {
            let text = format!("order {} is aboard with a driver who is gone: {}", order.id, escalated.reason.name());
            self.doors.streams.alert(order_alert("order_stranded", text, order), order_scope(order));
        }
        self.doors.streams.order_changed(Arc::clone(order), events);
    }

    fn announce(&self, state: &OrderState) {
        let order = &state.order;
        for driver in concerned(order, order) {
            self.doors.drivers.door.tell(driver, DriverMsg::OrderChanged(Arc::clone(order), None));
        }
        let moves = self.find_zone(order);
        let message = match order.status() {
            Status::Confirmed if !moves => ZoneMsg::Waiting(Arc::clone(order)),
            _ => ZoneMsg::Gone(order.id),
        };
        self.doors.zones.tell(order.zone, message);
    }

    /// What waits in a removed zone goes to another around its pickup, where there is one: it tells itself so. Otherwise
    /// it stays, and the removed zone's drivers finish it. Says whether it goes.
    fn find_zone(&self, order: &Order) -> bool {
        if !order.status().is_waiting() || !self.doors.zones.is_removed(order.zone) {
            return false;
        }
        let pickup = order.pickups().next().map(|task| task.place);
        let Some(zone) = pickup.and_then(|place| self.doors.zones.at(place)) else { return false };
        let command = Box::new(Command::ChangeZone { zone });
        let message = OrderMsg::Command { command, cause: Cause::system(), decision: None, reply: None };
        self.doors.orders.door.tell(self.id, message)
    }

    /// The zone could not be changed: the database is away. It is tried again, as no zone knows that the order waits.
    fn find_zone_later(&self, myself: &OrderRef) {
        let myself = myself.clone();
        self.doors.alarms.after(Span::seconds(RETRY_SECONDS), move || {
            let _ = myself.cast(OrderMsg::Announce);
        });
    }

    /// A driver who held time for something that cannot be gets it back.
    fn tell_refusal(&self, state: &OrderState, command: &Command) {
        let driver = match command {
            Command::Offer(offer) => offer.driver,
            Command::AssignByHand { driver, .. } => *driver,
            _ => return,
        };
        self.doors.drivers.door.tell(driver, DriverMsg::Release(self.id));
        self.announce(state);
    }

    /// Postgres says that the driver's time is taken after all: dispatch looks again.
    fn withdraw_after_overlap(&self, myself: &OrderRef, state: &OrderState) {
        if let Some(offer) = state.order.offer {
            let command = Box::new(Command::Withdraw { offer: offer.id, why: Withdrawal::DriverUnavailable });
            let _ = myself.cast(OrderMsg::Command { command, cause: Cause::system(), decision: None, reply: None });
        }
    }

    /// Sets an alarm for every deadline that has none.
    fn arm(&self, myself: &OrderRef, state: &mut OrderState) {
        let running = state.order.deadlines();
        state.armed.retain(|armed| running.contains(armed));
        for (deadline, at) in running {
            if state.armed.contains(&(deadline, at)) {
                continue;
            }
            state.armed.push((deadline, at));
            let myself = myself.clone();
            self.doors.alarms.set(at, move || {
                let _ = myself.cast(OrderMsg::Internal(deadline, at));
            });
        }
    }

    fn leave_when_settled(&self, myself: &OrderRef, state: &OrderState) {
        if state.order.status().is_final() {
            self.doors.orders.door.forget(self.id, &myself.get_cell());
            myself.stop(None);
        }
    }
}

/// Why a command did not come to its end.
enum Failed {
    /// The rules say no. Nothing changed.
    Refused(Refused),
    /// Another order holds the driver's time. Nothing changed.
    Overlap,
    /// The database is away. Nothing changed.
    Away,
    /// The state in memory cannot be trusted.
    Lost,
}

impl Failed {
    fn refused(&self) -> Refused {
        match self {
            Self::Refused(refused) => refused.clone(),
            Self::Overlap => Refused::DriverUnsuited("another order holds the time".to_owned()),
            Self::Away => Refused::Unavailable("the database is away"),
            Self::Lost => Refused::Unavailable("it is unknown whether it was stored; try again"),
        }
    }
}

/// What a code that was refused answers.
fn code_refusal(command: &Command, done: &Done) -> Option<Refused> {
    let Command::Complete { task, .. } = command else { return None };
    let task = done.order.task(*task)?;
    if task.status == posthaste_domain::order::TaskStatus::Done {
        return None;
    }
    match task.locked_until {
        Some(until) if task.wrong_codes == 0 => Some(Rejected::CodeLocked { until }.into()),
        _ => Some(Refused::WrongCode { attempts_left: CODE_ATTEMPTS.saturating_sub(task.wrong_codes) }),
    }
}

fn order_alert(kind: &str, text: String, order: &Order) -> Alert {
    Alert {
        kind: kind.to_owned(),
        text,
        order_id: Some(order.id),
        driver_id: order.assignment.map(|a| a.driver),
        zone_id: Some(order.zone),
    }
}

fn order_scope(order: &Order) -> Scope {
    Scope { zone: Some(order.zone), place: order.tasks.first().map(|task| task.place) }
}

/// How an event ends the open offer, in the words of the socket protocol.
fn offer_outcome(event: &Event) -> Option<&'static str> {
    match event {
        Event::Assigned { offer: Some(_), .. } => Some("accepted"),
        Event::OfferDeclined { silent: true, .. } => Some("lapsed"),
        Event::OfferDeclined { silent: false, .. } => Some("declined"),
        Event::OfferWithdrawn { .. } | Event::Canceled { .. } | Event::Expired => Some("withdrawn"),
        _ => None,
    }
}

/// Drivers who had, have, are or were being asked for the order.
fn concerned(before: &Order, after: &Order) -> Vec<DriverId> {
    let drivers = |o: &Order| [o.offer.map(|offer| offer.driver), o.assignment.map(|a| a.driver)];
    let mut all: Vec<_> = drivers(before).into_iter().chain(drivers(after)).flatten().collect();
    all.sort();
    all.dedup();
    all
}

/// What the step does to the commitments table: an assigned order holds its driver's time until it is over.
fn commitment_change(before: &Order, after: &Order) -> Option<CommitmentChange> {
    let held = |o: &Order| o.assignment.filter(|_| !o.status().is_final()).map(|a| (a.driver, a.commitment, a.lane));
    match (held(before), held(after)) {
        (was, is) if was == is => None,
        (_, Some((driver, window, lane))) => Some(CommitmentChange::Take { driver, window, lane }),
        (Some(_), None) => Some(CommitmentChange::Release),
        (None, None) => None,
    }
}

fn last_touched(order: &Order) -> Timestamp {
    let tasks = order.tasks.iter().flat_map(|t| [t.arrived_at, t.done_at]);
    let others = [order.settled_at, order.assignment.map(|a| a.at)];
    tasks.chain(others).flatten().max().unwrap_or(order.placed_at)
}
