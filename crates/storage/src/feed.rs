//! The feed: events of orders in one order, for whoever has to hear of orders durably.
//!
//! The journal draws **numbers** when it builds a batch ([`Feed::draw`]) and stores a row for each event with the event
//! itself. Batches end in any order, so what is stored has holes that may still be filled. The **mark** says up to which
//! number nothing can come any more: right below the oldest batch that is not decided. Where the outcome of a batch is
//! unknown it holds the mark until [`Feed::look_up`] has made it known. At the start the mark is what is stored: the lead
//! ([`crate::lead`]) sees to it that nobody who wrote before can still write.
//!
//! A **consumer** has a **cursor**, and reads in a transaction of its own, in which it does what follows from the events and
//! moves the cursor: [`next`] and [`move_to`]. It is woken by the commit ([`Feed::marks`]).
//!
//! See `docs/adr/0040-feed.md`.

mod drawn;
mod numbers;
mod read;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

pub use self::drawn::Drawn;
use self::numbers::Numbers;
pub use self::read::{Behind, FeedEvent, Portion, behind, join, move_to, newest, next, tidy, to_come};
use crate::error::StorageError;
use crate::journal::Entry;
use crate::pool::Pool;

/// The numbers and the mark of a database's feed, where its journal is. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    numbers: Mutex<Numbers>,
    mark: watch::Sender<i64>,
    doubted: Notify,
}

impl Feed {
    /// The feed of a database that nobody else writes to: all that is stored can be read.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn open(pool: &Pool) -> Result<Self, StorageError> {
        Ok(Self::after(read::stored(pool).await?))
    }

    /// The feed of a database in which everything up to this number is decided.
    pub(crate) fn after(stored: i64) -> Self {
        let inner = Inner {
            numbers: Mutex::new(Numbers::after(stored)),
            mark: watch::Sender::new(stored),
            doubted: Notify::new(),
        };
        Self(Arc::new(inner))
    }

    /// Numbers for the events of a batch that is about to be written. In the order in which batches are built.
    pub fn draw(&self, entries: &[Entry]) -> Drawn {
        Drawn::of(self, entries)
    }

    /// Up to where the feed can be read, now and whenever that changes.
    #[must_use]
    pub fn marks(&self) -> watch::Receiver<i64> {
        self.0.mark.subscribe()
    }

    /// Up to where the feed can be read.
    #[must_use]
    pub fn mark(&self) -> i64 {
        *self.0.mark.borrow()
    }

    /// How many batches of unknown outcome hold the mark.
    #[must_use]
    pub fn in_doubt(&self) -> usize {
        self.0.numbers.lock().in_doubt().len()
    }

    /// Waits until there is a batch of unknown outcome. For one who waits.
    pub async fn doubted(&self) {
        self.0.doubted.notified().await;
    }

    /// Makes known what became of batches of unknown outcome, and lets the mark go on. A number that was not written is kept
    /// by an empty row: should the batch still be on its way, it waits for it or makes it fail. Doing so again changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// Those of the database: what is not known by then still holds the mark.
    pub async fn look_up(&self, pool: &Pool) -> Result<(), StorageError> {
        let in_doubt = self.0.numbers.lock().in_doubt();
        for (first, unknown) in in_doubt {
            let kept = read::keep(pool, &unknown).await?;
            tracing::info!(
                first,
                numbers = unknown.len(),
                written = unknown.len() as u64 - kept,
                "a batch was looked up"
            );
            self.change(|numbers| numbers.decide(first));
        }
        Ok(())
    }

    /// Nobody but this feed may draw numbers. Where somebody has all the same, theirs are passed over.
    async fn skip_stored(&self, pool: &Pool) -> Result<(), StorageError> {
        let stored = read::stored(pool).await?;
        self.change(|numbers| numbers.skip_to(stored));
        Ok(())
    }

    /// Changes the numbers, and says so where the mark moves.
    fn change<T>(&self, change: impl FnOnce(&mut Numbers) -> T) -> T {
        let mut numbers = self.0.numbers.lock();
        let changed = change(&mut numbers);
        // Under the lock: the mark that was computed later is the one that stays.
        let mark = numbers.mark();
        self.0.mark.send_if_modified(|known| std::mem::replace(known, mark) != mark);
        changed
    }
}

#[cfg(any(test, feature = "testing"))]
impl Feed {
    /// Takes what a test has stored by itself as readable.
    ///
    /// # Panics
    ///
    /// Where the database does not answer.
    pub async fn see_what_is_stored(&self, pool: &Pool) {
        self.skip_stored(pool).await.expect("what is stored");
    }
}
