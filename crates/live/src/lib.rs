//! The live system: actors that own what is going on now, and the doors to them.
//!
//! - [`System`] starts, stops and hands out the doors: [`orders::Orders`], [`drivers::Drivers`],
//!   [`zones::Zones`], [`streams::Streams`]. They take an id and a message with a deadline; nothing outside
//!   this crate knows that an actor is in this process.
//! - An `order` actor is the only writer of one order. A `driver` actor is the authority over one driver's
//!   time. A `zone` actor knows who is present and what waits; its `dispatcher` decides. The `journal` gathers
//!   what many actors want to write and commits it together.
//! - Effects go Postgres, then memory, then publish. What is unknown is reloaded.
//!
//! Positions never travel as actor messages: see [`presence`]. Status changes reach sockets through [`streams`].
//! What is shown of all this is made in [`views`].

pub mod calls;
mod carried;
pub mod cause;
mod checkpoint;
mod commit;
mod door;
pub mod drivers;
mod feed;
pub mod inside;
mod journal;
mod keeper;
pub mod learned;
pub mod metrics;
pub mod once;
pub mod orders;
mod periodic;
pub mod presence;
mod reconcile;
pub mod refused;
mod retention;
pub mod stopping;
pub mod streams;
pub mod system;
pub mod views;
pub mod wire;
mod world;
pub mod zones;

pub use calls::{Live, Slot};
pub use cause::Cause;
pub use once::Once;
pub use refused::Refused;
pub use retention::Retention;
pub use system::{Settings, StartError, System, Trial};
pub use world::World;

#[cfg(test)]
mod tests;
