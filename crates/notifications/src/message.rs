//! What is sent to whom.

use std::fmt;

use posthaste_domain::Span;
use serde::{Deserialize, Serialize};

/// By which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Email.
    Email,
    /// A text to a telephone.
    Text,
}

impl Channel {
    /// Its name in the database and the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Text => "text",
        }
    }
}

/// A message. Its receiver and text are personal, often secret: debug output shows neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The way it goes.
    pub channel: Channel,
    /// An email address, or a telephone number in international form.
    pub to: String,
    /// The subject; texts have none.
    pub subject: String,
    /// The text.
    pub text: String,
    /// For how many seconds it is of use: afterwards it is not sent any more.
    pub useful_seconds: i64,
}

/// How long a message that is no code is worth sending.
const USEFUL: Span = Span::days(2);

impl Message {
    /// An email.
    #[must_use]
    pub fn email(to: impl Into<String>, subject: impl Into<String>, text: impl Into<String>) -> Self {
        let (to, subject, text) = (to.into(), subject.into(), text.into());
        Self { channel: Channel::Email, to, subject, text, useful_seconds: USEFUL.num_seconds() }
    }

    /// A text.
    #[must_use]
    pub fn text(to: impl Into<String>, text: impl Into<String>) -> Self {
        let (to, text) = (to.into(), text.into());
        Self { channel: Channel::Text, to, subject: String::new(), text, useful_seconds: USEFUL.num_seconds() }
    }

    /// The same, of no use any more after `useful`: a code that has ended is not sent.
    #[must_use]
    pub fn useful_for(mut self, useful: Span) -> Self {
        self.useful_seconds = useful.num_seconds();
        self
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, …)", self.channel.name())
    }
}
