//! The words of the trade and the pure machines behind them.
//!
//! Everything here is a value or a function of values: no clock, no randomness, no I/O. Time and
//! entropy come in as arguments, so every rule can be tested by a property and replayed from events.
//!
//! - [`ids`], [`place`], [`window`], [`money`], [`contact`]: the nouns that everything shares.
//! - [`order`]: the order machine. Tasks drive the order's status, never the reverse.
//! - [`driver`]: shift, vehicle, and the [`calendar`] that never holds an overlap.
//! - [`zone`]: a zone's settings, the numbers that dispatch in it is run by.
//! - [`decision`]: why an order has the driver it has, or none.

pub mod ids;
pub mod money;
pub mod place;
pub mod window;

/// An instant of product time (see the clock crate): UTC, microseconds, as Postgres keeps it.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
/// A span of product time.
pub type Span = chrono::TimeDelta;
