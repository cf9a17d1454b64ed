//! `cargo xtask story`: one story of `live`, again and again, with its logs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::workspace::{self, Outcome, cargo, output, program, target};

/// Run a story of `live` with logs on, as often as it takes to see it fail.
///
/// A story is a test of the crate; all whose name has the filter in it are run, those that usual runs leave out too. One run
/// shows everything; of several, what a failed one wrote is kept in the target directory. What is random says its seed, and
/// takes it from the environment.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask story a_declined_offer
  cargo xtask story backlog --repeat 20
  POSTHASTE_STORM_SEED=7 cargo xtask story comes_through_a_storm --log warn")]
pub(crate) struct Options {
    /// A part of the test's name.
    filter: String,
    /// How often.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// What is logged, as RUST_LOG says it.
    #[arg(long, value_name = "FILTER", default_value = "posthaste=debug")]
    log: String,
    /// Another crate of the workspace, whose own tests are meant. Those of `live` write logs.
    #[arg(long, value_name = "CRATE", default_value = "posthaste-live")]
    package: String,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let binary = tests_of(&options.package)?;
    let listed = output(program(&binary).args([&options.filter, "--list", "--format", "terse", "--include-ignored"]))?;
    let stories: Vec<_> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    if stories.is_empty() {
        return Err(format!("no test of {} has {:?} in its name", options.package, options.filter).into());
    }
    println!("{}", stories.join("\n"));
    if options.repeat == 1 {
        return workspace::run(&mut command(&binary, options));
    }
    let kept = target().join("stories");
    fs::create_dir_all(&kept)?;
    let mut failed = 0;
    for number in 1..=options.repeat {
        let log = kept.join(format!("{}-{number}.log", options.filter.replace("::", "-")));
        let (passed, took) = once(&mut command(&binary, options), &log)?;
        println!("{}", line(number, passed, took, &log)?);
        if passed {
            fs::remove_file(&log)?;
        } else {
            failed += 1;
        }
    }
    println!("{failed} of {} failed", options.repeat);
    if failed == 0 { Ok(()) } else { Err("not every run passed".into()) }
}

/// The binary of a crate's own tests. Everything is built as the tests are: a part of the workspace would have other
/// features, and be compiled apart.
pub(crate) fn tests_of(package: &str) -> Outcome<PathBuf> {
    let message = "--message-format=json-render-diagnostics";
    let told = output(cargo().args(["test", "--workspace", "--lib", "--no-run", "--quiet", message]))?;
    let name = package.replace('-', "_");
    let binary = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|made| {
        let is_it = made["target"]["name"] == name.as_str();
        made["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    binary.ok_or_else(|| format!("{package} has no tests of its own, or is no crate of this workspace").into())
}

fn command(binary: &Path, options: &Options) -> Command {
    let mut command = program(binary);
    command
        .args([&options.filter, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env("RUST_LOG", &options.log);
    command
}

/// Runs it with everything that it writes in a file: whether it passed, and how long it took.
fn once(command: &mut Command, log: &Path) -> Outcome<(bool, Duration)> {
    let (file, began) = (File::create(log)?, Instant::now());
    let status = command.stdout(file.try_clone()?).stderr(file).status()?;
    Ok((status.success(), began.elapsed()))
}

/// What is said of a run: of one that failed when that was, with which seed, and where to read on.
fn line(number: u32, passed: bool, took: Duration, log: &Path) -> Outcome<String> {
    let seconds = took.as_secs_f64();
    if passed {
        return Ok(format!("{number:>4}  passed in {seconds:.1} s"));
    }
    let at = output(program("date").args(["-u", "+%FT%TZ"]))?;
    let seed = seed(&String::from_utf8_lossy(&fs::read(log)?)).map(|seed| format!(", {seed}")).unwrap_or_default();
    Ok(format!("{number:>4}  FAILED after {seconds:.1} s, at {}{seed}: {}", at.trim(), log.display()))
}

/// What the run says of its seed.
fn seed(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("seed ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| format!("seed {digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Temporary;

    #[test]
    fn a_run_that_failed_says_when_and_with_which_seed_and_keeps_what_it_wrote() {
        let place = Temporary::new("story").unwrap();
        let log = place.0.join("a.log");
        let (passed, took) = once(program("sh").args(["-c", "echo a storm of 10 s, seed 77; exit 1"]), &log).unwrap();
        assert!(!passed);
        let said = line(3, passed, took, &log).unwrap();
        assert!(said.contains("FAILED") && said.contains(", seed 77: ") && said.contains("a.log"), "{said}");
        let (passed, took) = once(&mut program("true"), &log).unwrap();
        assert!(line(4, passed, took, &log).unwrap().contains("passed in 0."));
    }

    #[test]
    fn the_seed_is_the_one_that_is_said() {
        assert_eq!(seed("seed 5: 3 orders").as_deref(), Some("seed 5"));
        assert_eq!(seed("a reseed of nothing"), None);
        assert_eq!(seed(""), None);
    }
}
