//! posthaste: a real-time delivery dispatcher.
//!
//! This crate is the program: it reads the configuration, opens the database, wires the live system to the routes, and
//! runs it until it is told to stop. What each command does is in the file of its name.

mod accounts;
mod backup;
mod cli;
mod compare;
mod configuration;
mod copies;
mod database;
mod demo;
mod doctor;
mod environment;
mod export_day;
mod health;
mod insight;
mod listening;
mod manager;
mod memory;
mod metrics;
mod migrate;
mod replay;
mod run;
mod serve;
mod simulate;
mod stand_ins;
mod telemetry;
mod token;
mod token_key;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::listening::{Given, Handed};

/// How long tasks that nobody waits for may take to end.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// What can go wrong so badly that the program ends. Each text says what to do where something can be done.
type Fatal = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut given = Given::take();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(run(&mut given));
    // Nothing of this run is left when the next one begins.
    runtime.shutdown_timeout(LAST_TASKS);
    match outcome {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(handed)) => failed(&*given.start_again(handed)),
        Err(error) => failed(&*error),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("posthaste: {}", telemetry::chain(error));
    ExitCode::FAILURE
}

/// Runs the command. Gives what is handed on where the program is to start again.
async fn run(given: &mut Given) -> Result<Option<Handed>, Fatal> {
    // One provider of cryptography for every connection that the program makes.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    environment::check()?;
    match cli.command {
        Command::Serve(args) => return serve::serve(args, given).await,
        Command::Demo(args) => demo::demo(args).await,
        Command::Replay(args) => replay::replay(args).await,
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::ExportDay(args) => export_day::export_day(args).await,
        Command::Insight(args) => insight::insight(args).await,
        Command::Token(args) => token::token(&args),
        Command::Admin(args) => accounts::admin(args).await,
        Command::Keys(args) => accounts::keys(args).await,
        Command::Doctor(args) => doctor::doctor(args).await,
        Command::Migrate(args) => migrate::migrate(args).await,
        Command::Health(args) => health::health(args).await,
        Command::Backup(args) => backup::backup(args).await,
        Command::Restore(args) => backup::restore(args).await,
        Command::GoLive(args) => copies::go_live(args).await,
        Command::StandIns(args) => stand_ins::stand_ins(&args).await,
        Command::Openapi(args) if args.postman => print(&posthaste_gate::openapi::postman()),
        Command::Openapi(_) => print(&posthaste_gate::openapi::document()),
        Command::Access => {
            print!("{}", posthaste_gate::access::page());
            Ok(())
        }
        Command::Asyncapi => print(&posthaste_gate::asyncapi::document()),
    }
    .map(|()| None)
}

fn print(document: &impl serde::Serialize) -> Result<(), Fatal> {
    println!("{}", serde_json::to_string_pretty(document)?);
    Ok(())
}
