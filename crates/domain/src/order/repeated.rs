//! Whether a driver's command was done before: told from an order's history, whatever has become of the order since.
//!
//! A phone that heard no answer sends its command again, perhaps days later and to a server that was started anew. The
//! order's state answers most of that; what it does not show any more (a declined offer, a stop of an order that is
//! another driver's by now) stands in the history.

use crate::Timestamp;
use crate::ids::{DriverId, OfferId, TaskId};
use crate::party::Party;

use super::command::Command;
use super::event::{Event, Recorded, ReleaseReason};
use super::task::FailReason;

/// When the driver's command was done, if it was. The newest time counts.
///
/// Only for commands that the order refuses now: one that it takes is not a repetition.
#[must_use]
pub fn done_before<'r>(history: impl DoubleEndedIterator<Item = &'r Recorded>, command: &Command) -> Option<Timestamp> {
    let act = Act::of(command)?;
    history.rev().find(|recorded| act.is_done_by(recorded)).map(|recorded| recorded.at)
}

/// What a driver does.
enum Act {
    Accept(OfferId, DriverId),
    Decline(OfferId, DriverId),
    Depart(TaskId, DriverId),
    Arrive(TaskId, DriverId),
    Complete(TaskId, DriverId),
    Fail(TaskId, FailReason, DriverId),
}

impl Act {
    fn of(command: &Command) -> Option<Self> {
        Some(match command {
            Command::Accept { offer, driver } => Self::Accept(*offer, *driver),
            Command::Decline { offer, driver, silent: false, .. } => Self::Decline(*offer, *driver),
            Command::Depart { driver, task } => Self::Depart(*task, *driver),
            Command::Arrive { driver, task } => Self::Arrive(*task, *driver),
            Command::Complete { driver, task, .. } => Self::Complete(*task, *driver),
            Command::Fail { driver, task, reason, .. } => Self::Fail(*task, *reason, *driver),
            _ => return None,
        })
    }

    fn is_done_by(&self, recorded: &Recorded) -> bool {
        // Operations may act for a driver.
        let by = |driver: &DriverId| recorded.by == Party::Driver(*driver) || matches!(recorded.by, Party::Admin(_));
        match (self, &recorded.event) {
            (Self::Accept(offer, driver), Event::Assigned { offer: Some(taken), driver: who, .. }) => {
                taken == offer && who == driver
            }
            (
                Self::Decline(offer, driver),
                Event::OfferDeclined { offer: declined, driver: who, silent: false, .. },
            ) => declined == offer && who == driver,
            // Who is there, or has done it, was on the way: a step may be left out.
            (Self::Depart(task, driver), Event::Departed { task: done, .. } | Event::Arrived { task: done })
            | (Self::Arrive(task, driver), Event::Arrived { task: done })
            | (
                Self::Depart(task, driver) | Self::Arrive(task, driver) | Self::Complete(task, driver),
                Event::PickedUp { task: done, .. }
                | Event::Delivered { task: done, .. }
                | Event::Returned { task: done },
            ) => task == done && by(driver),
            (Self::Fail(task, reason, driver), Event::Failed { task: failed, reason: why, .. }) => {
                task == failed && reason == why && by(driver)
            }
            (Self::Fail(_, reason, driver), Event::Unassigned { driver: who, reason: why, .. }) => {
                who == driver && by(driver) && released(*reason) == Some(*why)
            }
            _ => false,
        }
    }
}

/// As what a failure that is the driver's own is recorded, while nothing is aboard.
fn released(reason: FailReason) -> Option<ReleaseReason> {
    match reason {
        FailReason::VehicleBreakdown => Some(ReleaseReason::VehicleBreakdown),
        FailReason::Accident => Some(ReleaseReason::Accident),
        _ => None,
    }
}
