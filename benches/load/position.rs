//! Positions from drivers' sockets: parsed, on the zone's board, and on their way to the order's tracker; beside
//! `GEOADD` of Redis for the same updates.
//!
//! Redis is given its commands 64 at a time, so drivers send in bursts too; what a driver's own pace costs is told
//! beside it. Every driver has an order in hand that a tracker follows.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use posthaste_domain::party::Party;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::report::{Mark, Report, Times, median};
use crate::server::{Server, free_address};
use crate::wire::Socket;
use crate::{Outcome, process};

/// Commands that Redis is given at once.
const PIPELINE: usize = 64;
/// Positions in a driver's burst: as many as a socket may send in a second.
const BURST: usize = 48;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Drivers, each with a socket, an order and a tracker.
    #[arg(long, default_value_t = 1000)]
    drivers: usize,
    /// Seconds of each part of each round.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Rounds; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let database = Database::start().await?;
    let server = Server::start(&database).await?;
    let zone = server.make_zone().await?;
    let pairs = server.pairs(&zone, options.drivers).await?;
    let stop = watch::Sender::new(false);
    let (mut drivers, mut trackers) = (Vec::new(), JoinSet::new());
    for (driver, order) in &pairs {
        let token = server.token(Party::Driver(*driver))?;
        drivers.push(Socket::posthaste(server.address, "/v1/ws/driver", Some(&token)).await?);
        let tracker = Socket::posthaste(server.address, &server.tracking_path(*order), None).await?;
        trackers.spawn(follow(tracker, stop.subscribe()));
    }
    let (mut bursts, mut paced, mut redis) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        // Between the parts the sockets' allowances fill up again.
        let (sockets, each) = send(&server, drivers, BURST, Duration::from_secs(1), options.seconds).await?;
        bursts.push(each);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (sockets, each) = send(&server, sockets, 1, Duration::from_millis(100), options.seconds).await?;
        drivers = sockets;
        paced.push(each);
        tokio::time::sleep(Duration::from_secs(2)).await;
        redis.extend(geoadd(options.drivers).await?);
        let last = [&bursts, &paced, &redis].map(|figures| figures.last().copied().unwrap_or_default());
        eprintln!("round {round}: {:.2} us in bursts, {:.2} us one by one, Redis {:.2} us", last[0], last[1], last[2]);
    }
    // One by one, at a pace that leaves the machine idle: how long a position is under way.
    let begun = Utc::now();
    drop(send(&server, drivers, 1, Duration::from_millis(500), options.seconds).await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    let mut times = Times::default();
    let mut positions = 0;
    while let Some(read) = trackers.join_next().await {
        let read = read??;
        positions += read.len();
        times.extend(read.into_iter().filter(|(sent, _)| *sent >= begun).map(|(_, time)| time));
    }
    let mut report = Report::new("position: from a driver's socket to a tracker");
    let bursts = median(bursts);
    if redis.is_empty() {
        report.note("Redis was not measured: redis-server is missing");
    } else {
        let redis = median(redis);
        report.mark("processor time an update over Redis's GEOADD", bursts / redis, "x", Mark::AtMost(0.5));
        report.figure("Redis: processor time an update, 64 at a time", redis, "us");
    }
    report.figure(format!("processor time an update, {BURST} at a time"), bursts, "us");
    report.figure("processor time an update, one by one, each sent on to its tracker", median(paced), "us");
    report.time("driver to tracker p50", times.quantile(0.5));
    report.time("driver to tracker p99", times.quantile(0.99));
    report.figure("positions that trackers received", positions as f64, "");
    report.note(format!("{} drivers, each with an order that a tracker follows", options.drivers));
    Ok(report)
}

/// Every driver sends a burst each `pause`, spread over it. The server's processor time for each update.
async fn send(
    server: &Server,
    drivers: Vec<Socket>,
    burst: usize,
    pause: Duration,
    seconds: u64,
) -> Outcome<(Vec<Socket>, f64)> {
    let mut senders = JoinSet::new();
    let (count, before) = (drivers.len() as u32, server.cpu());
    for (n, mut socket) in drivers.into_iter().enumerate() {
        senders.spawn(async move {
            tokio::time::sleep(pause * n as u32 / count).await;
            let mut due = tokio::time::interval(pause);
            let (end, mut sent) = (Instant::now() + Duration::from_secs(seconds), 0_u64);
            while Instant::now() < end {
                due.tick().await;
                let now = Utc::now();
                socket.say_all((0..burst).map(|k| position(n, sent as usize + k, now, k))).await?;
                sent += burst as u64;
            }
            Outcome::Ok((socket, sent))
        });
    }
    let (mut sockets, mut updates) = (Vec::new(), 0);
    while let Some(sender) = senders.join_next().await {
        let (socket, sent) = sender??;
        sockets.push(socket);
        updates += sent;
    }
    // What is still on its way belongs to it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let used = server.cpu().saturating_sub(before);
    Ok((sockets, used.as_secs_f64() * 1e6 / updates as f64))
}

/// A position somewhere in the zone, each a little later and farther than the one before.
fn position(driver: usize, n: usize, now: DateTime<Utc>, later: usize) -> String {
    let (lat, lng) = place(driver, n);
    let at = now + chrono::Duration::microseconds(later as i64);
    json!({"type": "position", "data": {"lat": lat, "lng": lng, "at": at, "heading_degrees": 84.0,
        "speed_meters_per_second": 5.5, "accuracy_meters": 8.0}})
    .to_string()
}

fn place(driver: usize, n: usize) -> (f64, f64) {
    let around = |number: usize, size: usize| (number % size) as f64 / size as f64;
    (52.4 + 0.15 * around(driver, 97) + 0.02 * around(n, 701), 13.1 + 0.5 * around(driver, 89) + 0.02 * around(n, 503))
}

/// Reads positions: the instant each carries, and how long it was under way.
async fn follow(mut socket: Socket, mut stop: watch::Receiver<bool>) -> Outcome<Vec<(DateTime<Utc>, Duration)>> {
    let mut arrived = Vec::new();
    let mut alive = tokio::time::interval(Duration::from_secs(15));
    loop {
        tokio::select! {
            message = socket.next() => arrived.push(message?),
            _ = alive.tick() => socket.alive().await?,
            _ = stop.changed() => break,
        }
    }
    let mut read = Vec::with_capacity(arrived.len());
    for message in arrived {
        if let Some(at) = message.read()?.position_at() {
            read.push((at, (message.at - at).to_std().unwrap_or_default()));
        }
    }
    Ok(read)
}

/// The same updates to a Redis of its own. Nothing where there is none.
async fn geoadd(drivers: usize) -> Outcome<Option<f64>> {
    let address = free_address()?;
    let port = address.port().to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let Ok(redis) = command.stdout(Stdio::null()).kill_on_drop(true).spawn() else { return Ok(None) };
    let mut stream = reach(address).await?;
    let pid = redis.id().unwrap_or_default();
    let (mut sent, mut answers) = (0, [0; 16 * 1024]);
    let mut before = process::cpu(pid, false);
    let updates = 400_000;
    while sent < updates {
        let mut text = String::new();
        for k in 0..PIPELINE {
            let n = sent + k;
            let (lat, lng) = place(n % drivers, n / drivers);
            let (lat, lng, member) = (lat.to_string(), lng.to_string(), format!("driver:{:08}", n % drivers));
            text += &format!("*5\r\n$6\r\nGEOADD\r\n$7\r\ndrivers\r\n${}\r\n{lng}\r\n", lng.len());
            text += &format!("${}\r\n{lat}\r\n${}\r\n{member}\r\n", lat.len(), member.len());
        }
        stream.write_all(text.as_bytes()).await?;
        let mut lines = 0;
        while lines < PIPELINE {
            let read = stream.read(&mut answers).await?;
            lines += answers[..read].iter().filter(|byte| **byte == b'\n').count();
            if read == 0 || answers[0] == b'-' {
                return Err("Redis refused".into());
            }
        }
        sent += PIPELINE;
        if sent == PIPELINE {
            before = process::cpu(pid, false);
        }
    }
    Ok(Some(process::cpu(pid, false).saturating_sub(before).as_secs_f64() * 1e6 / (sent - PIPELINE) as f64))
}

async fn reach(address: SocketAddr) -> Outcome<TcpStream> {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if begun.elapsed() > Duration::from_secs(10) => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
