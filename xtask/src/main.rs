//! `cargo xtask`: what contributors do by command, in one place. `cargo xtask --help` lists it.
//!
//! It starts other programs and says what became of them. Nothing here is part of the product, and it knows as little of it
//! as it can: it has to work where the rest does not compile.

mod checks;
mod database;
mod documents;
mod files;
mod nightly;
mod queries;
mod story;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Outcome;

/// What contributors do by command.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

const EXAMPLES: &str = "Examples:
  cargo xtask ci lints          one stage of what must hold before a change lands
  cargo xtask sqlx              after a query or a migration was changed
  cargo xtask docs              after a route or a message was changed";

#[derive(Debug, Subcommand)]
enum Task {
    Ci(checks::Options),
    Sqlx(queries::Options),
    Docs(documents::Options),
    Db(database::Options),
    Story(story::Options),
    Nightly(nightly::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", workspace::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Outcome {
    match task {
        Task::Ci(options) => checks::run(&options),
        Task::Sqlx(options) => queries::run(&options),
        Task::Docs(options) => documents::run(&options),
        Task::Db(options) => database::run(&options),
        Task::Story(options) => story::run(&options),
        Task::Nightly(options) => nightly::run(&options),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_explains_itself_and_has_an_example() {
        let mut whole = Arguments::command();
        whole.clone().debug_assert();
        whole.build();
        let names: Vec<_> = whole.get_subcommands().map(|task| task.get_name().to_owned()).collect();
        assert_eq!(names, ["ci", "sqlx", "docs", "db", "story", "nightly"]);
        for name in names {
            let task = whole.find_subcommand_mut(&name).unwrap();
            let help = task.render_long_help().to_string();
            let (about, examples) =
                help.split_once("Example").unwrap_or_else(|| panic!("{name} has no example:\n{help}"));
            assert!(examples.contains(&format!("cargo xtask {name}")), "{help}");
            assert!(about.trim_start().starts_with(|letter: char| letter.is_uppercase()), "{help}");
        }
    }
}
