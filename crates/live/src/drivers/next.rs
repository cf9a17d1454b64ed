//! The stop that a driver does next, because they said so.
//!
//! It is kept in their row, as other things are planned around it: after a restart of their actor or of the server the next
//! plan must not send them elsewhere. It counts while the task is open and theirs, so nothing has to be stored when it ends.

use std::collections::BTreeSet;

use posthaste_domain::ids::{OrderId, TaskId};
use posthaste_domain::order::{Order, Rejected, Task, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{TravelModel, VehicleSpeed};
use posthaste_matching::Stop;
use posthaste_storage::drivers::DriverEvent;
use ractor::ActorProcessingErr;
use serde::{Deserialize, Serialize};

use super::actor::{DriverActor, DriverState};
use crate::door::Reply;
use crate::zones::stop_view;
use crate::{Cause, Refused};

/// What became of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextChosen {
    /// False when it stood so before.
    pub changed: bool,
    /// When.
    pub at: Timestamp,
    /// Orders whose promise it breaks, as far as can be said before the route is planned anew.
    pub late: Vec<OrderId>,
}

impl DriverActor {
    pub(super) async fn on_next(
        &self,
        state: &mut DriverState,
        task: Option<TaskId>,
        cause: Cause,
        reply: Reply<NextChosen>,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.doors.clock.now();
        let refused = task.and_then(|task| state.may_choose(task).err());
        let stands = state.chosen().map(|(_, chosen)| chosen.id) == task;
        // What was done before is answered as done, also where it cannot be done any more.
        let may_be_repeated = refused.is_some() || !stands;
        if let Some(at) = self.done_before(state, may_be_repeated, &cause).await? {
            let _ = reply.send(Ok(NextChosen { changed: false, at, late: Vec::new() }));
            return Ok(());
        }
        if let Some(refused) = refused {
            let _ = reply.send(Err(refused));
            return Ok(());
        }
        if stands {
            let _ = reply.send(Ok(NextChosen { changed: false, at: now, late: Vec::new() }));
            return Ok(());
        }
        let before = self.missed(state, now);
        let event = DriverEvent::NextChosen { task, command: cause.command() };
        if let Err(refused) = self.store(state, |driver| driver.next_task = task, event, &cause, now).await {
            let _ = reply.send(Err(refused));
            return Ok(());
        }
        let late = self.missed(state, now).difference(&before).copied().collect();
        self.publish(state);
        self.show_route(state);
        let _ = reply.send(Ok(NextChosen { changed: true, at: now, late }));
        Ok(())
    }

    /// Orders in hand that come after their promise if the stops are done as they stand.
    fn missed(&self, state: &DriverState, now: Timestamp) -> BTreeSet<OrderId> {
        let work = state.work();
        let from = state.presence.newest().map(|fix| fix.place);
        let stops = work.open_stops();
        let Some((first, _)) = stops.first() else { return BTreeSet::new() };
        let Some(travel) = self.doors.zones.cell(first.zone).map(|cell| cell.travel(now)) else {
            return BTreeSet::new();
        };
        let learned = &self.doors.learned;
        let stops: Vec<Planned> = stops
            .into_iter()
            .map(|(order, task)| Planned { order, task, stop: stop_view(order, task, learned, now) })
            .collect();
        missed(&stops, from, now, |from, to| i64::from(travel.seconds(from, to, VehicleSpeed::default())))
    }
}

impl DriverState {
    /// Whether they may do this stop next.
    fn may_choose(&self, task: TaskId) -> Result<(), Refused> {
        if let Some(order) = self.with_task(task) {
            return Ok(order.due_task(self.driver.id, task).map(drop)?);
        }
        match self.settled.iter().find(|o| o.task(task).is_some()) {
            Some(order) => Err(Rejected::Ended(order.status()).into()),
            None => Err(Refused::NotFound("task".into())),
        }
    }

    /// The stop that they said they do next, while it is open and theirs.
    pub(super) fn chosen(&self) -> Option<(&Order, &Task)> {
        let task = self.driver.next_task?;
        let mut theirs = self.orders.values().filter(|o| o.offer.is_none());
        theirs.find_map(|order| order.due_task(self.driver.id, task).ok().map(|task| (&**order, task)))
    }
}

/// A stop with the times that plans reckon with.
struct Planned<'a> {
    order: &'a Order,
    task: &'a Task,
    stop: Stop,
}

/// Which orders are handed over after their promise when stops are done in this order.
fn missed(
    stops: &[Planned<'_>],
    from: Option<Place>,
    now: Timestamp,
    way: impl Fn(Place, Place) -> i64,
) -> BTreeSet<OrderId> {
    let (mut at, mut place) = (now, from);
    let mut missed = BTreeSet::new();
    for Planned { order, task, stop } in stops {
        let is_there = task.status == TaskStatus::Arrived || place == Some(stop.place);
        if let Some(from) = place.filter(|_| !is_there) {
            at += Span::seconds(way(from, stop.place));
        }
        if task.kind == TaskKind::Delivery && at > order.promised_at {
            missed.insert(order.id);
        }
        at = stop.ready_at.map_or(at, |ready| at.max(ready));
        // Several things done at one place are one visit.
        if place != Some(stop.place) || task.status == TaskStatus::Arrived {
            at += stop.service;
        }
        place = Some(stop.place);
    }
    missed
}
