//! What sockets follow. A stream has a numbering (`seq`) and an epoch that names it; a client that comes back
//! with both gets what it missed, or a snapshot.
//!
//! A subscriber has an [`Outbox`]: a bounded queue for what must not be lost and one slot per driver for positions,
//! latest wins. A full queue closes the outbox as too slow; the client can resume. A message to many is written to
//! their connections by a few tasks that share them, not by waking each connection's own.
//!
//! The streams of drivers, merchants and operations are numbered here and keep their newest messages; after a restart
//! their epoch is new and clients get a snapshot. Operations have a stream for each view that somebody looks at. A
//! tracking stream is numbered by the order's own events, which are in Postgres: it resumes across restarts.
//!
//! A subscription begins before its snapshot is read: what is committed in between comes as a message, so that nothing is
//! missing. It may be in the snapshot too, but for tracking, whose snapshot is of one version of the order.

mod frame;
mod hub;
mod outbox;
#[cfg(test)]
mod paths;
mod publish;
mod subscription;
#[cfg(test)]
mod tests;
mod topic;
mod view;
mod views;

pub use frame::Frame;
pub(crate) use hub::{HubActor, HubMsg};
pub use outbox::{Direct, Offered, Outbox};
pub(crate) use publish::position_view;
pub(crate) use subscription::tracking_view;
pub use subscription::{Ender, Subscription};
pub(crate) use view::Scope;
pub use view::View;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use posthaste_clock::Clock;
use posthaste_domain::ids::{DriverId, MerchantId, OrderId, SessionId};

use self::topic::Topic;
use self::views::Views;
use crate::keeper::Seat;
use crate::system::Doors;
use crate::{Refused, World};

/// The epoch of every tracking stream: their numbering never starts anew.
const TRACKING_EPOCH: &str = "order-events";
/// Messages kept for a driver who comes back.
const KEPT_FOR_DRIVERS: usize = 256;
/// Messages kept for merchants and operations who come back. At 1 KB each, 1 MB for a stream with a subscriber; views of
/// operations share them.
const KEPT_FOR_DESKS: usize = 1024;
/// Frames that may wait for a slow reader of one order or driver.
const QUEUE_OF_ONE: usize = 256;
/// Frames that may wait for a slow reader of a desk.
const QUEUE_OF_DESK: usize = 4096;
/// Sweeps (one a minute) after which a stream that nobody follows forgets its messages.
const IDLE_SWEEPS: u32 = 10;

/// What a socket follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A driver's own stream: offers, route, shift.
    Driver(DriverId),
    /// One order, as the holder of its tracking link sees it.
    Tracking(OrderId),
    /// All orders that concern a merchant.
    Merchant(MerchantId),
    /// Operations: everything, one zone, or a bounding box.
    Operations(View),
}

/// Why an outbox was closed by the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The reader is too slow.
    TooSlow,
    /// Another connection took its place.
    Replaced,
    /// The server is going away.
    GoingAway,
    /// The hub failed and all streams begin anew.
    BegunAnew,
    /// A message did not reach the outbox: the reader has to ask for what it missed.
    Missed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Driver(DriverId),
    Order(OrderId),
    Merchant(MerchantId),
}

/// The door to streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams(pub(crate) Arc<Hub>);

/// The hub: every topic that somebody follows, or followed lately.
pub(crate) struct Hub {
    topics: DashMap<TopicKey, Arc<Topic>>,
    views: Views,
    /// Names this run of the program in epochs.
    run: SessionId,
    numberings: AtomicU64,
    pub(crate) clock: Clock,
    /// Where snapshots come from. Absent until the system has started and after it stopped.
    doors: ArcSwapOption<Doors>,
    seat: Seat<HubMsg>,
    world: World,
}

impl Streams {
    pub(crate) fn new(clock: Clock, world: World) -> Self {
        let run = clock.id();
        Self(Arc::new(Hub {
            topics: DashMap::new(),
            views: Views::default(),
            run,
            numberings: AtomicU64::new(0),
            clock,
            doors: ArcSwapOption::empty(),
            seat: Seat::default(),
            world,
        }))
    }

    pub(crate) fn seat(&self) -> &Seat<HubMsg> {
        &self.0.seat
    }

    pub(crate) fn connect(&self, doors: Arc<Doors>) {
        self.0.doors.store(Some(doors));
    }

    /// Opens a subscription. Nothing arrives in its outbox before [`Subscription::begin`].
    #[expect(clippy::unused_async, reason = "in a cluster the stream may be on another node")]
    pub async fn open(&self, subject: Subject) -> Result<Subscription, Refused> {
        if self.0.doors.load().is_none() {
            return Err(Refused::Unavailable("the system is starting or stopping".into()));
        }
        Subscription::new(Arc::clone(&self.0), subject)
    }

    /// Ends every subscription and every numbering. Clients come back for a snapshot.
    fn end_all(&self, why: Closed) {
        self.0.topics.retain(|_, topic| {
            topic.end(why);
            false
        });
        self.0.views.clear(why);
    }

    /// Something may have been lost: everybody has to begin anew.
    pub(crate) fn start_anew(&self) {
        self.end_all(Closed::BegunAnew);
    }

    /// Tells every subscriber that the server is going away; nobody can subscribe from now on.
    pub fn close(&self) {
        self.0.doors.store(None);
        self.end_all(Closed::GoingAway);
    }

    /// Forgets streams that nobody follows any more. Called once a minute.
    pub(crate) fn sweep(&self) {
        self.0.topics.retain(|key, topic| {
            let most = if matches!(key, TopicKey::Order(_)) { 0 } else { IDLE_SWEEPS };
            !topic.sweep(most)
        });
        self.0.views.sweep();
    }
}

impl Hub {
    fn topic(&self, key: TopicKey) -> Option<Arc<Topic>> {
        self.topics.get(&key).map(|t| Arc::clone(&t))
    }

    /// The stream of a subject, entered by one more.
    fn enter(&self, subject: &Subject) -> Result<Arc<Topic>, Refused> {
        let numbered = || format!("{}-{}", self.run, self.numberings.fetch_add(1, Ordering::Relaxed));
        let key = match subject {
            Subject::Operations(view) => {
                let topic = self.views.enter(*view, || Topic::new(numbered(), KEPT_FOR_DESKS));
                return topic.ok_or(Refused::Unavailable("too many different views are looked at".into()));
            }
            Subject::Driver(id) => TopicKey::Driver(*id),
            Subject::Tracking(id) => TopicKey::Order(*id),
            Subject::Merchant(id) => TopicKey::Merchant(*id),
        };
        let topic = self.topics.entry(key).or_insert_with(|| {
            Arc::new(match key {
                TopicKey::Driver(_) => Topic::new(numbered(), KEPT_FOR_DRIVERS),
                TopicKey::Order(_) => Topic::new(TRACKING_EPOCH.to_owned(), 0),
                TopicKey::Merchant(_) => Topic::new(numbered(), KEPT_FOR_DESKS),
            })
        });
        // Before the entry is let go of, so that the topic is not forgotten in between.
        topic.enter();
        Ok(Arc::clone(&topic))
    }
}
