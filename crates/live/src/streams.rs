//! What sockets follow. A stream has a numbering (`seq`) and an epoch that names it; a client that comes back
//! with both gets what it missed, or a snapshot.
//!
//! A subscriber has an [`Outbox`]: a bounded queue for what must not be lost and one slot per driver for positions,
//! latest wins. A full queue closes the outbox as too slow; the client can resume.

use std::sync::Arc;

use posthaste_domain::ids::{DriverId, MerchantId, OrderId, ZoneId};
use posthaste_protocol::socket::Hello;

use crate::Refused;

/// A frame, encoded once and shared by all who get it. Always UTF-8 (JSON).
pub type Frame = bytes::Bytes;

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

/// The door to streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams {}

impl Streams {
    /// Opens a subscription. Nothing arrives in its outbox before [`Subscription::begin`].
    pub async fn open(&self, subject: Subject) -> Result<Subscription, Refused> {
        let _ = subject;
        todo!()
    }
}

/// One subscriber. Dropping it ends the subscription.
pub struct Subscription {}

impl Subscription {
    /// Names the numbering.
    #[must_use]
    pub fn epoch(&self) -> String {
        todo!()
    }

    /// The newest number in the stream.
    #[must_use]
    pub fn seq(&self) -> u64 {
        todo!()
    }

    /// The first frames after the client's `hello`: `resumed` and what was missed, or a `snapshot`. From now on
    /// the outbox fills, without a gap to these frames.
    pub async fn begin(&mut self, hello: Hello) -> Result<Vec<Frame>, Refused> {
        let _ = hello;
        todo!()
    }

    /// Waits for frames and takes all that are there, to be written together and flushed once.
    /// `Err` when the system closed the outbox.
    pub async fn next(&mut self, into: &mut Vec<Frame>) -> Result<(), Closed> {
        let _ = into;
        todo!()
    }

    /// The outbox, for tests and metrics.
    #[must_use]
    pub fn outbox(&self) -> &Arc<Outbox> {
        todo!()
    }
}

/// A subscriber's pending frames.
pub struct Outbox {}
