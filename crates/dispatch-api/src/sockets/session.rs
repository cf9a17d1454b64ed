//! Greeting and following: what all sockets have in common.
//!
//! `welcome`, the client's `hello`, what it missed or a snapshot, then whatever the stream brings. One timer serves
//! the token's end and the client's silence: it is set again only when it fires, not with every message.

use std::sync::Arc;
use std::time::Duration;

use posthaste_domain::ids::SessionId;
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::{Caller, LEEWAY_SECONDS};
use posthaste_http::limits::Pace;
use posthaste_identity::Watch;
use posthaste_live::Refused;
use posthaste_live::streams::{Frame, Subscription};
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::socket::{
    Ack, ClientMessage, Header, Hello, Limits, NewToken, ServerMessage, Welcome, decode_client,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::end::End;
use super::handshake::Upgraded;
use super::holders::{Held, Holder};
use super::inbox::Inbox;
use super::line::{Heard, Line};
use super::misread;
use crate::Dispatch;
use crate::access::Rights;
use crate::refusals::problem;

/// A client is taken for gone after this many heartbeats in silence.
pub const SILENT_HEARTBEATS: u32 = 3;
/// A token that ends later than this is looked at again then.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A connection that is about to begin.
pub(super) struct Session {
    pub(super) app: Dispatch,
    pub(super) stream: Subscription,
    pub(super) id: SessionId,
    /// The route that it was opened on.
    pub(super) path: &'static str,
    /// Whose token it was opened with; tracking links need none.
    party: Option<Party>,
    /// What may be said here.
    pub(super) rights: Rights,
    /// When the token ends; tracking links do not.
    ends: Option<Instant>,
    /// Ends with the login.
    pub(super) login: Watch,
    heard: Instant,
    pace: Pace,
    _seat: OwnedSemaphorePermit,
    _held: Vec<Held>,
}

impl Session {
    pub(super) fn new(
        app: Dispatch,
        stream: Subscription,
        seat: OwnedSemaphorePermit,
        path: &'static str,
        caller: Option<&Caller>,
        holders: impl IntoIterator<Item = (Holder, usize)>,
    ) -> Self {
        let now = Instant::now();
        let ends = caller.map(|caller| end_of(&app, caller.expires_at));
        let login = caller.map_or_else(Watch::never, |caller| app.identity().watch(caller));
        let pace = Pace::new(app.limits().socket.messages_per_second, now.into_std());
        let (id, party) = (app.clock().id(), caller.map(|caller| caller.party));
        let rights = Rights::of(caller.map(|caller| caller.role));
        let of_caller = caller.map(|caller| (Holder::of(caller), app.limits().socket.of_one_login));
        let all = of_caller.into_iter().chain(holders);
        let held = all.map(|(holder, most)| app.holders().enter(holder, stream.ender(), most)).collect();
        Self { id, path, app, stream, party, rights, ends, login, heard: now, pace, _seat: seat, _held: held }
    }

    /// Takes a new token, of the same party, so that the connection can go on.
    pub(super) fn renew(&mut self, line: &mut Line, id: Option<&str>, new: &NewToken) {
        let renewed = self.app.identity().admit_login(new.access_token.expose()).and_then(|caller| {
            let may_work = caller.login().is_none_or(|proof| proof.may_work);
            if Some(caller.party) == self.party && may_work && caller.world() == self.app.world() {
                return Ok(caller);
            }
            Err(Problem::new(Code::Forbidden).detail("the connection belongs to somebody else").into())
        });
        let answer = match renewed {
            Ok(caller) => {
                self.ends = Some(end_of(&self.app, caller.expires_at));
                self.login = self.app.identity().watch(&caller);
                ServerMessage::Ack(Ack::new(true, Some(self.app.clock().now())))
            }
            // The old token goes on as long as it did.
            Err(failure) => ServerMessage::Error(failure.into_problem()),
        };
        line.say(&answer, id);
    }

    /// Runs a socket that only reads, to its end.
    pub(super) async fn follow(mut self, upgraded: Upgraded) {
        let mut line = self.line(upgraded, super::FRAME_OF_READERS);
        // What is seldom done is boxed: an idle socket does not carry room for it.
        let end = match Box::pin(self.greet(&mut line)).await {
            Ok(()) => self.watch(&mut line).await,
            Err(end) => end,
        };
        end.note(self.id, self.path);
        Box::pin(line.end(end)).await;
    }

    pub(super) fn line(&self, upgraded: Upgraded, longest: usize) -> Line {
        let line = Line::new(upgraded, longest, self.app.limits().socket.write_stall);
        self.stream.attach(line.wire());
        line
    }

    /// Welcome, hello, and the first frames.
    pub(super) async fn greet(&mut self, line: &mut Line) -> Result<(), End> {
        line.say(&ServerMessage::Welcome(self.welcome()), None);
        line.flush().await?;
        // A login may be ended before the hello, and while the snapshot is made: nothing is told to it any more.
        let (mut login, queue) = (self.login.clone(), Arc::clone(self.stream.queue()));
        let begun = tokio::select! {
            biased;
            () = login.revoked() => return Err(End::LoginEnded),
            // Another took its place: nobody waits for its hello.
            why = queue.ended() => return Err(why.into()),
            // Boxed: snapshots are made by large futures that would stay in the size of this one.
            begun = Box::pin(self.begin(line)) => begun?,
        };
        match begun {
            Ok(mut frames) => line.write(&mut frames).await,
            Err(refused) => {
                let end = match refused {
                    Refused::NotFound(_) => End::NothingToFollow,
                    _ => End::CannotBegin,
                };
                line.say(&ServerMessage::Error(problem(refused)), None);
                Err(end)
            }
        }
    }

    /// The hello, and what the stream makes of it.
    async fn begin(&mut self, line: &mut Line) -> Result<Result<Vec<Frame>, Refused>, End> {
        let within = self.app.limits().socket.hello_within;
        let Ok(hello) = tokio::time::timeout(within, self.await_hello(line)).await else {
            return Err(End::NoHello);
        };
        Ok(self.stream.begin(hello?).await.map_err(Refused::from))
    }

    fn welcome(&self) -> Welcome {
        let limits = &self.app.limits().socket;
        Welcome {
            session: self.id,
            epoch: self.stream.epoch().to_owned(),
            seq: self.stream.seq(),
            heartbeat_seconds: u32::try_from(limits.heartbeat.as_secs()).unwrap_or(u32::MAX).max(1),
            clock: crate::clock::view(&self.app),
            limits: Limits {
                frame_bytes: limits.frame_bytes,
                batch_positions: limits.batch_positions,
                messages_per_second: limits.messages_per_second,
            },
        }
    }

    async fn await_hello(&mut self, line: &mut Line) -> Result<Hello, End> {
        loop {
            line.hear().await?;
            let mut inbox = line.lend();
            let read = self.find_hello(line, &mut inbox);
            line.give_back(inbox);
            let hello = read?;
            line.flush().await?;
            if let Some(hello) = hello {
                return Ok(hello);
            }
        }
    }

    fn find_hello(&mut self, line: &mut Line, inbox: &mut Inbox) -> Result<Option<Hello>, End> {
        while let Some(heard) = line.pick(inbox)? {
            self.noted(line)?;
            let Heard::Text(text) = heard else { continue };
            match self.read(line, text) {
                Some((_, ClientMessage::Hello(hello))) => return Ok(Some(hello)),
                Some((_, ClientMessage::Heartbeat(_))) | None => {}
                Some((header, _)) => {
                    let early = Problem::new(Code::Conflict).detail("say hello first");
                    line.say(&ServerMessage::Error(early), header.id.as_deref());
                }
            }
        }
        Ok(None)
    }

    /// Reads a message that may be said here. What is none, or may not be said by whom the socket belongs to, is
    /// answered: nothing is done before the table was asked.
    pub(super) fn read(&self, line: &mut Line, text: &str) -> Option<(Header, ClientMessage)> {
        match decode_client(text) {
            Ok((header, message)) if self.rights.allow(&message) => match misread::stray_list(text, &message) {
                None => Some((header, message)),
                Some(problem) => {
                    line.say(&ServerMessage::Error(problem), header.id.as_deref());
                    None
                }
            },
            Ok((header, message)) => {
                let detail = format!("this socket takes no `{}`", message.kind());
                let refusal = ServerMessage::Error(Problem::new(Code::Forbidden).detail(detail));
                line.say(&refusal, header.id.as_deref());
                None
            }
            Err(error) => {
                let (id, problem) = misread::problem(text, error);
                line.say(&ServerMessage::Error(problem), id.as_deref());
                None
            }
        }
    }

    /// Writes what the stream brings until something ends it.
    async fn watch(&mut self, line: &mut Line) -> End {
        let mut frames: Vec<Frame> = Vec::new();
        let mut timer = std::pin::pin!(sleep_until(self.next_check()));
        loop {
            let step = tokio::select! {
                heard = line.hear() => match heard {
                    Ok(()) => match self.listen(line) {
                        Ok(()) => line.flush().await,
                        Err(end) => Err(end),
                    },
                    Err(end) => Err(end),
                },
                brought = self.stream.next(&mut frames) => match brought {
                    Ok(()) => line.write(&mut frames).await,
                    Err(closed) => Err(closed.into()),
                },
                () = self.login.revoked() => Err(End::LoginEnded),
                () = &mut timer => self.check().map(|next| timer.as_mut().reset(next)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Messages on a socket that only reads.
    fn listen(&mut self, line: &mut Line) -> Result<(), End> {
        let mut inbox = line.lend();
        let listened = loop {
            match line.pick(&mut inbox) {
                Ok(None) => break Ok(()),
                Ok(Some(heard)) => {
                    if let Err(end) = self.listen_to(line, &heard) {
                        break Err(end);
                    }
                }
                Err(end) => break Err(end),
            }
        };
        line.give_back(inbox);
        listened
    }

    fn listen_to(&mut self, line: &mut Line, heard: &Heard<'_>) -> Result<(), End> {
        self.noted(line)?;
        let Heard::Text(text) = heard else { return Ok(()) };
        let Some((header, message)) = self.read(line, text) else { return Ok(()) };
        let id = header.id.as_deref();
        match message {
            ClientMessage::Heartbeat(_) => self.acknowledge(line, id),
            ClientMessage::Token(new) => self.renew(line, id, &new),
            ClientMessage::Hello(_) => again(line, id),
            // Of those who follow, nobody commands.
            message => {
                tracing::error!(kind = message.kind(), "the table lets this in, and nobody does it");
                line.say(&ServerMessage::Error(Problem::new(Code::Forbidden)), id);
            }
        }
        Ok(())
    }

    /// A sign of life that asks to be answered is answered.
    pub(super) fn acknowledge(&self, line: &mut Line, id: Option<&str>) {
        if id.is_some() {
            let at = Some(self.app.clock().now());
            line.say(&ServerMessage::Ack(Ack::new(false, at)), id);
        }
    }

    /// Notes that something came in, and refuses what comes too fast.
    pub(super) fn noted(&mut self, line: &mut Line) -> Result<(), End> {
        self.noted_at(line, Instant::now())
    }

    /// The same for what came in together with others, whose instant is known.
    pub(super) fn noted_at(&mut self, line: &mut Line, now: Instant) -> Result<(), End> {
        self.heard = now;
        if self.pace.take(now.into_std()) {
            return Ok(());
        }
        let most = self.app.limits().socket.messages_per_second;
        let problem = Problem::new(Code::RateLimited).detail(format!("at most {most} messages a second"));
        line.say(&ServerMessage::Error(problem.retry_after(1)), None);
        Err(End::TooManyMessages)
    }

    /// When silence or the token's end may be due next.
    pub(super) fn next_check(&self) -> Instant {
        let silent = self.heard + self.app.limits().socket.heartbeat * SILENT_HEARTBEATS;
        self.ends.map_or(silent, |ends| ends.min(silent))
    }

    /// Ends the session where silence or the token's end is due; otherwise says when to look again.
    pub(super) fn check(&self) -> Result<Instant, End> {
        let now = Instant::now();
        if self.ends.is_some_and(|ends| ends <= now) {
            return Err(End::TokenExpired);
        }
        let next = self.next_check();
        if next <= now { Err(End::Silent) } else { Ok(next) }
    }
}

fn end_of(app: &Dispatch, expires_at: Timestamp) -> Instant {
    let end = expires_at.checked_add_signed(Span::seconds(LEEWAY_SECONDS)).unwrap_or(expires_at);
    Instant::now() + (end - app.clock().wall()).to_std().unwrap_or_default().min(LONGEST_WAIT)
}

/// `hello` belongs to the beginning.
pub(super) fn again(line: &mut Line, id: Option<&str>) {
    let problem = Problem::new(Code::Conflict).detail("hello comes once, first");
    line.say(&ServerMessage::Error(problem), id);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: impl Fn(Session, Upgraded) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_socket_is_a_small_task() {
        let size = size_of_future(Session::follow);
        assert!(size <= 2048, "{size} bytes");
    }
}
