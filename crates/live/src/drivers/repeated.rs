//! Commands of a driver that were done before, and are answered as done however long ago that was.
//!
//! What a driver's actor remembers ends with it, and an order's state with what becomes of the order. The order's history
//! does not: what is refused now is looked for there.

use posthaste_domain::ids::DriverId;
use posthaste_domain::order::{Rejected, done_before};

use super::commands::to_order;
use super::{DriverCommand, Drivers};
use crate::Refused;
use crate::orders::Done;

/// Whether a repetition may be refused so. What is wrong with a code is never because it was done before: then the task
/// is done, and says so.
pub(super) fn may_be_one(refused: &Refused) -> bool {
    match refused {
        Refused::NotFound(_) => true,
        Refused::Order(rejected) => !matches!(rejected, Rejected::CodeRequired | Rejected::CodeLocked { .. }),
        _ => false,
    }
}

impl Drivers {
    /// What a command that is refused now came to when it was done before; nothing where it never was.
    pub(super) async fn repeated(&self, driver: DriverId, command: &DriverCommand) -> Result<Option<Done>, Refused> {
        let doors = self.doors()?;
        let order = match command {
            DriverCommand::Accept(offer) | DriverCommand::Decline(offer) => doors.order_of_offer(*offer).await?,
            DriverCommand::Depart(task)
            | DriverCommand::Arrive(task)
            | DriverCommand::Complete { task, .. }
            | DriverCommand::Fail { task, .. } => doors.order_of_task(*task).await?,
        };
        let Some(order) = order else { return Ok(None) };
        if let DriverCommand::Complete { task, kind, .. } = command
            && order.task(*task).is_none_or(|task| task.kind != *kind)
        {
            return Ok(None);
        }
        let history = doors.timeline(order.id, 0).await?;
        let asked = to_order(command.clone(), driver, None, doors.clock.now());
        let done = done_before(history.iter().map(|(recorded, _)| recorded), &asked);
        Ok(done.map(|at| Done { order, changed: false, at }))
    }
}
