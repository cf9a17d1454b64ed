//! What makes a world the test world: tables in a schema of their own, numbers that are kept small, zones that are those of the
//! live one, and who lives there. What it has in common with the live one is put together by whoever opens it.

use std::sync::Arc;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_live::{Live, Retention, Settings, Trial, World};
use posthaste_storage::migrations::Older;
use posthaste_storage::pool::{self, Pool, PoolError, Schemas};
use tokio::task::JoinHandle;

use crate::fleet::Town;
use crate::script::Script;
use crate::{fleet, mirror};

/// The schema of its tables.
pub const SCHEMA: &str = "posthaste_test";
/// Its connections to the database. It is small, and waits rather than takes from the live one.
pub const CONNECTIONS: u32 = 4;

/// What is kept small, and how small.
const TRIAL: Trial = Trial {
    most_orders_of_merchant: 50,
    most_orders: 1_000,
    gives_up_after: Script::gives_up_after,
    // Webhooks tell of orders for 30 days.
    kept_days: 35,
};
/// Positions may be lost: nobody rides.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3);
/// Days for which tracks are kept.
const TRACK_DAYS: u32 = 7;

/// Where its tables are. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    /// How to connect to them.
    pub schemas: Schemas,
    /// What to do where they are older than the program.
    pub older: Older,
}

impl Tables {
    /// Connects to them, as they are.
    ///
    /// # Errors
    ///
    /// Those of [`Schemas::connect`].
    pub async fn connect(&self) -> Result<Pool, PoolError> {
        self.schemas.connect(SCHEMA, CONNECTIONS).await
    }

    /// Makes them, or brings them up to date.
    ///
    /// # Errors
    ///
    /// Those of [`pool::make_fit`].
    pub async fn make_fit(&self, pool: &Pool) -> Result<(), PoolError> {
        pool::make_fit(pool, self.older).await
    }
}

/// How its live system is set. People are forgotten there as in the live world.
#[must_use]
pub fn settings(retention: Retention) -> Settings {
    Settings {
        checkpoint_every: CHECKPOINT_EVERY,
        track_retention_days: TRACK_DAYS,
        retention,
        trial: Some(TRIAL),
        ..Settings::default()
    }
}

/// Who works there: test drivers, and who keeps its zones as those of the live world are. Until it is dropped.
pub struct Residents([JoinHandle<()>; 2]);

impl Residents {
    /// Moves in. The zones were [made](crate::mirror_zones) before.
    #[must_use]
    pub fn move_in(live: Arc<dyn Live>, test: Arc<dyn Live>, clock: Clock, world: &World, pool: Pool) -> Self {
        let town = Town { live: Arc::clone(&test), clock: clock.clone(), world: world.clone() };
        Self([world.spawn(mirror::run(live, test, clock, world.name())), world.spawn(fleet::run(town, pool))])
    }
}

impl Drop for Residents {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
