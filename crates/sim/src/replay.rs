//! Replay of a recorded day of real orders through REST and sockets, against the server's own clock.
//!
//! - [`plane`]: the area of the day on the globe.
//! - `courier`: one courier over their socket. [`trace`]: what the server recorded, row by row.
//! - [`run`] sets the day up, plays it, waits until every order is settled, and writes the trace.
//!
//! Nothing of an order is told before its placement time. Minute 0 of the day is a little after the set-up.

mod courier;
mod day;
pub mod plane;
pub mod report;
mod setup;
pub mod trace;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_backtest::timeline::minutes;
use posthaste_backtest::trace::{csv, with_trips};
use posthaste_client::{Client, Idempotency, ListOrders};
use posthaste_domain::ids::{AdminId, DriverId, Id, ZoneId};
use posthaste_domain::party::Party;
use posthaste_domain::zone::Policy;
use posthaste_protocol::orders::OrderView;
use tokio::task::JoinSet;

use crate::error::SimError;
use crate::replay::day::Day;
use crate::replay::report::{ReplayReport, ReplayStats, add, mean_and_p90, spans};
use crate::server_clock::ServerClock;
use crate::status_line::StatusLine;
use crate::tokens::Tokens;
use posthaste_backtest::instance::Instance;

/// Real time between the end of the set-up and minute 0.
const LEAD: Duration = Duration::from_millis(1500);
/// Product minutes that drops may take after the last shift has ended.
const LAST_DROPS_MINUTES: f64 = 240.0;
/// Real time on top of that for the last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// What to replay, and against whom.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Directory with the day's files.
    pub instance_dir: PathBuf,
    /// The server.
    pub base_url: String,
    /// Tokens for operations, restaurants and couriers.
    pub tokens: Tokens,
    /// Where the trace goes.
    pub trace_file: PathBuf,
    /// How the zone picks drivers.
    pub policy: Policy,
    /// Whether the zone sends idle couriers ahead of work.
    pub send_ahead: bool,
    /// Whether to show a status line on the standard error.
    pub progress: bool,
    /// Counts that somebody else may watch.
    pub stats: Arc<ReplayStats>,
}

/// Plays the day and writes its trace.
pub async fn run(options: ReplayOptions) -> Result<ReplayReport, SimError> {
    let began = Instant::now();
    let instance = Instance::read(&options.instance_dir)?;
    let admin = Party::Admin(AdminId::at(chrono::DateTime::UNIX_EPOCH, [1; 10]));
    let operations = options.tokens.client(&client(&options.base_url)?, admin);
    let clock = ServerClock::read(&operations).await?;
    let zone = setup::zone(&operations, &instance, options.policy, options.send_ahead).await?;
    let drivers = setup::drivers(&operations, &instance, zone).await?;
    let minute_zero = clock.now() + clock.product(LEAD);
    options.stats.begin(clock.clone(), minute_zero, instance.orders.len());
    let line = options.progress.then(|| StatusLine::show(Arc::clone(&options.stats) as Arc<_>));
    let day = Arc::new(Day::new(instance, minute_zero, clock, operations, Arc::clone(&options.stats)));
    setup::roster(&day, &drivers).await?;
    play(&day, &drivers, &options.tokens).await;
    let orders = settle(&day, zone).await?;
    drop(line);
    let report = finish(&options, &day, &drivers, orders, began)?;
    Ok(report)
}

fn client(base_url: &str) -> Result<Client, SimError> {
    Client::new(base_url, posthaste_client::Token::None).map_err(SimError::server("preparing the client"))
}

/// Places the orders and lets the couriers work until all are home, or the time for it is over.
async fn play(day: &Arc<Day>, drivers: &[DriverId], tokens: &Tokens) {
    let mut couriers = JoinSet::new();
    for (index, id) in drivers.iter().enumerate() {
        let client = tokens.client(&day.operations, Party::Driver(*id));
        couriers.spawn(courier::work(Arc::clone(day), index, *id, client));
    }
    let placing = place_orders(day, tokens);
    let homecoming = async { while couriers.join_next().await.is_some() {} };
    let last_off = day.instance.couriers.iter().map(|c| c.off_time).fold(0.0, f64::max);
    let end = day.at(last_off + LAST_DROPS_MINUTES) + day.clock.product(LAST_ANSWERS);
    tokio::select! {
        ((), ()) = async { tokio::join!(placing, homecoming) } => {}
        () = day.clock.sleep_until(end) => day.stats.error("the day", &"not every courier came home in time"),
    }
}

/// Places every order at its time, by its restaurant.
async fn place_orders(day: &Arc<Day>, tokens: &Tokens) {
    let mut placing = JoinSet::new();
    for row in 0..day.instance.orders.len() {
        let order = &day.instance.orders[row];
        day.clock.sleep_until(day.at(order.placement_time)).await;
        let merchant = setup::merchant(day.minute_zero, order.restaurant);
        let client = tokens.client(&day.operations, Party::Merchant(merchant));
        let day = Arc::clone(day);
        placing.spawn(async move {
            let order = setup::order(&day, row);
            let key = format!("{}-{}", day.minute_zero.timestamp_millis(), day.instance.orders[row].name);
            match client.create_order(&order, Idempotency::Key(key)).await {
                Ok(view) => {
                    add(&day.stats.placed);
                    day.learn(row, &view);
                }
                Err(error) => day.stats.error(&format!("placing {}", day.instance.orders[row].name), &error),
            }
        });
    }
    while placing.join_next().await.is_some() {}
}

/// Cancels what nobody could take, so that every order is over, and reads how each ended.
async fn settle(day: &Day, zone: ZoneId) -> Result<Vec<OrderView>, SimError> {
    let placed = day.placed();
    let filter = ListOrders {
        zone_id: Some(zone),
        placed_after: Some(day.minute_zero - minutes(1.0)),
        limit: Some(100),
        ..ListOrders::default()
    };
    let mut orders =
        day.operations.all_orders(filter).await.map_err(SimError::server("reading how the orders ended"))?;
    orders.retain(|order| placed.contains_key(&order.id));
    for order in orders.iter_mut().filter(|order| !order.status.is_final()) {
        match day.operations.cancel_order(order.id, "the day is over").await {
            Ok(view) => *order = view,
            Err(error) => day.stats.error(&format!("canceling {}", order.id), &error),
        }
    }
    Ok(orders)
}

/// Writes the trace and sums up.
fn finish(
    options: &ReplayOptions,
    day: &Day,
    drivers: &[DriverId],
    orders: Vec<OrderView>,
    began: Instant,
) -> Result<ReplayReport, SimError> {
    let names: HashMap<DriverId, &str> =
        drivers.iter().copied().zip(day.instance.couriers.iter().map(|c| c.name.as_str())).collect();
    let placed = day.placed();
    let (mut rows, mut by_status) = (Vec::new(), BTreeMap::new());
    for order in &orders {
        *by_status.entry(order.status).or_insert(0) += 1;
        let courier = order.driver_id.and_then(|id| names.get(&id).copied());
        let recorded = placed.get(&order.id).and_then(|row| day.instance.orders.get(*row));
        if let (Some(courier), Some(recorded)) = (courier, recorded) {
            rows.extend(trace::row(order, courier, recorded.restaurant, day.minute_zero));
        }
    }
    let rows = with_trips(rows);
    std::fs::write(&options.trace_file, csv(&rows))
        .map_err(|source| SimError::File { path: options.trace_file.clone(), source })?;
    let recorded: HashMap<&str, _> = day.instance.orders.iter().map(|o| (o.name.as_str(), o)).collect();
    let (click_to_door, ready_to_pickup) =
        spans(&rows, |name| recorded.get(name).map(|o| (o.placement_time, o.ready_time)));
    let (click_to_door_mean, click_to_door_p90) = mean_and_p90(click_to_door);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    Ok(ReplayReport {
        instance: options.instance_dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        orders: day.instance.orders.len(),
        not_placed: day.instance.orders.len() - orders.len().min(day.instance.orders.len()),
        by_status,
        click_to_door_mean,
        click_to_door_p90,
        ready_to_pickup_mean: mean_and_p90(ready_to_pickup).0,
        declined: count(&day.stats.declined),
        missed: count(&day.stats.missed),
        released: count(&day.stats.released),
        reconnects: day.stats.sockets.read().reconnects,
        errors: day.stats.errors(),
        first_errors: day.stats.first_errors(),
        speed: day.clock.speed(),
        elapsed: began.elapsed(),
        trace_file: options.trace_file.clone(),
    })
}
