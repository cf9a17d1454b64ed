//! What every route can reach.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use posthaste_clock::Clock;
use posthaste_http::auth::Keys;
use posthaste_http::idempotency::InFlight;
use posthaste_http::limits::Limits;
use posthaste_identity::Identity;
use posthaste_live::streams::Streams;
use posthaste_live::{Live, System, World};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_storage::pool::Pool;
use posthaste_testworld::TestWorld;
use posthaste_webhooks::Webhooks;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::banned::Dispatching;
use crate::insight::Questions;
use crate::quotas::Counts;
use crate::sockets::Holders;
use crate::worlds::SharedTestDoor;

/// Which program this is, for `/version`.
#[derive(Debug, Clone)]
pub struct Build {
    /// The version.
    pub version: &'static str,
    /// The commit it was built from, where known.
    pub commit: Option<&'static str>,
}

/// What every route can reach. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    world: KeyWorld,
    live: Arc<dyn Live>,
    system: System,
    pool: Pool,
    keys: Keys,
    webhooks: Webhooks,
    identity: Identity,
    in_flight: InFlight,
    shared: Arc<Shared>,
}

/// What the routes of the live world are made from.
pub struct Parts {
    /// The live system: started, and stopped by whoever serves the routes.
    pub system: System,
    /// How routes reach it, and that of the test world: [`System::reach`], but for tests.
    pub reach: Reach,
    /// The database, for what is only read.
    pub pool: Pool,
    /// What signs links, and tokens of development.
    pub keys: Keys,
    /// Who may come in.
    pub identity: Identity,
    /// Webhooks of the live world.
    pub webhooks: Webhooks,
    /// The limits of the edge.
    pub limits: Limits,
    /// Which program this is.
    pub build: Build,
}

/// How a live system is reached.
pub type Reach = fn(&System) -> Arc<dyn Live>;

/// What protects the process: for all of its worlds together.
struct Shared {
    reach: Reach,
    limits: Limits,
    build: Build,
    seats: Arc<Semaphore>,
    holders: Holders,
    questions: Questions,
    running: Arc<Semaphore>,
    counts: Counts,
    bans_changed: Arc<Notify>,
    /// The way to the test world; none where there is none.
    test: SharedTestDoor,
}

impl AppState {
    /// The state of the live world.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { system, reach, pool, keys, identity, webhooks, limits, build } = parts;
        let (test, bans_changed) = (SharedTestDoor::default(), Arc::new(Notify::new()));
        let live = reach(&system);
        let dispatching = Dispatching::new(Arc::clone(&live), pool.clone(), Arc::clone(&bans_changed), test.clone());
        identity.connect(Arc::new(dispatching));
        let seats = Arc::new(Semaphore::new(seats(&limits)));
        let running = Arc::new(Semaphore::new(limits.concurrent_requests.min(Semaphore::MAX_PERMITS)));
        let counts = Counts::new(limits.quotas, system.clock().clone());
        let (holders, questions) = (Holders::default(), Questions::default());
        let shared = Shared { reach, limits, build, seats, holders, questions, running, counts, bans_changed, test };
        let (world, in_flight, shared) = (KeyWorld::Live, InFlight::default(), Arc::new(shared));
        Self(Arc::new(Inner { world, live, system, pool, keys, webhooks, identity, in_flight, shared }))
    }

    /// The same of the test world: other orders, drivers and links behind the same accounts and limits.
    pub(crate) fn of_test_world(&self, test: &TestWorld) -> Self {
        let live = &*self.0;
        Self(Arc::new(Inner {
            world: KeyWorld::Test,
            live: (live.shared.reach)(test.system()),
            system: test.system().clone(),
            pool: test.pool().clone(),
            keys: live.keys.of_test_world(),
            webhooks: test.webhooks().clone(),
            identity: live.identity.clone(),
            in_flight: InFlight::default(),
            shared: Arc::clone(&live.shared),
        }))
    }

    /// Rings when somebody was shut out or let in again.
    pub(crate) fn bans_changed(&self) -> &Notify {
        &self.0.shared.bans_changed
    }

    /// Whose orders are behind it.
    #[must_use]
    pub fn world(&self) -> KeyWorld {
        self.0.world
    }

    /// The live system, as routes reach it.
    #[must_use]
    pub fn live(&self) -> &dyn Live {
        &*self.0.live
    }

    /// What sockets follow.
    pub(crate) fn streams(&self) -> &Streams {
        self.0.system.streams()
    }

    /// The clock.
    pub(crate) fn clock(&self) -> &Clock {
        self.0.system.clock()
    }

    /// The spans that lines of the log of this world stand in.
    pub(crate) fn spans(&self) -> &World {
        self.0.system.world()
    }

    /// The live system itself, for who started it and stops it. No route touches it: they have [`Self::live`].
    #[must_use]
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// The database, for lists and histories.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Whether nothing may leave: webhooks, emails, texts.
    pub(crate) fn is_held(&self) -> bool {
        self.0.webhooks.outside().is_held()
    }

    /// Who may come in.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// What signs links, and tokens of development.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The limits of the edge.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.shared.limits
    }

    /// Which program this is.
    pub(crate) fn build(&self) -> &Build {
        &self.0.shared.build
    }

    /// Idempotency keys being worked on.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// Who has asked how often.
    pub(crate) fn counts(&self) -> &Counts {
        &self.0.shared.counts
    }

    /// Places of requests that are being answered.
    pub(crate) fn running(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.shared.running)
    }

    /// Where the way to the test world is left.
    pub(crate) fn test_door(&self) -> &SharedTestDoor {
        &self.0.shared.test
    }

    /// Who is asking how deliveries went.
    pub(crate) fn questions(&self) -> &Questions {
        &self.0.shared.questions
    }

    /// Who has how many sockets open.
    pub(crate) fn holders(&self) -> &Holders {
        &self.0.shared.holders
    }

    /// A socket's seat; none when as many are open as the limits allow.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.shared.seats).try_acquire_owned().ok()
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        seats(&self.0.shared.limits) - self.0.shared.seats.available_permits()
    }

    /// Waits until every socket has said good-bye, at most `limit`. True when all have. No socket opens afterwards.
    pub async fn sockets_closed(&self, limit: Duration) -> bool {
        let all = u32::try_from(seats(&self.0.shared.limits)).unwrap_or(u32::MAX);
        let everyone = tokio::time::timeout(limit, self.0.shared.seats.acquire_many(all)).await;
        self.0.shared.seats.close();
        matches!(everyone, Ok(Ok(_)))
    }
}

impl FromRef<AppState> for Webhooks {
    fn from_ref(app: &AppState) -> Self {
        app.0.webhooks.clone()
    }
}

/// The routes of identity find it here.
impl FromRef<AppState> for Identity {
    fn from_ref(app: &AppState) -> Self {
        app.identity().clone()
    }
}

fn seats(limits: &Limits) -> usize {
    limits.sockets.clamp(1, Semaphore::MAX_PERMITS >> 4)
}
