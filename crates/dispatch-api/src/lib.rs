//! Dispatch over HTTP and sockets: orders, drivers, zones, and how it went, for whoever may see and do it.
//!
//! - [`routes`], [`sockets::routes`] and [`LIMITS`] are what it has; [`Dispatch`] is all that its routes reach.
//! - A file per noun: `orders`, `assignments`, `drivers`, `zones`, `tracking`, `insight`, `shadow`, `inside`, `clock`.
//! - [`sockets`] speaks the protocol of `docs/sockets.md`, one small task a connection. [`asyncapi`]: what their document says.
//! - [`access`]: a caller as far as their right reaches, and who may say what over a socket.
//! - [`refusals`] turns what the live system refuses into problems. [`texts`]: how long texts may be.
//! - [`parties`]: what becomes of the work of those who come, are shut out and go. [`export`]: what is kept of them.
//!
//! Routes hold no rule of the trade: they check who asks, read what was sent, and hand it through a door. What stands before
//! them, and their places beside those of other contexts, is the crate `gate`'s.

pub mod access;
mod assignments;
pub mod asyncapi;
mod clock;
mod drivers;
pub mod export;
mod inside;
mod insight;
mod limits;
mod orders;
pub mod parties;
pub mod refusals;
mod routes;
mod shadow;
pub mod sockets;
mod state;
pub mod texts;
mod tracking;
mod zones;

pub use limits::LIMITS;
pub use routes::routes;
pub use state::{Dispatch, Parts, Shared};
