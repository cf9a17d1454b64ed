//! From an order's acceptance to its offer, with many drivers on shift. No mark: it is quoted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_domain::driver::{Shift, Vehicle};
use posthaste_domain::ids::ZoneId;
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_live::Once;
use posthaste_live::System;
use posthaste_live::drivers::{RegisterDriver, ShiftChange};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::report::{Report, Times};
use crate::{Outcome, stage};

/// Drivers who are made beside each other.
const HANDS: usize = 512;
/// How long an order may wait for its offer.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Drivers on shift, one run for each.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    drivers: Vec<usize>,
    /// Orders in a run, one after the other.
    #[arg(long, default_value_t = 500)]
    orders: usize,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let mut report = Report::new("dispatch: from acceptance to the offer");
    for count in options.drivers {
        let database = Database::start().await?;
        let system = stage::system(database.pool().await?).await?;
        let zone = stage::make_zone(&system).await?;
        drivers(&system, zone, count).await?;
        let (mut answered, mut offered) = (Times::default(), Times::default());
        for n in 0..options.orders {
            let start = Instant::now();
            let Once::New(order) = system.orders().place(stage::place(n, false), None, stage::admin()).await? else {
                return Err("an order without a key was replayed".into());
            };
            answered.extend([start.elapsed()]);
            while system.orders().get(order.id).await?.offer.is_none() {
                if start.elapsed() > PATIENCE {
                    return Err(format!("order {n} of {} was never offered", options.orders).into());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            offered.extend([start.elapsed()]);
        }
        for (what, times) in [("accepted", &mut answered), ("offered", &mut offered)] {
            report.time(format!("{count} drivers: {what} p50"), times.quantile(0.5));
            report.time(format!("{count} drivers: {what} p99"), times.quantile(0.99));
        }
        system.stop().await;
    }
    report
        .note("from the call that places the order; both the order and the offer are commits; 3 ms of it gather news");
    Ok(report)
}

/// Drivers on shift all over the zone.
async fn drivers(system: &System, zone: ZoneId, count: usize) -> Outcome<()> {
    let mut hands = JoinSet::new();
    let system = Arc::new(system.clone());
    for hand in 0..HANDS.min(count) {
        let system = Arc::clone(&system);
        hands.spawn(async move {
            for n in (hand..count).step_by(HANDS.min(count)) {
                let new = RegisterDriver {
                    id: None,
                    name: "Dana Driver".to_owned(),
                    vehicle: Vehicle::Bicycle,
                    capacity: 10,
                    zones: vec![zone],
                    speeds: vec![Speed::Fast, Speed::Slow],
                };
                let Once::New(driver) = system.drivers().register(new, None, stage::admin()).await? else {
                    return Err("a driver without a key was replayed".into());
                };
                let (row, column) = ((n / 97) % 89, n % 97);
                let place = Place::new(52.35 + 0.3 * row as f64 / 89.0, 13.05 + 0.7 * column as f64 / 97.0)?;
                let shift = Shift::Available { until: None };
                let change = ShiftChange { place: Some(place), ..shift.into() };
                system.drivers().shift(driver.id, change, stage::admin()).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = hands.join_next().await {
        done??;
    }
    Ok(())
}
