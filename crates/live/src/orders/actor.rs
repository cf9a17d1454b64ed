//! The order actor: the only writer of one order.
//!
//! Owns the order's state while it is live. Supervised by the door to orders, which reloads it from Postgres when it
//! fails. After each commit it tells the drivers concerned, its zone and the streams. Where a commit's outcome is unknown
//! it reads back what is stored and goes on from there, telling what it had not told. A restart reloads the state and
//! arms its deadlines again. Settled orders answer what was sent to them before, and leave memory: whoever asks later
//! is answered from Postgres.

use std::sync::Arc;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::offer::{Offer, Withdrawal};
use posthaste_domain::order::{CODE_ATTEMPTS, Command, Deadline, Order, Recorded, Rejected};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::decisions::NewDecision;
use posthaste_storage::journal::{CommitmentChange, Entry};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::Instrument;

use super::expected::with_what_is_known;
use super::{Done, Told};
use crate::carried::UNKNOWN;
use crate::commit::{Commit, Whose};
use crate::door::Reply;
use crate::drivers::DriverMsg;
use crate::inside::OrderInside;
use crate::reconcile::Mended;
use crate::system::Doors;
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
    /// How much the others have been told. Outlives the actor.
    pub(crate) told: Told,
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
    /// All that is held here.
    Inside(Reply<OrderInside>),
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
    /// The same to one driver, who holds time for it or doubts that they have it.
    AnnounceTo(DriverId),
    /// What is stored may be further than the state here, or than what the others were told: read it, and tell the rest.
    CatchUp,
    /// Zones have changed: if it waits in one that is removed, it goes to another.
    FindZone,
    /// An alarm rang.
    Internal(Deadline, Timestamp),
}

impl Actor for OrderActor {
    type Msg = OrderMsg;
    type State = OrderState;
    type Arguments = OrderArgs;

    async fn pre_start(&self, _: OrderRef, args: OrderArgs) -> Result<OrderState, ActorProcessingErr> {
        let mut state = OrderState { order: args.order, armed: Vec::new() };
        self.arm(&mut state);
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
            OrderMsg::Inside(reply) => {
                let (order, told_version) = (Arc::clone(&state.order), self.told.version());
                let _ = reply.send(Ok(OrderInside { order, told_version, armed: state.armed.clone() }));
                Ok(())
            }
            OrderMsg::Command { command, cause, decision, reply } => {
                let span = cause.span();
                Box::pin(self.on_command(&myself, state, *command, cause, decision, reply).instrument(span)).await
            }
            OrderMsg::Announce => {
                self.doors.tell_standing(&state.order);
                Ok(())
            }
            OrderMsg::AnnounceTo(driver) => {
                let message = DriverMsg::Standing(Arc::clone(&state.order));
                let _ = self.doors.drivers.door.tell(driver, message);
                Ok(())
            }
            OrderMsg::CatchUp => Box::pin(self.on_catch_up(&myself, state)).await,
            OrderMsg::FindZone => {
                self.doors.find_zone(&state.order);
                Ok(())
            }
            OrderMsg::Internal(deadline, at) => Box::pin(self.on_deadline(&myself, state, deadline, at)).await,
        }
    }
}

impl OrderActor {
    async fn on_command(
        &self,
        myself: &OrderRef,
        state: &mut OrderState,
        mut command: Command,
        cause: Cause,
        decision: Option<Box<NewDecision>>,
        reply: Option<Reply<Done>>,
    ) -> Result<(), ActorProcessingErr> {
        if let Command::Offer(offer) = &mut command {
            offer.id = Offer::id_of(self.id, state.order.version + 1);
        }
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
                    self.arm(state);
                    self.leave_when_settled(myself, state);
                }
                Ok(())
            }
            Err(Failed::Away | Failed::Unknown) if moves => {
                self.find_zone_later(myself);
                Ok(())
            }
            Err(Failed::Overlap) => {
                self.withdraw_after_overlap(myself, state);
                Ok(())
            }
            Err(Failed::Refused(_) | Failed::Away | Failed::Unknown) => {
                // What was read back may have led to other deadlines, or to the end.
                self.arm(state);
                self.leave_when_settled(myself, state);
                Ok(())
            }
        }
    }

    /// Goes on from what is stored.
    async fn on_catch_up(&self, myself: &OrderRef, state: &mut OrderState) -> Result<(), ActorProcessingErr> {
        if self.read_back(state).await? {
            self.doors.mended(Mended::Order(self.id));
        }
        self.doors.tell_standing(&state.order);
        self.arm(state);
        self.leave_when_settled(myself, state);
        Ok(())
    }

    /// Reads what is stored, however long it takes, and tells everybody concerned what they have not been told; whether
    /// there was something.
    async fn read_back(&self, state: &mut OrderState) -> Result<bool, ActorProcessingErr> {
        let read = || self.doors.tell_missed(self.id, &self.told);
        match self.doors.carried.read(read).await {
            Ok(Some((order, was_missed))) => {
                if order.version > state.order.version {
                    state.order = order;
                }
                Ok(was_missed)
            }
            // An order is never removed while it lives.
            Ok(None) => Ok(false),
            Err(refused) => Err(format!("what is stored of the order cannot be read: {refused}").into()),
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
                self.arm(state);
                self.leave_when_settled(myself, state);
                Ok(())
            }
            Err(_) => {
                // What is still due is tried again, after a while: what stood in the way may be gone.
                if state.order.deadlines().contains(&(deadline, at)) {
                    state.armed.push((deadline, at));
                    self.ring(self.doors.clock.now() + Span::seconds(RETRY_SECONDS), deadline, at);
                }
                self.arm(state);
                self.leave_when_settled(myself, state);
                Ok(())
            }
        }
    }

    /// Decides, commits and tells. Where it is unknown whether it was committed, what is stored is read back: it may have
    /// been, and then it is answered as done; or somebody was there before, and then it is decided once more.
    async fn perform(
        &self,
        state: &mut OrderState,
        command: &Command,
        cause: &Cause,
        mut decision: Option<Box<NewDecision>>,
    ) -> Result<Done, Failed> {
        for last in [false, true] {
            let known = state.order.version;
            let lost = match self.attempt(state, command, cause, decision.take()).await {
                Ok(done) => return Ok(done),
                Err(Attempt::Failed(failed)) => return Err(failed),
                Err(Attempt::Lost(lost)) => lost,
            };
            self.read_back(state).await.map_err(|_| Failed::Unknown)?;
            let stored = Arc::clone(&state.order);
            if stored.version == lost.order.version && *stored == *lost.order {
                return Ok(Done { order: stored, changed: true, at: lost.at });
            }
            if stored.version == known {
                // Nothing is there; if it still may come, the next look finds it.
                return Err(if lost.unknown { Failed::Unknown } else { Failed::Refused(Refused::LostRace) });
            }
            if last {
                break;
            }
        }
        Err(Failed::Unknown)
    }

    /// The one place with I/O: decide, commit, apply, tell, in this order.
    async fn attempt(
        &self,
        state: &mut OrderState,
        command: &Command,
        cause: &Cause,
        decision: Option<Box<NewDecision>>,
    ) -> Result<Done, Attempt> {
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
        match self.doors.commit(Whose::Order(self.id), entry).await {
            Commit::Stored => {}
            not => return Err(lost_or_failed(&not, &order, now)),
        }
        state.order = Arc::clone(&order);
        let by = &cause.by;
        for (event, status) in recorded.iter() {
            tracing::info!(
                order = %self.id, seq = event.seq, event = event.event.name(), status = status.name(), %by,
                request_id = cause.correlation.as_deref(), "order"
            );
        }
        self.doors.tell_step(Some(&before), &order, recorded);
        self.told.note(order.version);
        Ok(Done { order, changed: true, at: now })
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
        let _ = self.doors.drivers.door.tell(driver, DriverMsg::OrderChanged(Arc::clone(&state.order), None));
        self.doors.tell_standing(&state.order);
    }

    /// Postgres says that the driver's time is taken after all: dispatch looks again.
    fn withdraw_after_overlap(&self, myself: &OrderRef, state: &OrderState) {
        if let Some(offer) = state.order.offer {
            let command = Box::new(Command::Withdraw { offer: offer.id, why: Withdrawal::DriverUnavailable });
            let _ = myself.cast(OrderMsg::Command { command, cause: Cause::system(), decision: None, reply: None });
        }
    }

    /// Sets an alarm for every deadline that has none.
    fn arm(&self, state: &mut OrderState) {
        let running = state.order.deadlines();
        state.armed.retain(|armed| running.contains(armed));
        for (deadline, at) in running {
            if state.armed.contains(&(deadline, at)) {
                continue;
            }
            state.armed.push((deadline, at));
            self.ring(at, deadline, at);
        }
    }

    /// Sets an alarm. It holds the order's name, not its actor: one that settled leaves memory before its alarms ring.
    fn ring(&self, when: Timestamp, deadline: Deadline, at: Timestamp) {
        let (id, doors) = (self.id, Arc::downgrade(&self.doors));
        self.doors.alarms.set(when, move || {
            if let Some(doors) = doors.upgrade() {
                let _ = doors.orders.door.tell(id, OrderMsg::Internal(deadline, at));
            }
        });
    }

    /// A settled order needs no actor. What was sent to it before is still answered: who waits for an answer, or holds
    /// time for it, is not left alone.
    fn leave_when_settled(&self, myself: &OrderRef, state: &OrderState) {
        if state.order.status().is_final() {
            self.doors.orders.door.leave(self.id, &myself.get_cell());
            let _ = myself.drain();
        }
    }
}

/// Why an attempt whose entry was not simply stored did not come to its end.
fn lost_or_failed(commit: &Commit, order: &Arc<Order>, at: Timestamp) -> Attempt {
    let lost = |unknown| Attempt::Lost(Lost { order: Arc::clone(order), at, unknown });
    match commit {
        Commit::Overlap => Attempt::Failed(Failed::Overlap),
        Commit::Away | Commit::Another => Attempt::Failed(Failed::Away),
        Commit::ReadBack { unknown } => lost(*unknown),
        // An order's steps have no key: somebody else's row was in the way.
        Commit::KeyUsed | Commit::Stored => lost(false),
        Commit::Broken => Attempt::Failed(Failed::Refused(commit.refused())),
    }
}

/// Why an attempt did not come to its end.
enum Attempt {
    /// It failed.
    Failed(Failed),
    /// The state in memory may not be the one that is stored.
    Lost(Lost),
}

/// What an attempt would have led to, and when; `unknown` where it may have been stored.
struct Lost {
    order: Arc<Order>,
    at: Timestamp,
    unknown: bool,
}

impl From<Failed> for Attempt {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
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
    /// Nobody can say yet whether it was stored.
    Unknown,
}

impl Failed {
    fn refused(&self) -> Refused {
        match self {
            Self::Refused(refused) => refused.clone(),
            Self::Overlap => Refused::DriverUnsuited("another order holds the time".to_owned()),
            Self::Away => Refused::Unavailable("the database is away".into()),
            Self::Unknown => UNKNOWN,
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

/// What the step does to the commitments table: an assigned order holds its driver's time until it is over.
fn commitment_change(before: &Order, after: &Order) -> Option<CommitmentChange> {
    let commitment_of =
        |o: &Order| o.assignment.filter(|_| !o.status().is_final()).map(|a| (a.driver, a.commitment, a.lane));
    match (commitment_of(before), commitment_of(after)) {
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
