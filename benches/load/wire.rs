//! WebSocket clients that cost little: trackers of posthaste and of Socket.IO, and drivers.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::Outcome;

/// How long a frame may be waited for while a connection begins.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Posthaste,
    SocketIo,
}

/// A connection that has begun.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    dialect: Dialect,
    /// Number of the newest message when it began.
    pub(crate) begun_at: u64,
}

/// What of a message is looked at.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Heard {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) seq: Option<u64>,
    /// When it was sent.
    #[serde(default)]
    ts: Option<DateTime<Utc>>,
    /// The same in microseconds since 1970, where the sender's clock reads better so.
    #[serde(default)]
    us: Option<i64>,
    #[serde(default)]
    data: Option<Stamped>,
}

#[derive(Debug, Default, Deserialize)]
struct Stamped {
    #[serde(default)]
    at: Option<DateTime<Utc>>,
}

/// A message that came and was not read yet.
pub(crate) struct Arrived {
    text: Utf8Bytes,
    pub(crate) at: DateTime<Utc>,
    dialect: Dialect,
}

impl Arrived {
    pub(crate) fn read(&self) -> Outcome<Heard> {
        let text = self.text.as_str();
        let json = match self.dialect {
            Dialect::Posthaste => text,
            Dialect::SocketIo => {
                let event = text.strip_prefix("42[\"step\",").and_then(|rest| rest.strip_suffix(']'));
                event.ok_or_else(|| format!("Socket.IO said {text}"))?
            }
        };
        Ok(serde_json::from_str(json)?)
    }
}

impl Heard {
    /// Time from when it was sent to when it came.
    pub(crate) fn under_way(&self, arrived: DateTime<Utc>) -> Option<Duration> {
        let sent = self.us.or_else(|| self.ts.map(|ts| ts.timestamp_micros()))?;
        Some(Duration::from_micros(u64::try_from(arrived.timestamp_micros() - sent).unwrap_or(0)))
    }

    /// The instant that a position carries.
    pub(crate) fn position_at(&self) -> Option<DateTime<Utc>> {
        self.data.as_ref()?.at
    }
}

impl Socket {
    /// Connects to a posthaste socket and waits for its snapshot.
    pub(crate) async fn posthaste(address: SocketAddr, path: &str, token: Option<&str>) -> Outcome<Self> {
        let stream = connect(address, path, token).await?;
        let mut socket = Self { stream, dialect: Dialect::Posthaste, begun_at: 0 };
        socket.say(r#"{"type":"hello","data":{}}"#).await?;
        loop {
            let heard = socket.hear().await?;
            if heard.kind == "snapshot" {
                socket.begun_at = heard.seq.unwrap_or(0);
                return Ok(socket);
            }
        }
    }

    /// Connects to Socket.IO over its WebSocket transport, into the default namespace.
    pub(crate) async fn socket_io(address: SocketAddr) -> Outcome<Self> {
        let stream = connect(address, "/socket.io/?EIO=4&transport=websocket", None).await?;
        let mut socket = Self { stream, dialect: Dialect::SocketIo, begun_at: 0 };
        socket.text().await?;
        socket.say("40").await?;
        let joined = socket.text().await?;
        if !joined.starts_with("40") {
            return Err(format!("Socket.IO answered {joined}").into());
        }
        Ok(socket)
    }

    pub(crate) async fn say(&mut self, text: &str) -> Outcome<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// Shows that it is there. Socket.IO asks for it.
    pub(crate) async fn alive(&mut self) -> Outcome<()> {
        match self.dialect {
            Dialect::Posthaste => self.say(r#"{"type":"heartbeat"}"#).await,
            Dialect::SocketIo => Ok(()),
        }
    }

    /// Writes messages together.
    pub(crate) async fn say_all(&mut self, texts: impl Iterator<Item = String>) -> Outcome<()> {
        for text in texts {
            self.stream.feed(Message::text(text)).await?;
        }
        Ok(self.stream.flush().await?)
    }

    /// The next message, while a connection begins.
    async fn hear(&mut self) -> Outcome<Heard> {
        let text = tokio::time::timeout(PATIENCE, self.text()).await??;
        Ok(serde_json::from_str(&text)?)
    }

    /// The next message, whatever it takes, and when it came. It is read later, so that a client costs little while
    /// its server is measured.
    pub(crate) async fn next(&mut self) -> Outcome<Arrived> {
        loop {
            let text = self.text().await?;
            if self.dialect == Dialect::SocketIo && text.as_str() == "2" {
                self.say("3").await?;
                continue;
            }
            return Ok(Arrived { text, at: Utc::now(), dialect: self.dialect });
        }
    }

    async fn text(&mut self) -> Outcome<Utf8Bytes> {
        loop {
            match self.stream.next().await.ok_or("the connection is gone")?? {
                Message::Text(text) => return Ok(text),
                Message::Close(frame) => return Err(format!("closed: {frame:?}").into()),
                _ => {}
            }
        }
    }
}

async fn connect(address: SocketAddr, path: &str, token: Option<&str>) -> Outcome<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(32 * 1024);
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    Ok(tokio::time::timeout(PATIENCE, opened).await??.0)
}
