//! The test world from its opening to its stop.

use std::sync::Arc;
use std::time::Duration;

use posthaste_live::stopping::Leave;
use posthaste_live::{Live, Refused, Settings, StartError, System, Trial, World};
use posthaste_storage::StorageError;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::{self, Pool, PoolError, Schemas};
use posthaste_storage::sealed::Seal;
use posthaste_webhooks::{Allowed, Sender, Webhooks};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

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

/// What a test world is made from. Cheap to clone.
#[derive(Clone)]
pub struct Plan {
    /// How to connect to its tables.
    pub schemas: Schemas,
    /// The live system: for its clock, and its zones.
    pub live: System,
    /// How a live system is reached.
    pub reach: fn(&System) -> Arc<dyn Live>,
    /// What keeps webhooks' secrets.
    pub seal: Seal,
    /// Where webhooks may go.
    pub allowed: Allowed,
    /// Whether they may leave.
    pub outside: Outside,
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its schema.
    #[error("its tables cannot be reached")]
    Pool(#[from] PoolError),
    /// What is stored.
    #[error("its clock cannot be read")]
    Storage(#[from] StorageError),
    /// The live system of it.
    #[error("it does not start")]
    Start(#[from] StartError),
    /// Its zones.
    #[error("its zones cannot be made")]
    Zones(#[from] Refused),
    /// Its webhooks.
    #[error("its webhooks cannot be sent")]
    Webhooks(#[from] reqwest::Error),
}

/// A test world that runs.
pub struct TestWorld {
    system: System,
    pool: Pool,
    webhooks: Webhooks,
    running: Mutex<Option<(Sender, [JoinHandle<()>; 2])>>,
}

impl TestWorld {
    /// Opens it: its tables are made or brought up to date, what is stored goes on.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; what was begun is given back.
    pub async fn open(plan: &Plan) -> Result<Self, OpenError> {
        let pool = plan.schemas.connect(SCHEMA, CONNECTIONS).await?;
        let world = World::test();
        let opened = Self::start(plan, pool.clone()).instrument(world.span()).await;
        if opened.is_err() {
            pool.close().await;
        }
        opened
    }

    async fn start(plan: &Plan, pool: Pool) -> Result<Self, OpenError> {
        pool::migrate(&pool).await?;
        let settings = Settings {
            checkpoint_every: CHECKPOINT_EVERY,
            track_retention_days: TRACK_DAYS,
            retention: plan.live.retention(),
            trial: Some(TRIAL),
            ..Settings::default()
        };
        let clock = plan.live.clock().clone();
        let system = System::start(pool.clone(), clock.clone(), settings).await?;
        let (live, test) = ((plan.reach)(&plan.live), (plan.reach)(&system));
        let begun = async {
            mirror::pass(&*live, &*test).await?;
            let (seal, feed) = (plan.seal.clone(), system.feed().clone());
            let webhooks = Webhooks::new(pool.clone(), clock, seal, plan.allowed, plan.outside, feed);
            let sender = webhooks.start_in(system.world().name())?;
            Ok::<_, OpenError>((webhooks, sender))
        };
        let (webhooks, sender) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                system.stop().await;
                return Err(error);
            }
        };
        let town = Town { live: Arc::clone(&test), clock: system.clock().clone(), world: system.world().clone() };
        let tasks = [
            system.world().spawn(mirror::run(live, test, system.clock().clone(), system.world().name())),
            system.world().spawn(fleet::run(town, pool.clone())),
        ];
        tracing::info!(orders = system.orders().live(), "the test world is open");
        Ok(Self { system, pool, webhooks, running: Mutex::new(Some((sender, tasks))) })
    }

    /// Its system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Its tables.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Its webhooks.
    #[must_use]
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Stops it, within the budget of how it is left: nobody rides, what is being committed is committed, messages under way
    /// are sent. Stopping again does nothing.
    pub async fn stop(&self, how: Leave) {
        let Some((sender, tasks)) = self.running.lock().await.take() else { return };
        tasks.iter().for_each(JoinHandle::abort);
        let budget = how.budget();
        tokio::join!(self.system.leave(how), sender.stop(budget.messages));
        let _ = tokio::time::timeout(budget.connections, self.pool.close()).await;
    }
}
