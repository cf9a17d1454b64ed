//! One connection's frames: read one by one, written together, flushed once. And how a connection ends.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use posthaste_live::streams::Frame;
use posthaste_protocol::socket::{Header, ServerMessage, close, encode_server};
use tokio::time::timeout;

/// How long a good-bye may take to be written, and then to be answered.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The other side has gone.
    Gone,
    /// This side closes, with a code and a reason.
    Close(u16, &'static str),
}

/// What came in.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message of the protocol, still to be read.
    Text(Utf8Bytes),
    /// A ping or pong: answered already, but a sign of life.
    Sign,
}

/// A connection.
pub(super) struct Line {
    socket: WebSocket,
    /// How long a write may stand still before the reader counts as too slow.
    stall: Duration,
}

impl Line {
    pub(super) fn new(socket: WebSocket, stall: Duration) -> Self {
        Self { socket, stall }
    }

    /// The next that comes in. Nothing is lost when the wait is given up.
    pub(super) async fn hear(&mut self) -> Result<Heard, End> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(Heard::Text(text)),
            // A client that cannot send text sends the same bytes as binary.
            Some(Ok(Message::Binary(bytes))) => match Utf8Bytes::try_from(bytes) {
                Ok(text) => Ok(Heard::Text(text)),
                Err(_) => Err(End::Close(1007, "not UTF-8")),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Heard::Sign),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) => Err(cut(error)),
        }
    }

    /// Writes all frames and flushes once. Empties `frames`.
    pub(super) async fn write(&mut self, frames: &mut Vec<Frame>) -> Result<(), End> {
        let Self { socket, stall } = self;
        let writing = async {
            for frame in frames.drain(..) {
                let Ok(text) = Utf8Bytes::try_from(frame) else { continue };
                socket.feed(Message::Text(text)).await?;
            }
            socket.flush().await
        };
        let written = timeout(*stall, writing).await;
        if frames.capacity() > 64 {
            *frames = Vec::new();
        }
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(cut(error)),
            Err(_) => Err(End::Close(close::TOO_SLOW, "reader too slow")),
        }
    }

    /// Writes one message; `id` is that of the command it answers.
    pub(super) async fn say(&mut self, message: &ServerMessage, id: Option<&str>) -> Result<(), End> {
        let header = Header { id: id.map(str::to_owned), ..Header::default() };
        let text = encode_server(message, &header);
        match timeout(self.stall, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(cut(error)),
            Err(_) => Err(End::Close(close::TOO_SLOW, "reader too slow")),
        }
    }

    /// Says good-bye and waits a moment for the answer, so that the code arrives before the connection is gone.
    pub(super) async fn end(mut self, end: End) {
        if let End::Close(code, reason) = end {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let said = timeout(GOODBYE, self.socket.send(Message::Close(Some(frame)))).await;
            if !matches!(said, Ok(Ok(()))) {
                return;
            }
        }
        let answered = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(GOODBYE, answered).await;
    }
}

/// What an error of the connection means.
fn cut(error: axum::Error) -> End {
    let inner = error.into_inner();
    match inner.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => End::Close(close::TOO_BIG, "frame too large"),
        Some(tungstenite::Error::Utf8(_)) => End::Close(1007, "not UTF-8"),
        Some(tungstenite::Error::Protocol(_)) => End::Close(1002, "not the WebSocket protocol"),
        _ => End::Gone,
    }
}
