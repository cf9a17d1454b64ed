//! Resident memory, each thing in a process of its own of the same kind.

use crate::Outcome;
use crate::database::Database;
use crate::process::{Population, part};
use crate::report::{Mark, Report, median};
use crate::restart::store_orders;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Live orders, and bare actors beside them.
    #[arg(long, default_value_t = 100_000)]
    orders: usize,
    /// Rounds; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let database = Database::start().await?;
    store_orders(&database, options.orders).await?;
    let count = options.orders.to_string();
    let (mut bare, mut live, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut settled = None;
    for round in 1..=options.rounds {
        let actors: Population = part(&["bare-actors", &count]).await?;
        let mut arguments = vec!["live-orders", database.url()];
        if round == options.rounds {
            arguments.push("--settle");
        }
        let orders: Population = part(&arguments).await?;
        eprintln!("round {round}: {:.0} bytes a bare actor, {:.0} an order", actors.bytes_each(), orders.bytes_each());
        bare.push(actors.bytes_each());
        live.push(orders.bytes_each());
        ratios.push(orders.bytes_each() / actors.bytes_each());
        settled = Some(orders);
    }
    let mut report = Report::new("memory: a live order beside a bare actor");
    report.mark("a live order over a bare ractor actor", median(ratios), "x", Mark::AtMost(1.3));
    report.figure("resident bytes a live order", median(live), "B");
    report.figure("resident bytes a bare actor", median(bare), "B");
    if let Some(orders) = settled
        && let (Some(left), Some(emptied)) = (orders.left, orders.emptied)
    {
        report.mark("orders in memory after all were canceled", left as f64, "", Mark::AtMost(0.0));
        let back = (orders.after.saturating_sub(emptied)) as f64 / orders.after.saturating_sub(orders.before) as f64;
        report.figure("of their memory given back to the system", back * 100.0, "%");
    }
    report.note("the bare actor has a number for state; the order has its tasks, contacts, codes, deadlines, alarms");
    Ok(report)
}
