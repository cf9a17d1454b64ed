//! The way in: connections, worlds, who may do what, and the documents of all of it.
//!
//! - [`router`] makes the routes of all contexts from an [`AppState`]; [`serve`] runs them until told to stop.
//! - `accept` takes connections, `edge` is what stands before all routes, `quotas` counts who asks how often.
//! - [`World`]: the one assembly of a world, live or test; [`Process`] is what they share. [`worlds`] sends each request to the live or the test world, by what it comes with.
//! - [`access`] enforces the one table of who may do what; a route that is not in it refuses everybody.
//! - [`openapi`] puts the routes of dispatch, webhooks, jobs and identity together, with their document and its limits;
//!   [`asyncapi`] is the document of the sockets. `problems`: the pages that the `type` of a problem leads to.
//! - `health` and `duties` are for whoever watches over the server. `export`: what is kept of somebody, for themselves.
//! - [`banned`]: who is shut out has no work and is told nothing, in all worlds. [`gone`]: of whoever deleted their account
//!   nothing is kept. [`stopped`]: merchants hear that a webhook stopped.
//!
//! What the routes of a context do is the context's own: of orders, drivers and zones the crate `dispatch-api`'s.

mod accept;
pub mod access;
pub mod asyncapi;
pub mod banned;
mod duties;
mod edge;
mod export;
pub mod gone;
pub mod health;
pub mod openapi;
mod page;
mod problems;
mod process;
mod quotas;
mod serve;
mod state;
pub mod stopped;
mod world;
pub mod worlds;

pub use process::{Build, Process};
pub use serve::{router, serve};
pub use state::{AppState, Parts};
pub use world::{Begun, Beside, Ground, Reach, World};
pub use worlds::{Key, Plan, Worlds};
