//! The test world from its opening to its stop: a world like the live one, with what is its own around it.

use axum::Router;
use posthaste_live::stopping::Leave;
use posthaste_live::{Refused, StartError};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::{Pool, PoolError};
use posthaste_storage::sealed::Seal;
use posthaste_testworld::{Residents, Tables, mirror_zones};
use posthaste_webhooks::Allowed;
use tokio::sync::Mutex;
use tracing::Instrument as _;

use crate::AppState;
use crate::serve::router;
use crate::world::{Begun, Beside, Ground, Reach, World};
use crate::worlds::Key;

/// What a test world is made from beside a live one, which has the rest.
#[derive(Clone)]
pub struct Plan {
    /// Where its tables are.
    pub tables: Tables,
    /// How the live systems of both are reached.
    pub reach: Reach,
    /// What keeps webhooks' secrets.
    pub seal: Seal,
    /// Where webhooks may go.
    pub allowed: Allowed,
    /// Whether they may leave.
    pub outside: Outside,
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Its schema.
    #[error("its tables cannot be reached")]
    Pool(#[from] PoolError),
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
pub(super) struct Opened {
    pub(super) app: AppState,
    pub(super) router: Router,
    running: Mutex<Option<(Beside, Residents)>>,
}

impl Opened {
    /// Opens it: its tables are made or brought up to date, what is stored goes on. Where that fails, what was begun is given
    /// back.
    pub(super) async fn open(live: &AppState, plan: &Plan) -> Result<Self, OpenError> {
        let pool = plan.tables.connect().await?;
        let world = posthaste_live::World::test();
        let opened = Self::start(live, plan, pool.clone()).instrument(world.span()).await;
        if opened.is_err() {
            pool.close().await;
        }
        opened
    }

    async fn start(live: &AppState, plan: &Plan, pool: Pool) -> Result<Self, OpenError> {
        plan.tables.make_fit(&pool).await?;
        let begun = Begun::begin(Ground {
            key: Key { world: KeyWorld::Test, ..live.key() },
            pool: pool.clone(),
            clock: live.system().clock().clone(),
            settings: posthaste_testworld::settings(live.system().retention()),
            reach: plan.reach,
            keys: live.dispatch().keys().of_test_world(),
            seal: plan.seal.clone(),
            allowed: plan.allowed,
            outside: plan.outside,
        });
        let begun = begun.await?;
        let system = begun.system().clone();
        let (original, copy) = ((plan.reach)(live.system()), (plan.reach)(&system));
        let opening = async {
            mirror_zones(&*original, &*copy).await?;
            Ok::<_, OpenError>(begun.open(live.process())?)
        };
        let World { app, beside } = match opening.await {
            Ok(world) => world,
            Err(error) => {
                system.stop().await;
                return Err(error);
            }
        };
        let residents = Residents::move_in(original, copy, system.clock().clone(), system.world(), pool);
        tracing::info!(orders = system.orders().live(), "the test world is open");
        Ok(Self { router: router(app.clone()), app, running: Mutex::new(Some((beside, residents))) })
    }

    /// Stops it, within the budget of how it is left: nobody rides, what is being committed is committed, messages under way
    /// are sent. Stopping again does nothing.
    pub(super) async fn stop(&self, how: Leave) {
        let Some((beside, residents)) = self.running.lock().await.take() else { return };
        drop(residents);
        let budget = how.budget();
        tokio::join!(self.app.system().leave(how), beside.stop(budget.messages));
        let _ = tokio::time::timeout(budget.connections, self.app.dispatch().pool().close()).await;
    }
}
