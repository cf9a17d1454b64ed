//! posthaste: a real-time delivery dispatcher.
//!
//! This crate is the program: it reads the configuration, opens the database, wires the live system to the routes, and
//! runs it until it is told to stop. What each command does is in the file of its name.

mod accounts;
mod cli;
mod compare;
mod configuration;
mod database;
mod demo;
mod insight;
mod metrics;
mod replay;
mod run;
mod serve;
mod simulate;
mod telemetry;
mod token;
mod token_key;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// What can go wrong so badly that the program ends. Each text says what to do where something can be done.
type Fatal = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    // One provider of cryptography for every connection that the program makes.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::serve(args).await,
        Command::Demo(args) => demo::demo(args).await,
        Command::Replay(args) => replay::replay(args).await,
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Insight(args) => insight::insight(args).await,
        Command::Token(args) => token::token(&args),
        Command::Admin(args) => accounts::admin(args).await,
        Command::Keys(args) => accounts::keys(args).await,
        Command::Openapi => openapi(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posthaste: {}", telemetry::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn openapi() -> Result<(), Fatal> {
    println!("{}", serde_json::to_string_pretty(&posthaste_api::openapi::document())?);
    Ok(())
}
