//! Which driver takes which order, and why: plain numbers in, a decision with its reasons out.
//!
//! - [`views`]: what the matcher sees of drivers and orders.
//! - [`decision`]: the choice, and the reason for every candidate passed over.
//! - [`board`]: the drivers of a zone, and the policy `least_busy` over them.

pub mod board;
pub mod decision;
pub mod views;

pub use board::Board;
pub use decision::{Choice, Decision, Passed, Reason};
pub use views::{DriverView, Free, OrderView, Stop};
