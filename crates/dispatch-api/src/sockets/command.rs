//! A driver's messages, and how what they command is done: one after the other, while their socket goes on reading.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use posthaste_domain::ids::{DriverId, SessionId, TaskId};
use posthaste_domain::order::TaskKind;
use posthaste_domain::party::Party;
use posthaste_domain::position::Report;
use posthaste_http::problem::Answer;
use posthaste_live::drivers::{DriverCommand, ShiftChange};
use posthaste_live::{Cause, Refused};
use posthaste_protocol::orders::CompleteTask;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::socket::{Ack, ClientMessage, TaskDone};
use posthaste_protocol::trace::TraceParent;
use tracing::Instrument;

use crate::Dispatch;
use crate::drivers::positions::{received, reports};
use crate::drivers::work::{complete, read_shift};
use crate::refusals::problem;
use crate::texts;

/// What a driver's message asks to be done.
#[derive(Debug)]
pub(super) enum Job {
    /// Something about an offer or a task.
    Command(DriverCommand),
    /// A shift change.
    Shift(ShiftChange),
    /// The stop that comes next, or that none has to.
    Next(Option<TaskId>),
    /// Positions to be stored.
    Positions(Vec<Option<Report>>),
}

impl Job {
    /// Reads a command; `None` for messages that are none (`hello`, `heartbeat`, `token`, `position`).
    pub(super) fn read(message: ClientMessage, most_positions: u32) -> Answer<Option<Self>> {
        let command = match message {
            ClientMessage::Hello(_)
            | ClientMessage::Heartbeat(_)
            | ClientMessage::Token(_)
            | ClientMessage::Position(_) => return Ok(None),
            ClientMessage::Shift(view) => {
                return Ok(Some(Self::Shift(read_shift(view)?)));
            }
            ClientMessage::DoNext(task) => return Ok(Some(Self::Next(Some(task.task_id)))),
            ClientMessage::UndoNext(_) => return Ok(Some(Self::Next(None))),
            ClientMessage::Positions(batch) => return Ok(Some(Self::Positions(reports(&batch, most_positions)?))),
            ClientMessage::Accept(answer) => DriverCommand::Accept(answer.offer_id),
            ClientMessage::Decline(answer) => DriverCommand::Decline(answer.offer_id),
            ClientMessage::Departed(task) => DriverCommand::Depart(task.task_id),
            ClientMessage::Arrived(task) => DriverCommand::Arrive(task.task_id),
            ClientMessage::PickedUp(done) => completed(done, TaskKind::Pickup)?,
            ClientMessage::Delivered(done) => completed(done, TaskKind::Delivery)?,
            ClientMessage::Returned(done) => completed(done, TaskKind::Return)?,
            ClientMessage::Failed(failed) => {
                texts::note("note", failed.note.as_deref())?;
                DriverCommand::Fail { task: failed.task_id, reason: failed.reason, note: failed.note }
            }
        };
        Ok(Some(Self::Command(command)))
    }

    /// Does it. Answered after the commit.
    async fn perform(self, app: Dispatch, driver: DriverId, id: Option<String>, cause: Cause) -> Result<Ack, Refused> {
        let live = app.live();
        match self {
            Self::Command(command) => {
                let done = live.command_driver(driver, command, id, cause).await?;
                Ok(Ack::new(done.changed, Some(done.at)))
            }
            Self::Shift(change) => {
                let (_, changed, at) = live.change_shift(driver, change, cause).await?;
                Ok(Ack::new(changed, Some(at)))
            }
            Self::Next(task) => {
                let chosen = live.choose_next(driver, task, cause).await?;
                Ok(Ack { late: chosen.late, ..Ack::new(chosen.changed, Some(chosen.at)) })
            }
            Self::Positions(reports) => {
                let outcome = live.positions(driver, reports).await?;
                Ok(received(outcome, app.clock().now()))
            }
        }
    }
}

fn completed(done: TaskDone, kind: TaskKind) -> Answer<DriverCommand> {
    complete(done.task_id, kind, CompleteTask { code: done.code, proof: done.proof })
}

/// What became of a command.
pub(super) struct Outcome {
    /// The command's id.
    pub(super) id: Option<String>,
    /// The answer.
    pub(super) answer: Result<Ack, Box<Problem>>,
}

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One driver's commands: one is being done, the others wait. Costs nothing while there is nothing to do.
pub(super) struct Work {
    app: Dispatch,
    driver: DriverId,
    session: SessionId,
    /// The step of a trace that the commands follow; without one, each begins a trace.
    after: Option<TraceParent>,
    waiting: VecDeque<(Option<String>, Job)>,
    running: Option<Running>,
}

impl Work {
    pub(super) fn new(app: Dispatch, driver: DriverId, session: SessionId, after: Option<TraceParent>) -> Self {
        Self { app, driver, session, after, waiting: VecDeque::new(), running: None }
    }

    /// Takes a command on, or says that too many wait.
    pub(super) fn take(&mut self, id: Option<String>, job: Job) -> Answer<()> {
        let most = self.app.limits().socket.waiting_commands;
        if self.running.is_none() {
            self.running = Some(self.begin(id, job));
        } else if self.waiting.len() < most {
            self.waiting.push_back((id, job));
        } else {
            let detail = format!("{most} commands wait already: wait for their answers");
            return Err(Problem::new(Code::RateLimited).detail(detail).retry_after(1).into());
        }
        Ok(())
    }

    fn begin(&self, id: Option<String>, job: Job) -> Running {
        let correlation = format!("{}/{}", self.session, id.as_deref().unwrap_or("-"));
        let (span, step) = posthaste_trace::begin(self.after, |trace| {
            tracing::error_span!("command", request_id = correlation, trace_id = trace.map(tracing::field::display))
        });
        let cause = Cause { step: Some(step), ..Cause::new(Party::Driver(self.driver), correlation) };
        let cause = cause.under(id.as_deref());
        let doing = job.perform(self.app.clone(), self.driver, id.clone(), cause);
        Box::pin(async move {
            let answer = doing.instrument(span).await.map_err(|refused| Box::new(problem(refused)));
            Outcome { id, answer }
        })
    }

    /// The outcome of the running command; never, where none runs. Nothing is lost when the wait is given up.
    pub(super) async fn done(&mut self) -> Outcome {
        let Some(running) = self.running.as_mut() else { return std::future::pending().await };
        let outcome = running.await;
        let next = self.waiting.pop_front();
        self.running = next.map(|(id, job)| self.begin(id, job));
        outcome
    }

    /// Whether something is being done.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_driver_is_a_job_and_signs_of_life_are_none() {
        let task = r#"{"task_id":"tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"}"#;
        let failed = r#"{"task_id":"tsk_01jd8v7cjxfm9sxv0q3e0b5z1c","reason":"other"}"#;
        let offer = r#"{"offer_id":"ofr_01jd8v7cjxfm9sxv0q3e0b5z1c"}"#;
        for kind in ClientMessage::KINDS {
            let data = match *kind {
                "hello" | "heartbeat" | "undo_next" => "{}",
                "token" => r#"{"access_token":"x"}"#,
                "shift" => r#"{"state":"offline"}"#,
                "position" => r#"{"lat":1,"lng":1}"#,
                "positions" => r#"{"positions":[{"lat":1,"lng":1}]}"#,
                "accept" | "decline" => offer,
                "failed" => failed,
                _ => task,
            };
            let text = format!(r#"{{"type":"{kind}","data":{data}}}"#);
            let (_, message) = posthaste_protocol::socket::decode_client(&text).unwrap();
            let is_job = Job::read(message, 500).unwrap().is_some();
            assert_eq!(is_job, !["hello", "heartbeat", "token", "position"].contains(kind), "{kind}");
        }
    }
}
