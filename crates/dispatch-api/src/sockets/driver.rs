//! A driver's socket: follows their stream and takes their commands.
//!
//! A position goes from the frame into the driver's slot, with no queue and no actor in between; those that came in
//! together go there together. Commands are done
//! one after the other while the socket goes on reading, so that a slow commit does not make a driver look silent.

use std::sync::Arc;
use std::time::Duration;

use posthaste_domain::Timestamp;
use posthaste_domain::position::{Report, Taken};
use posthaste_http::idempotency::is_sound;
use posthaste_live::Slot;
use posthaste_live::presence::LastTaken;
use posthaste_live::streams::Frame;
use posthaste_protocol::drivers::{PositionReport, PositionsTaken};
use posthaste_protocol::problem::Problem;
use posthaste_protocol::socket::{Ack, ClientMessage, ServerMessage, close};
use posthaste_protocol::trace::TraceParent;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::command::{Job, Outcome, Work};
use super::end::End;
use super::handshake::Upgraded;
use super::inbox::Inbox;
use super::line::{Heard, Line};
use super::position::Position;
use super::session::{Session, again};
use crate::drivers::positions::read_report;

/// How long commands may go on when the server goes away.
const LAST_COMMANDS: Duration = Duration::from_secs(3);

impl Session {
    /// Runs a driver's socket, to its end. What they command follows `after`, where their device said so.
    pub(super) async fn drive(mut self, upgraded: Upgraded, slot: Arc<dyn Slot>, after: Option<TraceParent>) {
        let longest = self.app.limits().socket.frame_bytes as usize;
        let mut line = self.line(upgraded, longest);
        let end = match self.greet(&mut line).await {
            Ok(()) => self.serve(&mut line, &*slot, after).await,
            Err(end) => end,
        };
        let span = tracing::info_span!("driver", driver = %slot.driver());
        span.in_scope(|| end.note(self.id, self.path));
        line.end(end).await;
    }

    async fn serve(&mut self, line: &mut Line, slot: &dyn Slot, after: Option<TraceParent>) -> End {
        slot.heartbeat();
        let mut work = Work::new(self.app.clone(), slot.driver(), self.id, after);
        let mut frames: Vec<Frame> = Vec::new();
        let mut timer = std::pin::pin!(sleep_until(self.next_check()));
        loop {
            let step = tokio::select! {
                heard = line.hear() => match heard {
                    Ok(()) => match self.take_all(line, slot, &mut work) {
                        Ok(()) => line.flush().await,
                        Err(end) => Err(end),
                    },
                    Err(end) => Err(end),
                },
                brought = self.stream.next(&mut frames) => match brought {
                    Ok(()) => line.write(&mut frames).await,
                    Err(closed) => Err(closed.into()),
                },
                outcome = work.done(), if work.is_busy() => answer(line, outcome).await,
                () = self.login.revoked() => Err(End::LoginEnded),
                () = &mut timer => self.check().map(|next| timer.as_mut().reset(next)),
            };
            if let Err(end) = step {
                if end.said().is_some_and(|(code, _)| code == close::GOING_AWAY) {
                    finish(line, &mut work).await;
                }
                return end;
            }
        }
    }

    /// Takes what came in. Its positions are in the slot when this returns; answers are said, not written.
    fn take_all(&mut self, line: &mut Line, slot: &dyn Slot, work: &mut Work) -> Result<(), End> {
        let mut inbox = line.lend();
        let mut burst = Burst { now: self.app.clock().now(), slot, reports: Vec::new() };
        let taken = self.take_from(&mut inbox, line, &mut burst, work);
        burst.report();
        line.give_back(inbox);
        taken
    }

    fn take_from(
        &mut self,
        inbox: &mut Inbox,
        line: &mut Line,
        burst: &mut Burst<'_>,
        work: &mut Work,
    ) -> Result<(), End> {
        let arrived = Instant::now();
        let may_report = self.rights.allow_kind("position");
        while let Some(heard) = line.pick(inbox)? {
            self.noted_at(line, arrived)?;
            let Heard::Text(text) = heard else { continue };
            if may_report && let Some(position) = Position::read(text) {
                burst.place(line, position.id, &position.data);
                continue;
            }
            self.take(line, burst, work, text);
        }
        Ok(())
    }

    fn take(&mut self, line: &mut Line, burst: &mut Burst<'_>, work: &mut Work, text: &str) {
        burst.slot.heartbeat();
        if posthaste_protocol::problem::holds_nul(text.as_bytes()) {
            let problem = Problem::new(posthaste_protocol::problem::Code::Malformed)
                .detail("no text may hold the character U+0000");
            return line.say(&ServerMessage::Error(problem), None);
        }
        let Some((header, message)) = self.read(line, text) else { return };
        let id = header.id.as_deref();
        if id.is_some_and(|id| !is_sound(id)) {
            let problem = Problem::invalid("id", "must be 1 to 255 visible ASCII characters");
            return line.say(&ServerMessage::Error(problem), None);
        }
        match &message {
            ClientMessage::Hello(_) => return again(line, id),
            ClientMessage::Heartbeat(_) => return self.acknowledge(line, id),
            ClientMessage::Token(new) => return self.renew(line, id, new),
            ClientMessage::Position(report) => return burst.place(line, id, report),
            _ => {}
        }
        // What comes after a position finds it in the slot.
        burst.report();
        let most = self.app.limits().socket.batch_positions;
        let taken = match Job::read(message, most) {
            Ok(Some(job)) => work.take(header.id.clone(), job),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = taken {
            line.say(&ServerMessage::Error(failure.into_problem()), header.id.as_deref());
        }
    }
}

/// Positions that came in together.
struct Burst<'a> {
    /// When they did.
    now: Timestamp,
    slot: &'a dyn Slot,
    /// Those that are not in the slot yet.
    reports: Vec<Report>,
}

impl Burst<'_> {
    /// Takes a position. Answered where it has an id, or is wrong.
    fn place(&mut self, line: &mut Line, id: Option<&str>, given: &PositionReport) {
        match read_report(given) {
            Ok(report) => self.reports.push(report),
            Err((field, problem)) => {
                self.slot.report_no_place();
                let problem = Problem::invalid(format!("data.{field}"), problem);
                return line.say(&ServerMessage::Error(problem), id);
            }
        }
        if id.is_some() {
            let ack = self.report().map_or_else(|| Ack::new(false, Some(self.now)), |taken| told(taken, self.now));
            line.say(&ServerMessage::Ack(ack), id);
        }
    }

    /// Puts them into the slot; what became of the last of them.
    fn report(&mut self) -> Option<LastTaken> {
        if self.reports.is_empty() {
            return None;
        }
        let taken = self.slot.report(&self.reports, self.now);
        self.reports.clear();
        taken
    }
}

/// The answer to a position: how it was taken where that is not plain.
fn told(LastTaken { last, clock_behind }: LastTaken, now: Timestamp) -> Ack {
    let is_believed = matches!(last, Taken::Believed { .. });
    let is_plain = is_believed && clock_behind.is_none();
    let positions = (!is_plain).then(|| Box::new(PositionsTaken::of(&[last], clock_behind)));
    Ack { positions, ..Ack::new(is_believed, Some(now)) }
}

/// A refusal is always said; that something is done only to those who gave it a name.
async fn answer(line: &mut Line, outcome: Outcome) -> Result<(), End> {
    let message = match outcome.answer {
        Ok(_) if outcome.id.is_none() => return Ok(()),
        Ok(ack) => ServerMessage::Ack(ack),
        Err(problem) => ServerMessage::Error(*problem),
    };
    line.say(&message, outcome.id.as_deref());
    line.flush().await
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
