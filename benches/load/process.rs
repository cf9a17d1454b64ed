//! Processes: what one uses, and parts of a scenario that need one of their own.

use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Subcommand;
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::stage;

/// Resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// Processor time that a process has used, with its children or without.
pub(crate) fn cpu(pid: u32, with_children: bool) -> Duration {
    if with_children { cpu_with_children(pid) } else { cpu_alone(pid).unwrap_or_default() }
}

/// To the nanosecond: the ticks of `/proc` are ten milliseconds long.
fn cpu_alone(pid: u32) -> Option<Duration> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(nix::time::clock_gettime(clock).ok()?.into())
}

fn cpu_with_children(pid: u32) -> Duration {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(stat) = std::fs::read_to_string(entry.path().join("stat")).ok() else { continue };
        // The name in parentheses may hold anything; what follows it is numbers.
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let numbers: Vec<u64> = tail.split_whitespace().skip(1).map(|n| n.parse().unwrap_or(0)).collect();
        let itself = head.split(' ').next() == Some(pid.to_string().as_str());
        if itself || numbers.first() == Some(&u64::from(pid)) {
            ticks += numbers.get(10).unwrap_or(&0) + numbers.get(11).unwrap_or(&0);
        }
    }
    Duration::from_millis(ticks * 10)
}

/// What a part with a process of its own measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Population {
    /// How many there are.
    pub(crate) count: u64,
    /// Time until all were there.
    pub(crate) seconds: f64,
    /// Resident bytes before.
    pub(crate) before: u64,
    /// Resident bytes with all of them there and nothing going on.
    pub(crate) after: u64,
    /// How many were left after all were ended, where that was tried.
    pub(crate) left: Option<u64>,
    /// Resident bytes then.
    pub(crate) emptied: Option<u64>,
}

impl Population {
    pub(crate) fn bytes_each(&self) -> f64 {
        self.after.saturating_sub(self.before) as f64 / self.count as f64
    }

    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// A part that is measured in a process of its own.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// Bare actors.
    BareActors { count: u64 },
    /// The live system on a database that has orders.
    LiveOrders {
        url: String,
        /// Cancel all of them at the end.
        #[arg(long)]
        settle: bool,
    },
    /// A handler that inserts each order by itself.
    InsertOrders { url: String, listen: std::net::SocketAddr },
}

impl Part {
    pub(crate) async fn run(self) -> Outcome<()> {
        let population = match self {
            Self::BareActors { count } => bare_actors(count).await?,
            Self::LiveOrders { url, settle } => live_orders(&url, settle).await?,
            Self::InsertOrders { url, listen } => return crate::create_order::serve_peer(&url, listen).await,
        };
        println!("{}", serde_json::to_string(&population)?);
        Ok(())
    }
}

/// Runs a part in a process of its own; what it printed.
pub(crate) async fn part<T: DeserializeOwned>(arguments: &[&str]) -> Outcome<T> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    let output = command.arg("part").args(arguments).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        return Err(format!("the part {} ended with {}", arguments[0], output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Waits until nothing moves any more, then reads the resident memory.
async fn settled_resident() -> Outcome<u64> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    resident(std::process::id())
}

/// An actor with nothing in it but a number.
struct Bare;

impl Actor for Bare {
    type Msg = u64;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(&self, _: ActorRef<u64>, number: u64) -> Result<u64, ActorProcessingErr> {
        Ok(number)
    }

    async fn handle(&self, _: ActorRef<u64>, message: u64, state: &mut u64) -> Result<(), ActorProcessingErr> {
        *state += message;
        Ok(())
    }
}

/// Actors linked to a supervisor, started as the live system starts its own. Ready when each has had its start.
async fn bare_actors(count: u64) -> Outcome<Population> {
    let before = resident(std::process::id())?;
    let (supervisor, _) = Actor::spawn(None, Bare, 0).await?;
    let start = Instant::now();
    let mut actors = Vec::new();
    let mut last = None;
    for number in 0..count {
        let (actor, started) = ActorRuntime::spawn_linked_instant(None, Bare, number, supervisor.get_cell())?;
        actors.push(actor);
        last = Some(started);
    }
    if let Some(started) = last {
        started.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = settled_resident().await?;
    let population = Population { count, seconds, before, after, left: None, emptied: None };
    drop(actors);
    Ok(population)
}

async fn live_orders(url: &str, settle: bool) -> Outcome<Population> {
    let pool = posthaste_storage::pool::connect(url, crate::database::CONNECTIONS).await?;
    pool.ping().await?;
    let before = resident(std::process::id())?;
    let start = Instant::now();
    let system = stage::system(pool.clone()).await?;
    system.ready().await?;
    let seconds = start.elapsed().as_secs_f64();
    let after = settled_resident().await?;
    let count = system.orders().live() as u64;
    let (mut left, mut emptied) = (None, None);
    if settle {
        stage::cancel_all(&system, &pool).await?;
        left = Some(system.orders().live() as u64);
        emptied = Some(settled_resident().await?);
    }
    system.stop().await;
    Ok(Population { count, seconds, before, after, left, emptied })
}
