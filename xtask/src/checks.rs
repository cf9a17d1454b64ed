//! `cargo xtask ci`: what must hold before a change lands, or a part of it.

use clap::Args;

use crate::workspace::{self, Outcome, program};

/// Run what must hold before a change lands: `.ci/run`, all of it or the named stages.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask ci                  all of it
  cargo xtask ci --list           the stages, and the minutes that each may take
  cargo xtask ci format lints     two of them")]
pub(crate) struct Options {
    /// Stages, in this order; all where none is named.
    stages: Vec<String>,
    /// Name the stages, and do nothing.
    #[arg(long, conflicts_with = "stages")]
    list: bool,
}

/// The stages stand in `.ci/run` alone, which also works where this program is not compiled.
pub(crate) fn run(options: &Options) -> Outcome {
    workspace::run(program(".ci/run").args(options.list.then_some("--list")).args(&options.stages))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::workspace::{output, program, root};

    /// Stage and minutes, as `.ci/run` has them and as contributors read them.
    #[test]
    fn contributors_read_of_the_stages_that_there_are() {
        let listed = output(program(".ci/run").arg("--list")).unwrap();
        let stages: Vec<(String, u32)> = listed
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace();
                (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
            })
            .collect();
        let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
        let read = |line: &str| {
            let (stage, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((stage.to_owned(), rest.split_once(" |")?.0.parse().ok()?))
        };
        assert_eq!(page.lines().filter_map(read).collect::<Vec<(String, u32)>>(), stages);
        assert!(stages.iter().any(|(stage, _)| stage == "tests"), "{stages:?}");
    }

    #[test]
    fn a_stage_that_there_is_not_is_named_and_nothing_runs() {
        let refused = program(".ci/run").args(["format", "lint"]).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{said}");
        assert!(said.contains("no stage lint;") && said.contains("lints"), "{said}");
    }
}
