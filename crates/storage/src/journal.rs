//! The write path: entries of many actors, one commit.
//!
//! [`write()`] takes whatever is waiting and writes it with **one statement** in one round trip: the rows of orders
//! and drivers, their numbered events and their places in the [feed](crate::feed), commitments given back and taken,
//! decisions, idempotency keys. The statement commits as a whole or not at all. If it finds a bad entry it refuses itself and
//! names the bad ones; the rest is written again without them, so that one bad entry fails alone.
//!
//! Which parts of `write.sql` a command fills (each writes nothing where its arrays are empty):
//!
//! | command | parts |
//! |---|---|
//! | an order is placed | `order_rows`, `sellers`, `order_history`, `feed`, `kept_keys` |
//! | any other command of an order | `order_rows`, `order_history`, `feed` |
//! | an offer, an assignment by hand | the same, and `made_decisions` |
//! | an accept, an assignment by hand | the same, and `released`, `taken` |
//! | a decline, a delivery, a cancellation, and whatever else gives time back | the same, and `released` |
//! | a driver is registered, changes shift, chooses a stop | `driver_rows`, `driver_history`, and `kept_keys` where a key came |
//! | a decision that nobody can take an order | `made_decisions` |
//!
//! What the caller owes: never two entries of one stream in flight at once, in a batch or in two. Batches of
//! different streams may run beside each other on different connections. Every table is written in the order of its
//! keys, and the tables in one order, so that two batches do not wait for each other in a circle.

mod batch;
mod entry;
#[cfg(test)]
mod paths;
mod write;

pub(crate) use batch::speed_name;
pub use entry::{AppendError, Cause, Change, CommitmentChange, Correlation, DriverChange, Entry, OrderChange, Stream};
pub use write::write;
