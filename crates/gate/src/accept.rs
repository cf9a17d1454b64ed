//! Connections: how many, and how long each may take to say what it wants.
//!
//! One task carries one connection. A client that sends the head of its request too slowly is cut off, one that says
//! nothing for long is let go, and a socket leaves as soon as it is open. Nothing is spent on time limits while requests
//! come and go: the timer is looked at when it fires, or when it would fire too late.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use posthaste_http::address::ClientAddress;
use posthaste_http::limits::ConnectionLimits;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::worlds::Worlds;

mod crowd;
mod instead;

use crowd::{Crowd, Entered};
use instead::Instead;

/// How long to wait when a connection cannot be taken for want of means, such as open files.
const PAUSE: Duration = Duration::from_secs(1);
/// How long somebody who had connected just before the server was told to stop has to begin a request. Lower turns away
/// who is far; higher keeps a stop waiting for connections that were opened in advance.
const FIRST_BYTE: Duration = Duration::from_secs(1);
/// How long one waits for a connection that was asked to make room, before the next one is.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Bytes of an answer that the kernel keeps for one who does not read (it doubles them, for its own bookkeeping). Without
/// a bound it takes megabytes of each, and a crowd that reads nothing costs seconds of copying. Lower slows down who is
/// far away: this is 2 MB a second at a tenth of a second's way there and back.
const UNREAD: usize = 128 << 10;
/// How often it is said that no more connections are taken.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Takes connections until `shutdown`, then lets the requests that run end, for at most as long as that says. True when all
/// did.
pub(crate) async fn accept(
    listener: TcpListener,
    worlds: Worlds,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = Duration>,
) -> bool {
    // Connections have what the listening socket has.
    if let Err(error) = SockRef::from(&listener).set_send_buffer_size(UNREAD) {
        tracing::warn!(%error, "who does not read may keep the kernel busy");
    }
    let most = limits.most.clamp(1, Semaphore::MAX_PERMITS >> 4);
    let places = Arc::new(Semaphore::new(most));
    let crowd = Arc::new(Crowd::new(limits.of_one_address.min(most)));
    let (stop, stopping) = watch::channel(());
    let patience = tokio::select! {
        () = take(&listener, (&places, &crowd), &worlds, limits, &stopping) => Duration::ZERO,
        patience = shutdown => patience,
    };
    drop((listener, stopping));
    let _ = stop.send(());
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    tokio::time::timeout(patience, places.acquire_many(all)).await.is_ok()
}

async fn take(
    listener: &TcpListener,
    (places, crowd): (&Arc<Semaphore>, &Arc<Crowd>),
    worlds: &Worlds,
    limits: ConnectionLimits,
    stopping: &watch::Receiver<()>,
) {
    let mut said = None;
    loop {
        if places.available_permits() == 0 && said.is_none_or(|at: Instant| at.elapsed() > SAY_EVERY) {
            said = Some(Instant::now());
            tracing::warn!(
                most = limits.most,
                "as many connections as are allowed: those that rest make room for new ones"
            );
        }
        let Some(place) = place(places, crowd).await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(taken) => taken,
            Err(error) if is_of_the_client(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let network = ClientAddress(peer.ip().to_canonical()).network();
        let is_bounded = !worlds.live().limits().proxies.iter().any(|proxy| proxy.holds(peer.ip()));
        let Some(entered) = crowd.enter(network, is_bounded, Instant::now()) else {
            tracing::debug!(%peer, "an address has as many connections as it may, and all of them are busy");
            continue;
        };
        // Small frames are written when they are ready, not when the peer has confirmed the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        tokio::spawn(carry(stream, peer, worlds.clone(), limits, stopping.clone(), (place, entered)));
    }
}

/// A place for one more connection. While all are taken, those that rest are asked to make room.
async fn place(places: &Arc<Semaphore>, crowd: &Crowd) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        crowd.make_room(Instant::now());
        // In that time those that were asked go; if not, or all were busy, the next are asked.
        if let Ok(place) = tokio::time::timeout(LOOK_AGAIN, Arc::clone(places).acquire_owned()).await {
            return place.ok();
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Carries one connection to its end.
async fn carry(
    stream: TcpStream,
    peer: SocketAddr,
    worlds: Worlds,
    limits: ConnectionLimits,
    mut stopping: watch::Receiver<()>,
    (_place, entered): (OwnedSemaphorePermit, Entered),
) {
    let activity = Arc::clone(&entered.guest.activity);
    let answering = Arc::clone(&activity);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let busy = Busy::begin(&answering);
        let answer = worlds.answer(request);
        async move {
            let _busy = busy;
            answer.await
        }
    });
    let connection = http1::Builder::new()
        // Ours tells a slow head from a connection that rests.
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .serve_connection(TokioIo::new(Connection { stream, activity: Arc::clone(&activity), instead: None }), service)
        .with_upgrades();
    let (mut connection, mut timer) = (pin!(connection), pin!(sleep_until(Instant::now() + limits.head_within)));
    // Told to stop; and no longer taking requests. What nothing was asked of yet is asked once: closed as it is, its
    // client would find a server that hangs up on them.
    let (mut told, mut leaving) = (false, false);
    loop {
        let event = {
            let carried = poll_fn(|context| {
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(Event::Ended(ended));
                }
                if told && !leaving && !activity.is(Phase::New) {
                    return Poll::Ready(Event::Stop);
                }
                if let Some(due) = activity.due(&limits).filter(|due| *due < timer.deadline()) {
                    timer.as_mut().reset(due);
                }
                timer.as_mut().poll(context).map(|()| Event::Time)
            });
            tokio::select! {
                event = carried => event,
                _ = stopping.changed(), if !told => Event::Stop,
                () = entered.guest.leave.notified() => Event::MakeRoom,
            }
        };
        match (event, activity.due(&limits)) {
            (Event::Ended(ended), _) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "a connection ended early");
                }
                return;
            }
            (Event::Stop, _) if !told && !leaving && activity.is(Phase::New) => {
                told = true;
                timer.as_mut().reset(Instant::now() + FIRST_BYTE);
            }
            (Event::Time, _) if told && activity.is(Phase::New) => return,
            (Event::MakeRoom, _) if !activity.is(Phase::Busy) => return,
            (Event::MakeRoom, _) => connection.as_mut().graceful_shutdown(),
            (Event::Stop, _) => {
                (told, leaving) = (true, true);
                connection.as_mut().graceful_shutdown();
            }
            (Event::Time, None) => timer.as_mut().reset(Instant::now() + limits.head_within),
            (Event::Time, Some(due)) if due > Instant::now() => timer.as_mut().reset(due),
            (Event::Time, Some(_)) if leaving || activity.reads_head() => {
                tracing::debug!(%peer, "a connection was too slow and is cut off");
                return;
            }
            (Event::Time, Some(_)) => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
                // What it has still to be written gets this long.
                activity.set(Phase::Head);
                timer.as_mut().reset(Instant::now() + limits.head_within);
            }
        }
    }
}

enum Event {
    Ended(hyper::Result<()>),
    Time,
    Stop,
    MakeRoom,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for a request, or for the client to read the last answer.
    Idle,
    /// Part of a head has come.
    Head,
    /// A request is being answered.
    Busy,
    /// Connected, and nothing was sent yet.
    New,
}

/// What a connection is doing, and since when: the phase in the lowest bits, above it milliseconds since it began.
struct Activity {
    began: Instant,
    now: AtomicU64,
}

impl Activity {
    /// A client that has just come owes the head of a request.
    fn new() -> Self {
        Self { began: Instant::now(), now: AtomicU64::new(Phase::New as u64) }
    }

    fn set(&self, phase: Phase) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.now.store(since << 2 | phase as u64, Ordering::Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.now.load(Ordering::Relaxed) & 3 == phase as u64
    }

    /// Since when it does that.
    fn since(&self) -> Instant {
        self.began + Duration::from_millis(self.now.load(Ordering::Relaxed) >> 2)
    }

    fn reads_head(&self) -> bool {
        self.is(Phase::Head) || self.is(Phase::New)
    }

    /// When it is too late for what it does. Requests have a time limit of their own.
    fn due(&self, limits: &ConnectionLimits) -> Option<Instant> {
        let now = self.now.load(Ordering::Relaxed);
        let since = self.since();
        match now & 3 {
            phase if phase == Phase::Idle as u64 => Some(since + limits.idle),
            phase if phase == Phase::Head as u64 || phase == Phase::New as u64 => Some(since + limits.head_within),
            _ => None,
        }
    }
}

/// A request that is being answered. Dropping it ends that.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.set(Phase::Busy);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
    }
}

/// A connection whose first bytes of a request are noticed.
struct Connection {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// What goes out in place of an answer that says nothing.
    instead: Option<Instead>,
}

/// The stream of an upgraded connection of ours, for whoever speaks something else over it, and what was read from it
/// already.
pub(crate) fn take_out(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Connection>>().ok()?;
    Some((parts.io.into_inner().stream, parts.read_buf))
}

impl Connection {
    /// Writes what goes out in place of these bytes; none where they go out as they are. Only what is said while a head
    /// is read, and no request is under way, is looked at.
    fn poll_instead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() && self.activity.reads_head() {
            self.instead = Instead::of(bytes);
        }
        let written = self.instead.as_mut()?.poll_write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.instead = None;
        }
        Some(written)
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && (self.activity.is(Phase::Idle) || self.activity.is(Phase::New)) {
            self.activity.set(Phase::Head);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(written) = self.poll_instead(cx, bytes) {
            return written;
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = parts.first().and_then(|first| self.poll_instead(cx, first)) {
            return written;
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
