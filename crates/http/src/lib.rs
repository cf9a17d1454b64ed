//! Conventions that every route shares, and nothing about any one of them.
//!
//! - [`problem`]: every failure leaves as an RFC 9457 problem; fallbacks and panics too.
//! - [`extract`]: bodies, paths and queries whose rejections name what was wrong.
//! - [`auth`]: who is calling and by what, [`links`]: tracking links that need no store.
//! - [`idempotency`]: the `Idempotency-Key` header and the guard against two at once.
//! - [`pages`]: opaque cursors and page sizes. [`limits`]: what is refused so that the rest is served.
//! - [`request_id`]: one id from the request to the log, the events and back to the caller.
//! - [`address`]: where a request comes from, [`quota`]: how many may come from there, [`browsers`]: headers, CORS.
//! - [`made_once`]: documents that are the same for everybody.
//! - [`bounds`]: what a request may hold, as the API document says. [`shapes`]: what is wrong with one that could not be read,
//!   every field of it. [`words`]: in whose words.
//! - [`openapi`]: what every operation of the API document has in common.

pub mod address;
pub mod auth;
pub mod bounds;
pub mod browsers;
pub mod contract;
pub mod extract;
pub mod idempotency;
pub mod limits;
pub mod links;
pub mod made_once;
pub mod metrics;
pub mod openapi;
pub mod pages;
#[cfg(test)]
mod paths;
pub mod problem;
pub mod quota;
pub mod request_id;
pub mod shapes;
pub mod signed_tokens;
pub mod words;
