//! The stages of a night: each runs programs with their words in a log, and reads one figure from it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Options;
use crate::story;
use crate::workspace::{Outcome, cargo, has, program, root, target, typed};

/// The toolchain that has miri.
const MIRI: &str = "+nightly";
/// What `load` measures, by its own names.
const SCENARIOS: [&str; 7] = ["journal", "create-order", "position", "fanout", "dispatch", "memory", "restart"];

/// How a stage ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With one figure to look at.
    Holds(String),
    Failed(String),
    /// It could not be begun here, and why.
    NotRun(String),
}

/// A part of a night.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&Options, &Path) -> Outcome<Ended>,
}

/// All of them, in the order in which they run.
pub(super) const STAGES: [Stage; 8] = [
    Stage { name: "storm", about: "the storm of .ci/run, for longer", run: storm },
    Stage { name: "faults", about: "the real program killed under load, more often", run: faults },
    Stage { name: "attacks", about: "tests/attacks/run, on a release build", run: attacks },
    Stage { name: "nodes", about: "tests/standby/run, on a release build", run: nodes },
    Stage { name: "days", about: "both policies over recorded days, on a release build", run: days },
    Stage { name: "load", about: "all scenarios of the load program, on a release build", run: load },
    Stage { name: "miri", about: "the rules of the trade, looked at for undefined behaviour", run: miri },
    Stage { name: "mutants", about: "whether tests notice when rules of the trade are changed", run: mutants },
];

fn storm(options: &Options, log: &Path) -> Outcome<Ended> {
    let mut storm = program(story::tests_of("posthaste-live")?);
    storm.args(["--exact", "tests::storm::a_system_that_goes_on_serving_comes_through_a_storm_whole"]);
    storm.args(["--ignored", "--nocapture"]).env("POSTHASTE_STORM_SECONDS", options.storm_seconds.to_string());
    Ok(match ran(&mut storm, log)? {
        Ok(text) => Ended::Holds(line_with(&text, " commands, ").unwrap_or_else(|| text_is_odd(log))),
        Err((why, text)) => Ended::Failed(format!("{}: {why}", line_with(&text, "seed").unwrap_or_default())),
    })
}

fn faults(options: &Options, log: &Path) -> Outcome<Ended> {
    let mut faults = cargo();
    faults.args(["test", "--workspace", "--test", "faults", "--", "--nocapture"]);
    faults.env("POSTHASTE_KILLS", options.kills.to_string());
    Ok(ended(ran(&mut faults, log)?, |_| format!("{} kills", options.kills)))
}

fn attacks(options: &Options, log: &Path) -> Outcome<Ended> {
    if !has("python3", &["--version"]) {
        return Ok(Ended::NotRun("no python3 here".to_owned()));
    }
    let mut attacks = program("tests/attacks/run");
    attacks.arg("--program").arg(server(options)?).args(["--seconds", &options.attack_seconds.to_string()]);
    Ok(ended(ran(&mut attacks, log)?, |text| slowest(text).unwrap_or_else(|| text_is_odd(log))))
}

fn nodes(options: &Options, log: &Path) -> Outcome<Ended> {
    if !has("python3", &["--version"]) || !has("ip", &["-V"]) || !has("sh", &["-c", "[ $(id -u) = 0 ]"]) {
        return Ok(Ended::NotRun("networks that are taken away want python3, iproute2 and root".to_owned()));
    }
    let mut nodes = program("tests/standby/run");
    nodes.arg("--program").arg(server(options)?).args(["--faults", &options.kills.to_string()]);
    Ok(ended(ran(&mut nodes, log)?, |text| {
        line_with(text, "commands acknowledged").unwrap_or_else(|| text_is_odd(log))
    }))
}

fn days(options: &Options, log: &Path) -> Outcome<Ended> {
    let mut compare = program(server(options)?);
    compare.args(["compare", "--days"]);
    let days = if options.days.is_empty() { vec![root().join("docs/days/example")] } else { options.days.clone() };
    compare.args(&days);
    Ok(ended(ran(&mut compare, log)?, |text| {
        let of = if days.len() == 1 { "1 day".to_owned() } else { format!("{} days", days.len()) };
        format!("{of}; {}", line_with(text, "routed").unwrap_or_else(|| text_is_odd(log)))
    }))
}

fn load(options: &Options, log: &Path) -> Outcome<Ended> {
    server(options)?;
    crate::workspace::run(cargo().args(["build", "--release", "--quiet", "-p", "posthaste-benches"]))?;
    let (mut met, mut marks, mut all) = (0, 0, String::new());
    for scenario in SCENARIOS {
        match ran(program(target().join("release/load")).args([scenario, "--json"]), log)? {
            Ok(text) => {
                let (of_these, of_all) = of_marks(&text);
                (met, marks) = (met + of_these, marks + of_all);
                all.push_str(&text);
            }
            Err((why, _)) => return Ok(Ended::Failed(format!("{scenario}: {why}"))),
        }
    }
    fs::write(log, all)?;
    Ok(Ended::Holds(format!("{met} of {marks} marks met")))
}

fn miri(_: &Options, log: &Path) -> Outcome<Ended> {
    // By its usual name: the cargo that runs this knows of no other toolchain.
    if !has("cargo", &[MIRI, "miri", "--version"]) {
        return Ok(Ended::NotRun(format!("no miri here (cargo {MIRI} miri)")));
    }
    let mut miri = program("cargo");
    miri.args([MIRI, "miri", "test", "-p", "posthaste-domain", "--lib"]).env_remove("RUSTUP_TOOLCHAIN");
    miri.env("PROPTEST_CASES", "4").env("MIRIFLAGS", "-Zmiri-disable-isolation");
    Ok(ended(ran(&mut miri, log)?, |text| line_with(text, "test result").unwrap_or_else(|| text_is_odd(log))))
}

fn mutants(_: &Options, log: &Path) -> Outcome<Ended> {
    if !has("cargo", &["mutants", "--version"]) {
        return Ok(Ended::NotRun("no cargo-mutants here".to_owned()));
    }
    let mut mutants = cargo();
    mutants
        .args(["mutants", "--package", "posthaste-domain", "--no-times", "--colors=never", "--output"])
        .arg(target());
    // What was not noticed is to be looked at, and no failure.
    Ok(match ran(&mut mutants, log)? {
        Ok(text) | Err((_, text)) => {
            line_with(&text, " missed").map_or_else(|| Ended::Failed(text_is_odd(log)), Ended::Holds)
        }
    })
}

/// The server that is tried.
fn server(options: &Options) -> Outcome<PathBuf> {
    if let Some(program) = &options.program {
        return Ok(program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?);
    }
    crate::workspace::run(cargo().args(["build", "--release", "--quiet", "-p", "posthaste"]))?;
    Ok(target().join("release/posthaste"))
}

/// What a program wrote, with why it failed where it did.
type Ran = Result<String, (String, String)>;

/// Runs a program with everything that it writes in a file.
fn ran(command: &mut Command, log: &Path) -> Outcome<Ran> {
    let (file, words) = (File::create(log)?, typed(command));
    let status = command.stdout(file.try_clone()?).stderr(file).status();
    let status = status.map_err(|error| format!("{words} cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(if status.success() { Ok(text) } else { Err((format!("`{words}` failed ({status})"), text)) })
}

fn ended(ran: Ran, figure: impl FnOnce(&str) -> String) -> Ended {
    match ran {
        Ok(text) => Ended::Holds(figure(&text)),
        Err((why, _)) => Ended::Failed(why),
    }
}

fn text_is_odd(log: &Path) -> String {
    format!("it says no figure: {}", log.display())
}

/// The last line with this in it, its spaces single.
fn line_with(text: &str, what: &str) -> Option<String> {
    let line = text.lines().rev().find(|line| line.contains(what))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Of a table of attacks, the one in which the bystander waited longest: its name ends before two spaces, what was asked
/// follows, then the percentile.
fn slowest(text: &str) -> Option<String> {
    let line = |line: &str| {
        let (name, rest) = line.split_once("  ")?;
        let p99: u64 = rest.split_whitespace().nth(1)?.parse().ok()?;
        Some((p99, name.trim().to_owned()))
    };
    let (p99, name) = text.lines().filter_map(line).max()?;
    Some(format!("p99 of the bystander at most {p99} ms ({name})"))
}

/// Of a report of `load`, how many of its marks are met, and how many it has. What comes before it is no part of it.
fn of_marks(text: &str) -> (usize, usize) {
    let report: Value = text.find('{').and_then(|at| serde_json::from_str(&text[at..]).ok()).unwrap_or_default();
    let marks = report["lines"].as_array().into_iter().flatten().filter_map(|line| line["met"].as_bool());
    marks.fold((0, 0), |(met, all), mark| (met + usize::from(mark), all + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_programs_write() {
        let attacks = "attack                        asked  p99 ms  max ms\n\
                       combs                           342      34      39      19 > 294 > 289  holds\n\
                       slow readers                    300     120     200      19 > 20 > 19  holds\n";
        assert_eq!(slowest(attacks).unwrap(), "p99 of the bystander at most 120 ms (slow readers)");
        assert_eq!(slowest("attack  asked  p99 ms"), None);
        let load = "starting\n{\"scenario\": \"a\", \"lines\": [{\"met\": true}, {\"met\": null}, {\"met\": false}]}";
        assert_eq!(of_marks(load), (1, 2));
        assert_eq!(of_marks("nothing"), (0, 0));
        let storm = "a storm of 10 s, seed 5\n93 orders, 811 commands, 12 cuts\nok\n";
        assert_eq!(line_with(storm, " commands, ").unwrap(), "93 orders, 811 commands, 12 cuts");
    }

    #[test]
    fn a_program_that_fails_is_named_and_its_words_are_kept() {
        let log = std::env::temp_dir().join(format!("posthaste-nightly-{}.log", std::process::id()));
        let (why, text) = ran(program("sh").args(["-c", "echo words; exit 3"]), &log).unwrap().unwrap_err();
        assert!(why.contains("sh -c") && why.contains('3') && text == "words\n", "{why} {text}");
        assert!(ran(&mut program("no-such-program-here"), &log).is_err());
        fs::remove_file(log).unwrap();
    }
}
