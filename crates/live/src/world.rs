//! Whose orders a system has: real ones, or those that are only tried out. What is logged of its work says so.
//!
//! What a world does, it does inside its span: its actors, because they are started here, and its tasks, because they are
//! spawned here. Nothing else in this crate starts or spawns anything, and a test reads the sources for that. The live
//! world has no span: its lines are as they are.

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorRuntime, SpawnErr, SupervisionEvent};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

/// The world of orders that are only tried out, as it is called in logs and traces.
const TEST: &str = "test";

/// A system's world. Cheap to clone.
#[derive(Debug, Clone)]
pub struct World {
    name: Option<&'static str>,
    span: Span,
    /// What it does beside requests, to be broken off where a test lets it crash.
    #[cfg(test)]
    tasks: crash::Tasks,
}

impl World {
    /// Where orders are real.
    #[must_use]
    pub fn live() -> Self {
        Self {
            name: None,
            span: Span::none(),
            #[cfg(test)]
            tasks: crash::Tasks::default(),
        }
    }

    /// Where orders are only tried out.
    #[must_use]
    pub fn test() -> Self {
        // Of the highest level: whatever is logged, it is logged with the world.
        let span = posthaste_trace::apart(|| tracing::error_span!(parent: None, "world", world = TEST));
        Self {
            name: Some(TEST),
            span,
            #[cfg(test)]
            tasks: crash::Tasks::default(),
        }
    }

    /// What it is called in logs and traces; the live one is not called anything.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// Whether orders are only tried out in it.
    pub(crate) fn is_test(&self) -> bool {
        self.name.is_some()
    }

    /// Where the lines of its work stand.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Does something in a task of this world's own, which outlives whoever asked for it.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.noted(tokio::spawn(work.instrument(self.span())))
    }

    /// Does something beside the caller, in the span that the caller is in.
    pub(crate) fn beside<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.noted(tokio::spawn(work.in_current_span()))
    }

    /// The same, and somebody waits for its end when the system stops.
    pub(crate) fn beside_and_awaited<F>(&self, awaited: &TaskTracker, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.noted(awaited.spawn(work.in_current_span()))
    }

    /// Every task of the world passes here.
    fn noted<T>(&self, task: JoinHandle<T>) -> JoinHandle<T> {
        #[cfg(test)]
        self.tasks.note(task.abort_handle());
        task
    }

    /// Starts an actor that nobody supervises.
    pub(crate) async fn start<A: Actor>(&self, actor: A, args: A::Arguments) -> Result<ActorRef<A::Msg>, SpawnErr> {
        Ok(Actor::spawn(None, self.of(actor), args).await?.0)
    }

    /// Starts an actor under a supervisor.
    pub(crate) async fn start_under<A: Actor>(
        &self,
        actor: A,
        args: A::Arguments,
        supervisor: ActorCell,
    ) -> Result<ActorRef<A::Msg>, SpawnErr> {
        Ok(Actor::spawn_linked(None, self.of(actor), args, supervisor).await?.0)
    }

    /// Starts an actor under a supervisor without waiting for it.
    pub(crate) fn start_at_once<A: Actor>(
        &self,
        actor: A,
        args: A::Arguments,
        supervisor: ActorCell,
    ) -> Result<ActorRef<A::Msg>, SpawnErr> {
        Ok(ActorRuntime::spawn_linked_instant(None, self.of(actor), args, supervisor)?.0)
    }

    fn of<A>(&self, actor: A) -> Inside<A> {
        Inside { actor, world: self.clone() }
    }
}

/// Hands something over beside the caller, in the span that the caller is in: to actors, who may be gone. What
/// writes or reads belongs to its world, and is done [there](World::beside).
pub(crate) fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(work.in_current_span())
}

/// An actor that does all it does inside its world's span.
struct Inside<A> {
    actor: A,
    world: World,
}

impl<A: Actor> Actor for Inside<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(&self, me: ActorRef<A::Msg>, args: A::Arguments) -> Result<A::State, ActorProcessingErr> {
        self.actor.pre_start(me, args).instrument(self.world.span()).await
    }

    async fn post_start(&self, me: ActorRef<A::Msg>, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        self.actor.post_start(me, state).instrument(self.world.span()).await
    }

    async fn post_stop(&self, me: ActorRef<A::Msg>, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        self.actor.post_stop(me, state).instrument(self.world.span()).await
    }

    async fn handle(
        &self,
        me: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.actor.handle(me, message, state).instrument(self.world.span()).await
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.actor.handle_supervisor_evt(me, event, state).instrument(self.world.span()).await
    }
}

#[cfg(test)]
mod crash {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::task::AbortHandle;

    use super::World;

    /// The tasks of a world; none once it has crashed.
    #[derive(Debug, Clone)]
    pub(super) struct Tasks(Arc<Mutex<Option<Vec<AbortHandle>>>>);

    impl Default for Tasks {
        fn default() -> Self {
            Self(Arc::new(Mutex::new(Some(Vec::new()))))
        }
    }

    impl Tasks {
        pub(super) fn note(&self, task: AbortHandle) {
            match &mut *self.0.lock() {
                Some(tasks) => {
                    tasks.retain(|task| !task.is_finished());
                    tasks.push(task);
                }
                None => task.abort(),
            }
        }
    }

    impl World {
        /// Breaks off everything that it does, and whatever is begun from here on.
        pub(crate) fn crash(&self) {
            let tasks = self.tasks.0.lock().take();
            tasks.into_iter().flatten().for_each(|task| task.abort());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Calls that start a task or an actor outside any span.
    const BARE: [&str; 5] = ["tokio::spawn(", "runtime.spawn(", "Actor::spawn", "spawn_linked", "JoinSet"];

    /// Lines of product code that spawn on their own.
    fn bare(source: &str) -> Vec<String> {
        let product = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let is_bare = |line: &&str| BARE.iter().any(|call| line.contains(call)) && !line.trim_start().starts_with("//");
        product.lines().filter(is_bare).map(str::to_owned).collect()
    }

    fn look_into(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    look_into(&path, found);
                }
            } else if !path.ends_with("world.rs") && !path.ends_with("tests.rs") {
                let lines = bare(&std::fs::read_to_string(&path).unwrap());
                found.extend(lines.into_iter().map(|line| format!("{}: {}", path.display(), line.trim())));
            }
        }
    }

    #[test]
    fn nothing_is_started_outside_its_world() {
        assert_eq!(bare("fn f() {\n    tokio::spawn(work);\n}").len(), 1, "the checker sees one");
        let mut found = Vec::new();
        look_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.is_empty(), "started by none of `World`'s functions: {found:#?}");
    }
}
