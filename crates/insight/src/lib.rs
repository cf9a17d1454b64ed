//! How deliveries went, from what is stored.
//!
//! [`Performance`] is told orders with what happened to them, and drivers with their shifts, and gives figures for each
//! zone and span of time. It reads nothing and knows no clock: `storage::performance` finds what it is told,
//! `dispatch_api::insight` asks, and a test may tell it any day it likes.
//!
//! - [`range`]: which time is looked at, and the spans it falls into.
//! - [`performance`]: what counts where. An order counts in the span in which it was placed, with all that happened to
//!   it later; drivers' time counts when it passed.
//! - [`work`]: what an order's events say of drivers: whose it was and when, where they stopped.
//! - [`shadow`]: two policies on the same orders.
//! - [`intervals`]: sets of time. [`durations`]: means and percentiles.

pub mod durations;
pub mod intervals;
pub mod performance;
pub mod range;
pub mod shadow;
pub mod work;

pub use performance::Performance;
pub use range::Range;
