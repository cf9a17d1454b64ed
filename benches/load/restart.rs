//! A start with many live orders stored: time to ready, and how it compares with merely spawning as many actors.

use posthaste_domain::ids::OrderId;
use posthaste_storage::feed::Feed;
use posthaste_storage::journal;

use crate::Outcome;
use crate::database::Database;
use crate::process::{Population, part};
use crate::report::{Mark, Report, median};
use crate::stage;

/// Orders written in one commit while the stage is set.
const BATCH: usize = 1_024;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Live orders stored.
    #[arg(long, default_value_t = 100_000)]
    orders: usize,
    /// Zones that they lie in. A start is as long with 50 as with one: each zone asks its own orders.
    #[arg(long, default_value_t = 1)]
    zones: usize,
    /// Rounds; the middle one counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let database = Database::start().await?;
    store(&database, options.orders, options.zones, |n| n % 2 == 0).await?;
    let count = options.orders.to_string();
    let (mut bare, mut live, mut ratios, mut seconds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let actors: Population = part(&["bare-actors", &count]).await?;
        let orders: Population = part(&["live-orders", database.url()]).await?;
        eprintln!(
            "round {round}: {:.0} bare actors a second, {:.0} orders; ready in {:.2} s",
            actors.rate(),
            orders.rate(),
            orders.seconds
        );
        bare.push(actors.rate());
        live.push(orders.rate());
        ratios.push(orders.rate() / actors.rate());
        seconds.push(orders.seconds);
    }
    let mut report = Report::new("restart: live orders from Postgres to ready");
    report.mark("orders ready over bare actors spawned, by rate", median(ratios), "x", Mark::AtLeast(0.5));
    let what = format!("time to ready with {} live orders in {} zones", options.orders, options.zones);
    report.figure(what, median(seconds), "s");
    report.figure("orders a second", median(live), "/s");
    report.figure("bare actors a second", median(bare), "/s");
    Ok(report)
}

/// Stores live orders, each awaiting its seller's word, in one zone.
pub(crate) async fn store_orders(database: &Database, count: usize) -> Outcome<Vec<OrderId>> {
    store(database, count, 1, |_| true).await
}

/// Stores live orders, spread over zones; the others wait for a driver.
async fn store(
    database: &Database,
    count: usize,
    zones: usize,
    awaits: impl Fn(usize) -> bool,
) -> Outcome<Vec<OrderId>> {
    let pool = database.pool().await?;
    let system = stage::system(pool.clone()).await?;
    let mut places = Vec::new();
    for n in 0..zones.max(1) {
        places.push(stage::make_zone_called(&system, &format!("Zone {n}")).await?);
    }
    system.stop().await;
    let feed = Feed::open(&pool).await?;
    let (mut stored, mut ids) = (0, Vec::with_capacity(count));
    while stored < count {
        let size = BATCH.min(count - stored);
        let orders: Vec<_> =
            (stored..stored + size).map(|n| stage::order(n, awaits(n), places[n % places.len()])).collect();
        let entries: Vec<_> = orders.iter().map(stage::entry).collect();
        for outcome in journal::write(&pool, feed.draw(&entries), &entries).await {
            outcome?;
        }
        ids.extend(orders.iter().map(|order| order.id));
        stored += size;
    }
    eprintln!("{stored} orders stored");
    Ok(ids)
}
