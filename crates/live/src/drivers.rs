//! The door to drivers.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, OfferId, TaskId, ZoneId};
use posthaste_domain::order::{FailReason, Order, Proof, Speed};
use posthaste_domain::place::Place;
use posthaste_protocol::drivers::PositionView;

use crate::orders::Done;
use crate::presence::{Fix, Presence};
use crate::{Cause, Refused};

/// A new driver.
#[derive(Debug, Clone)]
pub struct RegisterDriver {
    /// The name customers see.
    pub name: String,
    /// The vehicle.
    pub vehicle: Vehicle,
    /// Units of size that fit at once.
    pub capacity: u32,
    /// Zones served.
    pub zones: Vec<ZoneId>,
    /// Speeds served.
    pub speeds: Vec<Speed>,
}

/// A driver with what is live about him.
#[derive(Debug, Clone)]
pub struct LiveDriver {
    /// The record.
    pub driver: Arc<Driver>,
    /// Silent too long to get work.
    pub stale: bool,
    /// Assigned orders that are not over.
    pub open_orders: u32,
    /// Last position.
    pub position: Option<PositionView>,
}

/// What a driver asks for about his work.
#[derive(Debug, Clone)]
pub enum DriverCommand {
    /// Take an offer.
    Accept(OfferId),
    /// Decline an offer.
    Decline(OfferId),
    /// On the way to a task.
    Depart(TaskId),
    /// At a task.
    Arrive(TaskId),
    /// Picked up, delivered or brought back, as the task's kind says.
    Complete {
        /// The task.
        task: TaskId,
        /// What kind the caller believes it is: another kind is refused.
        kind: posthaste_domain::order::TaskKind,
        /// The code.
        code: Option<String>,
        /// What else he shows.
        proof: Option<Proof>,
    },
    /// It cannot be done.
    Fail {
        /// The task.
        task: TaskId,
        /// Why.
        reason: FailReason,
        /// In words.
        note: Option<String>,
    },
}

/// The door to drivers. Cheap to clone.
#[derive(Clone)]
pub struct Drivers {}

impl Drivers {
    /// Registers a driver.
    pub async fn register(&self, new: RegisterDriver, cause: Cause) -> Result<Arc<Driver>, Refused> {
        let _ = (new, cause);
        todo!()
    }

    /// The driver with what is live about him.
    pub async fn get(&self, id: DriverId) -> Result<LiveDriver, Refused> {
        let _ = id;
        todo!()
    }

    /// Adds what is live about drivers read from a list.
    #[must_use]
    pub fn live(&self, driver: Driver) -> LiveDriver {
        let _ = driver;
        todo!()
    }

    /// Changes the shift. `place` is where the driver is, so that work can come before his first position.
    pub async fn shift(
        &self,
        id: DriverId,
        shift: Shift,
        place: Option<Place>,
        cause: Cause,
    ) -> Result<(Shift, bool, Timestamp), Refused> {
        let _ = (id, shift, place, cause);
        todo!()
    }

    /// Does what the driver asks, once per `command_id`. Answered after the commit.
    pub async fn command(
        &self,
        id: DriverId,
        command: DriverCommand,
        command_id: Option<String>,
        cause: Cause,
    ) -> Result<Done, Refused> {
        let _ = (id, command, command_id, cause);
        todo!()
    }

    /// Orders in hand (assigned, next stops first) and orders offered to the driver.
    pub async fn work(&self, id: DriverId) -> Result<(Vec<Arc<Order>>, Vec<Arc<Order>>), Refused> {
        let _ = id;
        todo!()
    }

    /// The driver's position slot: a socket writes it directly, with no actor in between.
    pub async fn presence(&self, id: DriverId) -> Result<Arc<Presence>, Refused> {
        let _ = id;
        todo!()
    }

    /// Stores positions that a device collected; answered when they are in Postgres. The newest becomes the
    /// present position if it is newer than what is known.
    pub async fn positions(&self, id: DriverId, fixes: Vec<Fix>) -> Result<(), Refused> {
        let _ = (id, fixes);
        todo!()
    }
}
