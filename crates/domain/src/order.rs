//! The order machine: [`Order`] is its state, [`Command`] what may be asked, [`Event`] what happened.
//!
//! An order is one PICKUP task per seller and one DELIVERY task; a parcel that has to go back adds
//! RETURN tasks. [`status`] computes the order's status from its tasks and nothing else.
//! `decide` says what a command would do, `apply` does it; replaying the events gives the state again.

mod command;
mod decide;
mod estimate;
mod event;
mod feasible;
mod followed;
mod forget;
mod new;
mod placed;
mod ready;
mod repeated;
mod status;
mod task;
#[cfg(test)]
mod tests;

pub use command::{Command, Rejected};
pub use estimate::{Departure, Estimate, Estimates};
pub use event::{AssignedBy, Event, Recorded, ReleaseReason};
pub use feasible::{FARTHEST_DOOR_METERS, LONGEST_COMMITMENT_SECONDS, Leg, Ways};
pub use followed::LINK_LASTS;
pub use forget::{FORGOTTEN_WORDS, Personal};
pub use new::{
    CodeRule, InvalidOrder, MOST_DAYS_AHEAD, MOST_PICKUPS, MOST_SERVICE_SECONDS, MOST_SIZE, MOST_TEXT, NewOrder,
    NewPickup, NewStop,
};
pub use placed::AtFirst;
pub use ready::Times;
pub use repeated::done_before;
pub use status::{Status, status};
pub use task::{Code, FailReason, InvalidCode, Proof, Task, TaskKind, TaskStatus};

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::calendar::Lane;
use crate::ids::{CustomerId, DriverId, MerchantId, OfferId, OrderId, TaskId, ZoneId};
use crate::offer::{CoolDown, Offer};
use crate::window::Window;

/// Wrong codes allowed at a task before it locks.
pub const CODE_ATTEMPTS: u8 = 5;
/// How long a locked task refuses codes, in seconds. Five guesses in ten minutes at four digits are one in
/// two thousand; much longer would strand a driver at the door who was told a wrong code.
pub const CODE_LOCK_SECONDS: i64 = 600;

/// Commands with wrong codes that a task remembers, so that sending one again does not count twice: more than a driver's
/// phone keeps to send again. More would let one who guesses make an order grow.
const MOST_WRONG_COMMANDS: usize = 3 * CODE_ATTEMPTS as usize;

/// How soon an order is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// As soon as possible, with a promised time and no window.
    Fast,
    /// In a window that the order names.
    Slow,
}

impl Speed {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Slow];
}

/// The driver an order belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The driver.
    pub driver: DriverId,
    /// The offer that the driver accepted; none when operations assigned the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferId>,
    /// When.
    pub at: Timestamp,
    /// The driver's time that the order holds.
    pub commitment: Window,
    /// The lane it rides in, when it shares the driver's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Lane,
}

/// Goods are with a driver who is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Since when.
    pub since: Timestamp,
    /// Why the driver is gone.
    pub reason: ReleaseReason,
}

/// The state of one order. Written by its actor alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// How many events made this state; the number of the last of them.
    pub version: u64,
    /// The merchant who handed it in and owns it.
    pub merchant: MerchantId,
    /// The customer, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The zone of its first pickup.
    pub zone: ZoneId,
    /// The merchant's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Fast or slow.
    pub speed: Speed,
    /// Units of a vehicle's capacity that it takes.
    pub size: u32,
    /// Higher goes first among waiting orders.
    pub priority: i16,
    /// The priority that it was placed with, where operations have changed it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_priority: Option<i16>,
    /// When it was accepted.
    pub placed_at: Timestamp,
    /// Fast: the promised time at the door. Slow: the end of its window.
    pub promised_at: Timestamp,
    /// When it was expected at the door.
    #[serde(default, skip_serializing_if = "Estimates::is_empty")]
    pub estimates: Estimates,
    /// Waiting longer than this for a driver ends the order.
    pub gives_up_at: Timestamp,
    /// What it was placed with and has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_times: Option<Times>,
    /// The zone that it was placed in, where that was removed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_zone: Option<ZoneId>,
    /// Pickups in the order given, then the delivery, then returns.
    pub tasks: Vec<Task>,
    /// The open offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// The driver who has it, or had it when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// Its goods are with a driver who is gone: operations have to see to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<Escalation>,
    /// Drivers not to be asked for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cooling: Vec<CoolDown>,
    /// When it reached a final status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// In words or a reason's name: why it ended otherwise than delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_because: Option<String>,
}

/// A time at which the order acts by itself unless something happens before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// Sellers who have not confirmed by now have rejected.
    Confirmation,
    /// The open offer lapses.
    Offer,
    /// No driver was found in time.
    GiveUp,
}

impl Deadline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Confirmation, Self::Offer, Self::GiveUp];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Offer => "offer",
            Self::GiveUp => "give_up",
        }
    }
}

impl Order {
    /// The status: see [`status`].
    #[must_use]
    pub fn status(&self) -> Status {
        status(&self.tasks)
    }

    /// The task with this id.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.iter().find(|t| t.id == id)
    }

    /// The delivery task. Every order has one.
    #[must_use]
    pub fn delivery(&self) -> Option<&Task> {
        self.tasks.iter().find(|t| t.kind == TaskKind::Delivery)
    }

    /// Pickups that are still part of the order (not rejected by their seller).
    pub fn pickups(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|t| t.kind == TaskKind::Pickup && t.status != TaskStatus::Rejected)
    }

    /// Slow orders: from the start of the earliest task window to the end of the last, in whole microseconds (windows
    /// stored by earlier releases may be finer). Fast orders: `None`.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.tasks.iter().filter_map(|t| t.window).reduce(Window::span_with).map(Window::in_micros)
    }

    /// Whose business the order is: its owner, then the sellers of parts, each once.
    #[must_use]
    pub fn merchants(&self) -> Vec<MerchantId> {
        let mut merchants = vec![self.merchant];
        for seller in self.tasks.iter().filter_map(|task| task.seller) {
            if !merchants.contains(&seller) {
                merchants.push(seller);
            }
        }
        merchants
    }

    /// The driver who works the order now.
    #[must_use]
    pub fn working_driver(&self) -> Option<DriverId> {
        self.assignment.map(|a| a.driver).filter(|_| !self.status().is_final())
    }

    /// Whether something has been picked up and not yet handed over.
    #[must_use]
    pub fn goods_on_board(&self) -> bool {
        self.pickups().any(|t| t.status == TaskStatus::Done) && !self.status().is_final()
    }

    /// Whether `merchant` owns the order or sells a part of it.
    #[must_use]
    pub fn concerns_merchant(&self, merchant: MerchantId) -> bool {
        self.merchant == merchant || self.tasks.iter().any(|t| t.seller == Some(merchant))
    }

    /// Every deadline that is running, with its time.
    #[must_use]
    pub fn deadlines(&self) -> Vec<(Deadline, Timestamp)> {
        let status = self.status();
        let mut running = Vec::new();
        if status == Status::Pending
            && let Some(at) = self.tasks.iter().filter_map(Task::confirmation_due).min()
        {
            running.push((Deadline::Confirmation, at));
        }
        if let Some(offer) = self.offer {
            running.push((Deadline::Offer, offer.deadline));
        }
        if status.is_waiting() || status == Status::Offered {
            running.push((Deadline::GiveUp, self.gives_up_at));
        }
        running
    }

    /// The task, if this driver may work on it now: it is theirs and not done, and what comes before it is.
    ///
    /// # Errors
    /// Why they may not.
    pub fn due_task(&self, driver: DriverId, task: TaskId) -> Result<&Task, Rejected> {
        decide::due_task(self, driver, task)
    }

    /// What the command would do at `now`, or why it cannot be.
    ///
    /// No events means that it has been done already: commands may be sent twice.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
        decide::decide(self, command, now)
    }

    /// The state that a history leads to; `None` for one that does not begin with its placing.
    #[must_use]
    pub fn replay<'r>(history: impl IntoIterator<Item = &'r Recorded>) -> Option<Self> {
        let mut history = history.into_iter();
        let Event::Placed { order } = &history.next()?.event else { return None };
        let mut order = (**order).clone();
        history.for_each(|recorded| order.apply(&recorded.event, recorded.at));
        Some(order)
    }

    /// Brings the state forward by one event. `at` is when it happened.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        event::apply(self, event, at);
    }
}
