//! What is refused so that the rest is served. Every refusal is a problem that says so.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use posthaste_protocol::problem::{Code, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use crate::address::Network;
use crate::browsers::Browsers;
use crate::problem::{Answer, Failure, caught};
use crate::quota::Quotas;

/// Limits of the whole edge.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request's body. Too low refuses a zone with a long coastline; too high lets callers fill memory.
    pub body_bytes: usize,
    /// Bytes of a body that holds the outline of a zone: as many corners as one may have, as maps write them.
    pub outline_bytes: usize,
    /// How long a request may take. Too low breaks what is merely slow; too high keeps callers waiting for the dead.
    pub request_timeout: Duration,
    /// Requests at the same time. Above it the answer is 503 at once: a queue would only be a slower refusal.
    pub concurrent_requests: usize,
    /// Open sockets. Above it a new one is refused with 503.
    pub sockets: usize,
    /// Limits of one socket.
    pub socket: SocketLimits,
    /// Connections, before a request is read.
    pub connections: ConnectionLimits,
    /// How often somebody may ask.
    pub quotas: Quotas,
    /// Proxies of one's own in front: what they write into `x-forwarded-for` is believed, and nobody else.
    pub proxies: Vec<Network>,
    /// What is told to browsers.
    pub browsers: Browsers,
}

/// Limits of connections that carry requests. Sockets are no longer among them once they are open.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at the same time. Above it new ones wait until one ends.
    pub most: usize,
    /// Connections of one address (a /64 of IPv6), other than proxies of one's own. Above it its longest resting one makes room.
    pub of_one_address: usize,
    /// How long a client may take to send the head of a request. Too low cuts off phones in tunnels; too high lets
    /// few clients hold many connections.
    pub head_within: Duration,
    /// How long a connection may wait for its next request. Longer than proxies keep theirs, or they meet closed ones.
    pub idle: Duration,
    /// Bytes of the head of a request. Above it: 431.
    pub head_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            most: 16_384,
            of_one_address: 2_048,
            head_within: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            head_bytes: 16 * 1024,
        }
    }
}

/// Limits of one socket.
#[derive(Debug, Clone, Copy)]
pub struct SocketLimits {
    /// A client must send something at least this often; three times this long in silence closes the socket.
    pub heartbeat: Duration,
    /// How long the server waits for `hello`.
    pub hello_within: Duration,
    /// How long a write may stand still before the reader counts as too slow.
    pub write_stall: Duration,
    /// Bytes of one frame from a driver.
    pub frame_bytes: u32,
    /// Positions in one batch.
    pub batch_positions: u32,
    /// Messages in a second, sustained; twice as many at once are taken after a pause.
    pub messages_per_second: u32,
    /// Commands of one driver that may wait for the one before them.
    pub waiting_commands: usize,
    /// Sockets of one login, key or token; the oldest makes room for a new one. Too low closes tablets of a busy shop; too high
    /// lets one account take everybody's.
    pub of_one_login: usize,
    /// Sockets of one tracking link, in the same way.
    pub of_one_link: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            // 20,000 corners of some 50 bytes.
            outline_bytes: 1024 * 1024,
            request_timeout: Duration::from_secs(10),
            concurrent_requests: 4096,
            sockets: 100_000,
            socket: SocketLimits::default(),
            connections: ConnectionLimits::default(),
            quotas: Quotas::default(),
            proxies: Vec::new(),
            browsers: Browsers::default(),
        }
    }
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(20),
            hello_within: Duration::from_secs(10),
            write_stall: Duration::from_secs(10),
            frame_bytes: 128 * 1024,
            batch_positions: 500,
            messages_per_second: 50,
            waiting_commands: 32,
            of_one_login: 64,
            of_one_link: 256,
        }
    }
}

/// The answer, or that it takes longer than `limit`.
pub async fn within(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, answer).await {
        Ok(response) => response,
        Err(_) => Failure::from(Problem::new(Code::Timeout).retry_after(1)).into_response(),
    }
}

/// The request with its body, all of it. Before that nothing that all share is held for it, and after that no refusal leaves half
/// a body on the connection.
///
/// # Errors
///
/// 413 when it is longer than `most` (at once where its length is told), 408 when it does not come within `limit`, 400 when it
/// breaks off. The connection is closed then: what is left of the body would be taken for a request.
pub async fn whole_body(request: Request, most: usize, limit: Duration) -> Result<Request, Response> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let closing = |problem: Problem| {
        let mut response = Failure::from(problem).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    };
    let too_large = || closing(Problem::new(Code::TooLarge).detail(format!("a body may have {most} bytes here")));
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > most as u64) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(limit, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body.to_bytes().into())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(closing(Problem::new(Code::Malformed).detail("the body broke off"))),
        Err(_) => Err(closing(Problem::new(Code::Timeout).retry_after(1).detail("the body did not come in time"))),
    }
}

/// The answer of a request that writes. What it began is carried to its end by a task of its own: the caller may hang up or
/// run out of time in any moment, also in the one between a commit and what follows it. `room` is given back then.
pub async fn carried(
    limit: Duration,
    room: Option<OwnedSemaphorePermit>,
    answer: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let task = async move {
        let _room = room;
        caught(answer).await
    };
    let task = tokio::spawn(task.in_current_span());
    within(limit, async { task.await.unwrap_or_else(|_| Failure::from(Code::Internal).into_response()) }).await
}

/// Room for a request while it runs; a refusal at once when as many as there may be are running.
pub fn room(running: &Arc<Semaphore>) -> Answer<OwnedSemaphorePermit> {
    let taken = Arc::clone(running).try_acquire_owned();
    Ok(taken.map_err(|_| Problem::unavailable("too many requests at once"))?)
}

/// A bucket of messages that fills at a steady rate and holds two seconds' worth.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    per_second: f32,
    left: f32,
    seen: Instant,
}

impl Pace {
    /// A full bucket at `now`.
    #[must_use]
    pub fn new(messages_per_second: u32, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "rates are small numbers")]
        let per_second = messages_per_second as f32;
        Self { per_second, left: per_second * 2.0, seen: now }
    }

    /// Takes one message at `now`. False when the bucket is empty.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.seen).as_secs_f32();
        self.seen = now;
        self.left = (self.left + passed * self.per_second).min(self.per_second * 2.0);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_the_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(10, start);
        let burst = (0..100).filter(|_| pace.take(start)).count();
        assert_eq!(burst, 20);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| pace.take(later)).count(), 10);
        let much_later = start + Duration::from_secs(100);
        assert_eq!((0..100).filter(|_| pace.take(much_later)).count(), 20);
    }
}
