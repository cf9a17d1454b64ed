//! `cargo xtask nightly`: what takes too long for every change, and a table of what became of it.

mod stages;
mod table;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::workspace::{Outcome, chain, output, program, root, target};
use stages::{Ended, STAGES};
use table::Row;

/// Run what does not fit into `.ci/run`, and note in docs/nightly.md what became of it.
///
/// What a machine has not got the programs for is left out, and said. Nothing else should run meanwhile where figures are
/// to be kept.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask nightly --list
  cargo xtask nightly                                   all of it: an hour and a half, and a release build
  cargo xtask nightly storm faults --storm-seconds 1800
  cargo xtask nightly days --program target/debug/posthaste")]
pub(crate) struct Options {
    /// Stages, in this order; all where none is named.
    #[arg(value_parser = PossibleValuesParser::new(STAGES.map(|stage| stage.name)))]
    stages: Vec<String>,
    /// Say what the stages do, and do nothing.
    #[arg(long, conflicts_with = "stages")]
    list: bool,
    /// How long the storm goes on.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    storm_seconds: u32,
    /// How often the server is killed under load.
    #[arg(long, value_name = "TIMES", default_value_t = 60)]
    kills: u32,
    /// How long each attack goes on.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    attack_seconds: u32,
    /// Recorded days to play; those of docs/days where none is named.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    days: Vec<PathBuf>,
    /// The server, where it is built already. [default: a release build]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    if options.list {
        for stage in STAGES {
            println!("{:<8} {}", stage.name, stage.about);
        }
        return Ok(());
    }
    let page = root().join("docs/nightly.md");
    let logs = target().join("nightly");
    fs::create_dir_all(&logs)?;
    let mut rows = table::read(&fs::read_to_string(&page).unwrap_or_default());
    let (date, commit) = (output(program("date").args(["-u", "+%F"]))?.trim().to_owned(), commit()?);
    let mut failed = Vec::new();
    let chosen = |name: &str| options.stages.is_empty() || options.stages.iter().any(|stage| stage == name);
    for stage in STAGES.iter().filter(|stage| chosen(stage.name)) {
        let log = logs.join(format!("{}.log", stage.name));
        println!("== {}: {} ({})", stage.name, stage.about, log.display());
        let began = Instant::now();
        let ended = (stage.run)(options, &log).unwrap_or_else(|error| Ended::Failed(chain(&*error)));
        let (result, figure) = match ended {
            Ended::Holds(figure) => ("holds", figure),
            Ended::NotRun(why) => ("not run", why),
            Ended::Failed(why) => {
                failed.push(stage.name);
                ("FAILED", why)
            }
        };
        let row = Row {
            stage: stage.name.to_owned(),
            date: date.clone(),
            commit: commit.clone(),
            result: result.to_owned(),
            seconds: began.elapsed().as_secs(),
            figure,
        };
        println!("   {result} after {} s: {}", row.seconds, row.figure);
        table::note(&mut rows, row);
        // After each: a night that is broken off has what it has.
        fs::write(&page, table::page(&rows))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

/// What is tried: a commit, and a plus where there are changes beside it.
fn commit() -> Outcome<String> {
    let commit = output(program("git").args(["rev-parse", "--short", "HEAD"]))?;
    let changed =
        output(program("git").args(["status", "--porcelain", "--untracked-files=no", "--", ":!docs/nightly.md"]))?;
    Ok(format!("{}{}", commit.trim(), if changed.is_empty() { "" } else { "+" }))
}
