//! `posthaste simulate`: a recorded day in virtual time.

use std::io::IsTerminal;
use std::path::Path;

use posthaste_backtest::score::score;
use posthaste_backtest::simulate::named::{Named, UnknownPolicy};
use posthaste_backtest::{Instance, simulate, trace};
use posthaste_matching::routed::Budget;

use crate::Fatal;
use crate::cli::{SearchArgs, SimulateArgs};

pub(crate) fn simulate(args: &SimulateArgs) -> Result<(), Fatal> {
    let named = named(args)?;
    let day = Instance::read(&args.mdrp)?;
    let mut policy = named.for_day(&day, budget(args.search));
    let orders = day.orders.len();
    let mut progress = |minute: i32, delivered: usize| {
        if std::io::stderr().is_terminal() {
            eprint!("\r{:02}:00  {delivered} of {orders} orders delivered ", minute / 60);
        }
    };
    let outcome = simulate::simulate(&day, &mut *policy, &mut progress);
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    write(&args.trace, &trace::csv(&outcome.rows))?;
    let score = score(&day, &outcome.rows);
    println!(
        "{} of {} orders delivered; minutes from placement to door {:.2}, nine of ten within {:.0}; from ready to \
         pickup {:.2}; above what could not be avoided {:.2}; {:.2} orders to a pickup; solver {:.1} s, {} passes, the \
         longest {} ms",
        score.delivered,
        score.orders,
        score.click_to_door,
        score.click_to_door_p90,
        score.ready_to_pickup,
        score.excess,
        score.bundle,
        outcome.solving.as_secs_f64(),
        outcome.passes,
        outcome.slowest.as_millis(),
    );
    Ok(())
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fatal> {
    std::fs::write(path, text).map_err(|source| format!("{}: {source}", path.display()).into())
}

/// How much a policy searches, by the command line.
pub(crate) fn budget(search: SearchArgs) -> Budget {
    Budget { rounds: search.rounds, seed: search.seed, ..Budget::default() }
}

/// The policy of the name, with what else it may do.
fn named(args: &SimulateArgs) -> Result<Named, UnknownPolicy> {
    let mut name = args.policy.clone();
    for (given, rule) in [(args.send_ahead, "+send-ahead"), (args.interleave, "+interleave")] {
        if given {
            name.push_str(rule);
        }
    }
    name.parse()
}
