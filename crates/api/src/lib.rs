//! REST and sockets over the live system.
//!
//! - [`router`] makes the routes from an [`AppState`]; [`serve`] runs them until told to stop.
//! - [`access`] is the one table of who may do what; a route that is not in it refuses everybody.
//! - A file per noun: `orders`, `assignments`, `drivers`, `zones`, `tracking`, `clock`, `health`.
//! - [`worlds`] sends each request to the live or the test world, by what it comes with.
//! - `accept` takes connections, `edge` is what stands before all routes, `quotas` counts who asks how often.
//! - [`asyncapi`] is the document of the sockets.
//! - `problems`: the pages that the `type` of a problem leads to.
//! - `refusals` turns what the live system refuses into problems. [`openapi`] is the document of all of it.
//! - The routes of webhooks are `posthaste_webhooks`' own.
//! - [`banned`]: drivers who are shut out lose their open work, merchants are told nothing. The routes of accounts are identity's own.
//! - [`gone`]: whoever deleted their account is forgotten here too. `export` is what is kept of somebody, for themselves.
//! - `sockets` speaks the protocol of `docs/sockets.md`, one small task a connection.
//!
//! Routes hold no rule of the trade: they check who asks, read what was sent, and hand it through a door.

mod accept;
pub mod access;
mod assignments;
pub mod asyncapi;
pub mod banned;
mod clock;
mod drivers;
mod duties;
mod edge;
mod export;
pub mod gone;
mod health;
mod inside;
mod insight;
pub mod openapi;
mod orders;
mod page;
mod problems;
mod quotas;
mod refusals;
mod serve;
mod shadow;
mod sockets;
mod state;
pub mod stopped;
mod texts;
mod tracking;
pub mod worlds;
mod zones;

pub use serve::{router, serve};
pub use state::{AppState, Build, Parts, Reach};
pub use worlds::Worlds;
