//! Calls to outside services: mail servers, senders of texts, identity providers, receivers of webhooks.
//!
//! - [`Operation`]: what is called for, by service and class. [`Budget`]: how long all of it may take.
//! - [`Outcome`]: what became of it: `Done`, `Refused`, or `Unknown`, where it may have happened.
//! - [`Breaker`]: a service that keeps failing is left alone for a while; [`Breakers`] keeps one for each class of operation.
//! - [`Calls`]: asks the breaker, ends the call with its budget, notes, measures and logs. For any protocol.
//! - [`Client`]: HTTP over it, with the rules of the house. [`retry_after`], [`redact`]: what is read and shown of an answer.
//!
//! *Rules.* Nothing is logged or returned in words but ids, status and the cause; never a body, a header, a user or a query.
//! No redirect is followed. A call is made once: whoever asked decides whether it is made again, by its outcome. Whether
//! anything may leave at all is asked by the contexts (`storage::installation::Outside`), before they come here.

pub mod breaker;
mod budget;
mod calls;
mod client;
pub mod metrics;
mod operation;
mod outcome;
pub mod redact;
pub mod retry_after;

pub use breaker::{Breaker, Breakers, Limits};
pub use budget::Budget;
pub use calls::Calls;
pub use client::{Builder, Client, Reads, Response};
pub use operation::Operation;
pub use outcome::{Outcome, Refusal, Scope, Unknown};
/// Why no HTTP client can be made on this machine.
pub use reqwest::Error as NoClient;
pub use reqwest::{RequestBuilder, StatusCode, Url};
