//! What every route can reach.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use posthaste_http::auth::Keys;
use posthaste_http::idempotency::InFlight;
use posthaste_http::limits::Limits;
use posthaste_identity::Identity;
use posthaste_live::System;
use posthaste_storage::pool::Pool;
use posthaste_webhooks::Webhooks;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::banned::Dispatching;
use crate::quotas::Counts;

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
    system: System,
    pool: Pool,
    keys: Keys,
    webhooks: Webhooks,
    identity: Identity,
    limits: Limits,
    build: Build,
    in_flight: InFlight,
    seats: Arc<Semaphore>,
    counts: Counts,
    bans_changed: Arc<Notify>,
}

impl AppState {
    /// The live system, its database for what is only read, the keys of links, who may come in, webhooks, the limits of
    /// the edge.
    #[must_use]
    pub fn new(
        system: System,
        pool: Pool,
        keys: Keys,
        identity: Identity,
        webhooks: Webhooks,
        limits: Limits,
        build: Build,
    ) -> Self {
        let bans_changed = Arc::new(Notify::new());
        identity.connect(Arc::new(Dispatching::new(system.clone(), Arc::clone(&bans_changed))));
        let seats = Arc::new(Semaphore::new(seats(&limits)));
        let (in_flight, counts) = (InFlight::default(), Counts::new(limits.quotas));
        Self(Arc::new(Inner {
            system,
            pool,
            keys,
            webhooks,
            identity,
            limits,
            build,
            in_flight,
            seats,
            counts,
            bans_changed,
        }))
    }

    /// Rings when somebody was shut out or let in again.
    pub(crate) fn bans_changed(&self) -> &Notify {
        &self.0.bans_changed
    }

    /// The live system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// The database, for lists and histories.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
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
        &self.0.limits
    }

    /// Which program this is.
    pub(crate) fn build(&self) -> &Build {
        &self.0.build
    }

    /// Idempotency keys being worked on.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// Who has asked how often.
    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// A socket's seat; none when as many are open as the limits allow.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.seats).try_acquire_owned().ok()
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        seats(&self.0.limits) - self.0.seats.available_permits()
    }

    /// Waits until every socket has said good-bye, at most `limit`. True when all have. No socket opens afterwards.
    pub async fn sockets_closed(&self, limit: Duration) -> bool {
        let all = u32::try_from(seats(&self.0.limits)).unwrap_or(u32::MAX);
        let everyone = tokio::time::timeout(limit, self.0.seats.acquire_many(all)).await;
        self.0.seats.close();
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
