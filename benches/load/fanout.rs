//! One stream to many: an order's steps to all who follow it, beside a Socket.IO room.
//!
//! A step is a change of the order that operations make over REST, committed before it is sent; Socket.IO is told on
//! its standard input to emit a message of the same shape. Both sides stamp a message when they hand it on, and the
//! same clients read both. Every tracker checks that it got every number.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::http::Connection;
use crate::report::{Mark, Report, Times};
use crate::server::{Server, answers, free_address};
use crate::wire::Socket;
use crate::{Outcome, process};

/// Trackers that connect beside each other.
const CONNECTING: usize = 64;
/// A tracker that hears nothing for this long has heard all.
const QUIET: Duration = Duration::from_secs(5);

/// How often a tracker shows that it is there.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many follow, one run for each.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000")]
    trackers: Vec<usize>,
    /// Steps in a run.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// Steps a second.
    #[arg(long, default_value_t = 5.0)]
    pace: f64,
}

/// What a run came to.
struct Fanout {
    delivered: u64,
    lost: u64,
    cpu_each: f64,
    times: Times,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let mut report = Report::new("fanout: one stream to many trackers");
    let pause = Duration::from_secs_f64(1.0 / options.pace);
    for count in &options.trackers {
        let ours = posthaste(*count, options.steps, pause).await?;
        let theirs = socket_io(*count, options.steps, pause).await?;
        tell(&mut report, *count, ours, theirs);
    }
    Ok(report)
}

fn tell(report: &mut Report, count: usize, mut ours: Fanout, theirs: Option<Fanout>) {
    report.mark(format!("{count} trackers: steps lost"), ours.lost as f64, "", Mark::AtMost(0.0));
    if let Some(mut theirs) = theirs {
        let ratio = ours.cpu_each / theirs.cpu_each;
        report.mark(format!("{count} trackers: processor time over Socket.IO's"), ratio, "x", Mark::AtMost(0.5));
        let ratio = ours.times.quantile(0.99).as_secs_f64() / theirs.times.quantile(0.99).as_secs_f64();
        let what = format!("{count} trackers: p99 over Socket.IO's");
        if count >= 5000 {
            report.mark(what, ratio, "x", Mark::AtMost(0.25))
        } else {
            report.figure(what, ratio, "x")
        }
        report.figure(format!("{count} trackers: Socket.IO, processor time a delivery"), theirs.cpu_each, "us");
        report.time(format!("{count} trackers: Socket.IO, p50"), theirs.times.quantile(0.5));
        report.time(format!("{count} trackers: Socket.IO, p99"), theirs.times.quantile(0.99));
        report.figure(format!("{count} trackers: Socket.IO, lost"), theirs.lost as f64, "");
    } else {
        report.note("Socket.IO was not measured: node or npm is missing");
    }
    report.figure(format!("{count} trackers: processor time a delivery"), ours.cpu_each, "us");
    report.time(format!("{count} trackers: p50"), ours.times.quantile(0.5));
    report.time(format!("{count} trackers: p99"), ours.times.quantile(0.99));
    report.figure(format!("{count} trackers: deliveries"), ours.delivered as f64, "");
}

async fn posthaste(count: usize, steps: u64, pause: Duration) -> Outcome<Fanout> {
    let database = Database::start().await?;
    let server = Server::start(&database).await?;
    let zone = server.make_zone().await?;
    let (driver, order) = server.pairs(&zone, 1).await?.pop().ok_or("no order")?;
    let (address, path) = (server.address, server.tracking_path(order));
    let trackers = Trackers::open(count, move || {
        let path = path.clone();
        async move { Socket::posthaste(address, &path, None).await }
    })
    .await?;
    let mut connection = Connection::open(server.address).await?;
    let before = server.cpu();
    let mut due = Instant::now();
    for n in 0..steps {
        // The order is in the driver's hand at first.
        let (path, body) = if n % 2 == 0 {
            (format!("/v1/orders/{order}/unassign"), json!({}))
        } else {
            (format!("/v1/orders/{order}/assign"), json!({"driver_id": driver}))
        };
        server.ask::<Value>(&mut connection, "POST", &path, &body).await?;
        due += pause;
        tokio::time::sleep_until(due.into()).await;
    }
    let result = trackers.result(|| server.cpu().saturating_sub(before)).await;
    drop(server);
    result
}

/// Nothing where it cannot be installed.
async fn socket_io(count: usize, steps: u64, pause: Duration) -> Outcome<Option<Fanout>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/socketio");
    if !installed(&folder).await {
        return Ok(None);
    }
    let address = free_address()?;
    let mut peer = start_socket_io(&folder, address)?;
    answers(&mut peer, address, "/").await?;
    let pid = peer.id().unwrap_or_default();
    let trackers = Trackers::open(count, move || async move { Socket::socket_io(address).await }).await?;
    let mut input = peer.stdin.take().ok_or("no standard input")?;
    let before = process::cpu(pid, false);
    let mut due = Instant::now();
    for seq in 1..=steps {
        let event = if seq % 2 == 0 { "assigned" } else { "driver_released" };
        let step = json!({"seq": seq, "at": chrono::Utc::now(), "event": event, "status": "assigned"});
        let line = json!({"type": "step", "seq": seq, "ts": chrono::Utc::now(), "data": {"step": step}});
        input.write_all(format!("{line}\n").as_bytes()).await?;
        due += pause;
        tokio::time::sleep_until(due.into()).await;
    }
    let result = trackers.result(|| process::cpu(pid, false).saturating_sub(before)).await?;
    Ok(Some(result))
}

/// Whether Socket.IO is there, or could be fetched.
async fn installed(folder: &Path) -> bool {
    if folder.join("node_modules/socket.io").is_dir() {
        return true;
    }
    eprintln!("fetching Socket.IO with npm ci, once");
    let fetched = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder).output().await;
    fetched.is_ok_and(|output| output.status.success())
}

fn start_socket_io(folder: &Path, address: SocketAddr) -> Outcome<Child> {
    let port = address.port().to_string();
    let command = &mut Command::new("node");
    command.args(["server.js", &port]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null());
    Ok(command.kill_on_drop(true).spawn()?)
}

/// Those who follow.
struct Trackers {
    readers: JoinSet<Outcome<Read>>,
    heard: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
}

/// What one of them read.
#[derive(Default)]
struct Read {
    begun_at: u64,
    last: u64,
    count: u64,
    times: Vec<Duration>,
}

impl Trackers {
    async fn open<F>(count: usize, open: impl Fn() -> F) -> Outcome<Self>
    where
        F: Future<Output = Outcome<Socket>> + Send + 'static,
    {
        let (mut opening, mut sockets) = (JoinSet::new(), Vec::with_capacity(count));
        for _ in 0..count {
            if opening.len() == CONNECTING
                && let Some(opened) = opening.join_next().await
            {
                sockets.push(opened??);
            }
            opening.spawn(open());
        }
        while let Some(opened) = opening.join_next().await {
            sockets.push(opened??);
        }
        let (mut readers, heard, stop) = (JoinSet::new(), Arc::new(AtomicU64::new(0)), watch::Sender::new(false));
        for socket in sockets {
            readers.spawn(read(socket, Arc::clone(&heard), stop.subscribe()));
        }
        Ok(Self { readers, heard, stop })
    }

    /// Waits until all is quiet. The processor time is read when the last message has arrived.
    async fn result(mut self, cpu: impl Fn() -> Duration) -> Outcome<Fanout> {
        let (mut heard, mut used, mut since) = (0, cpu(), Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.heard.load(Ordering::Relaxed);
            if now != heard {
                (heard, used, since) = (now, cpu(), Instant::now());
            }
        }
        self.stop.send_replace(true);
        let mut reads = Vec::new();
        while let Some(read) = self.readers.join_next().await {
            reads.push(read??);
        }
        let newest = reads.iter().map(|read| read.last).max().unwrap_or_default();
        let lost = reads.iter().map(|read| (newest - read.begun_at).saturating_sub(read.count)).sum();
        let mut times = Times::default();
        times.extend(reads.into_iter().flat_map(|read| read.times));
        let delivered = times.len() as u64;
        Ok(Fanout { delivered, lost, cpu_each: used.as_secs_f64() * 1e6 / delivered as f64, times })
    }
}

async fn read(mut socket: Socket, heard: Arc<AtomicU64>, mut stop: watch::Receiver<bool>) -> Outcome<Read> {
    let mut alive = tokio::time::interval(ALIVE);
    let mut arrived = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => {
                arrived.push(message?);
                heard.fetch_add(1, Ordering::Relaxed);
            }
            _ = alive.tick() => socket.alive().await?,
            _ = stop.changed() => break,
        }
    }
    let mut read = Read { begun_at: socket.begun_at, last: socket.begun_at, ..Read::default() };
    for message in arrived {
        let heard = message.read()?;
        let Some(seq) = heard.seq else { continue };
        read.times.extend(heard.under_way(message.at));
        read.last = seq;
        read.count += 1;
    }
    Ok(read)
}
