//! One connection's frames: what came in together is read together, what goes out is written together. And how a
//! connection ends.
//!
//! Writing is done by two: the connection's own task through its [`Line`], and, while that task waits for its stream,
//! whoever has a frame for it through the [`Wire`] (see `posthaste_streams`). A frame that was begun there and cut is
//! finished here before anything else is written.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use posthaste_live::streams::{Direct, Frame, Offered};
use posthaste_protocol::socket::frame::{self, Opcode};
use posthaste_protocol::socket::{Header, ServerMessage, encode_server};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::end::End;
use super::handshake::Upgraded;
use super::inbox::{Inbox, Incoming};

/// How long a good-bye may take to be written, and then to be answered.
const GOODBYE: Duration = Duration::from_secs(1);
/// Bytes read at once. A thread reads for one connection at a time, so this is held by threads, not by connections.
const READ: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// What came in.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// A message of the protocol, still to be read.
    Text(&'a str),
    /// A ping or pong: answered already, but a sign of life.
    Sign,
}

/// A connection, as those may write to it who have a frame for it while its own task waits.
pub(super) struct Wire {
    half: OwnedWriteHalf,
    /// What is left of a frame that was begun.
    rest: Mutex<Bytes>,
}

impl Direct for Wire {
    fn offer(&self, frames: &Bytes) -> Offered {
        let mut rest = self.rest.lock();
        if !rest.is_empty() {
            return Offered::Refused;
        }
        match self.half.try_write(frames) {
            Ok(written) if written == frames.len() => Offered::Written,
            Ok(written) => {
                *rest = frames.slice(written..);
                Offered::Begun
            }
            // What is wrong with the connection is found out by its own task.
            Err(_) => Offered::Refused,
        }
    }
}

/// A connection.
pub(super) struct Line {
    half: OwnedReadHalf,
    wire: Arc<Wire>,
    inbox: Inbox,
    /// Answers that are not written yet.
    out: Vec<u8>,
    /// How long a write may stand still before the reader counts as too slow.
    stall: Duration,
}

impl Line {
    /// A connection that takes messages up to `longest` bytes.
    pub(super) fn new(upgraded: Upgraded, longest: usize, stall: Duration) -> Self {
        let (half, writing) = upgraded.stream.into_split();
        let wire = Arc::new(Wire { half: writing, rest: Mutex::default() });
        let mut inbox = Inbox::new(longest);
        inbox.feed(&upgraded.read);
        Self { half, wire, inbox, out: Vec::new(), stall }
    }

    pub(super) fn wire(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    /// Waits until [`pick`](Self::pick) has something to tell. Nothing is lost when the wait is given up.
    pub(super) async fn hear(&mut self) -> Result<(), End> {
        while !self.inbox.is_ready() {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), End> {
        let Self { half, inbox, .. } = self;
        let read = poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                Pin::new(&mut *half).poll_read(context, &mut buffer).map_ok(|()| {
                    inbox.feed(buffer.filled());
                    buffer.filled().len()
                })
            })
        });
        match read.await {
            Ok(0) | Err(_) => Err(End::Gone),
            Ok(_) => Ok(()),
        }
    }

    /// What came in, to be picked from while answers are said; it is to be given back.
    pub(super) fn lend(&mut self) -> Inbox {
        std::mem::take(&mut self.inbox)
    }

    pub(super) fn give_back(&mut self, inbox: Inbox) {
        self.inbox = inbox;
    }

    /// The next that came in; none where all was picked. A ping's answer waits to be written like any other.
    pub(super) fn pick<'a>(&mut self, inbox: &'a mut Inbox) -> Result<Option<Heard<'a>>, End> {
        match inbox.take()? {
            Some(Incoming::Message(text)) => Ok(Some(Heard::Text(text))),
            Some(Incoming::Ping(payload)) => {
                frame::append(Opcode::Pong, payload, &mut self.out);
                Ok(Some(Heard::Sign))
            }
            Some(Incoming::Pong) => Ok(Some(Heard::Sign)),
            Some(Incoming::Close(code)) => {
                let payload = code.map(u16::to_be_bytes);
                frame::append(Opcode::Close, payload.as_ref().map_or(&[], |code| &code[..]), &mut self.out);
                Err(End::Left)
            }
            None => Ok(None),
        }
    }

    /// Notes a message to be written; `id` is that of the command it answers.
    pub(super) fn say(&mut self, message: &ServerMessage, id: Option<&str>) {
        let header = Header { id: id.map(str::to_owned), ..Header::default() };
        frame::append(Opcode::Text, encode_server(message, &header).as_bytes(), &mut self.out);
    }

    /// Writes what was said.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        self.write(&mut Vec::new()).await
    }

    /// Writes what was said and then all frames, together. Empties `frames`.
    pub(super) async fn write(&mut self, frames: &mut Vec<Frame>) -> Result<(), End> {
        let rest = std::mem::take(&mut *self.wire.rest.lock());
        let written = match (&frames[..], rest.is_empty() && self.out.is_empty()) {
            ([], true) => return Ok(()),
            ([frame], true) => self.send(frame.wire()).await,
            _ => {
                let mut all = Vec::from(rest);
                all.append(&mut self.out);
                frames.iter().for_each(|frame| all.extend_from_slice(frame.wire()));
                self.out = Vec::new();
                self.send(&all).await
            }
        };
        frames.clear();
        if frames.capacity() > 64 {
            *frames = Vec::new();
        }
        written
    }

    async fn send(&self, mut bytes: &[u8]) -> Result<(), End> {
        if self.send_some(&mut bytes)? {
            return Ok(());
        }
        let writing = async {
            loop {
                self.wire.half.writable().await.map_err(|_| End::Gone)?;
                if self.send_some(&mut bytes)? {
                    return Ok(());
                }
            }
        };
        Box::pin(timeout(self.stall, writing)).await.unwrap_or(Err(End::WriteStalled))
    }

    /// Writes what goes without waiting; whether that was all.
    fn send_some(&self, bytes: &mut &[u8]) -> Result<bool, End> {
        while !bytes.is_empty() {
            match self.wire.half.try_write(bytes) {
                Ok(0) => return Err(End::Gone),
                Ok(written) => *bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Gone),
            }
        }
        Ok(true)
    }

    /// Says good-bye and waits a moment for the answer, so that the code arrives before the connection is gone.
    pub(super) async fn end(mut self, end: End) {
        if let Some((code, reason)) = end.said() {
            let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
            frame::append(Opcode::Close, &payload, &mut self.out);
        }
        let said = timeout(GOODBYE, self.flush()).await;
        if end.said().is_none() || !matches!(said, Ok(Ok(()))) {
            return;
        }
        let answered = async {
            let mut is_sound = true;
            loop {
                while is_sound {
                    match self.inbox.take() {
                        Ok(Some(Incoming::Close(_))) => return,
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => is_sound = false,
                    }
                }
                if !is_sound {
                    self.inbox = Inbox::new(0);
                }
                if self.read().await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(GOODBYE, answered).await;
    }
}
