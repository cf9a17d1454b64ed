//! The driver actor: the authority over one driver's time.
//!
//! Owns the driver's record, their calendar and what they have in hand. Supervised by the door to drivers, which reloads
//! them from Postgres when it fails: the record, and the orders assigned or offered to them, from which the calendar
//! follows. It holds an interval while an offer is open and refuses what overlaps, so a plan made on a stale board
//! ends here. It asks orders by messages and never waits for one; the order answers the caller itself.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use posthaste_domain::calendar::{Calendar, Commitment, Lane};
use posthaste_domain::driver::{Driver, Shift};
use posthaste_domain::ids::{DriverId, OfferId, OrderId, TaskId, ZoneId};
use posthaste_domain::offer::{Offer, Withdrawal};
use posthaste_domain::order::{Command, Order, ReleaseReason};
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::socket::{OfferEnded, ServerMessage};
use posthaste_protocol::words::OfferOutcome;
use posthaste_storage::decisions::NewDecision;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::Instrument;

use super::{DriverCommand, LastDone, NextChosen, PlannedRoute, ShiftChange, Standby, Work};
use crate::door::Reply;
use crate::inside::DriverInside;
use crate::orders::{Done, OrderMsg};
use crate::presence::{Presence, Summary};
use crate::system::Doors;
use crate::zones::DispatcherMsg;
use crate::{Cause, Refused};

/// Settled orders remembered, so that a command sent twice after the end is answered like the first time.
const REMEMBERED: usize = 16;

/// A driver's actor.
pub(crate) type DriverRef = ActorRef<DriverMsg>;

/// The dispatcher asks the driver to hold time for an order.
pub(crate) struct Proposal {
    pub(crate) order: OrderId,
    pub(crate) zone: ZoneId,
    pub(crate) size: u32,
    pub(crate) commitment: Window,
    /// All orders of the route, where it shares the driver's time with them: they were seen to fit together.
    pub(crate) shared: Option<Arc<[OrderId]>>,
    pub(crate) offer_for: Span,
    pub(crate) decision: NewDecision,
}

/// Messages of a driver.
pub(crate) enum DriverMsg {
    /// Orders in hand and orders offered, and the driver at that moment.
    Work(Reply<(Work, Arc<Summary>)>),
    /// All that is held here.
    Inside(Reply<DriverInside>),
    /// Change the shift; what they have may be handed back with it.
    Shift { change: ShiftChange, cause: Cause, reply: Reply<(Shift, bool, Timestamp)> },
    /// They say which stop they do next, or take that back.
    Next { task: Option<TaskId>, cause: Cause, reply: Reply<NextChosen> },
    /// The driver asks for something about their work.
    Command { command: DriverCommand, command_id: Option<String>, cause: Cause, reply: Reply<Done> },
    /// The dispatcher asks to hold time.
    Consider(Box<Proposal>),
    /// Operations give them an order.
    AssignByHand { order: Arc<Order>, commitment: Window, shared: bool, cause: Cause, reply: Reply<Done> },
    /// The zone plans their route.
    Route(Arc<PlannedRoute>),
    /// The zone advises where to wait for work.
    Standby(Standby),
    /// An order that concerns them changed; with the word for how its offer ended, if it did.
    OrderChanged(Arc<Order>, Option<OfferOutcome>),
    /// How an order stands, because it is doubted that the driver knows.
    Standing(Arc<Order>),
    /// Which live orders are stored as the driver's, given or offered to them, and at which versions.
    Compare(Vec<(OrderId, u64)>),
    /// What is stored of the driver may be further than the record here: read it, and tell how they stand.
    CatchUp,
    /// Tell everybody how the driver stands: they were just read from Postgres.
    Loaded,
    /// They are gone for good: forget what they are called and where they are.
    Forget { cause: Cause, reply: Reply<()> },
    /// Tell the boards how they stand: the boards have lost it, or zones changed.
    Announce,
    /// Heard of again after silence.
    Awake,
    /// An alarm rang.
    Internal(Alarm),
}

/// What a driver's alarms are about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Alarm {
    /// Look whether they have gone silent: the alarm of this generation.
    Watch(u64),
    /// The advice that holds until then is over.
    StandbyEnds(Timestamp),
    /// Orders that have not answered for long are asked how they stand.
    Proposed,
}

/// What a driver actor is started with.
pub(crate) struct DriverArgs {
    pub(crate) driver: Arc<Driver>,
    pub(crate) orders: Vec<Arc<Order>>,
    pub(crate) presence: Arc<Presence>,
}

/// The driver actor.
pub(crate) struct DriverActor {
    pub(crate) id: DriverId,
    pub(crate) doors: Arc<Doors>,
}

/// What the actor remembers.
pub(crate) struct DriverState {
    pub(super) driver: Arc<Driver>,
    pub(super) presence: Arc<Presence>,
    pub(super) calendar: Calendar,
    pub(super) orders: BTreeMap<OrderId, Arc<Order>>,
    /// Held for orders that have not yet said that the offer is made: their sizes, and since when.
    pub(super) proposed: HashMap<OrderId, (u32, Instant)>,
    /// Whether the alarm that asks them is set.
    pub(super) asks: bool,
    pub(super) settled: VecDeque<Arc<Order>>,
    /// Offers declined lately, for the same reason.
    pub(super) declined: VecDeque<(OfferId, Arc<Order>)>,
    pub(super) stale: bool,
    /// Why they are gone, so that what they have goes to others; nothing while they are there.
    pub(super) gone: Option<ReleaseReason>,
    /// Where they are advised to wait for work. Advised anew after a restart.
    pub(super) standby: Option<Standby>,
    /// The route that a zone has planned for them. Planned anew after a restart.
    pub(super) planned: Option<Arc<PlannedRoute>>,
    /// Their last stop: when it was done, where, and how long they stay after that.
    pub(super) last_done: Option<LastDone>,
    /// Generation of the silence alarm; an older one is ignored.
    pub(super) watch: u64,
}

impl DriverState {
    fn inside(&self) -> DriverInside {
        DriverInside {
            driver: Arc::clone(&self.driver),
            stale: self.stale,
            gone: self.gone,
            silent: self.presence.silent_for().to_std().unwrap_or_default(),
            commitments: self.calendar.commitments().to_vec(),
            proposed: self.proposed.iter().map(|(id, (size, since))| (*id, *size, since.elapsed())).collect(),
            orders: self.orders.values().cloned().collect(),
            settled: self.settled.iter().map(|order| order.id).collect(),
            declined: self.declined.iter().map(|(offer, _)| *offer).collect(),
            plan_generation: self.planned.as_ref().map(|planned| planned.generation),
        }
    }
}

impl Actor for DriverActor {
    type Msg = DriverMsg;
    type State = DriverState;
    type Arguments = DriverArgs;

    async fn pre_start(&self, _: DriverRef, args: DriverArgs) -> Result<DriverState, ActorProcessingErr> {
        let mut state = DriverState {
            driver: args.driver,
            presence: args.presence,
            calendar: Calendar::default(),
            orders: BTreeMap::new(),
            proposed: HashMap::new(),
            asks: false,
            settled: VecDeque::new(),
            declined: VecDeque::new(),
            stale: false,
            gone: None,
            standby: None,
            planned: None,
            last_done: None,
            watch: 0,
        };
        for order in args.orders {
            state.gone = state.gone.or(order.escalated.map(|escalated| escalated.reason));
            self.take_in(&mut state, order);
        }
        if state.gone == Some(ReleaseReason::DriverLost) {
            state.stale = true;
            state.presence.wake_on_sign_of_life();
        }
        self.publish(&state);
        self.watch(&mut state);
        Ok(state)
    }

    async fn handle(
        &self,
        _: DriverRef,
        message: DriverMsg,
        state: &mut DriverState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DriverMsg::Work(reply) => {
                let _ = reply.send(Ok((state.work(), state.presence.summary())));
                Ok(())
            }
            DriverMsg::Inside(reply) => {
                let _ = reply.send(Ok(state.inside()));
                Ok(())
            }
            DriverMsg::Shift { change, cause, reply } => {
                let span = cause.span();
                self.on_shift(state, change, cause, reply).instrument(span).await
            }
            DriverMsg::Next { task, cause, reply } => {
                let span = cause.span();
                self.on_next(state, task, cause, reply).instrument(span).await
            }
            DriverMsg::Command { command, command_id, cause, reply } => {
                cause.span().in_scope(|| self.on_command(state, command, command_id, cause, reply));
                Ok(())
            }
            DriverMsg::Consider(proposal) => {
                self.on_consider(state, *proposal);
                Ok(())
            }
            DriverMsg::AssignByHand { order, commitment, shared, cause, reply } => {
                let lane = shared.then(|| state.calendar.free_lane());
                let span = cause.span();
                span.in_scope(|| self.on_assign_by_hand(state, &order, commitment, lane, cause, reply));
                Ok(())
            }
            DriverMsg::Route(route) => {
                state.planned = Some(route);
                self.show_route(state);
                Ok(())
            }
            DriverMsg::OrderChanged(order, outcome) => {
                self.on_order_changed(state, order, outcome);
                Ok(())
            }
            DriverMsg::Standing(order) => {
                self.on_standing(state, order);
                Ok(())
            }
            DriverMsg::Compare(stored) => {
                self.on_compare(state, &stored);
                Ok(())
            }
            DriverMsg::CatchUp => self.on_catch_up(state).await,
            DriverMsg::Loaded => {
                self.on_loaded(state);
                Ok(())
            }
            DriverMsg::Forget { cause, reply } => {
                let span = cause.span();
                self.on_forget(state, &cause, reply).instrument(span).await
            }
            DriverMsg::Announce => {
                self.publish(state);
                Ok(())
            }
            DriverMsg::Awake => {
                self.on_awake(state);
                Ok(())
            }
            DriverMsg::Standby(standby) => {
                self.on_standby(state, standby);
                Ok(())
            }
            DriverMsg::Internal(Alarm::Proposed) => {
                self.on_proposed(state);
                Ok(())
            }
            DriverMsg::Internal(Alarm::StandbyEnds(until)) => {
                self.on_standby_ends(state, until);
                Ok(())
            }
            DriverMsg::Internal(Alarm::Watch(generation)) => {
                self.on_watch(state, generation);
                Ok(())
            }
        }
    }
}

impl DriverActor {
    fn on_consider(&self, state: &mut DriverState, proposal: Proposal) {
        let now = self.doors.clock.now();
        let lane = proposal.shared.is_some().then(|| state.calendar.free_lane());
        let able = state.driver.shift.takes_work()
            && !state.stale
            && state.room_for(&proposal, now) >= proposal.size
            && !state.orders.contains_key(&proposal.order)
            && proposal.commitment.end() > now
            && state.calendar.take(tentative(proposal.order, proposal.size, proposal.commitment, lane)).is_ok();
        if !able {
            self.publish(state);
            if let Some(cell) = self.doors.zones.cell(proposal.zone) {
                cell.dispatch(DispatcherMsg::Refused(proposal.order));
            }
            return;
        }
        self.hold_for(state, proposal.order, proposal.size);
        let offer = Offer {
            // The order names its offers.
            id: Offer::id_of(proposal.order, 0),
            driver: self.id,
            made_at: now,
            deadline: now + proposal.offer_for,
            commitment: proposal.commitment,
            lane,
        };
        let (command, decision) = (Command::Offer(offer), Some(Box::new(proposal.decision)));
        if !self.tell_order(proposal.order, command, decision) {
            // The order is over, or being reloaded; it tells its zone when it is back, and dispatch looks again.
            state.proposed.remove(&proposal.order);
            state.calendar.release(proposal.order);
        }
        self.publish(state);
    }

    fn on_assign_by_hand(
        &self,
        state: &mut DriverState,
        order: &Order,
        commitment: Window,
        lane: Lane,
        cause: Cause,
        reply: Reply<Done>,
    ) {
        if let Some(theirs) = state.orders.get(&order.id).filter(|o| o.offer.is_none()) {
            let at = theirs.assignment.map_or(theirs.placed_at, |a| a.at);
            let _ = reply.send(Ok(Done { order: Arc::clone(theirs), changed: false, at }));
            return;
        }
        if !state.driver.shift.is_on() {
            let _ = reply.send(Err(Refused::DriverUnsuited("they are not on shift".to_owned())));
            return;
        }
        if state.gone.is_some() {
            let _ = reply.send(Err(Refused::DriverUnsuited("they are lost: not heard of for too long".to_owned())));
            return;
        }
        if order.size > state.driver.capacity {
            let why = format!("the order takes {} units, {} fit", order.size, state.driver.capacity);
            let _ = reply.send(Err(Refused::DriverUnsuited(why)));
            return;
        }
        let before = state.calendar.of(order.id);
        if let Err(overlap) = state.calendar.take(tentative(order.id, order.size, commitment, lane)) {
            let _ = reply.send(Err(overlap.into()));
            return;
        }
        let left = state.calendar.room(commitment, state.driver.capacity, self.doors.clock.now(), &[order.id]);
        if left < order.size {
            state.calendar.release(order.id);
            let _ = before.map(|before| state.calendar.take(before));
            let why = format!("the order takes {} units, {left} are left then", order.size);
            let _ = reply.send(Err(Refused::DriverUnsuited(why)));
            return;
        }
        self.hold_for(state, order.id, order.size);
        self.publish(state);
        let command = Command::AssignByHand { driver: self.id, commitment, lane };
        self.ask_order(order.id, command, cause, reply);
    }

    pub(super) fn on_order_changed(&self, state: &mut DriverState, order: Arc<Order>, outcome: Option<OfferOutcome>) {
        let known = state.orders.get(&order.id).cloned();
        if known.as_ref().is_some_and(|k| k.version > order.version) {
            return;
        }
        let offered_before = known.as_ref().and_then(|k| k.offer).filter(|o| o.driver == self.id);
        let in_hand_before = known.as_ref().is_some_and(|k| k.offer.is_none());
        known.iter().for_each(|known| state.has_lost(self.id, known, &order));
        state.last_done = LastDone::of(&order, self.id).into_iter().chain(state.last_done).max_by_key(|l| l.at);
        self.take_in(state, Arc::clone(&order));
        let offered = order.offer.filter(|o| o.driver == self.id);
        if let Some(ended) = offered_before.filter(|b| offered.is_none_or(|o| o.id != b.id)) {
            let outcome = outcome.unwrap_or(OfferOutcome::Withdrawn);
            let message = OfferEnded { offer_id: ended.id, order_id: order.id, outcome };
            self.doors.streams.tell(crate::streams::driver(self.id), ServerMessage::OfferEnded(message));
            if outcome == OfferOutcome::Declined {
                state.declined.push_front((ended.id, Arc::clone(&order)));
                state.declined.truncate(REMEMBERED);
            }
        }
        if offered.is_some_and(|o| offered_before.is_none_or(|b| b.id != o.id))
            && let Some(view) = crate::views::offer(&order)
        {
            self.doors.streams.tell(crate::streams::driver(self.id), ServerMessage::Offer(Box::new(view)));
        }
        let in_hand = state.orders.get(&order.id).is_some_and(|o| o.offer.is_none());
        if state.has_better_to_do() || in_hand_before || in_hand {
            self.show_route(state);
        }
        if in_hand && !in_hand_before && state.stale {
            self.watch(state);
        }
        self.publish(state);
    }

    /// Takes in an order's newest state: what it holds of the driver's time, and whether it is theirs at all.
    fn take_in(&self, state: &mut DriverState, order: Arc<Order>) {
        state.proposed.remove(&order.id);
        let held = match (order.offer, order.assignment) {
            (Some(offer), _) if offer.driver == self.id => {
                state.calendar.take(tentative(order.id, order.size, offer.commitment, offer.lane))
            }
            (_, Some(a)) if a.driver == self.id && !order.status().is_final() => {
                let aboard = order.goods_on_board();
                let taken = tentative(order.id, order.size, a.commitment, a.lane);
                state.calendar.take(Commitment { tentative: false, aboard, ..taken })
            }
            _ => {
                state.calendar.release(order.id);
                if state.orders.remove(&order.id).is_some() && order.status().is_final() {
                    state.settled.push_front(order);
                    state.settled.truncate(REMEMBERED);
                }
                return;
            }
        };
        if let Err(overlap) = held {
            tracing::error!(driver = %self.id, order = %order.id, %overlap, "an assigned order overlaps another");
        }
        state.orders.insert(order.id, order);
    }

    pub(super) fn withdraw_offers(&self, state: &DriverState) {
        for offer in state.orders.values().filter_map(|o| o.offer.map(|offer| (o.id, offer.id))) {
            let why = Withdrawal::DriverUnavailable;
            self.tell_order(offer.0, Command::Withdraw { offer: offer.1, why }, None);
        }
    }

    /// Asks the order for something; nobody waits for the answer. False when nobody heard.
    pub(super) fn tell_order(&self, order: OrderId, command: Command, decision: Option<Box<NewDecision>>) -> bool {
        let (command, cause) = (Box::new(command), Cause::system());
        self.doors.orders.door.tell(order, OrderMsg::Command { command, cause, decision, reply: None }).is_ok()
    }
}

/// Time that an order is to have, as long as it does not have it.
fn tentative(order: OrderId, size: u32, window: Window, lane: Lane) -> Commitment {
    Commitment { order, window, tentative: true, lane, size, aboard: false }
}

impl DriverState {
    /// Units that fit beside what else is aboard at the fullest moment of the proposed time. Of a planned route only what
    /// the plan did not know counts: it has seen that the others fit, stop by stop, which is finer than their time.
    fn room_for(&self, proposal: &Proposal, now: Timestamp) -> u32 {
        let known = proposal.shared.as_deref().unwrap_or_default();
        let strange = |c: &Commitment| !known.contains(&c.order) && c.window.overlaps(proposal.commitment);
        let known = if self.calendar.commitments().iter().any(strange) { &[] } else { known };
        self.calendar.room(proposal.commitment, self.driver.capacity, now, known)
    }

    pub(super) fn work(&self) -> Work {
        let (in_hand, offered) = self.orders.values().cloned().partition(|o| o.offer.is_none());
        let chosen = self.chosen().map(|(_, task)| task.id);
        Work { in_hand, offered, planned: self.planned.clone(), chosen, standby: self.standby }
    }
}
