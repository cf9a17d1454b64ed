//! A simulated city over the public API: shops, customers and drivers who behave like people.
//!
//! - `world`: the city itself, from a seed. [`Habits`]: how often people do what people do.
//! - `orders`: what is ordered when. `shop`, `customer`, `driver` (with `visit`): one person each, one task each.
//! - `talk`: what people say to each other outside the product. [`CityStats`]: what goes on, in numbers.
//!
//! Everybody has dice of their own from the seed, so that the same seed makes the same choices. Zones and drivers
//! that exist already, from an earlier run on the same data, are used again.

mod customer;
mod driver;
mod habits;
mod orders;
mod setup;
mod shop;
mod stats;
mod talk;
mod visit;
mod world;

pub use habits::Habits;
pub use stats::{CityReport, CityStats, DriverState};

use std::sync::Arc;
use std::time::Duration;

use posthaste_client::{Client, Token};
use posthaste_domain::Span;
use posthaste_domain::ids::{AdminId, Id};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use tokio::task::JoinSet;

use crate::city::talk::Talk;
use crate::city::world::World;
use crate::error::SimError;
use crate::server_clock::ServerClock;
use crate::status_line::StatusLine;
use crate::tokens::Tokens;

/// Real time between two readings of the server's clock.
const CLOCK_EVERY: Duration = Duration::from_secs(20);
/// Real time that open orders get to settle after the last was placed, and at most that much product time.
const DRAIN: Duration = Duration::from_secs(60);
const DRAIN_MINUTES: i64 = 180;

/// What kind of city, and at which server.
#[derive(Debug, Clone)]
pub struct CityOptions {
    /// The server.
    pub base_url: String,
    /// Tokens for everybody.
    pub tokens: Tokens,
    /// The same seed makes the same city and the same choices.
    pub seed: u64,
    /// The middle of the city.
    pub centre: Place,
    /// How many drivers.
    pub drivers: usize,
    /// How many shops.
    pub shops: usize,
    /// Orders in an hour of product time, on average.
    pub orders_per_hour: f64,
    /// How long orders are placed, in product time; for ever without one.
    pub duration: Option<Span>,
    /// How often people do what people do.
    pub habits: Habits,
    /// Whether to show a status line on the standard error.
    pub progress: bool,
    /// Counts that somebody else may watch.
    pub stats: Arc<CityStats>,
}

impl CityOptions {
    /// A middling city at the server.
    #[must_use]
    pub fn new(base_url: impl Into<String>, tokens: Tokens, centre: Place) -> Self {
        Self {
            base_url: base_url.into(),
            tokens,
            seed: 1,
            centre,
            drivers: 40,
            shops: 25,
            orders_per_hour: 60.0,
            duration: None,
            habits: Habits::default(),
            progress: false,
            stats: Arc::default(),
        }
    }
}

/// What everybody in the city shares.
pub(crate) struct City {
    pub(crate) options: CityOptions,
    pub(crate) world: World,
    /// Nobody's client; everybody's connections.
    pub(crate) client: Client,
    pub(crate) operations: Client,
    pub(crate) clock: ServerClock,
    pub(crate) talk: Talk,
    pub(crate) stats: Arc<CityStats>,
}

/// Lets the city live: for `duration`, or until the future is dropped. Everybody ends with the future.
pub async fn run(options: CityOptions) -> Result<CityReport, SimError> {
    let client = Client::new(&options.base_url, Token::None).map_err(SimError::server("preparing the client"))?;
    let line = options.progress.then(|| StatusLine::show(Arc::clone(&options.stats) as Arc<_>));
    let admin = Party::Admin(AdminId::at(posthaste_domain::Timestamp::UNIX_EPOCH, [2; 10]));
    let operations = options.tokens.client(&client, admin);
    let clock = ServerClock::read(&operations).await?;
    let world = World::plan(options.seed, options.centre, options.drivers, options.shops.max(1));
    let zones = setup::zones(&operations, &world, &clock).await?;
    let drivers = setup::drivers(&operations, &world, &zones).await?;
    let stats = Arc::clone(&options.stats);
    stats.begin(clock.clone(), drivers.len());
    let until = options.duration.map(|duration| clock.now() + duration);
    let city = Arc::new(City { options, world, client, operations, clock, talk: Talk::default(), stats });
    let mut people = JoinSet::new();
    for index in 0..city.world.shops.len() {
        people.spawn(shop::live(Arc::clone(&city), index));
    }
    for (index, id) in drivers.into_iter().enumerate() {
        people.spawn(driver::live(Arc::clone(&city), index, id));
    }
    people.spawn(follow_clock(Arc::clone(&city)));
    orders::place(Arc::clone(&city), until).await;
    drain(&city).await;
    people.shutdown().await;
    drop(line);
    Ok(city.stats.report())
}

/// Waits until what was ordered is settled, within bounds.
async fn drain(city: &City) {
    let end = city.clock.now() + Span::minutes(DRAIN_MINUTES).min(city.clock.product(DRAIN));
    while city.stats.live_orders() > 0 && city.clock.now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Keeps the clock near the server's, also over a restart of the server.
async fn follow_clock(city: Arc<City>) {
    loop {
        tokio::time::sleep(CLOCK_EVERY).await;
        if let Ok(view) = city.operations.clock().await {
            city.clock.follow(view);
        }
    }
}
