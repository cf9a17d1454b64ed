//! Resident memory, each thing in a process of its own of the same kind.

use std::time::Duration;

use posthaste_domain::ids::OrderId;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::database::Database;
use crate::process::{Population, part};
use crate::report::{Mark, Report, median};
use crate::restart::store_orders;
use crate::server::Server;
use crate::wire::Socket;

/// Sockets that connect beside each other.
const CONNECTING: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Live orders, and bare actors beside them.
    #[arg(long, default_value_t = 100_000)]
    orders: usize,
    /// Rounds; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Idle tracking sockets, each of an order of its own.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
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
    let mut report = Report::new("memory: live orders, bare actors, idle sockets");
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
    drop(database);
    sockets(&mut report, options.sockets).await?;
    report.note("the bare actor has a number for state; the order has its tasks, contacts, codes, deadlines, alarms");
    Ok(report)
}

/// Resident memory of a server with many sockets more. Those before them, a fifth as many, take what was free.
async fn sockets(report: &mut Report, count: usize) -> Outcome<()> {
    let database = Database::start().await?;
    let orders = store_orders(&database, count + count / 5).await?;
    let server = Server::start(&database).await?;
    let (first, rest) = orders.split_at(count / 5);
    let mut open = open_trackers(&server, first).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.resident()?;
    open.extend(open_trackers(&server, rest).await?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = server.resident()?.saturating_sub(before) as f64 / rest.len() as f64;
    let what = format!("resident bytes an idle tracking socket, {} open", open.len());
    report.mark(what, each, "B", Mark::AtMost(8192.0));
    Ok(())
}

async fn open_trackers(server: &Server, orders: &[OrderId]) -> Outcome<Vec<Socket>> {
    let (mut opening, mut sockets) = (JoinSet::new(), Vec::with_capacity(orders.len()));
    for order in orders {
        if opening.len() == CONNECTING
            && let Some(opened) = opening.join_next().await
        {
            sockets.push(opened??);
        }
        let (address, path) = (server.address, server.tracking_path(*order));
        opening.spawn(async move { Socket::posthaste(address, &path, None).await });
    }
    while let Some(opened) = opening.join_next().await {
        sockets.push(opened??);
    }
    Ok(sockets)
}
