//! What sockets follow. A stream has a numbering (`seq`) and an epoch that names it; a client that comes back
//! with both gets what it missed, or a snapshot.
//!
//! - What can be followed is open: a [`Topic`] is one thing of a [`Kind`], and whoever owns the kind registers it with who
//!   makes its [`Snapshots`]. Operations have a stream for each [`View`] that somebody looks at.
//! - A subscriber has a [`SendQueue`]: a bounded queue for what must not be lost and one slot per driver for positions,
//!   latest wins. A full queue closes the subscription as too slow; the client can resume. A message to many is written to
//!   their connections by a few tasks that share them, not by waking each connection's own.
//! - Most topics are numbered here and keep their newest messages; after a restart their epoch is new and clients get a
//!   snapshot. A topic that its owner numbers (an order's events, which are in Postgres) resumes across restarts.
//! - A subscription begins before its snapshot is read: what is committed in between comes as a message, so that nothing is
//!   missing. It may be in the snapshot too, but for topics that their owners number, whose snapshots are of one number.
//!
//! Absent: sockets, which hand over what they can write by [`Direct`]; what messages say, which is for the owners of topics
//! to make; storage.

mod channel;
mod frame;
mod hub;
mod queue;
mod snapshots;
mod subscription;
#[cfg(test)]
mod tests;
mod topic;
mod view;
mod views;

pub use frame::Frame;
pub use hub::{Hub, HubActor, Mailbox, News};
pub use queue::{Direct, Offered, SendQueue};
pub use snapshots::{Answering, Beginning, CannotFollow, Snapshots};
pub use subscription::{Ender, Subscription};
pub use topic::{Kind, Numbering, Subject, Topic};
pub use view::{Scope, View};
pub use views::OPERATIONS;

use std::sync::Arc;

use posthaste_clock::Clock;
use posthaste_protocol::socket::ServerMessage;

/// Why a subscription was ended by the system.
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
    /// A message did not reach the queue: the reader has to ask for what it missed.
    Missed,
}

/// The door to streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams(Arc<Hub>);

impl Streams {
    /// Streams that nobody can follow yet; `mailbox` is that of the hub's actor.
    pub fn new(clock: Clock, mailbox: impl Mailbox) -> Self {
        Self(Arc::new(Hub::new(clock, Box::new(mailbox))))
    }

    /// From now on topics of these kinds can be followed. [`OPERATIONS`] stands for the views.
    pub fn register(&self, kinds: &[&'static Kind], from: &Arc<dyn Snapshots>) {
        self.0.register(kinds, from);
    }

    /// Opens a subscription. Nothing arrives in its queue before [`Subscription::begin`].
    ///
    /// # Errors
    ///
    /// [`CannotFollow::Unavailable`] where the system starts or stops, and where too many different views are looked at.
    #[expect(clippy::unused_async, reason = "in a cluster the stream may be on another node")]
    pub async fn open(&self, subject: impl Into<Subject>) -> Result<Subscription, CannotFollow> {
        let subject = subject.into();
        self.0.source(subject)?;
        Subscription::new(Arc::clone(&self.0), subject)
    }

    /// Tells all who follow a topic that is numbered here, after the news before it.
    pub fn tell(&self, topic: Topic, message: ServerMessage) {
        self.0.mailbox.send(News::Topic(topic, Box::new(message)));
    }

    /// Tells operations whose view shows it, after the news before it.
    pub fn tell_operations(&self, message: ServerMessage, scope: Scope) {
        self.0.mailbox.send(News::Operations(Box::new(message), scope));
    }

    /// Has the hub's actor publish something, after the news before it.
    pub fn have_published(&self, publish: impl FnOnce(&Hub) + Send + 'static) {
        self.0.mailbox.send(News::Made(Box::new(publish)));
    }

    /// What is published by, and where positions are shown at once. What is numbered goes through the hub's actor, so that
    /// news keep their order.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0
    }

    /// Something may have been lost: everybody has to begin anew.
    pub fn start_anew(&self) {
        self.0.end_all(Closed::BegunAnew);
    }

    /// Tells every subscriber that the server is going away; nobody can subscribe from now on.
    pub fn close(&self) {
        self.0.unregister_all();
        self.0.end_all(Closed::GoingAway);
    }

    /// Forgets streams that nobody follows any more. To be called once a minute.
    pub fn sweep(&self) {
        self.0.sweep();
    }
}
