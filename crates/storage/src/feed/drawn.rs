//! The numbers of a batch, from its being built to its being known what is stored.

use std::ops::Range;

use super::Feed;
use crate::error::StorageError;
use crate::journal::{Change, Entry};
use crate::pool::Pool;

/// The numbers of a batch. They hold the mark until it is known what is stored of them; where this is dropped before, they
/// are looked up.
#[derive(Debug)]
#[must_use]
pub struct Drawn {
    feed: Feed,
    /// Where the numbers of each entry begin, from the first of the batch on; and how many there are in all.
    offsets: Vec<i64>,
    /// All that was drawn, the newest last: only of that one numbers are still given.
    ranges: Vec<Range<i64>>,
    /// Of these nobody knows whether they are stored.
    unknown: Vec<i64>,
    is_known: bool,
}

impl Drawn {
    pub(super) fn of(feed: &Feed, entries: &[Entry]) -> Self {
        let mut offsets = Vec::with_capacity(entries.len() + 1);
        let mut count = 0;
        for entry in entries {
            offsets.push(count);
            count += events(entry);
        }
        offsets.push(count);
        let mut drawn = Self { feed: feed.clone(), offsets, ranges: Vec::new(), unknown: Vec::new(), is_known: false };
        drawn.draw();
        drawn
    }

    fn draw(&mut self) {
        let count = self.offsets.last().copied().unwrap_or_default();
        let first = self.feed.change(|numbers| numbers.draw(count));
        self.ranges.push(first..first + count);
    }

    /// The numbers of the events of entry `n`.
    pub(crate) fn numbers_of(&self, n: usize) -> Range<i64> {
        let first = self.ranges.last().map_or(0, |range| range.start);
        let at = |n: usize| self.offsets.get(n).copied().unwrap_or_default();
        first + at(n)..first + at(n + 1)
    }

    /// Nobody knows whether these entries are stored.
    pub(crate) fn doubt(&mut self, entries: &[usize]) {
        for n in entries {
            self.unknown.extend(self.numbers_of(*n));
        }
    }

    /// Draws again, beyond all that is stored: somebody else has used these numbers. What was stored with them stays.
    pub(crate) async fn again(&mut self, pool: &Pool) -> Result<(), StorageError> {
        self.feed.skip_stored(pool).await?;
        self.draw();
        Ok(())
    }

    /// The batch has ended, and all is known but what was doubted.
    pub(crate) fn end(mut self) {
        self.is_known = true;
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        let ranges = std::mem::take(&mut self.ranges);
        let (is_known, mut unknown) = (self.is_known, std::mem::take(&mut self.unknown));
        unknown.sort_unstable();
        let is_unknown = |number: &i64| !is_known || unknown.binary_search(number).is_ok();
        let in_doubt = self.feed.change(|numbers| {
            // An empty one holds nothing, and begins where the next one does.
            for range in ranges.into_iter().filter(|range| !range.is_empty()) {
                let of_range: Vec<i64> = range.clone().filter(is_unknown).collect();
                if of_range.is_empty() {
                    numbers.decide(range.start);
                } else {
                    numbers.doubt(range.start, of_range);
                }
            }
            !numbers.in_doubt().is_empty()
        });
        if in_doubt {
            self.feed.0.doubted.notify_one();
        }
    }
}

/// How many events of an order an entry holds.
fn events(entry: &Entry) -> i64 {
    match &entry.change {
        Some(Change::Order(change)) => i64::try_from(change.events.len()).unwrap_or(i64::MAX),
        Some(Change::Driver(_)) | None => 0,
    }
}
