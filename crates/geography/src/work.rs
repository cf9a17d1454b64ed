//! How much work the reading of one shape may be.
//!
//! Steps are counted, not time: the same drawing is read, or refused, on every machine alike.

use std::cell::Cell;

use crate::zone_shape::InvalidShape;

/// Steps that the reading of one shape may take: comparisons of two edges, of an edge with a point, or of an edge with
/// a cell. The most intricate shapes that the tests know of, within the limits on vertices and cells, stay below a quarter
/// of it. A step is some tens of nanoseconds; much more would let one request hold a core for many seconds, much less
/// would refuse real borders.
pub(crate) const MOST_STEPS: u64 = 60_000_000;

/// Counts steps. One for each shape that is read.
#[derive(Debug, Default)]
pub(crate) struct Work(Cell<u64>);

impl Work {
    /// So many steps more.
    pub(crate) fn add(&self, steps: usize) {
        self.0.set(self.0.get().saturating_add(steps as u64));
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.0.get()
    }

    /// Refuses the shape when it has taken too many.
    pub(crate) fn check(&self) -> Result<(), InvalidShape> {
        if self.steps() > MOST_STEPS { Err(InvalidShape::TooIntricate { most: MOST_STEPS }) } else { Ok(()) }
    }
}
