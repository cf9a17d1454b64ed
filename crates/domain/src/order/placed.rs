//! The first state of an order, told from any later one, so that it need not be kept twice.
//!
//! Most of an order never changes: who and where, windows, codes, promises. What events change begins alike in every
//! order, but for the times at which sellers expect to be ready. With those, the present state leads back to the first.

use serde::{Deserialize, Serialize};

use super::task::{Task, TaskKind, TaskStatus};
use super::{Estimates, Order, Timestamp};

/// What a first state has that a later one may not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtFirst {
    /// When each task's goods were to be ready, in the order of the tasks; empty when nobody said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready_at: Vec<Option<Timestamp>>,
}

impl Order {
    /// What has to be kept beside later states to get this one back with [`Self::as_placed`]; `None` where that would
    /// give another.
    #[must_use]
    pub fn at_first(&self) -> Option<AtFirst> {
        let awaits = awaits_sellers(&self.tasks);
        let untouched = self.version == 1
            && self.offer.is_none()
            && self.assignment.is_none()
            && self.estimates.assigned.is_none()
            && self.cooling.is_empty()
            && self.settled_at.is_none()
            && self.ended_because.is_none()
            && self.tasks.iter().all(|task| is_untouched(task, awaits));
        untouched.then(|| {
            let said = self.tasks.iter().any(|task| task.ready_at.is_some());
            AtFirst { ready_at: if said { self.tasks.iter().map(|task| task.ready_at).collect() } else { Vec::new() } }
        })
    }

    /// The state as it was when the order was placed, told from this or any other state of it.
    #[must_use]
    pub fn as_placed(&self, first: &AtFirst) -> Self {
        let awaits = awaits_sellers(&self.tasks);
        let tasks = self.tasks.iter().filter(|task| task.kind != TaskKind::Return).enumerate();
        let tasks = tasks.map(|(n, task)| Task {
            id: task.id,
            kind: task.kind,
            status: first_status(task, awaits),
            seller: task.seller,
            place: task.place,
            contact: task.contact.clone(),
            window: task.window,
            ready_at: first.ready_at.get(n).copied().flatten(),
            service_seconds: task.service_seconds,
            confirm_by: task.confirm_by,
            code: task.code.clone(),
            wrong_codes: 0,
            wrong_commands: Vec::new(),
            locked_until: None,
            departure: None,
            arrived_at: None,
            done_at: None,
            proof: None,
        });
        let times = self.placed_times.unwrap_or(self.times());
        Self {
            id: self.id,
            version: 1,
            merchant: self.merchant,
            customer: self.customer,
            zone: self.placed_zone.unwrap_or(self.zone),
            reference: self.reference.clone(),
            speed: self.speed,
            size: self.size,
            priority: self.placed_priority.unwrap_or(self.priority),
            placed_priority: None,
            placed_at: self.placed_at,
            promised_at: times.promised_at,
            estimates: Estimates { assigned: None, ..self.estimates },
            gives_up_at: times.gives_up_at,
            placed_times: None,
            placed_zone: None,
            tasks: tasks.collect(),
            offer: None,
            assignment: None,
            escalated: None,
            cooling: Vec::new(),
            settled_at: None,
            ended_because: None,
        }
    }
}

/// Whether a seller had to confirm at first.
fn awaits_sellers(tasks: &[Task]) -> bool {
    tasks.iter().any(|task| task.confirm_by.is_some())
}

/// A pickup with a deadline awaits its seller; the door awaits all of them.
fn first_status(task: &Task, awaits: bool) -> TaskStatus {
    match task.kind {
        TaskKind::Delivery if awaits => TaskStatus::AwaitingConfirmation,
        TaskKind::Pickup if task.confirm_by.is_some() => TaskStatus::AwaitingConfirmation,
        _ => TaskStatus::Open,
    }
}

fn is_untouched(task: &Task, awaits: bool) -> bool {
    task.kind != TaskKind::Return
        && task.status == first_status(task, awaits)
        && task.wrong_codes == 0
        && task.wrong_commands.is_empty()
        && task.locked_until.is_none()
        && task.departure.is_none()
        && task.arrived_at.is_none()
        && task.done_at.is_none()
        && task.proof.is_none()
}
