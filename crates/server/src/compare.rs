//! `posthaste compare`: several policies over several recorded days.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::Path;

use posthaste_backtest::compare::run::{Options, Step, name_of, run};
use posthaste_backtest::compare::{Contender, Source, csv, html, text};

use crate::Fatal;
use crate::cli::CompareArgs;
use crate::simulate::{budget, write};

/// In place of policies: only traces are compared.
const NO_POLICY: &str = "none";

pub(crate) fn compare(args: &CompareArgs) -> Result<(), Fatal> {
    let contenders = contenders(args)?;
    distinct("days", args.days.iter().map(|day| name_of(day)))?;
    for file in [&args.csv, &args.html].into_iter().flatten() {
        // Better now than after an hour of search.
        writable(file)?;
    }
    let options = Options { budget: budget(args.search), threads: args.threads, traces: args.traces.clone() };
    let line = StatusLine { shown: std::io::stderr().is_terminal() };
    let comparison = run(&args.days, &contenders, &options, &|step| line.show(step));
    line.clear();
    let comparison = comparison?;
    print!("{}", text::table(&comparison));
    if let Some(file) = &args.csv {
        write(file, &csv::csv(&comparison))?;
    }
    if let Some(file) = &args.html {
        write(file, &html::page(&comparison, &how(args)))?;
    }
    Ok(())
}

/// The policies, then the traces, as they were given.
fn contenders(args: &CompareArgs) -> Result<Vec<Contender>, Fatal> {
    let mut contenders = Vec::new();
    if args.policies != [NO_POLICY] {
        for policy in &args.policies {
            let named: posthaste_backtest::simulate::named::Named = policy.parse()?;
            contenders.push(Contender { name: named.to_string(), source: Source::Simulated(named) });
        }
    }
    for (name, directory) in &args.with {
        contenders.push(Contender { name: name.clone(), source: Source::Traces(directory.clone()) });
    }
    if contenders.is_empty() {
        return Err("there is nothing to compare: give policies or traces".into());
    }
    distinct("policies or traces", contenders.iter().map(|contender| contender.name.clone()))?;
    Ok(contenders)
}

fn distinct(what: &str, names: impl Iterator<Item = String>) -> Result<(), Fatal> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(format!("two {what} are named {name:?}").into());
        }
    }
    Ok(())
}

fn writable(file: &Path) -> Result<(), Fatal> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    opened.map(drop).map_err(|source| format!("{}: {source}", file.display()).into())
}

/// How the figures of the page were made.
fn how(args: &CompareArgs) -> String {
    let simulated = format!(
        "Simulated in virtual time by posthaste {}, {} rounds of search a pass, seed {}",
        env!("CARGO_PKG_VERSION"),
        args.search.rounds,
        args.search.seed
    );
    let read: Vec<&str> = args.with.iter().map(|(name, _)| name.as_str()).collect();
    match (args.policies == [NO_POLICY], read.is_empty()) {
        (false, true) => format!("{simulated}."),
        (false, false) => format!("{simulated}; read from traces: {}.", read.join(", ")),
        (true, _) => "Read from traces.".to_owned(),
    }
}

/// What was heard last, on the last line of a terminal; short, as a line that wraps is not cleared.
struct StatusLine {
    shown: bool,
}

impl StatusLine {
    fn show(&self, step: Step<'_>) {
        if self.shown {
            let Step { day, contender, minute, delivered, orders, finished: (finished, all) } = step;
            eprint!("\r\x1b[K{finished}/{all} · {day} {contender} {:02}:00 {delivered}/{orders}", minute / 60);
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn args(given: &str) -> CompareArgs {
        let words = ["posthaste", "compare"].into_iter().chain(given.split(' '));
        match Cli::try_parse_from(words).unwrap().command {
            Command::Compare(args) => args,
            _ => unreachable!("it is the command given"),
        }
    }

    fn names(given: &str) -> Result<Vec<String>, String> {
        let contenders = contenders(&args(given)).map_err(|error| error.to_string())?;
        Ok(contenders.into_iter().map(|contender| contender.name).collect())
    }

    #[test]
    fn policies_come_first_and_traces_after_them() {
        assert_eq!(names("--days a b"), Ok(vec!["least_busy".to_owned(), "routed".to_owned()]));
        let both = names("--days a --policies routed+interleave+send-ahead --with live=x --with other=y");
        assert_eq!(both, Ok(["routed+send-ahead+interleave", "live", "other"].map(str::to_owned).to_vec()));
        assert_eq!(names("--days a --policies none --with live=x"), Ok(vec!["live".to_owned()]));
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        assert!(names("--days a --policies routed,nearest").is_err_and(|e| e.contains("\"nearest\"")));
        assert!(names("--days a --policies routed,routed").is_err_and(|e| e.contains("\"routed\"")));
        assert!(names("--days a --with routed=x").is_err_and(|e| e.contains("\"routed\"")));
        assert!(names("--days a --policies none").is_err_and(|e| e.contains("nothing to compare")));
        let twice = compare(&args("--days a/x b/../a/x --policies least_busy")).unwrap_err().to_string();
        assert!(twice.contains("two days"), "{twice}");
        let unreadable = compare(&args("--days /nowhere/day --policies least_busy")).unwrap_err().to_string();
        assert!(unreadable.contains("/nowhere/day/"), "{unreadable}");
    }
}
