//! The typed Rust client of posthaste, for REST and for the sockets.
//!
//! - [`Client`]: one typed method per REST route. Reads and repeatable commands are tried again, with
//!   back-off, when the server is away or says 503; `Retry-After` is honoured.
//! - [`DriverSocket`], [`MerchantSocket`], [`CustomerSocket`], [`OperationsSocket`], [`TrackingSocket`]: streams of [`Event`]s
//!   over one [`Connection`] that comes back by itself, resumes where it was, notices gaps, and sends
//!   commands that were not acknowledged again with the same id, so that each is done once.
//! - [`ClientError`]: a problem that the server reported, or what kept it from answering.
//!
//! ```no_run
//! # async fn example() -> Result<(), posthaste_client::ClientError> {
//! use posthaste_client::{Client, Event};
//! let client = Client::new("http://127.0.0.1:8080", "a driver's token")?;
//! let mut socket = client.driver_socket();
//! while let Some(event) = socket.next().await {
//!     if let Event::Message { message, .. } = event {
//!         println!("{}", message.kind());
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! The views and messages are those of the protocol crate, re-exported as [`protocol`].

mod accounts;
mod backoff;
mod connection;
mod drivers;
mod error;
mod http;
mod insight;
mod orders;
mod service;
mod shadow;
mod sockets;
mod tls;
mod token;
mod webhooks;
mod zones;

pub use backoff::Backoff;
pub use connection::{CommandSender, Connection, Counters, Event, SocketOptions, SocketStats};
pub use drivers::ListDrivers;
pub use error::ClientError;
pub use http::{Client, RetryRule};
pub use insight::AskPerformance;
pub use orders::{Idempotency, ListOrders};
pub use service::Version;
pub use shadow::AskShadow;
pub use sockets::{
    CustomerSocket, DriverCommands, DriverSocket, MerchantSocket, OperationsSocket, OperationsView, TrackingSocket,
};
pub use tls::install_crypto;
pub use token::Token;

pub use posthaste_protocol as protocol;
