//! What sockets follow. A stream has a numbering (`seq`) and an epoch that names it; a client that comes back
//! with both gets what it missed, or a snapshot.
//!
//! A subscriber has an [`Outbox`]: a bounded queue for what must not be lost and one slot per driver for positions,
//! latest wins. A full queue closes the outbox as too slow; the client can resume. A message to many is written to
//! their connections by a few tasks that share them, not by waking each connection's own.
//!
//! The streams of drivers, merchants and operations are numbered here and keep their newest frames; after a restart
//! their epoch is new and clients get a snapshot. A tracking stream is numbered by the order's own events, which are
//! in Postgres: it resumes across restarts.

mod frame;
mod hub;
mod outbox;
mod publish;
mod subscription;
mod topic;

pub use frame::Frame;
pub(crate) use hub::{HubActor, HubMsg};
pub use outbox::{Direct, Offered, Outbox};
pub(crate) use publish::position_view;
pub use subscription::Subscription;
pub(crate) use subscription::tracking_view;
pub(crate) use topic::Scope;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use posthaste_clock::Clock;
use posthaste_domain::ids::{DriverId, MerchantId, OrderId, SessionId, ZoneId};

use self::topic::Topic;
use crate::Refused;
use crate::keeper::Seat;
use crate::system::Doors;

/// The epoch of every tracking stream: their numbering never starts anew.
const TRACKING_EPOCH: &str = "order-events";
/// Frames kept for a driver who comes back.
const KEPT_FOR_DRIVERS: usize = 256;
/// Frames kept for merchants and operations who come back. At 1 KB a frame, 1 MB for a stream with a subscriber.
const KEPT_FOR_DESKS: usize = 1024;
/// Connections of one driver: the phone, and the phone again before its old connection has timed out.
const CONNECTIONS_PER_DRIVER: usize = 2;
/// Frames that may wait for a slow reader of one order or driver.
const QUEUE_OF_ONE: usize = 256;
/// Frames that may wait for a slow reader of a desk.
const QUEUE_OF_DESK: usize = 4096;
/// Sweeps (one a minute) after which a stream that nobody follows forgets its frames.
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

/// What operations look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// Everything.
    All,
    /// One zone.
    Zone(ZoneId),
    /// A box in degrees.
    Box {
        /// Western edge.
        west: f64,
        /// Southern edge.
        south: f64,
        /// Eastern edge.
        east: f64,
        /// Northern edge.
        north: f64,
    },
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Driver(DriverId),
    Order(OrderId),
    Merchant(MerchantId),
    Operations,
}

/// The door to streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams(pub(crate) Arc<Hub>);

/// The hub: every topic that somebody follows, or followed lately.
pub(crate) struct Hub {
    topics: DashMap<TopicKey, Arc<Topic>>,
    /// Names this run of the program in epochs.
    run: SessionId,
    numberings: AtomicU64,
    pub(crate) clock: Clock,
    /// Where snapshots come from. Absent until the system has started and after it stopped.
    doors: ArcSwapOption<Doors>,
    seat: Seat<HubMsg>,
}

impl Streams {
    pub(crate) fn new(clock: Clock) -> Self {
        let run = clock.id();
        Self(Arc::new(Hub {
            topics: DashMap::new(),
            run,
            numberings: AtomicU64::new(0),
            clock,
            doors: ArcSwapOption::empty(),
            seat: Seat::default(),
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
            return Err(Refused::Unavailable("the system is starting or stopping"));
        }
        Ok(Subscription::new(Arc::clone(&self.0), subject))
    }

    /// Ends every subscription and every numbering: something may have been lost. Clients come back for a snapshot.
    pub(crate) fn start_anew(&self) {
        for topic in &self.0.topics {
            topic.close_all(Closed::GoingAway);
        }
        self.0.topics.clear();
    }

    /// Tells every subscriber that the server is going away; nobody can subscribe from now on.
    pub fn close(&self) {
        self.0.doors.store(None);
        self.start_anew();
    }

    /// Forgets streams that nobody follows any more. Called once a minute.
    pub(crate) fn sweep(&self) {
        self.0.topics.retain(|key, topic| {
            let most = if matches!(key, TopicKey::Order(_)) { 0 } else { IDLE_SWEEPS };
            !topic.sweep(most) || Arc::strong_count(topic) > 1
        });
    }
}

impl Hub {
    fn topic(&self, key: TopicKey) -> Option<Arc<Topic>> {
        self.topics.get(&key).map(|t| Arc::clone(&t))
    }

    fn topic_or_new(&self, key: TopicKey) -> Arc<Topic> {
        Arc::clone(&self.topics.entry(key).or_insert_with(|| {
            let kept = match key {
                TopicKey::Driver(_) => KEPT_FOR_DRIVERS,
                TopicKey::Order(_) => 0,
                TopicKey::Merchant(_) | TopicKey::Operations => KEPT_FOR_DESKS,
            };
            let epoch = match key {
                TopicKey::Order(_) => TRACKING_EPOCH.to_owned(),
                _ => format!("{}-{}", self.run, self.numberings.fetch_add(1, Ordering::Relaxed)),
            };
            Arc::new(Topic::new(epoch, kept))
        }))
    }
}

impl Subject {
    fn key(&self) -> TopicKey {
        match self {
            Self::Driver(id) => TopicKey::Driver(*id),
            Self::Tracking(id) => TopicKey::Order(*id),
            Self::Merchant(id) => TopicKey::Merchant(*id),
            Self::Operations(_) => TopicKey::Operations,
        }
    }
}
