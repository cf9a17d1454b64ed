//! One established connection: its times, its first message, its frames, and how it ends.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use posthaste_protocol::problem::Problem;
use posthaste_protocol::socket::{ClientMessage, Header, ServerMessage, Welcome, close, decode_server, encode_client};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::dial::Socket;
use super::renewal::Renewal;

/// The longest that one frame may take to leave.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a connection is no more.
pub(super) enum End {
    /// Lost: make another.
    Lost { code: Option<u16>, reason: String },
    /// The numbering jumped: make another, and resume.
    Gap,
    /// The handle wants to be away for a while.
    Away(Duration),
    /// Over for good.
    Final { code: Option<u16>, problem: Option<Box<Problem>> },
    /// The handle wants no more.
    Closing,
}

/// The times of one connection.
pub(super) struct Session {
    /// The numbering that this connection goes by.
    pub(super) epoch: String,
    pub(super) welcome_seq: u64,
    pub(super) heartbeat: Duration,
    pub(super) silence: Duration,
    pub(super) pace: Duration,
    pub(super) heard: Instant,
    pub(super) said: Instant,
    pub(super) pinged: Instant,
    pub(super) position_at: Instant,
    /// A position is set and was not sent yet.
    pub(super) position_waits: bool,
    /// A message of the stream came in its place.
    pub(super) progressed: bool,
    pub(super) renewal: Renewal,
}

impl Session {
    pub(super) fn new(welcome: &Welcome, renewal: Renewal) -> Self {
        let now = Instant::now();
        let promised = Duration::from_secs(u64::from(welcome.heartbeat_seconds.max(1)));
        Self {
            epoch: welcome.epoch.clone(),
            welcome_seq: welcome.seq,
            heartbeat: promised.mul_f64(0.45),
            silence: promised.mul_f64(2.0),
            // Half of what is allowed, so that commands have room beside positions.
            pace: Duration::from_secs(2) / welcome.limits.messages_per_second.max(1),
            heard: now,
            said: now,
            pinged: now,
            position_at: now,
            position_waits: true,
            progressed: false,
            renewal,
        }
    }

    /// When there is something to do even if nothing comes in.
    pub(super) fn next_alarm(&self, again_at: Option<Instant>) -> Instant {
        let mut alarm = (self.said + self.heartbeat).min(self.pinged + self.heartbeat).min(self.heard + self.silence);
        if self.position_waits {
            alarm = alarm.min(self.position_at);
        }
        [again_at, self.renewal.at()].into_iter().flatten().fold(alarm, Instant::min)
    }
}

pub(super) fn id(prefix: &str, number: u64) -> String {
    format!("{prefix}-{number}")
}

pub(super) async fn read_welcome(socket: &mut Socket) -> Result<Welcome, End> {
    loop {
        let lost = |reason: String| End::Lost { code: None, reason };
        let frame = socket.next().await.ok_or_else(|| lost("the connection ended".to_owned()))?;
        match frame.map_err(|e| lost(e.to_string()))? {
            Message::Text(text) => match decode_server(text.as_str()) {
                Ok((_, ServerMessage::Welcome(welcome))) => return Ok(welcome),
                Ok((_, ServerMessage::Error(problem))) => {
                    return Err(End::Final { code: None, problem: Some(Box::new(problem)) });
                }
                _ => return Err(lost("the server did not begin with a welcome".to_owned())),
            },
            Message::Close(frame) => {
                let code = frame.as_ref().map(|f| u16::from(f.code));
                return Err(match code {
                    Some(close::FORBIDDEN | close::TOKEN_EXPIRED | close::LOGIN_ENDED) => {
                        End::Final { code, problem: None }
                    }
                    _ => End::Lost { code, reason: "closed before the welcome".to_owned() },
                });
            }
            _ => {}
        }
    }
}

pub(super) async fn send(socket: &mut Socket, message: &ClientMessage, id: Option<String>) -> Result<(), End> {
    let header = Header { id, seq: None, ts: None };
    frame(socket, Message::text(encode_client(message, &header))).await
}

pub(super) async fn frame(socket: &mut Socket, frame: Message) -> Result<(), End> {
    match tokio::time::timeout(SEND_TIMEOUT, socket.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Lost { code: None, reason: error.to_string() }),
        Err(_) => Err(End::Lost { code: None, reason: "the server does not take frames".to_owned() }),
    }
}
