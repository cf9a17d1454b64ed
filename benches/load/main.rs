//! The load program: each scenario measures posthaste and its peer within one run and prints the ratio beside the
//! mark that it has to reach. `docs/benchmarks.md` tells what each one does and what came out.
//!
//! Nothing is left behind: the private Postgres, servers and peers are children that end with the program, and their
//! files lie in a temporary directory.

mod create_order;
mod database;
mod dispatch;
mod fanout;
mod http;
mod journal;
mod memory;
mod position;
mod process;
mod report;
mod restart;
mod server;
mod stage;
mod wire;

use clap::{Parser, Subcommand};

use report::Report;

/// Whatever goes wrong here is told and ends the run.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures posthaste beside its peers.
#[derive(Parser)]
#[command(name = "load", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// Print the result as JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  load journal                        acknowledged durable commands beside raw inserts
  load journal --rounds 5 --json      more rounds, for a figure to keep
  load create-order                   orders over REST, beside one insert for each request
  load position                       positions, beside Redis's GEOADD
  load fanout --trackers 1000,5000    an order's steps to many, beside Socket.IO
  load dispatch --drivers 1000        from acceptance to the offer
  load memory --orders 100000         a live order beside a bare actor, and idle sockets
  load restart --orders 100000        time to ready after a restart";

#[derive(Subcommand)]
enum Scenario {
    /// Acknowledged durable commands a second, beside raw UNNEST batches and single-row inserts.
    Journal(journal::Options),
    /// Orders over REST, beside a handler with one insert for each request.
    CreateOrder(create_order::Options),
    /// Positions from drivers' sockets to trackers, beside Redis's GEOADD.
    Position(position::Options),
    /// One order's steps to all who follow it, beside a Socket.IO room.
    Fanout(fanout::Options),
    /// From an order's acceptance to its offer, with many drivers on shift.
    Dispatch(dispatch::Options),
    /// Resident memory: a live order beside a bare actor; settled orders leave; idle sockets.
    Memory(memory::Options),
    /// A start with many live orders stored, beside the spawning of bare actors.
    Restart(restart::Options),
    /// A part of a scenario that needs a process of its own. Not for people.
    #[command(hide = true)]
    Part {
        #[command(subcommand)]
        part: process::Part,
    },
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        // Dropping the scenario on Ctrl-C stops the servers that it started.
        tokio::select! {
            result = run(arguments.scenario) => result,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    })?;
    if let Some(report) = result {
        report.print(arguments.json)?;
    }
    Ok(())
}

async fn run(scenario: Scenario) -> Outcome<Option<Report>> {
    Ok(Some(match scenario {
        Scenario::Journal(options) => journal::run(options).await?,
        Scenario::CreateOrder(options) => create_order::run(options).await?,
        Scenario::Position(options) => position::run(options).await?,
        Scenario::Fanout(options) => fanout::run(options).await?,
        Scenario::Dispatch(options) => dispatch::run(options).await?,
        Scenario::Memory(options) => memory::run(options).await?,
        Scenario::Restart(options) => restart::run(options).await?,
        Scenario::Part { part } => {
            part.run().await?;
            return Ok(None);
        }
    }))
}
