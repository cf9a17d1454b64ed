//! `posthaste migrate`: the database brought up to date as a step of its own, in both worlds.

use std::fmt::Write as _;

use posthaste_live::stopping::Leave;
use posthaste_storage::migrations::{self, Outcome, Rehearsed};
use posthaste_storage::pool::{Pool, Schemas};
use posthaste_testworld::SCHEMA;
use serde::Serialize;

use crate::Fatal;
use crate::cli::MigrateArgs;
use crate::configuration::Mode;
use crate::database::{Database, explained};

/// Connections to the test world's tables.
const OF_TEST_WORLD: u32 = 1;

/// What would run in a world.
#[derive(Debug, Serialize)]
struct Checked {
    world: &'static str,
    pending: Vec<Rehearsed>,
}

pub(crate) async fn migrate(args: MigrateArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.clone().resolve("", 1.0, Mode::Production)?;
    let database = Database::as_it_is(&configuration).await?;
    let done = async {
        let test = Schemas::of(database.url())?.existing(SCHEMA, OF_TEST_WORLD).await?;
        let worlds = [("live", Some(database.pool.clone())), ("test", test)];
        let worlds = worlds.into_iter().filter_map(|(world, pool)| Some((world, pool?)));
        if args.check { check(worlds, &args).await } else { run(worlds).await }
    };
    let done = done.await.map_err(|error| match error {
        Failed::Database(error) => explained(&configuration, &error),
        Failed::Output(error) => error.into(),
    });
    database.close(&Leave::InOrder.budget()).await?;
    done
}

/// Why it did not come to its end.
enum Failed {
    Database(posthaste_storage::pool::PoolError),
    Output(serde_json::Error),
}

impl From<posthaste_storage::pool::PoolError> for Failed {
    fn from(error: posthaste_storage::pool::PoolError) -> Self {
        Self::Database(error)
    }
}

async fn run(worlds: impl Iterator<Item = (&'static str, Pool)>) -> Result<(), Failed> {
    for (world, pool) in worlds {
        let mut count = 0;
        let tell = |step: &migrations::Step, took: std::time::Duration| {
            count += 1;
            println!("{world}: {:04} {} ({} ms)", step.migration, step.about, took.as_millis());
        };
        let outcome = migrations::run(&pool, tell).await;
        pool.close().await;
        outcome?;
        println!("{world}: {count} applied, up to date");
    }
    Ok(())
}

async fn check(worlds: impl Iterator<Item = (&'static str, Pool)>, args: &MigrateArgs) -> Result<(), Failed> {
    let mut all = Vec::new();
    for (world, pool) in worlds {
        let pending = migrations::rehearse(&pool, args.at_most).await;
        pool.close().await;
        all.push(Checked { world, pending: pending? });
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all).map_err(Failed::Output)?);
    } else {
        print!("{}", lines(&all));
    }
    Ok(())
}

/// A line for each migration that would run.
fn lines(all: &[Checked]) -> String {
    let mut text = String::new();
    for Checked { world, pending } in all {
        if pending.is_empty() {
            let _ = writeln!(text, "{world}: nothing to do");
        }
        for Rehearsed { step, outcome } in pending {
            let _ = writeln!(text, "{world}: {:04} {}: {}", step.migration, step.about, said(outcome));
        }
    }
    text
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ran { milliseconds, locks } if locks.is_empty() => format!("{milliseconds} ms, locks nothing"),
        Outcome::Ran { milliseconds, locks } => {
            let locks: Vec<_> = locks.iter().map(|lock| format!("{} ({})", lock.table, lock.mode)).collect();
            format!("{milliseconds} ms, locks {}", locks.join(", "))
        }
        Outcome::TookTooLong => {
            "took too long and was broken off: try it on a restored copy, with --at-most".to_owned()
        }
        Outcome::NotRehearsed => "not tried".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use posthaste_storage::migrations::{Lock, Step};

    use super::*;

    #[test]
    fn a_migration_is_said_with_what_it_takes_and_locks() {
        let step = Step { migration: 36, about: "regions".to_owned() };
        let lock = Lock { table: "zones".to_owned(), mode: "AccessExclusiveLock".to_owned() };
        let outcome = Outcome::Ran { milliseconds: 7, locks: BTreeSet::from([lock]) };
        let all = [
            Checked { world: "live", pending: vec![Rehearsed { step, outcome }] },
            Checked { world: "test", pending: Vec::new() },
        ];
        assert_eq!(lines(&all), "live: 0036 regions: 7 ms, locks zones (AccessExclusiveLock)\ntest: nothing to do\n");
    }
}
