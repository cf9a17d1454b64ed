//! The policy `routed`: drivers carry several orders, and plans look ahead. `ROUTED.md` states the problem, the
//! objective and the properties of a plan.
//!
//! - [`input`]: plain copies of what a zone has, and the snapshot that a pass is made from. [`outcome`]: what its routes
//!   mean: offers, waits, moves, standby. [`reasons`]: why, in words and in full. A running server and a simulated day go
//!   through these three and nothing else.
//! - [`problem`]: what a pass is given, on plain numbers.
//! - [`walk`]: when each act of a route happens and what it costs; when a driver has to leave.
//! - [`laid`]: a route laid out, so that many orders can be looked for a place in it; [`insert`]: where one costs least.
//! - [`search`]: the plan; `construct`: what it begins with; `choose`: what its rounds take out; `memory`: what they need not look for again;
//!   `narrow`: what is looked at when there is more than a pass has time for; `employ`: nobody is left idle.
//! - [`check`]: its properties, one function each.
//! - [`explain`]: why not another driver; which constraint forbids each.
//! - [`standby`]: where idle drivers are best kept.
//! - [`forecast`]: orders that are expected, so that drivers are kept where they will be needed.

pub mod check;
mod choose;
mod construct;
mod employ;
pub mod explain;
pub mod forecast;
mod in_hand;
pub mod input;
pub mod insert;
pub mod laid;
mod memory;
mod narrow;
pub mod outcome;
pub mod problem;
pub mod reasons;
pub mod search;
pub mod standby;
pub mod walk;

pub use problem::{Act, Job, Opening, Problem, Routes, Second, Service, Travel, Vehicle, Weights};
pub use search::{Budget, Plan, plan};
