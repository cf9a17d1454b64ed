//! The keeper: supervises the actors that are always there (journal, hub, zones, dispatchers) and starts each again,
//! with back-off, when it fails. Orders and drivers have supervisors of their own behind their doors.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use posthaste_domain::ids::ZoneId;
use posthaste_streams::HubActor;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, Message, SupervisionEvent};

use crate::door::Reply;
use crate::journal::JournalActor;
use crate::system::Late;
use crate::world;
use crate::zones::{Dispatcher, ZoneActor};

/// First pause before a failed actor is started again; doubles while it keeps failing.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The most doublings: about five seconds.
const MOST_DOUBLINGS: u32 = 8;

/// Where the present actor of a post is found. Empty for the moment between a failure and the restart.
pub(crate) struct Seat<M>(Arc<Chair<M>>);

struct Chair<M> {
    actor: RwLock<Option<ActorRef<M>>>,
    /// Messages sent and not handled yet.
    waiting: AtomicUsize,
    /// Messages sent in all.
    #[cfg(test)]
    told: AtomicUsize,
}

impl<M> Clone for Seat<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Default for Seat<M> {
    fn default() -> Self {
        Self(Arc::new(Chair {
            actor: RwLock::new(None),
            waiting: AtomicUsize::new(0),
            #[cfg(test)]
            told: AtomicUsize::new(0),
        }))
    }
}

impl<M: Message> Seat<M> {
    /// Sends the message to whoever sits there; gives it back when nobody does.
    pub(crate) fn tell(&self, message: M) -> Result<(), Box<M>> {
        match &*self.0.actor.read() {
            Some(actor) => {
                self.0.waiting.fetch_add(1, Ordering::Relaxed);
                #[cfg(test)]
                self.0.told.fetch_add(1, Ordering::Relaxed);
                actor.cast(message).map_err(|error| match error {
                    ractor::MessagingErr::SendErr(message) => Some(Box::new(message)),
                    _ => None,
                })
            }
            None => return Err(Box::new(message)),
        }
        .or_else(|returned| returned.map_or(Ok(()), Err))
    }

    pub(crate) fn take(&self, actor: ActorRef<M>) {
        *self.0.actor.write() = Some(actor);
        self.0.waiting.store(0, Ordering::Relaxed);
    }

    /// Whoever sits there leaves, when they have done what they do.
    pub(crate) fn vacate(&self) {
        if let Some(actor) = self.0.actor.write().take() {
            actor.stop(None);
        }
    }

    /// Whoever sits there has begun with a message that was told to the seat.
    pub(crate) fn handled(&self) {
        // What was told to a predecessor may be counted here still: never below nothing.
        let less = |waiting: usize| Some(waiting.saturating_sub(1));
        let _ = self.0.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Messages that wait to be handled.
    pub(crate) fn depth(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How many messages were sent so far, to whoever sat there.
    #[cfg(test)]
    pub(crate) fn told_so_far(&self) -> usize {
        self.0.told.load(Ordering::Relaxed)
    }

    /// The actor's cell, for tests that kill it.
    #[cfg(test)]
    pub(crate) fn cell(&self) -> Option<ractor::ActorCell> {
        self.0.actor.read().as_ref().map(ActorRef::get_cell)
    }
}

/// What the keeper keeps filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Post {
    Journal,
    Hub,
    Zone(ZoneId),
    Dispatcher(ZoneId),
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal => f.write_str("journal"),
            Self::Hub => f.write_str("hub"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
            Self::Dispatcher(zone) => write!(f, "dispatcher {zone}"),
        }
    }
}

/// Messages of the keeper.
pub(crate) enum KeeperMsg {
    /// Fill a post; answered when somebody sits there.
    Start(Post, Reply<()>),
    /// Fill it again after a failure.
    Internal(Post),
}

/// The keeper.
pub(crate) struct Keeper {
    pub(crate) doors: Late,
}

/// Who sits where, and how often each post has failed lately.
#[derive(Default)]
pub(crate) struct KeeperState {
    posts: HashMap<ActorId, Post>,
    failures: HashMap<Post, u32>,
}

impl KeeperState {
    /// A post that nobody is needed for any more: its zone is gone.
    fn close(&mut self, post: Post) {
        self.failures.remove(&post);
    }
}

impl Actor for Keeper {
    type Msg = KeeperMsg;
    type State = KeeperState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<KeeperMsg>, (): ()) -> Result<KeeperState, ActorProcessingErr> {
        Ok(KeeperState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<KeeperMsg>,
        message: KeeperMsg,
        state: &mut KeeperState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            KeeperMsg::Start(post, reply) => {
                self.start(&myself, state, post).await?;
                let _ = reply.send(Ok(()));
            }
            KeeperMsg::Internal(post) => {
                if self.doors.get().is_ok() && self.start(&myself, state, post).await.is_err() {
                    again(&myself, state, post);
                }
            }
        }
        Ok(())
    }

    /// A child's end never ends the keeper.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<KeeperMsg>,
        event: SupervisionEvent,
        state: &mut KeeperState,
    ) -> Result<(), ActorProcessingErr> {
        let gone = match &event {
            SupervisionEvent::ActorFailed(actor, error) => {
                let post = state.posts.get(&actor.get_id()).map(tracing::field::display);
                tracing::error!(post, %error, "actor failed; it is started again");
                actor.get_id()
            }
            SupervisionEvent::ActorTerminated(actor, ..) => actor.get_id(),
            _ => return Ok(()),
        };
        if let Some(post) = state.posts.remove(&gone) {
            again(&myself, state, post);
        }
        Ok(())
    }
}

fn again(myself: &ActorRef<KeeperMsg>, state: &mut KeeperState, post: Post) {
    let failures = state.failures.entry(post).or_insert(0);
    let pause = FIRST_PAUSE * 2u32.pow((*failures).min(MOST_DOUBLINGS));
    *failures += 1;
    let myself = myself.clone();
    world::spawn(async move {
        tokio::time::sleep(pause).await;
        let _ = myself.cast(KeeperMsg::Internal(post));
    });
}

impl Keeper {
    async fn start(
        &self,
        myself: &ActorRef<KeeperMsg>,
        state: &mut KeeperState,
        post: Post,
    ) -> Result<(), ActorProcessingErr> {
        let doors = self.doors.get()?;
        let (keeper, world) = (myself.get_cell(), &doors.world);
        let id = match post {
            Post::Journal => {
                let (pool, feed, seat) = (doors.pool.clone(), doors.feed.clone(), doors.journal.seat.clone());
                let journal = JournalActor { pool, feed, seat, world: world.clone() };
                let actor = world.start_under(journal, (), keeper).await?;
                doors.journal.seat.take(actor.clone());
                actor.get_id()
            }
            Post::Hub => {
                let hub = HubActor { streams: doors.streams.clone() };
                let actor = world.start_under(hub, (), keeper).await?;
                doors.hub.take(actor.clone());
                actor.get_id()
            }
            Post::Zone(zone) => {
                let Some(cell) = doors.zones.cell(zone) else {
                    state.close(post);
                    return Ok(());
                };
                let zone = ZoneActor { cell, doors: Arc::clone(&doors) };
                let actor = world.start_under(zone, (), keeper).await?;
                actor.get_id()
            }
            Post::Dispatcher(zone) => {
                let Some(cell) = doors.zones.cell(zone) else {
                    state.close(post);
                    return Ok(());
                };
                let dispatcher = Dispatcher { cell, doors: Arc::clone(&doors) };
                let actor = world.start_under(dispatcher, (), keeper).await?;
                actor.get_id()
            }
        };
        state.posts.insert(id, post);
        Ok(())
    }
}
