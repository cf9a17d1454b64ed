//! The one door to keyed actors: it takes an id and a message with a deadline.
//!
//! Nothing outside this crate may assume that an actor is in this process. On one node the door is a table of actor
//! references; whoever is not in it is loaded from Postgres when somebody asks. The supervisor behind the door
//! restarts an actor that failed, with back-off, from what Postgres holds.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message, RpcReplyPort, SpawnErr, SupervisionEvent};

use crate::Refused;

/// How long a caller waits for an actor. Long enough for a commit behind a slow disk; short enough for a phone.
const PATIENCE: Duration = Duration::from_secs(8);
/// First pause before a failed actor is started again; doubles to [`LONGEST_PAUSE`] while it keeps failing.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause. Higher leaves work lying after a long outage; lower hammers a database that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The reply to a caller.
pub(crate) type Reply<T> = RpcReplyPort<Result<T, Refused>>;

/// A kind of keyed actor.
pub(crate) trait Kind: Send + Sync + 'static {
    /// What it is found by.
    type Key: Copy + Eq + Hash + Debug + Send + Sync + 'static;
    /// Its messages.
    type Msg: Message;
    /// What it is started with: its state as Postgres holds it.
    type Loaded: Send + 'static;
    /// For logs and refusals.
    const NAME: &'static str;

    /// Reads the state. `None`: there is no such thing, or it needs no actor.
    fn load(&self, key: Self::Key) -> impl Future<Output = Result<Option<Self::Loaded>, Refused>> + Send;
    /// Starts an actor with it.
    fn spawn(&self, loaded: Self::Loaded, supervisor: ActorCell) -> Result<ActorRef<Self::Msg>, SpawnErr>;
    /// The message that makes a restarted actor tell its neighbours how it stands.
    fn announce() -> Self::Msg;
}

/// The door to all actors of a kind.
pub(crate) struct Door<K: Kind> {
    kind: K,
    table: DashMap<K::Key, ActorRef<K::Msg>>,
    failures: DashMap<K::Key, u32>,
    supervisor: OnceLock<ActorCell>,
    closed: AtomicBool,
}

impl<K: Kind> Door<K> {
    pub(crate) async fn open(kind: K) -> Result<Arc<Self>, SpawnErr> {
        let door = Arc::new(Self {
            kind,
            table: DashMap::new(),
            failures: DashMap::new(),
            supervisor: OnceLock::new(),
            closed: AtomicBool::new(false),
        });
        let (supervisor, _) = Actor::spawn(None, Supervisor(Arc::clone(&door)), ()).await?;
        let _ = door.supervisor.set(supervisor.get_cell());
        Ok(door)
    }

    /// Starts the actor of a state that has just been stored or loaded; an actor that is there already stays.
    pub(crate) fn enter(&self, key: K::Key, loaded: K::Loaded) -> Result<ActorRef<K::Msg>, Refused> {
        let supervisor = self.supervisor.get().ok_or(Refused::Unavailable("the system is starting"))?;
        match self.table.entry(key) {
            dashmap::Entry::Occupied(there) => Ok(there.get().clone()),
            dashmap::Entry::Vacant(place) => {
                let actor = self.kind.spawn(loaded, supervisor.clone()).map_err(|error| {
                    tracing::error!(kind = K::NAME, ?key, %error, "could not start the actor");
                    Refused::Unavailable("the actor could not be started")
                })?;
                place.insert(actor.clone());
                Ok(actor)
            }
        }
    }

    /// The actor, loaded when it is not there.
    pub(crate) async fn find(&self, key: K::Key) -> Result<ActorRef<K::Msg>, Refused> {
        if let Some(actor) = self.present(key) {
            return Ok(actor);
        }
        let loaded = self.kind.load(key).await?.ok_or(Refused::NotFound(K::NAME))?;
        self.enter(key, loaded)
    }

    /// The actor, if it is there.
    pub(crate) fn present(&self, key: K::Key) -> Option<ActorRef<K::Msg>> {
        self.table.get(&key).map(|actor| actor.clone())
    }

    /// Sends the message and waits for its answer. An actor that has just stopped is looked for again, once.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        key: K::Key,
        message: impl Fn(Reply<T>) -> K::Msg,
    ) -> Result<T, Refused> {
        for last in [false, true] {
            let actor = self.find(key).await?;
            match actor.call(&message, Some(PATIENCE)).await {
                Ok(CallResult::Success(answer)) => return answer,
                Ok(CallResult::Timeout) => return Err(Refused::Unavailable("no answer in time")),
                Ok(CallResult::SenderError) => return Err(Refused::Unavailable("the actor failed and is reloaded")),
                Err(_) if last => return Err(Refused::Unavailable("the actor is restarting")),
                Err(_) => self.forget(key, &actor.get_cell()),
            }
        }
        Err(Refused::Unavailable("the actor is restarting"))
    }

    /// Tells the actor, if it is there; one that is not will read Postgres when it is needed. False when nobody heard.
    pub(crate) fn tell(&self, key: K::Key, message: K::Msg) -> bool {
        self.present(key).is_some_and(|actor| actor.cast(message).is_ok())
    }

    /// Every actor that is there.
    pub(crate) fn all(&self) -> Vec<(K::Key, ActorRef<K::Msg>)> {
        self.table.iter().map(|entry| (*entry.key(), entry.value().clone())).collect()
    }

    /// How many actors are there.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Takes an actor that stopped out of the table.
    pub(crate) fn forget(&self, key: K::Key, actor: &ActorCell) {
        self.table.remove_if(&key, |_, there| there.get_id() == actor.get_id());
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

    fn key_of(&self, actor: &ActorCell) -> Option<K::Key> {
        self.table.iter().find(|entry| entry.value().get_id() == actor.get_id()).map(|entry| *entry.key())
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
            match self.kind.load(key).await {
                Ok(Some(loaded)) => {
                    if let Ok(actor) = self.enter(key, loaded) {
                        let _ = actor.cast(K::announce());
                    }
                    break;
                }
                Ok(None) => break,
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
        // Nobody is looked for when all are stopped: that would be a walk over the table for each of them.
        if self.0.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        // An actor that stops as it should hands its state back, and has taken itself out of the table before. It is
        // not looked for: with a hundred thousand orders in the table, that would take longer than settling one.
        let (actor, error) = match event {
            SupervisionEvent::ActorFailed(actor, error) => (actor, error.to_string()),
            SupervisionEvent::ActorTerminated(actor, None, _) => (actor, "killed".to_owned()),
            _ => return Ok(()),
        };
        if let Some(key) = self.0.key_of(&actor) {
            tracing::warn!(kind = K::NAME, ?key, error, "actor failed; it will be reloaded");
            self.0.forget(key, &actor);
            tokio::spawn(Arc::clone(&self.0).revive(key));
        }
        Ok(())
    }
}
