//! People for posthaste: a simulated city, and recorded days of real orders, over the public API only.
//!
//! - [`city::run`]: a made-up city of shops, customers and drivers, from a seed.
//! - [`replay::run`]: plays a recorded day through REST and sockets and writes its trace.
//! - [`ServerClock`]: everybody here lives by the server's clock, however fast it runs.
//! - [`StatusLine`]: progress on a terminal, or in plain lines.
//!
//! Nothing here knows how the server works inside: it uses the client crate, as anybody's program would.

pub mod city;
mod error;
pub mod replay;
mod rider;
mod server_clock;
mod status_line;
mod tokens;

pub use error::SimError;
pub use server_clock::ServerClock;
pub use status_line::{Progress, StatusLine};
pub use tokens::Tokens;
