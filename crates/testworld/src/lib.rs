//! The test world: where merchants' keys that begin with `ph_test_` place orders, and simulated drivers carry them.
//!
//! It is a live system like the real one, over the same tables in a schema of their own: what separates the two is not a
//! condition in each query, but that neither has a connection to the other's tables.
//!
//! - `world`: what makes a world this one ([`Tables`], [`settings`], [`Residents`]); it is opened like any other, by the crate
//!   `gate`. `mirror` keeps its zones as those of the live system are.
//! - `script`: what an order's reference asks for, so that sad ends can be tried out. `driver`: what a test driver does
//!   next. `demand`: how many are needed. `way`: how far one gets. Functions of values, all of them.
//! - `fleet`: the tasks around them: who comes on shift, and one task for each who is.
//!
//! Test drivers use the doors that sockets and routes use, with nothing between: no tokens, no HTTP.

mod demand;
mod driver;
mod fleet;
mod mirror;
mod script;
mod way;
mod world;

#[cfg(test)]
mod tests;

pub use mirror::pass as mirror_zones;
pub use world::{CONNECTIONS, Residents, SCHEMA, Tables, settings};
