//! One assembly for every world: its live system, its queue and its contexts are put together here, once, and nowhere else.
//!
//! It has two steps. [`Begun::begin`] starts what knows nothing of accounts; [`Begun::open`] lets messages go and gives the
//! routes their state. Between them stands what is of one world alone: the live one's queue carries the letters of identity,
//! which is of the process; the test world's zones are made as the live one's are.
//!
//! A context that is added is made in `begin`, is a field of [`Parts`], and begins what it does beside requests in `open`.

use std::sync::Arc;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_http::auth::Keys;
use posthaste_jobs::{Jobs, Upkeep};
use posthaste_live::{Live, Settings, StartError, System};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;
use posthaste_webhooks::{Allowed, Owners, Sender, Webhooks};

use crate::process::Process;
use crate::state::{AppState, Parts};
use crate::stopped::{OverSockets, Telling};
use crate::worlds::Key;

/// How a live system is reached: [`System::reach`], but for tests.
pub type Reach = fn(&System) -> Arc<dyn Live>;

/// What a world is made from.
pub struct Ground {
    /// Which world it is, of which region.
    pub key: Key,
    /// Its tables.
    pub pool: Pool,
    /// The clock of the process.
    pub clock: Clock,
    /// How its live system is set.
    pub settings: Settings,
    /// How that is reached.
    pub reach: Reach,
    /// What signs its links, and tokens of development.
    pub keys: Keys,
    /// What keeps secrets so that the database cannot read them.
    pub seal: Seal,
    /// Where webhooks may go.
    pub allowed: Allowed,
    /// Whether anything may leave.
    pub outside: Outside,
}

/// A world whose live system runs, and that sends nothing and answers nobody yet.
pub struct Begun(Parts);

/// A world that is open.
pub struct World {
    /// What its routes reach.
    pub app: AppState,
    /// What it does beside requests.
    pub beside: Beside,
}

/// What a world does beside requests, until it is dropped: messages that are sent, and the queue's upkeep.
pub struct Beside {
    sender: Sender,
    upkeep: Upkeep,
}

impl Begun {
    /// Loads what is stored, and starts the live system.
    ///
    /// # Errors
    ///
    /// Those of [`System::start`].
    pub async fn begin(ground: Ground) -> Result<Self, StartError> {
        let Ground { key, pool, clock, settings, reach, keys, seal, allowed, outside } = ground;
        let system = System::start(pool.clone(), clock.clone(), settings).await?;
        let jobs = Jobs::of(pool.clone(), seal, clock, outside, system.world().name());
        let webhooks = Webhooks::new(jobs.clone(), allowed, system.feed().clone());
        let live = reach(&system);
        Ok(Self(Parts { key, system, live, pool, keys, jobs, webhooks }))
    }

    /// Its live system: stopped by whoever does not open the world after all.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// Its queue, for what is of the process and is done later.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Opens it: what is due is sent, and routes can be made.
    ///
    /// # Errors
    ///
    /// Where no HTTP client can be made on this machine.
    pub fn open(self, process: &Arc<Process>) -> Result<World, reqwest::Error> {
        let Parts { key, system, jobs, webhooks, .. } = &self.0;
        let streams = system.streams().clone();
        let owners: Arc<dyn Owners> = match key.world {
            KeyWorld::Live => Arc::new(Telling { streams, identity: process.identity.clone() }),
            KeyWorld::Test => Arc::new(OverSockets(streams)),
        };
        webhooks.connect(owners);
        let beside = Beside { sender: webhooks.start()?, upkeep: jobs.start_upkeep() };
        Ok(World { app: AppState::new(process, self.0), beside })
    }
}

impl Beside {
    /// Ends it, and waits at most so long for messages that are under way.
    pub async fn stop(self, within: Duration) {
        drop(self.upkeep);
        self.sender.stop(within).await;
    }
}
