//! The one door to keyed actors: it takes an id and a message with a deadline.
//!
//! Nothing outside this crate may assume that an actor is in this process. On one node the door is a table of actor
//! references; whoever is not in it is loaded from Postgres when somebody asks. The supervisor behind the door
//! restarts an actor that failed, with back-off, from what Postgres holds.

use std::collections::HashSet;
use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use ractor::rpc::CallResult;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, Message, MessagingErr, RpcReplyPort, SpawnErr,
    SupervisionEvent,
};

use crate::{Refused, World};

/// How long a caller waits for an actor. Long enough for a commit behind a slow disk; short enough for a phone.
const PATIENCE: Duration = Duration::from_secs(8);
/// First pause before a failed actor is started again; doubles to [`LONGEST_PAUSE`] while it keeps failing.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause. Higher leaves work lying after a long outage; lower hammers a database that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The reason that ractor gives for an actor that was killed.
const KILLED: &str = "killed";
/// How long actors that fail are gathered before they are looked for. Many fail together where a commit's outcome is
/// unknown; shorter walks over the table for each.
const GATHER: Duration = Duration::from_millis(20);

/// The reply to a caller.
pub(crate) type Reply<T> = RpcReplyPort<Result<T, Refused>>;

/// A kind of keyed actor.
pub(crate) trait Kind: Send + Sync + 'static {
    /// What it is found by.
    type Key: Copy + Eq + Hash + Display + Send + Sync + 'static;
    /// Its messages.
    type Msg: Message;
    /// What it is started with: its state as Postgres holds it.
    type Loaded: Send + 'static;
    /// What outlives an actor that fails: how much of its history the others have been told.
    type Told: Clone + Default + Send + Sync + 'static;
    /// For logs and refusals.
    const NAME: &'static str;

    /// Reads the state. `None`: there is no such thing, or it needs no actor.
    fn load(&self, key: Self::Key) -> impl Future<Output = Result<Option<Self::Loaded>, Refused>> + Send;
    /// Starts an actor with it.
    fn spawn(
        &self,
        loaded: Self::Loaded,
        told: Self::Told,
        supervisor: ActorCell,
        world: &World,
    ) -> Result<ActorRef<Self::Msg>, SpawnErr>;
    /// The message that makes an actor that was loaded tell its neighbours how it stands, and what they have missed.
    fn announce() -> Self::Msg;
    /// Nothing needs an actor under this key any more: the others are told what they have missed.
    fn settled(&self, key: Self::Key, told: Self::Told) -> impl Future<Output = Result<(), Refused>> + Send;
}

/// An actor in the table.
struct Entry<K: Kind> {
    actor: ActorRef<K::Msg>,
    told: K::Told,
}

/// The door to all actors of a kind.
pub(crate) struct Door<K: Kind> {
    kind: K,
    world: World,
    table: DashMap<K::Key, Entry<K>>,
    /// What actors that failed had told, until their successors go on from there; and whether somebody sees to that.
    left: DashMap<K::Key, (K::Told, bool)>,
    failures: DashMap<K::Key, u32>,
    /// Actors that failed and are not looked for yet.
    fallen: Mutex<HashSet<ActorId>>,
    supervisor: OnceLock<ActorCell>,
    closed: AtomicBool,
    me: Weak<Self>,
}

impl<K: Kind> Door<K> {
    pub(crate) async fn open(kind: K, world: World) -> Result<Arc<Self>, SpawnErr> {
        let door = Arc::new_cyclic(|me| Self {
            kind,
            world,
            table: DashMap::new(),
            left: DashMap::new(),
            failures: DashMap::new(),
            fallen: Mutex::default(),
            supervisor: OnceLock::new(),
            closed: AtomicBool::new(false),
            me: me.clone(),
        });
        let supervisor = door.world.start(Supervisor(Arc::clone(&door)), ()).await?;
        let _ = door.supervisor.set(supervisor.get_cell());
        Ok(door)
    }

    /// Starts the actor of a state that has just been stored or loaded; an actor that is there already stays. True when
    /// it was started: whoever brings it in tells the others of it.
    pub(crate) fn enter(
        &self,
        key: K::Key,
        loaded: K::Loaded,
        told: K::Told,
    ) -> Result<(ActorRef<K::Msg>, bool), Refused> {
        let closed = self.closed.load(Ordering::Relaxed);
        let Some(supervisor) = self.supervisor.get().filter(|_| !closed) else {
            return Err(Refused::Unavailable("the system is starting or stopping".into()));
        };
        match self.table.entry(key) {
            dashmap::Entry::Occupied(there) => Ok((there.get().actor.clone(), false)),
            dashmap::Entry::Vacant(place) => {
                let told = self.left.remove(&key).map_or(told, |(_, (told, _))| told);
                let spawned = self.kind.spawn(loaded, told.clone(), supervisor.clone(), &self.world);
                let actor = spawned.map_err(|error| {
                    tracing::error!(kind = K::NAME, %key, %error, "could not start the actor");
                    Refused::Unavailable("the actor could not be started".into())
                })?;
                place.insert(Entry { actor: actor.clone(), told });
                Ok((actor, true))
            }
        }
    }

    /// The actor, loaded when it is not there. One that was loaded says how it stands: nobody may have heard of it.
    pub(crate) async fn find(&self, key: K::Key) -> Result<ActorRef<K::Msg>, Refused> {
        if let Some(actor) = self.present(key) {
            return Ok(actor);
        }
        let loaded = self.kind.load(key).await?.ok_or(Refused::NotFound(K::NAME.into()))?;
        let (actor, is_new) = self.enter(key, loaded, K::Told::default())?;
        if is_new {
            let _ = actor.cast(K::announce());
        }
        Ok(actor)
    }

    /// The actor, if it is there.
    pub(crate) fn present(&self, key: K::Key) -> Option<ActorRef<K::Msg>> {
        self.table.get(&key).map(|entry| entry.actor.clone())
    }

    /// How much the others have been told of an actor that is there.
    pub(crate) fn told(&self, key: K::Key) -> Option<K::Told> {
        self.table.get(&key).map(|entry| entry.told.clone())
    }

    /// Sends the message and waits for its answer. An actor that stopped before it answered is looked for again, once:
    /// what it may have done already is not done twice.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        key: K::Key,
        message: impl Fn(Reply<T>) -> K::Msg,
    ) -> Result<T, Refused> {
        for last in [false, true] {
            let actor = self.find(key).await?;
            match actor.call(&message, Some(PATIENCE)).await {
                Ok(CallResult::Success(answer)) => return answer,
                Ok(CallResult::Timeout) => return Err(Refused::Unavailable("no answer in time".into())),
                Ok(CallResult::SenderError) if last => {
                    return Err(Refused::Unavailable("the actor failed and is reloaded".into()));
                }
                Err(_) if last => return Err(Refused::Unavailable("the actor is restarting".into())),
                // It has ended: nothing is ever answered by it again.
                Ok(CallResult::SenderError) | Err(_) => self.lose(key, &actor.get_cell()),
            }
        }
        Err(Refused::Unavailable("the actor is restarting".into()))
    }

    /// Tells the actor, if it is there; one that is not will read Postgres when it is needed. Gives the message back when
    /// nobody heard.
    pub(crate) fn tell(&self, key: K::Key, message: K::Msg) -> Result<(), Box<K::Msg>> {
        let Some(actor) = self.present(key) else { return Err(Box::new(message)) };
        actor.cast(message).or_else(|error| match error {
            MessagingErr::SendErr(message) => Err(Box::new(message)),
            _ => Ok(()),
        })
    }

    /// The keys of all actors that are there.
    pub(crate) fn keys(&self) -> Vec<K::Key> {
        self.table.iter().map(|entry| *entry.key()).collect()
    }

    /// Every actor that is there.
    pub(crate) fn all(&self) -> Vec<(K::Key, ActorRef<K::Msg>)> {
        self.table.iter().map(|entry| (*entry.key(), entry.value().actor.clone())).collect()
    }

    /// How many actors are there.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Takes an actor out of the table that has nothing more to do.
    pub(crate) fn leave(&self, key: K::Key, actor: &ActorCell) {
        self.table.remove_if(&key, |_, there| there.actor.get_id() == actor.get_id());
    }

    /// Takes an actor that ended out of the table. Its successor tells the others what it did not come to tell.
    fn lose(&self, key: K::Key, actor: &ActorCell) {
        let lost = self.table.remove_if(&key, |_, there| there.actor.get_id() == actor.get_id());
        if let Some((key, entry)) = lost {
            self.left.insert(key, (entry.told, false));
            self.has_fallen(actor.get_id());
        }
    }

    /// An actor failed. They are looked for together: a thousand may fail at once, and each would be a walk over the
    /// table.
    fn has_fallen(&self, actor: ActorId) {
        let Some(me) = self.me.upgrade().filter(|_| !self.closed.load(Ordering::Relaxed)) else { return };
        let mut fallen = self.fallen.lock();
        if fallen.is_empty() {
            self.world.spawn(me.gather_fallen());
        }
        fallen.insert(actor);
    }

    /// Stops all actors and their supervisor; waits at most so long for what they are doing.
    pub(crate) async fn close(&self, within: Duration) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(supervisor) = self.supervisor.get() {
            supervisor.stop_children_and_wait(None, Some(within)).await;
            supervisor.stop(None);
        }
        self.table.clear();
    }

    /// Kills all actors, and starts none again.
    #[cfg(test)]
    pub(crate) fn crash(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.table.iter().for_each(|entry| entry.value().actor.kill());
        self.table.clear();
    }

    /// Looks for actors that failed, all that did lately in one walk over the table, and has each started again.
    async fn gather_fallen(self: Arc<Self>) {
        tokio::time::sleep(GATHER).await;
        let fallen = std::mem::take(&mut *self.fallen.lock());
        let is_fallen = |entry: &Entry<K>| fallen.contains(&entry.actor.get_id());
        let found: Vec<_> = self
            .table
            .iter()
            .filter(|entry| is_fallen(entry.value()))
            .map(|entry| (*entry.key(), entry.value().actor.get_id()))
            .collect();
        for (key, actor) in found {
            if let Some((key, entry)) = self.table.remove_if(&key, |_, there| there.actor.get_id() == actor) {
                self.left.insert(key, (entry.told, false));
            }
        }
        // Some were found missing, and taken out, by those who asked for them.
        let left = self.left.iter_mut().filter(|left| !left.1);
        let left: Vec<_> = left
            .map(|mut left| {
                left.1 = true;
                *left.key()
            })
            .collect();
        for key in left {
            tracing::warn!(kind = K::NAME, %key, "actor failed; it will be reloaded");
            self.world.spawn(Arc::clone(&self).revive(key));
        }
    }

    /// Starts a failed actor again after a pause, until it works or is no longer needed.
    async fn revive(self: Arc<Self>, key: K::Key) {
        let failures = {
            let mut count = self.failures.entry(key).or_insert(0);
            *count += 1;
            *count
        };
        let mut pause = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE) / 2;
        loop {
            tokio::time::sleep(pause).await;
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            let outcome = match self.find(key).await {
                Err(Refused::NotFound(_)) => match self.left.get(&key).map(|left| left.clone()) {
                    Some((told, _)) => self.kind.settled(key, told).await.map(|()| _ = self.left.remove(&key)),
                    None => Ok(()),
                },
                found => found.map(drop),
            };
            match outcome {
                Ok(()) => break,
                Err(_) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
        tokio::time::sleep(LONGEST_PAUSE * 2).await;
        self.failures.remove(&key);
    }
}

/// Watches over the actors of a kind. A child's end never ends it.
struct Supervisor<K: Kind>(Arc<Door<K>>);

impl<K: Kind> Actor for Supervisor<K> {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        // An actor that stops as it should has taken itself out of the table before.
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                tracing::error!(kind = K::NAME, %error, "actor failed");
                self.0.has_fallen(actor.get_id());
            }
            SupervisionEvent::ActorTerminated(actor, None, _) => self.0.has_fallen(actor.get_id()),
            SupervisionEvent::ActorTerminated(actor, _, Some(why)) if why == KILLED => {
                self.0.has_fallen(actor.get_id());
            }
            _ => {}
        }
        Ok(())
    }
}
