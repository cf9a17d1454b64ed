//! A driver's socket: follows his stream and takes his commands.
//!
//! A position goes from the frame into the driver's slot, with no queue and no actor in between. Commands are done
//! one after the other while the socket goes on reading, so that a slow commit does not make a driver look silent.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use posthaste_http::idempotency::is_sound;
use posthaste_live::presence::Presence;
use posthaste_live::streams::Frame;
use posthaste_protocol::drivers::PositionReport;
use posthaste_protocol::problem::Problem;
use posthaste_protocol::socket::{Ack, ClientMessage, ServerMessage, decode_client};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::command::{Job, Outcome, Position, Work};
use super::line::{End, Heard, Line};
use super::session::{Session, again, closed_by_system, not_understood};
use crate::drivers::positions::fix;

/// How long commands may go on when the server goes away.
const LAST_COMMANDS: Duration = Duration::from_secs(3);

impl Session {
    /// Runs a driver's socket, to its end.
    pub(super) async fn drive(mut self, socket: WebSocket, presence: Arc<Presence>) {
        let mut line = self.line(socket);
        let end = match self.greet(&mut line).await {
            Ok(()) => self.serve(&mut line, &presence).await,
            Err(end) => end,
        };
        tracing::debug!(session = %self.id, driver = %presence.driver(), ?end, "a driver's socket ended");
        line.end(end).await;
    }

    async fn serve(&mut self, line: &mut Line, presence: &Presence) -> End {
        presence.heartbeat();
        let mut work = Work::new(self.app.clone(), presence.driver(), self.id);
        let mut frames: Vec<Frame> = Vec::new();
        let mut timer = std::pin::pin!(sleep_until(self.next_check()));
        loop {
            let step = tokio::select! {
                heard = line.hear() => match heard {
                    Ok(heard) => self.take(line, presence, &mut work, heard).await,
                    Err(end) => Err(end),
                },
                brought = self.stream.next(&mut frames) => match brought {
                    Ok(()) => line.write(&mut frames).await,
                    Err(closed) => Err(closed_by_system(closed)),
                },
                outcome = work.done(), if work.is_busy() => answer(line, outcome).await,
                () = &mut timer => self.check().map(|next| timer.as_mut().reset(next)),
            };
            if let Err(end) = step {
                if end == closed_by_system(posthaste_live::streams::Closed::GoingAway) {
                    finish(line, &mut work).await;
                }
                return end;
            }
        }
    }

    async fn take(&mut self, line: &mut Line, presence: &Presence, work: &mut Work, heard: Heard) -> Result<(), End> {
        self.noted(line).await?;
        let Heard::Text(text) = heard else { return Ok(()) };
        if let Some(position) = Position::read(&text) {
            return self.place(line, presence, position.id, &position.data).await;
        }
        presence.heartbeat();
        if posthaste_protocol::problem::holds_nul(text.as_bytes()) {
            let problem = Problem::new(posthaste_protocol::problem::Code::Malformed)
                .detail("no text may hold the character U+0000");
            return line.say(&ServerMessage::Error(problem), None).await;
        }
        let (header, message) = match decode_client(&text) {
            Ok(read) => read,
            Err(error) => return not_understood(line, error).await,
        };
        let id = header.id.as_deref();
        if id.is_some_and(|id| !is_sound(id)) {
            let problem = Problem::invalid("id", "must be 1 to 255 visible ASCII characters");
            return line.say(&ServerMessage::Error(problem), None).await;
        }
        match &message {
            ClientMessage::Hello(_) => return again(line, id).await,
            ClientMessage::Heartbeat(_) => return self.acknowledge(line, id).await,
            ClientMessage::Position(report) => return self.place(line, presence, id, report).await,
            _ => {}
        }
        let now = self.app.system().clock().now();
        let most = self.app.limits().socket.batch_positions;
        let taken = match Job::read(message, most, now) {
            Ok(Some(job)) => work.take(header.id.clone(), job),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(failure) => line.say(&ServerMessage::Error(failure.into_problem()), header.id.as_deref()).await,
        }
    }

    /// A position is in the slot when this returns. Answered where it has an id, or is wrong.
    async fn place(
        &self,
        line: &mut Line,
        presence: &Presence,
        id: Option<&str>,
        report: &PositionReport,
    ) -> Result<(), End> {
        let now = self.app.system().clock().now();
        let changed = match fix(report, now) {
            Ok(fix) => presence.report(fix),
            Err((field, problem)) => {
                let problem = Problem::invalid(format!("data.{field}"), problem);
                return line.say(&ServerMessage::Error(problem), id).await;
            }
        };
        match id {
            Some(_) => line.say(&ServerMessage::Ack(Ack { changed, at: Some(now) }), id).await,
            None => Ok(()),
        }
    }
}

/// A refusal is always said; that something is done only to those who gave it a name.
async fn answer(line: &mut Line, outcome: Outcome) -> Result<(), End> {
    let message = match outcome.answer {
        Ok(_) if outcome.id.is_none() => return Ok(()),
        Ok(ack) => ServerMessage::Ack(ack),
        Err(problem) => ServerMessage::Error(*problem),
    };
    line.say(&message, outcome.id.as_deref()).await
}

/// Commands that were taken are still answered before the good-bye.
async fn finish(line: &mut Line, work: &mut Work) {
    let until = Instant::now() + LAST_COMMANDS;
    while work.is_busy() {
        let Ok(outcome) = timeout_at(until, work.done()).await else { return };
        if answer(line, outcome).await.is_err() {
            return;
        }
    }
}
