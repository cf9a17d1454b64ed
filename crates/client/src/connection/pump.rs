//! The task behind a connection: connects, resumes, reads, sends, and begins again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::socket::{
    Ack, ClientMessage, Header, Heartbeat, Hello, NewToken, ServerMessage, Welcome, close, decode_server,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::counters::add;
use super::dial::{Dialer, NotConnected, Socket};
use super::renewal::{self, Renewal};
use super::session::{End, Session, frame, id, read_welcome, send};
use super::{Event, Request, Shared, SocketOptions};
use crate::backoff::Backoff;
use crate::error::ClientError;

/// A command without an answer yet.
struct Unanswered {
    message: ClientMessage,
    reply: oneshot::Sender<Result<Ack, ClientError>>,
    /// The server was not able to do it: send it again then.
    again_at: Option<Instant>,
}

struct Pump {
    dialer: Dialer,
    options: SocketOptions,
    shared: Arc<Shared>,
    requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::Sender<Event>,
    unanswered: BTreeMap<u64, Unanswered>,
    /// Makes ids of commands unique among all sockets.
    prefix: String,
    number: u64,
    has_connected: bool,
    /// The numbering that `last_seq` belongs to: another one's numbers mean nothing there.
    epoch: Option<String>,
    last_seq: Option<u64>,
    /// A gap came right after resuming: a snapshot is needed.
    start_over: bool,
}

pub(super) async fn run(
    dialer: Dialer,
    options: SocketOptions,
    shared: Arc<Shared>,
    requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::Sender<Event>,
) {
    let prefix = uuid::Uuid::now_v7().simple().to_string();
    let pump = Pump {
        dialer,
        options,
        shared,
        requests,
        events,
        unanswered: BTreeMap::new(),
        prefix,
        number: 0,
        has_connected: false,
        epoch: None,
        last_seq: None,
        start_over: false,
    };
    pump.run().await;
}

impl Pump {
    async fn run(mut self) {
        let mut backoff = Backoff::new(self.options.first_wait, self.options.most_wait);
        loop {
            let (end, welcomed) = match self.dialer.dial(self.options.connect_timeout).await {
                Ok((socket, token)) => {
                    let renewal = Renewal::new(&self.dialer.token, token);
                    self.serve(socket, renewal).await
                }
                Err(NotConnected::Refused(problem)) if self.dialer.is_final(&problem) => {
                    (End::Final { code: None, problem: Some(problem) }, false)
                }
                Err(NotConnected::Refused(problem)) => {
                    let wait = problem.retry_after_seconds.map(|s| Duration::from_secs(u64::from(s)));
                    self.tell(Event::Problem(problem)).await;
                    if self.stay_away(wait.unwrap_or_else(|| backoff.next_wait())).await {
                        return;
                    }
                    continue;
                }
                Err(NotConnected::Unreachable(reason)) => (End::Lost { code: None, reason }, false),
            };
            if welcomed {
                backoff.reset();
            }
            let wait = match end {
                End::Closing => return,
                End::Final { code, problem } => {
                    self.tell(Event::Closed { code, problem }).await;
                    return;
                }
                End::Away(away) => {
                    self.tell(Event::Disconnected { code: None, reason: "no signal".to_owned() }).await;
                    away
                }
                End::Gap => Duration::ZERO,
                End::Lost { code, reason } => {
                    tracing::debug!(url = %self.dialer.url, code, %reason, "connection lost");
                    self.tell(Event::Disconnected { code, reason }).await;
                    backoff.next_wait()
                }
            };
            if self.stay_away(wait).await {
                return;
            }
        }
    }

    /// Waits, taking in commands meanwhile. True when the handle wants no more.
    async fn stay_away(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return false,
                request = self.requests.recv() => match request {
                    None | Some(Request::Close) => return true,
                    Some(Request::LoseSignal(_)) => {}
                    Some(Request::Command { message, reply }) => { self.hold(message, reply); }
                },
            }
        }
    }

    /// Keeps a command until it is answered; its number is its id and its place.
    fn hold(&mut self, message: ClientMessage, reply: oneshot::Sender<Result<Ack, ClientError>>) -> u64 {
        self.number += 1;
        self.unanswered.insert(self.number, Unanswered { message, reply, again_at: None });
        self.number
    }

    async fn tell(&self, event: Event) {
        // An error means that the handle is gone; the next request says so.
        let _ = self.events.send(event).await;
    }

    /// One connection from the server's welcome to its end, and whether there was a welcome.
    async fn serve(&mut self, mut socket: Socket, renewal: Renewal) -> (End, bool) {
        let lost = |reason: &str| End::Lost { code: None, reason: reason.to_owned() };
        let welcome = match tokio::time::timeout(self.options.connect_timeout, read_welcome(&mut socket)).await {
            Ok(Ok(welcome)) => welcome,
            Ok(Err(end)) => return (end, false),
            Err(_) => return (lost("no welcome in time"), false),
        };
        let end = match self.greet(&mut socket, welcome, renewal).await {
            Ok(mut session) => self.attend(&mut socket, &mut session).await,
            Err(end) => end,
        };
        if matches!(end, End::Closing) {
            let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(None)).await;
        }
        (end, true)
    }

    /// Says where the stream broke off, and repeats what was not answered.
    async fn greet(&mut self, socket: &mut Socket, welcome: Welcome, renewal: Renewal) -> Result<Session, End> {
        let counters = Arc::clone(&self.options.counters);
        add(&counters.connects);
        if std::mem::replace(&mut self.has_connected, true) {
            add(&counters.reconnects);
        }
        let resuming = !self.start_over && self.last_seq.is_some();
        let hello =
            if resuming { Hello { epoch: self.epoch.clone(), last_seq: self.last_seq } } else { Hello::default() };
        self.start_over = false;
        let session = Session::new(&welcome, renewal);
        self.tell(Event::Connected(welcome)).await;
        send(socket, &ClientMessage::Hello(hello), None).await?;
        self.unanswered.retain(|_, command| !command.reply.is_closed());
        for (number, command) in &mut self.unanswered {
            command.again_at = None;
            send(socket, &command.message, Some(id(&self.prefix, *number))).await?;
            add(&counters.resent);
        }
        Ok(session)
    }

    /// Reads and sends until the connection ends.
    async fn attend(&mut self, socket: &mut Socket, session: &mut Session) -> End {
        let shared = Arc::clone(&self.shared);
        loop {
            let again_at = self.unanswered.values().filter_map(|c| c.again_at).min();
            let alarm = session.next_alarm(again_at);
            let outcome = tokio::select! {
                frame = socket.next() => {
                    session.heard = Instant::now();
                    match frame {
                        Some(Ok(frame)) => self.take(frame, session).await,
                        Some(Err(error)) => Err(End::Lost { code: None, reason: error.to_string() }),
                        None => Err(End::Lost { code: None, reason: "the connection ended".to_owned() }),
                    }
                }
                request = self.requests.recv() => self.forward(socket, request, session).await,
                () = shared.position_changed.notified() => {
                    session.position_waits = true;
                    self.send_position(socket, session).await
                }
                () = tokio::time::sleep_until(alarm) => self.on_alarm(socket, session).await,
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    async fn forward(
        &mut self,
        socket: &mut Socket,
        request: Option<Request>,
        session: &mut Session,
    ) -> Result<(), End> {
        match request {
            None | Some(Request::Close) => Err(End::Closing),
            Some(Request::LoseSignal(away)) => Err(End::Away(away)),
            Some(Request::Command { message, reply }) => {
                let number = self.hold(message, reply);
                let Some(command) = self.unanswered.get(&number) else { return Ok(()) };
                session.said = Instant::now();
                send(socket, &command.message, Some(id(&self.prefix, number))).await
            }
        }
    }

    /// Sends the newest position, unless the pace says later: then the alarm does.
    async fn send_position(&mut self, socket: &mut Socket, session: &mut Session) -> Result<(), End> {
        if Instant::now() < session.position_at {
            return Ok(());
        }
        session.position_waits = false;
        let Some(report) = self.shared.position.lock().take() else { return Ok(()) };
        session.said = Instant::now();
        session.position_at = session.said + session.pace;
        send(socket, &ClientMessage::Position(report), None).await
    }

    async fn on_alarm(&mut self, socket: &mut Socket, session: &mut Session) -> Result<(), End> {
        let now = Instant::now();
        if now >= session.heard + session.silence {
            return Err(End::Lost { code: None, reason: "the server is silent".to_owned() });
        }
        if session.position_waits {
            self.send_position(socket, session).await?;
        }
        if let Some((id, access_token)) = session.renewal.next() {
            add(&self.options.counters.renewals);
            session.said = now;
            let token = NewToken { access_token: access_token.into() };
            send(socket, &ClientMessage::Token(token), Some(id)).await?;
        }
        if now >= session.pinged + session.heartbeat {
            session.pinged = now;
            frame(socket, Message::Ping(bytes::Bytes::new())).await?;
        }
        if now >= session.said + session.heartbeat {
            session.said = now;
            send(socket, &ClientMessage::Heartbeat(Heartbeat {}), None).await?;
        }
        self.unanswered.retain(|_, command| !command.reply.is_closed());
        for (number, command) in &mut self.unanswered {
            if command.again_at.is_some_and(|at| at <= now) {
                command.again_at = None;
                add(&self.options.counters.resent);
                send(socket, &command.message, Some(id(&self.prefix, *number))).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, frame: Message, session: &mut Session) -> Result<(), End> {
        let text = match frame {
            Message::Text(text) => text,
            Message::Close(frame) => {
                let code = frame.as_ref().map(|f| u16::from(f.code));
                let reason = frame.map(|f| f.reason.to_string()).unwrap_or_default();
                return Err(self.closed(code, reason));
            }
            _ => return Ok(()),
        };
        let (header, message) = match decode_server(text.as_str()) {
            Ok(decoded) => decoded,
            Err(error) => {
                // A newer server may say more than this client knows.
                tracing::debug!(url = %self.dialer.url, %error, "unknown frame");
                add(&self.options.counters.unknown);
                return Ok(());
            }
        };
        if let (ServerMessage::Ack(_) | ServerMessage::Error(_), Some(id)) = (&message, &header.id)
            && id.starts_with(renewal::ID)
        {
            // Where it was refused, the source may have a better one soon; if not, the connection ends and is made anew.
            session.renewal.answered(id, matches!(message, ServerMessage::Ack(_)));
            return Ok(());
        }
        match message {
            ServerMessage::Ack(ack) => self.answer(&header, Ok(ack)),
            ServerMessage::Error(problem) if header.id.is_some() => self.answer(&header, Err(problem)),
            ServerMessage::Error(problem) => self.tell(Event::Problem(Box::new(problem))).await,
            ServerMessage::Welcome(_) => {}
            ServerMessage::Resumed(resumed) => {
                add(&self.options.counters.resumed);
                self.tell(Event::Resumed(resumed)).await;
            }
            ServerMessage::Snapshot(snapshot) => {
                add(&self.options.counters.snapshots);
                self.epoch = Some(session.epoch.clone());
                self.last_seq = Some(header.seq.unwrap_or(session.welcome_seq));
                self.tell(Event::Snapshot(snapshot)).await;
            }
            ServerMessage::Position(position) => {
                add(&self.options.counters.positions);
                if self.events.try_send(Event::Position(position)).is_err() {
                    add(&self.options.counters.skipped_positions);
                }
            }
            message => return self.next_in_stream(header, message, session).await,
        }
        Ok(())
    }

    /// A message of the stream: shown once, and only in its place.
    async fn next_in_stream(
        &mut self,
        header: Header,
        message: ServerMessage,
        session: &mut Session,
    ) -> Result<(), End> {
        let counters = &self.options.counters;
        let seq = header.seq.unwrap_or_default();
        if let (Some(seq), Some(last)) = (header.seq, self.last_seq) {
            if seq <= last {
                add(&counters.duplicates);
                return Ok(());
            }
            if seq > last + 1 {
                add(&counters.gaps);
                self.start_over = !session.progressed;
                return Err(End::Gap);
            }
        }
        if header.seq.is_some() {
            self.last_seq = header.seq;
            session.progressed = true;
        }
        add(&counters.messages);
        self.tell(Event::Message { seq, at: header.ts, message }).await;
        Ok(())
    }

    /// Gives a command its answer; one that the server could not do now is sent again later.
    fn answer(&mut self, header: &Header, answer: Result<Ack, Problem>) {
        let number = header.id.as_ref().and_then(|text| {
            let (prefix, number) = text.rsplit_once('-')?;
            if prefix == self.prefix { number.parse::<u64>().ok() } else { None }
        });
        let Some(number) = number else { return };
        if let (Err(problem), Some(command)) = (&answer, self.unanswered.get_mut(&number))
            && matches!(problem.code, Code::Unavailable | Code::RateLimited)
        {
            let wait = Duration::from_secs(u64::from(problem.retry_after_seconds.unwrap_or(1)));
            command.again_at = Some(Instant::now() + wait);
            return;
        }
        if let Some(command) = self.unanswered.remove(&number) {
            // An error means that the caller no longer waits.
            let _ = command.reply.send(answer.map_err(ClientError::from));
        }
    }

    /// What a close code means for the next connection.
    fn closed(&self, code: Option<u16>, reason: String) -> End {
        match code {
            Some(close::FORBIDDEN | close::REPLACED) => End::Final { code, problem: None },
            Some(close::TOKEN_EXPIRED | close::LOGIN_ENDED) if !self.dialer.token.renews() => {
                End::Final { code, problem: None }
            }
            _ => End::Lost { code, reason },
        }
    }
}
