//! What the routes of one world can reach: each context's own state, made from named parts.

use std::sync::Arc;

use posthaste_dispatch_api::{Dispatch, Shared};
use posthaste_http::auth::Keys;
use posthaste_http::limits::Limits;
use posthaste_identity::Identity;
use posthaste_jobs::Jobs;
use posthaste_live::{Live, System};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_storage::pool::Pool;
use posthaste_webhooks::Webhooks;

use crate::process::Process;
use crate::worlds::Key;

/// What the routes of one world can reach. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    key: Key,
    dispatch: Dispatch,
    system: System,
    jobs: Jobs,
    webhooks: Webhooks,
    process: Arc<Process>,
}

/// What a world consists of. [`World`](crate::World) makes them.
pub struct Parts {
    /// Which world it is, of which region.
    pub key: Key,
    /// Its live system: started, and stopped by whoever serves the routes.
    pub system: System,
    /// How routes reach that.
    pub live: Arc<dyn Live>,
    /// Its tables, for what is only read.
    pub pool: Pool,
    /// What signs its links, and tokens of development.
    pub keys: Keys,
    /// What is done later in it.
    pub jobs: Jobs,
    /// Its webhooks.
    pub webhooks: Webhooks,
}

impl AppState {
    /// Of one world of a process. The accounts of the process are those of its live world.
    #[must_use]
    pub fn new(process: &Arc<Process>, parts: Parts) -> Self {
        let Parts { key, system, live, pool, keys, jobs, webhooks } = parts;
        if key.world == KeyWorld::Live {
            process.connect(Arc::clone(&live), pool.clone());
        }
        let dispatch = Dispatch::new(posthaste_dispatch_api::Parts {
            world: key.world,
            live,
            streams: system.streams().clone(),
            clock: system.clock().clone(),
            spans: system.world().clone(),
            pool,
            keys,
            identity: process.identity.clone(),
            shared: Arc::clone(&process.sockets),
        });
        Self(Arc::new(Inner { key, dispatch, system, jobs, webhooks, process: Arc::clone(process) }))
    }

    /// Which live system is behind it.
    #[must_use]
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// Whose orders are behind it.
    #[must_use]
    pub fn world(&self) -> KeyWorld {
        self.0.dispatch.world()
    }

    /// What the routes of dispatch reach.
    #[must_use]
    pub fn dispatch(&self) -> &Dispatch {
        &self.0.dispatch
    }

    /// What merchants' programs are told with.
    #[must_use]
    pub fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    /// What is done later.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// The live system itself, for who started it and stops it. No route touches it: they have [`Dispatch::live`].
    #[must_use]
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// What all worlds share.
    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.0.process
    }

    /// Who may come in.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.process.identity
    }

    /// The limits of the edge.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.process.limits
    }

    /// The sockets of all worlds.
    #[must_use]
    pub fn sockets(&self) -> &Shared {
        &self.0.process.sockets
    }

    /// Whether nothing may leave: webhooks, emails, texts.
    pub(crate) fn is_held(&self) -> bool {
        self.0.jobs.outside().is_held()
    }
}
