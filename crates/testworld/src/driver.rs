//! What a test driver does next: a function of the time, where they are, and their work. They remember nothing, so
//! that a restart in the middle of a way changes nothing.

use posthaste_domain::ids::{DriverId, OfferId, TaskId};
use posthaste_domain::order::{FailReason, Order, Task, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_live::drivers::{DriverCommand, Work};

use crate::script::Script;
use crate::way;

/// Time at a stop at least and at most, in milliseconds: long enough to be seen.
const STAY_MS: std::ops::RangeInclusive<i64> = 1_000..=10_000;

/// What they do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Takes the offer.
    Accept(OfferId),
    /// Leaves it to others.
    Decline(OfferId),
    /// Sets out for a task.
    Depart(TaskId),
    /// Goes on towards a place.
    Ride(Place),
    /// Is there.
    Arrive(TaskId),
    /// Has it done.
    Complete {
        /// The task.
        task: TaskId,
        /// Its kind.
        kind: TaskKind,
        /// The code that they are told there.
        code: Option<String>,
    },
    /// Cannot do it.
    Fail(TaskId, FailReason),
    /// Nothing yet.
    Wait,
}

impl Step {
    /// What they ask for, if it is something that is asked for.
    pub(crate) fn command(&self) -> Option<DriverCommand> {
        Some(match self.clone() {
            Self::Accept(offer) => DriverCommand::Accept(offer),
            Self::Decline(offer) => DriverCommand::Decline(offer),
            Self::Depart(task) => DriverCommand::Depart(task),
            Self::Arrive(task) => DriverCommand::Arrive(task),
            Self::Complete { task, kind, code } => DriverCommand::Complete { task, kind, code, proof: None },
            Self::Fail(task, reason) => {
                let note = Some("as the order's reference asks".to_owned());
                DriverCommand::Fail { task, reason, note }
            }
            Self::Ride(_) | Self::Wait => return None,
        })
    }
}

/// The next step. `waiting`: pickups of orders that nobody has; who has nothing to do rides to the nearest.
pub(crate) fn next(driver: DriverId, now: Timestamp, place: Option<Place>, work: &Work, waiting: &[Place]) -> Step {
    if let Some((order, offer)) = work.offered.iter().find_map(|order| Some((order, order.offer?))) {
        let declines = Script::of(order) == Script::NoDriver;
        return if declines { Step::Decline(offer.id) } else { Step::Accept(offer.id) };
    }
    let first = posthaste_live::views::route(driver, work).stops.into_iter().next();
    let found = first.and_then(|stop| {
        let order = work.in_hand.iter().find(|order| order.id == stop.order_id)?;
        Some((order, order.task(stop.task.id)?))
    });
    match found {
        Some((order, task)) => at_work(now, place.unwrap_or(task.place), order, task),
        None => place.map_or(Step::Wait, |place| idle(place, waiting)),
    }
}

fn at_work(now: Timestamp, place: Place, order: &Order, task: &Task) -> Step {
    let opens = task.window.map_or(now, |window| window.start());
    match task.status {
        TaskStatus::Assigned if opens - way::takes(place, task.place) > now => Step::Wait,
        TaskStatus::Assigned => Step::Depart(task.id),
        TaskStatus::EnRoute if !way::is_there(place, task.place) => Step::Ride(task.place),
        TaskStatus::EnRoute => Step::Arrive(task.id),
        TaskStatus::Arrived => hand_over(now, opens, order, task),
        _ => Step::Wait,
    }
}

fn hand_over(now: Timestamp, opens: Timestamp, order: &Order, task: &Task) -> Step {
    let done = task.arrived_at.unwrap_or(now) + stay(task);
    let is_locked = task.locked_until.is_some_and(|until| until > now);
    if now < done || now < opens || is_locked {
        return Step::Wait;
    }
    match Script::of(order).failure_at(task.kind) {
        Some(reason) => Step::Fail(task.id, reason),
        None => {
            let code = task.code.as_ref().map(|code| code.digits().to_owned());
            Step::Complete { task: task.id, kind: task.kind, code }
        }
    }
}

/// How long they stay at a stop.
fn stay(task: &Task) -> Span {
    #[expect(clippy::cast_possible_truncation, reason = "an hour of milliseconds fits")]
    let stay = (f64::from(task.service_seconds) * 1000.0 / way::FASTER) as i64;
    Span::milliseconds(stay.clamp(*STAY_MS.start(), *STAY_MS.end()))
}

fn idle(place: Place, waiting: &[Place]) -> Step {
    let nearest = waiting.iter().min_by(|a, b| place.meters_to(**a).total_cmp(&place.meters_to(**b)));
    match nearest {
        Some(pickup) if !way::is_there(place, *pickup) => Step::Ride(*pickup),
        _ => Step::Wait,
    }
}
