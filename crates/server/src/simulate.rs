//! `posthaste simulate`: a recorded day in virtual time.

use std::io::IsTerminal;
use std::path::Path;

use posthaste_backtest::score::score;
use posthaste_backtest::simulate::policy::Policy;
use posthaste_backtest::simulate::routed::{Routed, Settings};
use posthaste_backtest::{Instance, simulate, trace};
use posthaste_matching::routed::Budget;

use crate::Fatal;
use crate::cli::{SimulateArgs, SimulationRules};

pub(crate) fn simulate(args: &SimulateArgs) -> Result<(), Fatal> {
    let day = Instance::read(&args.mdrp)?;
    let mut policy = policy(&args.policy, args.rules)?;
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

fn write(path: &Path, text: &str) -> Result<(), Fatal> {
    std::fs::write(path, text).map_err(|source| format!("{}: {source}", path.display()).into())
}

/// A policy of a simulated day, by its name.
pub(crate) fn policy(name: &str, rules: SimulationRules) -> Result<Box<dyn Policy>, Fatal> {
    let settings = Settings {
        budget: Budget { rounds: rules.rounds, seed: rules.seed, ..Budget::default() },
        interleave: rules.interleave,
        send_ahead: rules.send_ahead,
        ..Settings::default()
    };
    match name {
        "routed" => Ok(Box::new(Routed::new(settings))),
        _ => Err(format!("there is no policy {name:?} to simulate; there is routed").into()),
    }
}
