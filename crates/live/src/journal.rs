//! The journal actor: gathers what many actors want to write and commits it in one transaction.
//!
//! Owns the queue of entries that wait. A batch is what is waiting when a connection is free; no timer delays a lone
//! command. Up to [`MOST_IN_FLIGHT`] batches are under way at once. A stream's actor waits for each of its entries,
//! so two entries of one stream are never in flight together. The journal holds nothing that is acknowledged: when it
//! fails, callers hear that the outcome is unknown and reload.
//!
//! It draws the numbers of the feed when it builds a batch. They belong to the system, not to the actor: batches of a journal
//! that failed still hold the mark.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use posthaste_protocol::trace::TraceId;
use posthaste_storage::feed::Feed;
use posthaste_storage::journal::{self, AppendError, Entry};
use posthaste_storage::pool::Pool;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::keeper::Seat;
use crate::world::World;

/// Entries in one transaction at most. More gain nothing and hold locks longer.
const MOST_IN_BATCH: usize = 1024;
/// A commit that takes longer is worth a line.
const SLOW: Duration = Duration::from_millis(500);
/// Batches under way at once: one is prepared while another waits for the disk.
const MOST_IN_FLIGHT: usize = 2;

/// The door to the journal. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    pub(crate) seat: Seat<JournalMsg>,
}

impl Journal {
    /// Stores the entry. `Ok` means committed; [`AppendError::Unknown`] that nobody can say.
    pub(crate) async fn append(&self, entry: Entry) -> Result<(), AppendError> {
        let (reply, answer) = oneshot::channel();
        if self.seat.tell(JournalMsg::Append(Box::new(entry), reply)).is_err() {
            return Err(AppendError::Unavailable(Arc::new(Restarting)));
        }
        answer.await.unwrap_or_else(|_| Err(AppendError::Unknown(Arc::new(Restarting))))
    }

    /// Stores what nobody waits for (a recorded decision). Lost when Postgres is away.
    pub(crate) fn note(&self, entry: Entry) {
        let (reply, _) = oneshot::channel();
        let _ = self.seat.tell(JournalMsg::Append(Box::new(entry), reply));
    }
}

/// The journal failed and is started again.
#[derive(Debug, thiserror::Error)]
#[error("the journal is restarting")]
struct Restarting;

/// Messages of the journal.
pub(crate) enum JournalMsg {
    /// Store an entry and say how it went.
    Append(Box<Entry>, oneshot::Sender<Result<(), AppendError>>),
    /// A batch has ended.
    Internal,
}

/// The journal.
pub(crate) struct JournalActor {
    pub(crate) pool: Pool,
    pub(crate) feed: Feed,
    pub(crate) seat: Seat<JournalMsg>,
    pub(crate) world: World,
}

/// What waits, and how much is under way.
#[derive(Default)]
pub(crate) struct JournalState {
    entries: Vec<Entry>,
    replies: Vec<oneshot::Sender<Result<(), AppendError>>>,
    in_flight: usize,
}

impl Actor for JournalActor {
    type Msg = JournalMsg;
    type State = JournalState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<JournalMsg>, (): ()) -> Result<JournalState, ActorProcessingErr> {
        Ok(JournalState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<JournalMsg>,
        message: JournalMsg,
        state: &mut JournalState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            JournalMsg::Append(entry, reply) => {
                self.seat.handled();
                state.entries.push(*entry);
                state.replies.push(reply);
            }
            JournalMsg::Internal => state.in_flight -= 1,
        }
        self.perform(&myself, state);
        Ok(())
    }
}

impl JournalActor {
    /// Starts a batch when there is something to write and a place for it.
    fn perform(&self, myself: &ActorRef<JournalMsg>, state: &mut JournalState) {
        if state.entries.is_empty() || state.in_flight >= MOST_IN_FLIGHT {
            return;
        }
        let take = state.entries.len().min(MOST_IN_BATCH);
        let rest = state.entries.split_off(take);
        let entries = std::mem::replace(&mut state.entries, rest);
        let rest = state.replies.split_off(take);
        let replies = std::mem::replace(&mut state.replies, rest);
        state.in_flight += 1;
        // Here and not in the task: in the order of the batches.
        let drawn = self.feed.draw(&entries);
        let (pool, myself) = (self.pool.clone(), myself.clone());
        let span = span_of(&entries);
        let batch = async move {
            // Dropped on any way out, a panic in the batch included: the place is always given back.
            let _done = Done(myself);
            let started = std::time::Instant::now();
            let outcomes = journal::write(&pool, drawn, &entries).await;
            let took = started.elapsed();
            crate::metrics::committed(entries.len(), took);
            if took > SLOW {
                tracing::warn!(entries = entries.len(), ?took, "slow commit");
            } else {
                tracing::debug!(entries = entries.len(), ?took, "committed");
            }
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                let _ = reply.send(outcome);
            }
        };
        self.world.beside(batch.instrument(span));
    }
}

/// What is logged while entries are committed, by the database's driver too, names the requests and traces that caused
/// them.
fn span_of(entries: &[Entry]) -> Span {
    let (mut request_ids, mut trace_ids) = (String::new(), String::new());
    for ids in entries.iter().filter_map(|entry| entry.correlation.as_ref()) {
        // Writing into memory cannot fail.
        let _ = write!(request_ids, "{} ", ids.request);
        if let Some(trace) = ids.trace {
            let _ = write!(trace_ids, "{} ", TraceId(trace));
        }
    }
    let (request_ids, trace_ids) = (request_ids.trim_end(), trace_ids.trim_end());
    posthaste_trace::apart(|| tracing::error_span!("commit", request_ids, trace_ids))
}

struct Done(ActorRef<JournalMsg>);

impl Drop for Done {
    fn drop(&mut self) {
        let _ = self.0.cast(JournalMsg::Internal);
    }
}
