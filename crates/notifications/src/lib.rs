//! Emails and texts. They are put as jobs (`posthaste_jobs`) in the same commit as what they tell of, and sent afterwards by
//! a worker: a mail server that is down or slow loses nothing and keeps nobody waiting.
//!
//! - [`message`]: what is sent to whom. [`outbox`]: what waits, sealed; when it is tried again, and when given up.
//! - [`carrier`]: who carries them: SMTP (`smtp`), an HTTP sender of texts (`twilio`), or in development a directory
//!   (`mailbox`). Those who reach outside do so through `posthaste_outside`.
//! - [`held`]: what waits because nothing may leave, and its being given up.
//! - [`worker`]: hands what is due to the carrier. `take_over`: what the release before has left.
//!
//! A message is sent at least once: where a carrier took it and its answer was lost, it is sent again. Receivers and
//! texts are never logged.

pub mod carrier;
pub mod held;
mod mailbox;
pub mod message;
pub mod outbox;
mod smtp;
mod take_over;
mod twilio;
pub mod worker;

#[cfg(test)]
mod tests;

pub use carrier::{Carrier, CarrierError};
pub use message::{Channel, Message};
pub use outbox::Notifications;
pub use twilio::TwilioSettings;
