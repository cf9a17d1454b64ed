//! Webhooks: merchants' programs are told of their orders' events, signed after Standard Webhooks, at least once, each
//! order's events in their order.
//!
//! 1. The journal writes every event into the feed (`posthaste_storage::feed`), in the statement that stores it.
//! 2. [`sending`] reads the feed, woken by the commit, and makes a message for each endpoint that wants the event
//!    (`distribute`), with a job in the queue (`posthaste_jobs`); does the jobs that are due (`post`) and notes what became of
//!    them.
//! 3. Messages of one endpoint and order form a lane of the queue, those of one endpoint a group, which is held while the
//!    endpoint is not to be sent to (`endpoints::store::settle_group`).
//!
//! - `endpoints`: where, what, and secrets. `messages`: what is on its way, replays. `types`: what there is to choose.
//! - [`held`]: what waits because nothing may leave, and its being set aside.
//! - `signing`, `schedule`, `addresses`: pure rules. `refused`: everything that is refused, and its problem.
//! - [`metrics`]: what is measured. `limits`: what the API document says of fields.
//!
//! Retries, pauses and overlaps follow the product's clock; leases and time-outs are real time, and so is
//! `webhook-timestamp`, which receivers hold against their own clocks.

mod addresses;
mod endpoints;
pub mod held;
mod limits;
mod messages;
pub mod metrics;
mod refused;
mod routes;
mod schedule;
pub mod sending;
mod signing;
mod types;

#[cfg(test)]
mod tests;

use crate::messages::tests_sent::Tests;
use crate::sending::WEBHOOK;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use posthaste_clock::Clock;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::MerchantId;
use posthaste_jobs::Jobs;
use posthaste_protocol::webhooks::EndpointView;
use posthaste_storage::StorageError;
use posthaste_storage::feed::Feed;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;

pub use addresses::Allowed;
pub use limits::LIMITS;
pub use refused::Refused;
pub use routes::routes;
pub use schedule::RETRY_SECONDS;
pub use sending::Sender;

/// Everything about webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    jobs: Jobs,
    allowed: Allowed,
    feed: Feed,
    owners: OnceLock<Arc<dyn Owners>>,
    tests: Tests,
}

/// A connection to the database in a transaction, for who writes with what webhooks write.
pub type Connection = sqlx::PgConnection;

/// Tells a merchant what concerns its endpoints. Implemented by who knows the way to merchants.
pub trait Owners: Send + Sync + 'static {
    /// Nothing more is sent to an endpoint, as its state and reason say. True when it is as sure as it can be that its
    /// owner learns of it; otherwise the owner is told again later.
    fn stopped(&self, endpoint: EndpointView) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
    /// The same by email: puts it into the outbox, in the transaction that notes it. Called once for each stop.
    fn write_to<'a>(
        &'a self,
        connection: &'a mut Connection,
        endpoint: EndpointView,
    ) -> Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>>;
    /// What was put into the outbox is committed.
    fn written(&self);
}

impl Webhooks {
    /// Over the queue of a world, and its database. Its seal keeps endpoints' secrets so that the database cannot read them.
    /// While the outside is held, messages are made and none is sent. The `feed` is that of the system that writes to the
    /// database.
    #[must_use]
    pub fn new(jobs: Jobs, allowed: Allowed, feed: Feed) -> Self {
        jobs.register(&WEBHOOK);
        let (owners, tests) = (OnceLock::new(), Tests::new(std::time::Instant::now()));
        Self(Arc::new(Inner { jobs, allowed, feed, owners, tests }))
    }

    /// The queue of its world.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Says who tells merchants. Once; until then their endpoints wait to be told of.
    pub fn connect(&self, owners: Arc<dyn Owners>) {
        let _ = self.0.owners.set(owners);
    }

    /// Whether messages leave.
    #[must_use]
    pub fn outside(&self) -> Outside {
        self.0.jobs.outside()
    }

    /// A merchant's endpoints, newest first.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn of_merchant(&self, merchant: MerchantId) -> Result<Vec<EndpointView>, StorageError> {
        endpoints::store::of_merchant(self.pool(), merchant).await
    }

    /// Forgets a merchant: its endpoints are sent nothing more and upkeep removes them, with what was on its way there. Doing
    /// so again changes nothing.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn forget(&self, merchant: MerchantId) -> Result<(), StorageError> {
        endpoints::store::delete_all(self.pool(), merchant, self.now()).await.map(drop)
    }

    pub(crate) fn tests(&self) -> &Tests {
        &self.0.tests
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.0.jobs.pool()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.0.jobs.clock()
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    pub(crate) fn seal(&self) -> &Seal {
        self.0.jobs.seal()
    }

    pub(crate) fn allowed(&self) -> Allowed {
        self.0.allowed
    }

    /// Something became due: the sender looks at once.
    pub(crate) fn wake(&self) {
        self.jobs().wake(&WEBHOOK);
    }
}
