//! Postgres: what the program keeps, and nothing that it decides.
//!
//! - [`pool`]: the connections and the migrations. `testing` gives every test a real database of its own.
//! - [`journal`]: the write path of orders and drivers. Many actors' entries become one commit; one bad entry
//!   fails alone. [`journal::write`] is the only writer of `orders`, `drivers`, their events and `commitments`.
//! - [`feed`]: events of orders in one order, which the journal writes and consumers read.
//! - [`lead`]: which server may write, one at a time. [`nodes`]: servers that stand by. [`installation`]: whether the database is the real one or a copy.
//! - [`orders`], [`drivers`], [`zones`], [`decisions`], [`idempotency`], [`roster`]: one file per aggregate, with its
//!   reads and the writes that do not go through the journal.
//! - [`migrations`]: the schema, brought up to date as a step.
//! - [`examine`]: what can be told of a database without changing it. [`restoring`]: one that is saved or filled.
//! - [`performance`]: what insight looks back on, in chunks.
//! - [`sealed`]: values that the database keeps and cannot read.
//! - [`positions`], [`tracks`], [`clock`]: what is checkpointed and may lose its last seconds (see the docs).
//!
//! Queries are checked when the crate is compiled, against `.sqlx` at the workspace root;
//! `docs/how-to/change-a-query.md` says how to refresh it. No sqlx type leaves the crate, but for
//! [`pool::Pool::connections`], with which a context that owns tables runs its own SQL. Rows become domain types here
//! or not at all: a row that cannot be read is a [`StorageError::Corrupt`], never a default.

pub mod clock;
pub mod decisions;
pub mod drivers;
mod error;
pub mod examine;
pub mod feed;
pub mod idempotency;
pub mod installation;
pub mod journal;
pub mod lead;
pub mod migrations;
pub mod nodes;
pub mod orders;
pub mod performance;
pub mod pool;
pub mod positions;
pub mod restoring;
pub mod roster;
pub mod sealed;
pub mod shadow;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tracks;
pub mod zones;

pub use error::{StorageError, constraint};

#[cfg(test)]
mod tests;
