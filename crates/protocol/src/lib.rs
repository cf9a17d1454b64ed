//! What goes over the wire: the views of REST and the messages of the sockets.
//!
//! Shared by the server's routes and the client, so that the two cannot drift apart. A view is made
//! from a domain type by a function that takes who is looking ([`audience::Audience`]); secrets such as
//! codes are left out there and nowhere else.
//!
//! - [`audience`]: who is looking, and what of an order they may see.
//! - [`problem`]: the one error format (RFC 9457) and the list of its codes.
//! - [`orders`], [`drivers`], [`zones`], [`tracking`]: requests and views, one file per noun.
//! - [`socket`]: the envelope and every message of the socket protocol.
//! - [`accounts`], [`google`], [`profiles`], [`export`]: people, and what is kept of them.
//! - [`insight`]: how deliveries went. [`shadow`]: what another policy would have done.
//! - [`trace`]: the header that names a request across programs.
//! - [`jobs`], [`duties`]: what the server does later, and by the clock.
//! - [`page`]: cursor pages. [`clock`]: the server's clock as clients see it.

pub mod accounts;
pub mod audience;
pub mod clock;
pub mod drivers;
pub mod duties;
pub mod export;
pub mod google;
pub mod inside;
pub mod insight;
pub mod instant;
pub mod jobs;
pub mod orders;
pub mod page;
pub mod problem;
pub mod profiles;
pub mod shadow;
pub mod socket;
pub mod trace;
pub mod tracking;
pub mod webhooks;
pub mod words;
pub mod zones;
