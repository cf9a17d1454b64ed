//! Who carries messages.

use std::path::PathBuf;
use std::time::Duration;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::MessageId;
use posthaste_outside::{Budget, Outcome, Scope};

use crate::mailbox::Mailbox;
use crate::message::Message;
use crate::smtp::Smtp;
use crate::twilio::{Twilio, TwilioSettings};

/// How long one attempt may take in all. Shorter than the lease of a message in the outbox.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 20 });

/// Why a message was not carried. The text is for log and outbox: no receiver, no contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// The carrier takes nothing at all: it is not there, has too much to do, or does not let us in. Trying again helps
    /// when that is mended, with any message.
    #[error("{why}")]
    Away {
        /// In words.
        why: String,
        /// For how long the carrier asks to be left alone.
        after: Option<Duration>,
    },
    /// Not this message now: trying again may help. Others may pass.
    #[error("{why}")]
    Temporary {
        /// In words.
        why: String,
        /// For how long the carrier asks to be left alone with it.
        after: Option<Duration>,
    },
    /// Never: this message is refused.
    #[error("{0}")]
    Permanent(String),
}

impl CarrierError {
    /// It takes nothing at all, and says no more.
    pub(crate) fn away(why: impl Into<String>) -> Self {
        Self::Away { why: why.into(), after: None }
    }

    /// What a call to a carrier came to. One that may have happened is tried again: a message arrives at least once, and the
    /// same is written the second time.
    pub(crate) fn of(outcome: Outcome<()>) -> Result<(), Self> {
        match outcome {
            Outcome::Done(()) => Ok(()),
            Outcome::Unknown(unknown) => Err(Self::Away { why: unknown.why, after: unknown.retry_after }),
            Outcome::Refused(refusal) => Err(match (refusal.scope, refusal.is_permanent) {
                (Scope::Service, _) => Self::Away { why: refusal.why, after: refusal.retry_after },
                (Scope::Request, false) => Self::Temporary { why: refusal.why, after: refusal.retry_after },
                (Scope::Request, true) => Self::Permanent(refusal.why),
            }),
        }
    }
}

/// Settings that no carrier can be made from.
#[derive(Debug, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct InvalidCarrier {
    /// Which.
    pub setting: &'static str,
    /// What is wrong with it. Never the setting itself, which may hold a password.
    pub problem: String,
}

/// Somebody who carries messages of one channel.
#[derive(Debug, Clone)]
pub struct Carrier(Way);

#[derive(Debug, Clone)]
enum Way {
    Mailbox(Mailbox),
    Smtp(Box<Smtp>),
    Twilio(Box<Twilio>),
}

impl Carrier {
    /// In development: messages become files in a directory.
    #[must_use]
    pub fn mailbox(directory: PathBuf) -> Self {
        Self(Way::Mailbox(Mailbox::new(directory)))
    }

    /// A mail server (`smtps://user:password@host`, `smtp://host:587?tls=required`) and the sender's address.
    ///
    /// # Errors
    ///
    /// [`InvalidCarrier`] where one of them cannot be used.
    pub fn smtp(url: &str, from: &str) -> Result<Self, InvalidCarrier> {
        Ok(Self(Way::Smtp(Box::new(Smtp::new(url, from)?))))
    }

    /// A sender of texts with the interface of Twilio.
    ///
    /// # Errors
    ///
    /// [`InvalidCarrier`] where a setting cannot be used.
    pub fn twilio(settings: TwilioSettings) -> Result<Self, InvalidCarrier> {
        Ok(Self(Way::Twilio(Box::new(Twilio::new(settings)?))))
    }

    /// Whether what it carries leaves the machine.
    pub(crate) fn reaches_outside(&self) -> bool {
        match &self.0 {
            Way::Mailbox(_) => false,
            Way::Smtp(_) | Way::Twilio(_) => true,
        }
    }

    /// Hands a message over, within [`ATTEMPT`].
    pub(crate) async fn carry(&self, id: MessageId, at: Timestamp, message: &Message) -> Result<(), CarrierError> {
        let budget = Budget::of(ATTEMPT);
        match &self.0 {
            Way::Mailbox(mailbox) => {
                let slow = |_| Err(CarrierError::away(format!("the mailbox took longer than {budget}")));
                tokio::time::timeout(ATTEMPT, mailbox.carry(id, at, message)).await.unwrap_or_else(slow)
            }
            Way::Smtp(smtp) => CarrierError::of(smtp.carry(id, message, budget).await),
            Way::Twilio(twilio) => CarrierError::of(twilio.carry(message, budget).await),
        }
    }
}

/// The newest messages of a mailbox directory as text, newest first: what `/dev/mail` shows.
///
/// # Errors
///
/// When the directory is there and cannot be read.
pub async fn read_mailbox(directory: PathBuf, most: usize) -> std::io::Result<Vec<String>> {
    Mailbox::new(directory).newest(most).await
}
