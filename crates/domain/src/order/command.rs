//! What may be asked of an order, and why it may be refused.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::calendar::Lane;
use crate::ids::{DriverId, MerchantId, OfferId, TaskId, ZoneId};
use crate::offer::{Offer, Withdrawal};
use crate::party::Party;
use crate::window::Window;

use super::event::ReleaseReason;
use super::status::Status;
use super::task::{FailReason, Proof};

/// What may be asked of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// A seller will have its part ready. `ready_at` may say when.
    Confirm {
        /// The seller.
        seller: MerchantId,
        /// When its part will be ready.
        ready_at: Option<Timestamp>,
    },
    /// A seller cannot deliver its part.
    Reject {
        /// The seller.
        seller: MerchantId,
        /// Why.
        reason: String,
    },
    /// The confirmation deadline passed.
    LapseConfirmation,
    /// Dispatch asks a driver.
    Offer(Offer),
    /// The driver takes it.
    Accept {
        /// The offer.
        offer: OfferId,
        /// Who takes it.
        driver: DriverId,
    },
    /// The driver declines, or kept silent to the deadline (`silent`).
    Decline {
        /// The offer.
        offer: OfferId,
        /// Who declines.
        driver: DriverId,
        /// The driver is not asked again before.
        cool_until: Timestamp,
        /// True when the deadline passed without an answer.
        silent: bool,
    },
    /// Dispatch takes the offer back.
    Withdraw {
        /// The offer.
        offer: OfferId,
        /// Why.
        why: Withdrawal,
    },
    /// Operations give it to a driver, from whoever has it. What is aboard only changes hands where its driver is gone.
    AssignByHand {
        /// The driver.
        driver: DriverId,
        /// The driver's time that it takes.
        commitment: Window,
        /// The lane it rides in, when it shares the driver's time.
        lane: Lane,
    },
    /// Operations take it back, before anything is picked up.
    Unassign {
        /// Why.
        reason: ReleaseReason,
    },
    /// The driver is gone: what they have not picked up waits for another, what they have aboard is escalated.
    LoseDriver {
        /// Who.
        driver: DriverId,
        /// Why the driver is gone.
        reason: ReleaseReason,
    },
    /// The driver who was gone is back.
    FindDriver {
        /// Who.
        driver: DriverId,
    },
    /// Operations say how urgent it is.
    Prioritise {
        /// Higher goes first.
        priority: i16,
    },
    /// The driver sets out for a task.
    Depart {
        /// Who.
        driver: DriverId,
        /// For which task.
        task: TaskId,
    },
    /// The driver is there.
    Arrive {
        /// Who.
        driver: DriverId,
        /// At which task.
        task: TaskId,
    },
    /// The driver has done the task: picked up, delivered or brought back, as its kind says.
    Complete {
        /// Who.
        driver: DriverId,
        /// Which task.
        task: TaskId,
        /// The code, where the task has one.
        code: Option<String>,
        /// What else the driver shows.
        proof: Option<Proof>,
        /// The id of the driver's command, against counting a wrong code twice.
        command: Option<String>,
    },
    /// The driver cannot do it.
    Fail {
        /// Who.
        driver: DriverId,
        /// Which task.
        task: TaskId,
        /// Why.
        reason: FailReason,
        /// In words.
        note: Option<String>,
        /// In the driver's own trouble: they are not asked again before.
        cool_until: Timestamp,
    },
    /// A task's wrong codes are forgiven.
    UnlockCode {
        /// Which task.
        task: TaskId,
    },
    /// Its zone is removed: what waits goes to another.
    ChangeZone {
        /// The zone that it belongs to from now on.
        zone: ZoneId,
    },
    /// Somebody with the right to cancels it.
    Cancel {
        /// Who.
        by: Party,
        /// Why.
        reason: String,
    },
    /// Waiting for a driver has an end.
    GiveUp,
}

/// Why a command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejected {
    /// The order is over.
    #[error("the order is {}", .0.name())]
    Ended(Status),
    /// The order is not in a status in which this can be.
    #[error("not possible while the order is {}", .0.name())]
    NotNow(Status),
    /// No such task.
    #[error("the order has no task {0}")]
    UnknownTask(TaskId),
    /// The merchant sells no part of it.
    #[error("{0} sells no part of this order")]
    NotASeller(MerchantId),
    /// The seller has answered otherwise before.
    #[error("the seller has already answered")]
    AlreadyAnswered,
    /// The goods would be ready when the order cannot be brought any more.
    #[error("the goods have to be ready before {before}")]
    ReadyTooLate {
        /// They have to be ready before.
        before: Timestamp,
    },
    /// The offer is no longer open.
    #[error("the offer is no longer open")]
    OfferGone,
    /// Another driver has it.
    #[error("the order is not assigned to this driver")]
    NotYours,
    /// The task is not one that can be worked on now.
    #[error("the task cannot be done now: {0}")]
    TaskNotDue(Cow<'static, str>),
    /// The task needs a code and none was given.
    #[error("a code is required")]
    CodeRequired,
    /// Too many wrong codes.
    #[error("too many wrong codes; try again after {until}")]
    CodeLocked {
        /// When codes are taken again.
        until: Timestamp,
    },
    /// Goods are on board: the order cannot simply change hands.
    #[error("goods have been picked up")]
    GoodsOnBoard,
    /// A deadline fired that is not due.
    #[error("the deadline is not due")]
    NotDue,
}
