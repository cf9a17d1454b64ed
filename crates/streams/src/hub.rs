//! The hub: every topic and view that somebody follows, or followed lately, and the actor that hands news on to them in order.
//!
//! The actor owns nothing: channels and queues are shared, so that positions need no message. Whoever runs it supervises
//! it and keeps its [`Mailbox`]. What was in there when the actor failed is lost to subscribers, so a restart ends every
//! subscription and every numbering: clients come back and get a snapshot (of topics that their owners number, what they
//! missed).

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;
use posthaste_clock::Clock;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{SessionId, ZoneId};
use posthaste_domain::place::Place;
use posthaste_protocol::socket::{Header, ServerMessage, Unnumbered};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use uuid::Uuid;

use crate::channel::Channel;
use crate::topic::{Kind, Numbering};
use crate::views::Views;
use crate::{CannotFollow, Closed, Frame, Scope, Snapshots, Streams, Subject, Topic};

/// What the hub's actor hands on.
pub enum News {
    /// For those who follow a topic that is numbered here.
    Topic(Topic, Box<ServerMessage>),
    /// For operations.
    Operations(Box<ServerMessage>, Scope),
    /// For several, or made only where somebody follows.
    Made(Box<dyn FnOnce(&Hub) + Send>),
}

/// Where news wait for the hub's actor.
pub trait Mailbox: Send + Sync + 'static {
    /// Hands news to the actor. Where there is none at the moment they are lost to subscribers: its successor ends their
    /// subscriptions.
    fn send(&self, news: News);
    /// The actor has begun with news that were sent.
    fn taken(&self);
}

/// The hub.
pub struct Hub {
    channels: DashMap<Topic, Arc<Channel>>,
    views: Views,
    /// Names this run of the program in epochs.
    run: SessionId,
    numberings: AtomicU64,
    clock: Clock,
    /// Where snapshots come from, by the names of kinds. Nowhere until the system has started and after it stopped.
    sources: RwLock<BTreeMap<&'static str, Arc<dyn Snapshots>>>,
    pub(crate) mailbox: Box<dyn Mailbox>,
}

impl Hub {
    pub(crate) fn new(clock: Clock, mailbox: Box<dyn Mailbox>) -> Self {
        Self {
            channels: DashMap::new(),
            views: Views::default(),
            run: clock.id(),
            numberings: AtomicU64::new(0),
            clock,
            sources: RwLock::default(),
            mailbox,
        }
    }

    /// Hands a message to all who follow a topic that is numbered here; it is made where somebody does.
    pub fn publish(&self, topic: Topic, message: impl FnOnce() -> ServerMessage) {
        if let Some(channel) = self.channel(topic) {
            channel.publish(&self.unnumbered(&message()));
        }
    }

    /// Hands on messages that their owner has numbered; they are made where somebody follows the topic.
    pub fn publish_numbered<M>(&self, topic: Topic, messages: impl FnOnce() -> M)
    where
        M: IntoIterator<Item = (u64, ServerMessage)>,
    {
        let Some(channel) = self.channel(topic) else { return };
        for (seq, message) in messages() {
            channel.publish_numbered(seq, &self.frame(&message, Some(seq)));
        }
    }

    /// Hands a message to operations: every view that shows it numbers it by itself.
    pub fn publish_to_operations(&self, message: &ServerMessage, scope: &Scope) {
        let encoded = OnceCell::new();
        self.views.showing(scope, |channel| channel.publish(encoded.get_or_init(|| self.unnumbered(message))));
    }

    /// Whether operations have a stream open, so that making their messages is worth it.
    #[must_use]
    pub fn has_operations(&self) -> bool {
        !self.views.is_empty()
    }

    /// Whether somebody follows a topic, or did lately.
    #[must_use]
    pub fn follows(&self, topic: Topic) -> bool {
        self.channel(topic).is_some()
    }

    /// Shows a position to those who follow a topic: no number, and of `whose`, a driver or an order, only the newest waits.
    /// Nothing here waits, and no frame is made that nobody gets.
    pub fn place(&self, topic: Topic, whose: Uuid, encode: impl FnOnce() -> Frame) {
        if let Some(channel) = self.channel(topic) {
            channel.place(whose, encode);
        }
    }

    /// The same for operations whose view shows a driver of these zones at one of these places.
    pub fn place_in_views(&self, zones: &[ZoneId], places: &[Place], whose: Uuid, encode: impl Fn() -> Frame) {
        self.views.showing_move(zones, places, |channel| channel.place(whose, &encode));
    }

    /// Encodes a message that has no number of its own.
    #[must_use]
    pub fn encode(&self, message: &ServerMessage) -> Frame {
        self.frame(message, None)
    }

    /// The time of what is published.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn frame(&self, message: &ServerMessage, seq: Option<u64>) -> Frame {
        let header = Header { id: None, seq, ts: Some(self.clock.now()) };
        Frame::new(message, &header)
    }

    fn unnumbered(&self, message: &ServerMessage) -> Arc<Unnumbered> {
        Arc::new(Unnumbered::new(message, self.clock.now()))
    }

    fn channel(&self, topic: Topic) -> Option<Arc<Channel>> {
        self.channels.get(&topic).map(|channel| Arc::clone(&channel))
    }

    pub(crate) fn register(&self, kinds: &[&'static Kind], from: &Arc<dyn Snapshots>) {
        self.sources.write().extend(kinds.iter().map(|kind| (kind.name, Arc::clone(from))));
    }

    /// Who makes what a subject's streams begin with.
    pub(crate) fn source(&self, subject: Subject) -> Result<Arc<dyn Snapshots>, CannotFollow> {
        let known = self.sources.read().get(subject.kind().name).map(Arc::clone);
        known.ok_or(CannotFollow::Unavailable("the system is starting or stopping".into()))
    }

    /// Nobody can begin to follow anything from now on.
    pub(crate) fn unregister_all(&self) {
        self.sources.write().clear();
    }

    /// The channel of a subject, entered by one more.
    pub(crate) fn enter(&self, subject: Subject) -> Result<Arc<Channel>, CannotFollow> {
        let kind = subject.kind();
        let new = || match kind.numbering {
            Numbering::Here { kept } => {
                Channel::new(format!("{}-{}", self.run, self.numberings.fetch_add(1, Ordering::Relaxed)), kept)
            }
            Numbering::Owner { epoch } => Channel::new(epoch.to_owned(), 0),
        };
        let topic = match subject {
            Subject::Topic(topic) => topic,
            Subject::Operations(view) => {
                let channel = self.views.enter(view, new);
                return channel.ok_or(CannotFollow::Unavailable("too many different views are looked at".into()));
            }
        };
        let channel = self.channels.entry(topic).or_insert_with(|| Arc::new(new()));
        // Before the entry is let go of, so that the topic is not forgotten in between.
        channel.enter();
        Ok(Arc::clone(&channel))
    }

    /// Somebody has left the channel of a subject: a topic that is not kept goes with its last follower.
    pub(crate) fn left(&self, subject: Subject, channel: &Arc<Channel>) {
        if let Subject::Topic(topic) = subject
            && topic.kind.idle_sweeps == 0
        {
            self.channels.remove_if(&topic, |_, known| Arc::ptr_eq(known, channel) && known.is_left());
        }
    }

    /// Ends every subscription and every numbering. Clients come back for a snapshot.
    pub(crate) fn end_all(&self, why: Closed) {
        self.channels.retain(|_, channel| {
            channel.end(why);
            false
        });
        self.views.clear(why);
    }

    pub(crate) fn sweep(&self) {
        self.channels.retain(|topic, channel| !channel.sweep(topic.kind.idle_sweeps));
        self.views.sweep();
    }
}

/// The hub's actor.
pub struct HubActor {
    /// Those whose hub it is.
    pub streams: Streams,
}

impl Actor for HubActor {
    type Msg = News;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<News>, (): ()) -> Result<(), ActorProcessingErr> {
        self.streams.start_anew();
        Ok(())
    }

    async fn handle(&self, _: ActorRef<News>, news: News, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let hub = self.streams.hub();
        hub.mailbox.taken();
        match news {
            News::Topic(topic, message) => hub.publish(topic, || *message),
            News::Operations(message, scope) => hub.publish_to_operations(&message, &scope),
            News::Made(publish) => publish(hub),
        }
        Ok(())
    }
}
