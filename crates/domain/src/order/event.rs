//! What happened to an order, and what each event changes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::calendar::Lane;
use crate::ids::{DriverId, MerchantId, OfferId, TaskId, ZoneId};
use crate::offer::{CoolDown, Offer, Withdrawal};
use crate::party::Party;
use crate::place::Place;
use crate::window::Window;
use crate::{Span, Timestamp};

use super::estimate::{Departure, Estimate};
use super::forget::NO_DRIVER_IN_TIME;
use super::ready::Times;
use super::task::{FailReason, Proof, Task, TaskKind, TaskStatus};
use super::{Assignment, CODE_ATTEMPTS, CODE_LOCK_SECONDS, Escalation, MOST_WRONG_COMMANDS, Order};

/// How an assignment came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignedBy {
    /// The driver accepted an offer.
    Offer,
    /// Operations decided.
    Hand,
}

/// Why a driver no longer has an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Operations took it back.
    ByHand,
    /// The driver's vehicle broke down.
    VehicleBreakdown,
    /// The driver had an accident.
    Accident,
    /// The driver was not heard of for too long.
    DriverLost,
    /// The driver's shift was ended, and what they had was handed back.
    ShiftEnded,
    /// The driver was shut out.
    DriverBanned,
}

impl ReleaseReason {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::ByHand, Self::VehicleBreakdown, Self::Accident, Self::DriverLost, Self::ShiftEnded, Self::DriverBanned];

    /// The reason's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::VehicleBreakdown => "vehicle_breakdown",
            Self::Accident => "accident",
            Self::DriverLost => "driver_lost",
            Self::ShiftEnded => "shift_ended",
            Self::DriverBanned => "driver_banned",
        }
    }
}

/// What happened. Past tense, complete: the state follows from the events alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The order was accepted. Holds its first state, shared with whoever else needs it.
    Placed {
        /// The order as placed.
        order: Arc<Order>,
    },
    /// A seller confirmed its part.
    SellerConfirmed {
        /// The seller.
        seller: MerchantId,
        /// When it will be ready, where said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ready_at: Option<Timestamp>,
        /// What that makes of the order's times, where it changes them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Times>,
    },
    /// A seller rejected its part.
    SellerRejected {
        /// The seller.
        seller: MerchantId,
        /// Why.
        reason: String,
        /// True when silence to the deadline did it.
        automatic: bool,
    },
    /// A driver was asked.
    Offered {
        /// The offer.
        offer: Offer,
    },
    /// The driver declined, or kept silent.
    OfferDeclined {
        /// The offer.
        offer: OfferId,
        /// The driver.
        driver: DriverId,
        /// True when silence to the deadline did it.
        silent: bool,
        /// The driver is not asked again before.
        cool_until: Timestamp,
    },
    /// Dispatch took the offer back.
    OfferWithdrawn {
        /// The offer.
        offer: OfferId,
        /// The driver.
        driver: DriverId,
        /// Why.
        why: Withdrawal,
    },
    /// A driver has the order.
    Assigned {
        /// The driver.
        driver: DriverId,
        /// The offer that the driver accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offer: Option<OfferId>,
        /// How it came about.
        by: AssignedBy,
        /// The driver's time that it takes.
        commitment: Window,
        /// The lane it rides in, when it shares the driver's time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lane: Lane,
        /// When it is expected at the door. `decide` leaves it out: it takes the fleet's history to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        estimate: Option<Estimate>,
    },
    /// The driver no longer has it; it waits again.
    Unassigned {
        /// The driver.
        driver: DriverId,
        /// Why.
        reason: ReleaseReason,
        /// The driver is not asked again before.
        cool_until: Timestamp,
    },
    /// The driver is gone, with goods aboard: operations have to see to it.
    Escalated {
        /// The driver.
        driver: DriverId,
        /// Why the driver is gone.
        reason: ReleaseReason,
    },
    /// The driver is back.
    EscalationEnded {
        /// The driver.
        driver: DriverId,
    },
    /// Operations changed its priority.
    Prioritised {
        /// Higher goes first.
        priority: i16,
    },
    /// Its zone was removed; it waits in another.
    ZoneChanged {
        /// The zone that it was in.
        from: ZoneId,
        /// The zone that it is in now.
        zone: ZoneId,
    },
    /// The driver set out for a task.
    Departed {
        /// The task.
        task: TaskId,
        /// Where the driver was, if they had told it lately. `decide` leaves it out: positions are not the order's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Place>,
    },
    /// The driver arrived at a task.
    Arrived {
        /// The task.
        task: TaskId,
    },
    /// A wrong code was entered.
    CodeRefused {
        /// The task.
        task: TaskId,
        /// The command that brought it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// A task's wrong codes were forgiven.
    CodeUnlocked {
        /// The task.
        task: TaskId,
    },
    /// A seller's part is on board.
    PickedUp {
        /// The task.
        task: TaskId,
        /// What was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Proof>,
    },
    /// Handed to the customer.
    Delivered {
        /// The task.
        task: TaskId,
        /// What was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Proof>,
    },
    /// A seller's part is back.
    Returned {
        /// The task.
        task: TaskId,
    },
    /// It could not be done. With `returns`, the goods go back.
    Failed {
        /// The task that failed.
        task: TaskId,
        /// Why.
        reason: FailReason,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// The tasks that bring the goods back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        returns: Vec<Task>,
    },
    /// It was canceled. With `returns`, the goods go back.
    Canceled {
        /// Who.
        by: Party,
        /// Why.
        reason: String,
        /// The tasks that bring the goods back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        returns: Vec<Task>,
    },
    /// No driver was found in time.
    Expired,
}

/// An event with its place in the order's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// 1 for the first event of the order, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Party,
    /// What.
    pub event: Event,
}

impl Event {
    /// The task that it is about, of those that are about one.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Departed { task, .. }
            | Self::Arrived { task }
            | Self::CodeRefused { task, .. }
            | Self::CodeUnlocked { task }
            | Self::PickedUp { task, .. }
            | Self::Delivered { task, .. }
            | Self::Returned { task }
            | Self::Failed { task, .. } => Some(*task),
            Self::Placed { .. }
            | Self::SellerConfirmed { .. }
            | Self::SellerRejected { .. }
            | Self::Offered { .. }
            | Self::OfferDeclined { .. }
            | Self::OfferWithdrawn { .. }
            | Self::Assigned { .. }
            | Self::Unassigned { .. }
            | Self::Escalated { .. }
            | Self::EscalationEnded { .. }
            | Self::Prioritised { .. }
            | Self::ZoneChanged { .. }
            | Self::Canceled { .. }
            | Self::Expired => None,
        }
    }

    /// The names of all events.
    pub const NAMES: [&str; 22] = [
        "placed",
        "seller_confirmed",
        "seller_rejected",
        "offered",
        "offer_declined",
        "offer_withdrawn",
        "assigned",
        "unassigned",
        "escalated",
        "escalation_ended",
        "prioritised",
        "zone_changed",
        "departed",
        "arrived",
        "code_refused",
        "code_unlocked",
        "picked_up",
        "delivered",
        "returned",
        "failed",
        "canceled",
        "expired",
    ];

    /// The event's name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Placed { .. } => "placed",
            Self::SellerConfirmed { .. } => "seller_confirmed",
            Self::SellerRejected { .. } => "seller_rejected",
            Self::Offered { .. } => "offered",
            Self::OfferDeclined { .. } => "offer_declined",
            Self::OfferWithdrawn { .. } => "offer_withdrawn",
            Self::Assigned { .. } => "assigned",
            Self::Unassigned { .. } => "unassigned",
            Self::Escalated { .. } => "escalated",
            Self::EscalationEnded { .. } => "escalation_ended",
            Self::Prioritised { .. } => "prioritised",
            Self::ZoneChanged { .. } => "zone_changed",
            Self::Departed { .. } => "departed",
            Self::Arrived { .. } => "arrived",
            Self::CodeRefused { .. } => "code_refused",
            Self::CodeUnlocked { .. } => "code_unlocked",
            Self::PickedUp { .. } => "picked_up",
            Self::Delivered { .. } => "delivered",
            Self::Returned { .. } => "returned",
            Self::Failed { .. } => "failed",
            Self::Canceled { .. } => "canceled",
            Self::Expired => "expired",
        }
    }

    /// The driver that it speaks of: who is asked, has the order from now on, or has it no more.
    #[must_use]
    pub fn driver(&self) -> Option<DriverId> {
        match self {
            Self::Offered { offer } => Some(offer.driver),
            Self::OfferDeclined { driver, .. }
            | Self::OfferWithdrawn { driver, .. }
            | Self::Assigned { driver, .. }
            | Self::Unassigned { driver, .. }
            | Self::Escalated { driver, .. }
            | Self::EscalationEnded { driver } => Some(*driver),
            _ => None,
        }
    }
}

pub(super) fn apply(order: &mut Order, event: &Event, at: Timestamp) {
    match event {
        Event::Placed { order: placed } => *order = (**placed).clone(),
        Event::SellerConfirmed { seller, ready_at, times } => {
            seller_confirmed(order, *seller, *ready_at);
            if let Some(times) = times {
                order.placed_times.get_or_insert(order.times());
                (order.promised_at, order.gives_up_at) = (times.promised_at, times.gives_up_at);
            }
        }
        Event::SellerRejected { seller, reason, .. } => seller_rejected(order, *seller, reason),
        Event::Offered { offer } => {
            order.offer = Some(*offer);
            move_tasks(order, TaskStatus::Open, TaskStatus::Offered);
        }
        Event::OfferDeclined { driver, cool_until, .. } => {
            cool(order, *driver, *cool_until, at);
            end_offer(order);
        }
        Event::OfferWithdrawn { .. } => end_offer(order),
        Event::Assigned { driver, offer, commitment, lane, estimate, .. } => {
            order.offer = None;
            order.estimates.assigned = *estimate;
            order.escalated = None;
            leave(order);
            move_tasks(order, TaskStatus::Offered, TaskStatus::Assigned);
            move_tasks(order, TaskStatus::Open, TaskStatus::Assigned);
            order.assignment =
                Some(Assignment { driver: *driver, offer: *offer, at, commitment: *commitment, lane: *lane });
        }
        Event::Unassigned { driver, cool_until, .. } => {
            cool(order, *driver, *cool_until, at);
            order.assignment = None;
            leave(order);
            move_tasks(order, TaskStatus::Assigned, TaskStatus::Open);
        }
        Event::Escalated { reason, .. } => order.escalated = Some(Escalation { since: at, reason: *reason }),
        Event::EscalationEnded { .. } => order.escalated = None,
        Event::Prioritised { priority } => {
            order.placed_priority.get_or_insert(order.priority);
            order.priority = *priority;
        }
        Event::ZoneChanged { from, zone } => {
            order.placed_zone.get_or_insert(*from);
            order.zone = *zone;
        }
        Event::Departed { task, from } => {
            leave(order);
            with_task(order, *task, |t| {
                t.status = TaskStatus::EnRoute;
                t.departure = Some(Departure { at, from: *from });
            });
        }
        Event::Arrived { task } => {
            let departure = order.task(*task).and_then(|t| t.departure);
            leave(order);
            with_task(order, *task, |t| {
                t.departure = departure;
                t.status = TaskStatus::Arrived;
                t.arrived_at = Some(at);
            });
        }
        Event::CodeRefused { task, command } => code_refused(order, *task, command.as_ref(), at),
        Event::CodeUnlocked { task } => with_task(order, *task, |t| {
            t.wrong_codes = 0;
            t.locked_until = None;
        }),
        Event::PickedUp { task, proof } | Event::Delivered { task, proof } => {
            complete(order, *task, proof.as_ref(), at)
        }
        Event::Returned { task } => complete(order, *task, None, at),
        Event::Failed { reason, returns, .. } => end(order, TaskStatus::Failed, returns, reason.name()),
        Event::Canceled { reason, returns, .. } => end(order, TaskStatus::Canceled, returns, reason),
        Event::Expired => end(order, TaskStatus::Expired, &[], NO_DRIVER_IN_TIME),
    }
    if is_a_sign_of_its_driver(event) || order.status().is_final() {
        order.escalated = None;
    }
    if !matches!(event, Event::Placed { .. }) {
        order.version += 1;
    }
    if order.status().is_final() && order.settled_at.is_none() {
        order.settled_at = Some(at);
    }
}

fn is_a_sign_of_its_driver(event: &Event) -> bool {
    matches!(
        event,
        Event::Departed { .. }
            | Event::Arrived { .. }
            | Event::CodeRefused { .. }
            | Event::PickedUp { .. }
            | Event::Delivered { .. }
            | Event::Returned { .. }
            | Event::Failed { .. }
    )
}

fn with_task(order: &mut Order, id: TaskId, change: impl FnOnce(&mut Task)) {
    if let Some(task) = order.tasks.iter_mut().find(|t| t.id == id) {
        change(task);
    }
}

fn move_tasks(order: &mut Order, from: TaskStatus, to: TaskStatus) {
    for task in order.tasks.iter_mut().filter(|t| t.status == from) {
        task.status = to;
    }
}

/// A driver is in one place: they are no longer where they were, nor on the way to it.
fn leave(order: &mut Order) {
    for task in order.tasks.iter_mut().filter(|t| matches!(t.status, TaskStatus::EnRoute | TaskStatus::Arrived)) {
        task.status = TaskStatus::Assigned;
        task.departure = None;
        task.arrived_at = None;
    }
}

fn seller_confirmed(order: &mut Order, seller: MerchantId, ready_at: Option<Timestamp>) {
    for task in order.tasks.iter_mut().filter(|t| t.kind == TaskKind::Pickup && t.seller == Some(seller)) {
        if task.status == TaskStatus::AwaitingConfirmation {
            task.status = TaskStatus::Open;
        }
        task.ready_at = ready_at.or(task.ready_at);
    }
    open_when_all_answered(order);
}

fn seller_rejected(order: &mut Order, seller: MerchantId, reason: &str) {
    for task in order.tasks.iter_mut().filter(|t| t.kind == TaskKind::Pickup && t.seller == Some(seller)) {
        if task.status == TaskStatus::AwaitingConfirmation {
            task.status = TaskStatus::Rejected;
        }
    }
    open_when_all_answered(order);
    if order.status() == super::Status::Rejected {
        order.ended_because = Some(reason.to_owned());
    }
}

/// The delivery is due once every seller has answered, unless all of them said no.
fn open_when_all_answered(order: &mut Order) {
    let awaited =
        order.tasks.iter().any(|t| t.status == TaskStatus::AwaitingConfirmation && t.kind == TaskKind::Pickup);
    if awaited {
        return;
    }
    let any_open = order.pickups().next().is_some();
    for task in order.tasks.iter_mut().filter(|t| t.kind == TaskKind::Delivery) {
        if task.status == TaskStatus::AwaitingConfirmation {
            task.status = if any_open { TaskStatus::Open } else { TaskStatus::Rejected };
        }
    }
}

fn cool(order: &mut Order, driver: DriverId, until: Timestamp, at: Timestamp) {
    order.cooling.retain(|c| c.driver != driver && c.until > at);
    if until > at {
        order.cooling.push(CoolDown { driver, until });
    }
}

fn end_offer(order: &mut Order) {
    order.offer = None;
    move_tasks(order, TaskStatus::Offered, TaskStatus::Open);
}

fn code_refused(order: &mut Order, task: TaskId, command: Option<&String>, at: Timestamp) {
    with_task(order, task, |t| {
        t.wrong_codes += 1;
        t.wrong_commands.extend(command.cloned());
        let too_many = t.wrong_commands.len().saturating_sub(MOST_WRONG_COMMANDS);
        t.wrong_commands.drain(..too_many);
        if t.wrong_codes >= CODE_ATTEMPTS {
            t.wrong_codes = 0;
            t.locked_until = Some(at + Span::seconds(CODE_LOCK_SECONDS));
        }
    });
}

fn complete(order: &mut Order, task: TaskId, proof: Option<&Proof>, at: Timestamp) {
    with_task(order, task, |t| {
        t.status = TaskStatus::Done;
        t.arrived_at = t.arrived_at.or(Some(at));
        t.done_at = Some(at);
        t.proof = proof.cloned();
        t.wrong_codes = 0;
        t.locked_until = None;
    });
}

fn end(order: &mut Order, how: TaskStatus, returns: &[Task], because: &str) {
    order.offer = None;
    for task in order.tasks.iter_mut().filter(|t| !t.status.is_final()) {
        task.status = how;
    }
    order.tasks.extend_from_slice(returns);
    order.ended_because = Some(because.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde, asked for an event that does not exist, lists those that do.
    #[test]
    fn every_event_is_among_the_names() {
        let error = serde_json::from_str::<Event>(r#"{"type":"nonsense"}"#).unwrap_err().to_string();
        let (_, listed) = error.split_once("expected one of ").unwrap();
        let listed: Vec<_> = listed.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, Event::NAMES);
    }
}
