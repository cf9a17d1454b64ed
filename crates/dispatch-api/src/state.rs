//! What the routes of dispatch can reach.

use std::sync::Arc;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_http::auth::Keys;
use posthaste_http::idempotency::InFlight;
use posthaste_http::limits::Limits;
use posthaste_identity::Identity;
use posthaste_live::streams::Streams;
use posthaste_live::{Live, World};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_storage::pool::Pool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::insight::Questions;
use crate::sockets::{Holders, TakeOut};

/// What the routes of dispatch can reach, of one world. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch(Arc<Inner>);

struct Inner {
    parts: Parts,
    in_flight: InFlight,
}

/// What it is made from.
pub struct Parts {
    /// Whose orders are behind it.
    pub world: KeyWorld,
    /// The live system, as routes reach it.
    pub live: Arc<dyn Live>,
    /// What sockets follow.
    pub streams: Streams,
    /// The clock.
    pub clock: Clock,
    /// The spans that lines of the log of this world stand in.
    pub spans: World,
    /// The database, for lists and histories.
    pub pool: Pool,
    /// What signs links.
    pub keys: Keys,
    /// Who may come in.
    pub identity: Identity,
    /// What is of the process.
    pub shared: Arc<Shared>,
}

/// What protects the process: for all of its worlds together.
pub struct Shared {
    limits: Limits,
    seats: Arc<Semaphore>,
    holders: Holders,
    questions: Questions,
    take_out: TakeOut,
}

impl Shared {
    /// With no socket open. `take_out` takes an upgraded connection out of the HTTP server that carried it.
    #[must_use]
    pub fn new(limits: &Limits, take_out: TakeOut) -> Self {
        let (limits, seats) = (limits.clone(), Arc::new(Semaphore::new(seats(limits))));
        Self { limits, seats, holders: Holders::default(), questions: Questions::default(), take_out }
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        seats(&self.limits) - self.seats.available_permits()
    }

    /// Waits until every socket has said good-bye, at most `limit`. True when all have. No socket opens afterwards.
    pub async fn sockets_closed(&self, limit: Duration) -> bool {
        let all = u32::try_from(seats(&self.limits)).unwrap_or(u32::MAX);
        let everyone = tokio::time::timeout(limit, self.seats.acquire_many(all)).await;
        self.seats.close();
        matches!(everyone, Ok(Ok(_)))
    }
}

impl Dispatch {
    /// Of one world.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, in_flight: InFlight::default() }))
    }

    /// Whose orders are behind it.
    #[must_use]
    pub fn world(&self) -> KeyWorld {
        self.0.parts.world
    }

    /// The live system, as routes reach it.
    #[must_use]
    pub fn live(&self) -> &dyn Live {
        &*self.0.parts.live
    }

    /// What sockets follow.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.0.parts.streams
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    /// The spans that lines of the log of this world stand in.
    #[must_use]
    pub fn spans(&self) -> &World {
        &self.0.parts.spans
    }

    /// The database, for lists and histories.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.parts.pool
    }

    /// What signs links.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.parts.keys
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.parts.identity
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.parts.shared.limits
    }

    /// Idempotency keys being worked on.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// Who is asking how deliveries went.
    pub(crate) fn questions(&self) -> &Questions {
        &self.0.parts.shared.questions
    }

    /// Who has how many sockets open.
    pub(crate) fn holders(&self) -> &Holders {
        &self.0.parts.shared.holders
    }

    /// A socket's seat; none when as many are open as the limits allow.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.parts.shared.seats).try_acquire_owned().ok()
    }

    pub(crate) fn take_out(&self) -> TakeOut {
        self.0.parts.shared.take_out
    }
}

fn seats(limits: &Limits) -> usize {
    limits.sockets.clamp(1, Semaphore::MAX_PERMITS >> 4)
}
