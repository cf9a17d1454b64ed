//! What a driver asks for about their work: the order in question is found, asked, and answers them itself.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OfferId, OrderId, TaskId};
use posthaste_domain::order::{Command, Order, Rejected};
use tracing::Instrument;

use super::DriverCommand;
use super::actor::{DriverActor, DriverState};
use crate::door::Reply;
use crate::orders::{Done, OrderMsg};
use crate::{Cause, Refused};

impl DriverActor {
    pub(super) fn on_command(
        &self,
        state: &DriverState,
        command: DriverCommand,
        command_id: Option<String>,
        cause: Cause,
        reply: Reply<Done>,
    ) {
        let driver = self.id;
        let now = self.doors.clock.now();
        let found = match &command {
            DriverCommand::Accept(offer) | DriverCommand::Decline(offer) => {
                match state.offered(*offer, matches!(command, DriverCommand::Decline(_))) {
                    Ok(order) => Ok(order),
                    Err(answer) => {
                        let _ = reply.send(answer);
                        return;
                    }
                }
            }
            DriverCommand::Depart(task)
            | DriverCommand::Arrive(task)
            | DriverCommand::Complete { task, .. }
            | DriverCommand::Fail { task, .. } => state.with_task(*task).ok_or(*task),
        };
        let order = match found {
            Ok(order) => order,
            Err(task) => {
                self.ask_stored(task, command, command_id, cause, reply);
                return;
            }
        };
        let cool_until = now + self.doors.zones.rules(order.zone).cool_down_span();
        if let Some(refused) = wrong_kind(&order, &command) {
            let _ = reply.send(Err(refused));
            return;
        }
        let command = to_order(command, driver, command_id, cool_until);
        self.ask_order(order.id, command, cause, reply);
    }

    /// Has the order answer the caller itself: from its actor, or, where that has ended, from what is stored.
    pub(super) fn ask_order(&self, order: OrderId, command: Command, cause: Cause, reply: Reply<Done>) {
        let message = OrderMsg::Command { command: Box::new(command), cause, decision: None, reply: Some(reply) };
        let Err(returned) = self.doors.orders.door.tell(order, message) else { return };
        let OrderMsg::Command { command, cause, reply: Some(reply), .. } = *returned else { return };
        let doors = Arc::clone(&self.doors);
        let span = cause.span();
        let asking = async move {
            let _ = reply.send(doors.orders.command(order, *command, cause).await);
        };
        self.doors.world.beside(asking.instrument(span));
    }

    /// The task belongs to no order in hand: perhaps one that has been settled since. The door knows, or Postgres.
    fn ask_stored(
        &self,
        task: TaskId,
        command: DriverCommand,
        command_id: Option<String>,
        cause: Cause,
        reply: Reply<Done>,
    ) {
        let (doors, driver) = (Arc::clone(&self.doors), self.id);
        let cool_until = doors.clock.now();
        let span = cause.span();
        let asking = async move {
            let answer = match doors.order_of_task(task).await {
                Ok(Some(order)) => match wrong_kind(&order, &command) {
                    Some(refused) if order.assignment.is_some_and(|theirs| theirs.driver == driver) => Err(refused),
                    // What kind of task it is, is told to nobody else either.
                    Some(_) => Err(Refused::NotFound("task".into())),
                    None => {
                        let command = to_order(command, driver, command_id, cool_until);
                        doors.orders.command(order.id, command, cause).await
                    }
                },
                Ok(None) => Err(Refused::NotFound("task".into())),
                Err(refused) => Err(refused),
            };
            let _ = reply.send(match answer {
                // Whose it is shall not be told to those who do not have it.
                Err(Refused::Order(Rejected::NotYours)) => Err(Refused::NotFound("task".into())),
                other => other,
            });
        };
        self.doors.world.beside(asking.instrument(span));
    }
}

impl DriverState {
    /// The order that is offered, or what to answer: an offer accepted or declined before is answered as then.
    fn offered(&self, offer: OfferId, declining: bool) -> Result<Arc<Order>, Result<Done, Refused>> {
        if declining && let Some((_, order)) = self.declined.iter().find(|(id, _)| *id == offer) {
            return Err(Ok(Done { order: Arc::clone(order), changed: false, at: order.placed_at }));
        }
        if let Some(order) = self.orders.values().find(|o| o.offer.is_some_and(|open| open.id == offer)) {
            return Ok(Arc::clone(order));
        }
        let taken = |o: &&Arc<Order>| o.assignment.is_some_and(|a| a.offer == Some(offer));
        match self.orders.values().chain(&self.settled).find(taken) {
            Some(order) if !declining => {
                let at = order.assignment.map_or(order.placed_at, |a| a.at);
                Err(Ok(Done { order: Arc::clone(order), changed: false, at }))
            }
            _ => Err(Err(Rejected::OfferGone.into())),
        }
    }

    pub(super) fn with_task(&self, task: TaskId) -> Option<Arc<Order>> {
        let has = |o: &&Arc<Order>| o.offer.is_none() && o.task(task).is_some();
        self.orders.values().find(has).cloned()
    }
}

fn wrong_kind(order: &Order, command: &DriverCommand) -> Option<Refused> {
    let DriverCommand::Complete { task, kind, .. } = command else { return None };
    let actual = order.task(*task)?.kind;
    (actual != *kind).then_some(Refused::Order(Rejected::TaskNotDue("it is a task of another kind".into())))
}

pub(super) fn to_order(command: DriverCommand, driver: DriverId, id: Option<String>, cool_until: Timestamp) -> Command {
    match command {
        DriverCommand::Accept(offer) => Command::Accept { offer, driver },
        DriverCommand::Decline(offer) => Command::Decline { offer, driver, cool_until, silent: false },
        DriverCommand::Depart(task) => Command::Depart { driver, task },
        DriverCommand::Arrive(task) => Command::Arrive { driver, task },
        DriverCommand::Complete { task, code, proof, .. } => {
            Command::Complete { driver, task, code, proof, command: id }
        }
        DriverCommand::Fail { task, reason, note } => Command::Fail { driver, task, reason, note, cool_until },
    }
}
