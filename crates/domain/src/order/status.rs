//! The order's status, a function of its tasks.

use serde::{Deserialize, Serialize};

use super::task::{Task, TaskKind, TaskStatus};

/// Where an order stands. The names are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Sellers have yet to confirm.
    Pending,
    /// Waiting for a driver.
    Confirmed,
    /// Offered to a driver.
    Offered,
    /// A driver has it.
    Assigned,
    /// The driver is on the way to a pickup.
    EnrouteToPickup,
    /// The driver is at a pickup.
    ArrivedAtPickup,
    /// Everything is on board.
    PickedUp,
    /// The driver is on the way to the door.
    EnrouteToDropoff,
    /// The driver is at the door.
    ArrivedAtDropoff,
    /// Handed over. Final.
    Delivered,
    /// Every seller rejected or kept silent. Final.
    Rejected,
    /// Canceled before anything was picked up. Final.
    Canceled,
    /// No driver was found in time. Final.
    Expired,
    /// It could not be done. Final.
    Failed,
    /// The goods are on the way back.
    Returning,
    /// The goods are back at their sellers. Final.
    Returned,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 16] = [
        Self::Pending,
        Self::Confirmed,
        Self::Offered,
        Self::Assigned,
        Self::EnrouteToPickup,
        Self::ArrivedAtPickup,
        Self::PickedUp,
        Self::EnrouteToDropoff,
        Self::ArrivedAtDropoff,
        Self::Delivered,
        Self::Rejected,
        Self::Canceled,
        Self::Expired,
        Self::Failed,
        Self::Returning,
        Self::Returned,
    ];

    /// Whether nothing more can happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Rejected | Self::Canceled | Self::Expired | Self::Failed | Self::Returned
        )
    }

    /// Whether no driver has been asked or given it: sellers or dispatch are still due.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Pending | Self::Confirmed)
    }

    /// Whether a driver has it in hand.
    #[must_use]
    pub fn is_underway(self) -> bool {
        !self.is_final() && !self.is_waiting() && self != Self::Offered
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Offered => "offered",
            Self::Assigned => "assigned",
            Self::EnrouteToPickup => "enroute_to_pickup",
            Self::ArrivedAtPickup => "arrived_at_pickup",
            Self::PickedUp => "picked_up",
            Self::EnrouteToDropoff => "enroute_to_dropoff",
            Self::ArrivedAtDropoff => "arrived_at_dropoff",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Returning => "returning",
            Self::Returned => "returned",
        }
    }

    /// The status of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// The status of an order with these tasks.
#[must_use]
pub fn status(tasks: &[Task]) -> Status {
    let of = |kind: TaskKind| tasks.iter().filter(move |t| t.kind == kind);
    if of(TaskKind::Return).next().is_some() {
        let all_back = of(TaskKind::Return).all(|t| t.status == TaskStatus::Done);
        let lost = of(TaskKind::Return).any(|t| t.status == TaskStatus::Failed);
        return match (lost, all_back) {
            (true, _) => Status::Failed,
            (false, true) => Status::Returned,
            (false, false) => Status::Returning,
        };
    }
    if of(TaskKind::Pickup).any(|t| t.status == TaskStatus::AwaitingConfirmation) {
        return Status::Pending;
    }
    let Some(delivery) = of(TaskKind::Delivery).next() else { return Status::Failed };
    match delivery.status {
        TaskStatus::AwaitingConfirmation => Status::Pending,
        TaskStatus::Open => Status::Confirmed,
        TaskStatus::Offered => Status::Offered,
        TaskStatus::Assigned => before_the_door(of(TaskKind::Pickup)),
        TaskStatus::EnRoute => Status::EnrouteToDropoff,
        TaskStatus::Arrived => Status::ArrivedAtDropoff,
        TaskStatus::Done => Status::Delivered,
        TaskStatus::Rejected => Status::Rejected,
        TaskStatus::Canceled => Status::Canceled,
        TaskStatus::Expired => Status::Expired,
        TaskStatus::Failed => Status::Failed,
    }
}

fn before_the_door<'a>(pickups: impl Iterator<Item = &'a Task>) -> Status {
    let (mut arrived, mut moving, mut done, mut open) = (false, false, false, false);
    for task in pickups {
        match task.status {
            TaskStatus::Arrived => arrived = true,
            TaskStatus::EnRoute => moving = true,
            TaskStatus::Done => done = true,
            TaskStatus::Assigned => open = true,
            _ => {}
        }
    }
    match (arrived, moving, done, open) {
        (true, ..) => Status::ArrivedAtPickup,
        (_, true, ..) | (_, _, true, true) => Status::EnrouteToPickup,
        (_, _, true, false) => Status::PickedUp,
        _ => Status::Assigned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_called_the_same_everywhere() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert_eq!(Status::from_name("lost"), None);
    }

    #[test]
    fn every_status_is_waiting_offered_underway_or_final() {
        for status in Status::ALL {
            let ways = [status.is_waiting(), status == Status::Offered, status.is_underway(), status.is_final()];
            assert_eq!(ways.into_iter().filter(|way| *way).count(), 1, "{status:?}");
        }
    }
}
