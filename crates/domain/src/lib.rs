//! The words of the trade and the pure machines behind them.
//!
//! Everything here is a value or a function of values: no clock, no randomness, no I/O. Time and
//! entropy come in as arguments, so every rule can be tested by a property and replayed from events.
//!
//! - [`ids`], [`place`], [`window`], [`money`], [`contact`], [`party`]: the nouns that everything shares.
//! - [`order`]: the order machine. Tasks drive the order's status, never the reverse.
//! - [`offer`]: one order offered to one driver until a deadline.
//! - [`driver`]: profile and shift; [`calendar`]: a driver's committed time, never with an overlap.
//! - [`code`]: codes as people type them.
//! - [`position`]: how a position that a device reports is taken.
//! - [`zone`]: the numbers that dispatch in a zone is run by.

pub mod calendar;
pub mod code;
pub mod contact;
pub mod driver;
pub mod ids;
pub mod money;
pub mod offer;
pub mod order;
pub mod party;
pub mod place;
pub mod position;
pub mod region;
pub mod roster;
pub mod window;
pub mod zone;

/// An instant of product time (see the clock crate): UTC, microseconds, as Postgres keeps it.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
/// A span of product time.
pub type Span = chrono::TimeDelta;

/// The instant without what is finer than a microsecond, as Postgres keeps it; a leap second is the first of the next
/// minute. What comes from outside goes through here before it is checked: what is checked is what is stored.
#[must_use]
pub fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}
