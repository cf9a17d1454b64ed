//! What is of the process, for all of its worlds together: accounts, limits, and who counts against them.

use std::sync::Arc;

use posthaste_clock::Clock;
use posthaste_dispatch_api::Shared;
use posthaste_dispatch_api::parties::Dispatching;
use posthaste_http::limits::Limits;
use posthaste_identity::{Identity, Later};
use posthaste_live::Live;
use posthaste_storage::pool::Pool;
use tokio::sync::{Notify, Semaphore};

use crate::accept;
use crate::quotas::Counts;
use crate::worlds::SharedTestDoor;

/// Which program this is, for `/version`.
#[derive(Debug, Clone)]
pub struct Build {
    /// The version.
    pub version: &'static str,
    /// The commit it was built from, where known.
    pub commit: Option<&'static str>,
}

/// What all worlds share.
pub struct Process {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) build: Build,
    /// The sockets of all worlds.
    pub(crate) sockets: Arc<Shared>,
    /// Places of requests that are being answered.
    pub(crate) running: Arc<Semaphore>,
    /// Who has asked how often.
    pub(crate) counts: Counts,
    /// Rings when somebody was shut out or let in again.
    pub(crate) bans_changed: Arc<Notify>,
    /// Where the way to the test world is left; none where there is none.
    pub(crate) test_door: SharedTestDoor,
}

impl Process {
    /// With nobody in it yet. Quotas follow the `clock`.
    #[must_use]
    pub fn new(identity: Identity, limits: Limits, build: Build, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            sockets: Arc::new(Shared::new(&limits, accept::take_out)),
            running: Arc::new(Semaphore::new(limits.concurrent_requests.min(Semaphore::MAX_PERMITS))),
            counts: Counts::new(limits.quotas, clock),
            bans_changed: Arc::default(),
            test_door: SharedTestDoor::default(),
            identity,
            limits,
            build,
        })
    }

    /// Says to identity whose drivers and orders those of accounts are: the live world's.
    pub(crate) fn connect(&self, live: Arc<dyn Live>, pool: Pool) {
        let test = self.test_door.clone();
        let open_test_world = move || {
            let test = test.clone();
            Box::pin(async move { test.ensure().await }) as Later<'static, _>
        };
        self.identity.connect(Arc::new(Dispatching {
            live,
            pool,
            bans_changed: Arc::clone(&self.bans_changed),
            open_test_world: Box::new(open_test_world),
        }));
    }
}
