//! Which driver takes which order, and why not the others: plain numbers in, a decision with its reasons out.
//!
//! - [`views`]: what the matcher sees of drivers and orders.
//! - [`rule`]: whether a driver can take an order, what it would hold of their time, and who is preferred. This is the
//!   policy `least_busy`; it reads top to bottom and knows no index.
//! - [`decision`]: the choice, and the reason for every candidate passed over.
//! - [`board`]: the drivers of a zone, indexed so that a choice among ten thousand looks at a few.
//! - [`scan`]: the same answers by asking everybody. What the board is tested against.
//! - [`plan`](mod@plan): several waiting orders in one pass, each choice held before the next is made.
//! - [`check`]: the properties of `PROPERTIES.md`, one function each.
//! - [`routed`]: the other policy, for fleets that carry several orders and plan ahead.
//!
//! Everything is a function of its arguments: no clock, no randomness, no I/O.

mod ahead;
pub mod board;
pub mod check;
pub mod decision;
mod index;
#[cfg(test)]
mod paths;
pub mod plan;
pub mod routed;
pub mod rule;
pub mod scan;
mod search;
mod sieve;
mod slot_set;
pub mod views;

pub use board::Board;
pub use decision::{Choice, Decision, Passed, Reason};
pub use plan::{Plan, PlannedOrder, plan};
pub use rule::{Fit, Question, Rank};
pub use views::{DriverView, OrderView, Stop};
