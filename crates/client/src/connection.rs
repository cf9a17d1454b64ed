//! One socket that comes back by itself: the part that all four kinds share.
//!
//! A task (`pump`) owns the socket; this file is the handle to it. The task reconnects with back-off
//! and jitter, resumes with the epoch and the last `seq`, watches the numbering for gaps, keeps the
//! connection alive, sends the next access token before the present one ends, and holds every command until it is answered, so that a command whose answer was
//! lost is sent again with the same id. A connection costs one task, one socket and small buffers.

mod counters;
mod dial;
mod event;
mod pump;
mod renewal;
mod session;

pub use counters::{Counters, SocketStats};
pub use event::Event;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_protocol::drivers::PositionReport;
use posthaste_protocol::socket::{Ack, ClientMessage};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::ClientError;
use crate::token::Token;

/// How a socket behaves. The defaults suit a device; tests and simulators shorten the waits.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    /// The first wait before connecting again.
    pub first_wait: Duration,
    /// The longest wait before connecting again.
    pub most_wait: Duration,
    /// The longest that connecting, and the server's first message, may take.
    pub connect_timeout: Duration,
    /// The longest that a command waits for its answer, over all connections.
    pub command_timeout: Duration,
    /// Events that wait for [`Connection::next`]. When they are full the socket is not read until some are
    /// taken; positions are skipped instead of waiting.
    pub buffered_events: usize,
    /// Counts what happens; share one among many sockets to see them together.
    pub counters: Arc<Counters>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(100),
            most_wait: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(60),
            buffered_events: 1024,
            counters: Arc::default(),
        }
    }
}

/// What the handle asks of the task.
enum Request {
    /// Send this, hold it until it is answered.
    Command { message: ClientMessage, reply: oneshot::Sender<Result<Ack, ClientError>> },
    /// Drop the socket without a word and stay away this long.
    LoseSignal(Duration),
    /// Say goodbye and end.
    Close,
}

/// What handle and task share besides the queues.
#[derive(Default)]
struct Shared {
    position: Mutex<Option<PositionReport>>,
    position_changed: Notify,
}

/// Sends commands over a connection. Cheap to clone; outlived by the [`Connection`] it came from.
#[derive(Clone)]
pub struct CommandSender {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
    timeout: Duration,
}

impl CommandSender {
    /// Sends a command and waits for its answer, through as many connections as it takes within the
    /// time-out. The server does it once. Dropping the future gives up on sending it again.
    pub async fn command(&self, message: ClientMessage) -> Result<Ack, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Command { message, reply }).map_err(|_| ClientError::Closed)?;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ClientError::Closed),
            Err(_) => Err(ClientError::Timeout),
        }
    }

    /// Sets the present position. Sent as soon as the pace that the server allows permits; a newer one
    /// takes the place of one that is still waiting.
    pub fn position(&self, report: PositionReport) {
        *self.shared.position.lock() = Some(report);
        self.shared.position_changed.notify_one();
    }
}

/// A socket with everything that makes it last. Ends when dropped.
pub struct Connection {
    events: mpsc::Receiver<Event>,
    sender: CommandSender,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Starts connecting to the socket at `url`. Must be called inside a tokio runtime.
    #[must_use]
    pub fn open(url: String, token: Token, options: SocketOptions) -> Self {
        let shared = Arc::new(Shared::default());
        let (requests, inbox) = mpsc::unbounded_channel();
        let (events_in, events) = mpsc::channel(options.buffered_events.max(1));
        let sender = CommandSender { requests, shared: Arc::clone(&shared), timeout: options.command_timeout };
        let counters = Arc::clone(&options.counters);
        let task = tokio::spawn(pump::run(dial::Dialer { url, token }, options, shared, inbox, events_in));
        Self { events, sender, counters, task }
    }

    /// The next event; `None` after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event, if one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Reads events until `wanted` makes something of one, at most `limit` long.
    pub async fn wait_for<T>(&mut self, limit: Duration, mut wanted: impl FnMut(Event) -> Option<T>) -> Option<T> {
        let read = async {
            while let Some(event) = self.next().await {
                if let Some(found) = wanted(event) {
                    return Some(found);
                }
            }
            None
        };
        tokio::time::timeout(limit, read).await.ok().flatten()
    }

    /// The sender of commands.
    #[must_use]
    pub fn sender(&self) -> &CommandSender {
        &self.sender
    }

    /// What has happened so far, on this socket and on others with the same counters.
    #[must_use]
    pub fn stats(&self) -> SocketStats {
        self.counters.read()
    }

    /// Drops the socket without a word, as a tunnel does, and comes back after `away`.
    pub fn lose_signal(&self, away: Duration) {
        let _ = self.sender.requests.send(Request::LoseSignal(away));
    }

    /// Closes politely.
    pub async fn close(mut self) {
        if self.sender.requests.send(Request::Close).is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(5), &mut self.task).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
