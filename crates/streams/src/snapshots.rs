//! What a stream begins with is asked of whoever owns the topic.

use std::borrow::Cow;
use std::pin::Pin;

use posthaste_protocol::socket::{ServerMessage, Snapshot};

use crate::{Subject, Topic};

/// An answer that is read first.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, CannotFollow>> + Send + 'a>>;

/// Makes what streams begin with, of the kinds that it is registered for.
pub trait Snapshots: Send + Sync + 'static {
    /// How things stand now. The subscription has begun before this is asked for, so that nothing is missing: what is
    /// committed in between may be in it, and comes as a message too.
    fn snapshot(&self, of: Subject) -> Answering<'_, Snapshot>;

    /// How a subscription to a topic begins that is numbered by its owner: for a client that has everything up to `last`,
    /// or has nothing.
    fn beginning(&self, of: Topic, last: Option<u64>) -> Answering<'_, Beginning> {
        let _ = last;
        let name = of.kind.name;
        Box::pin(std::future::ready(Err(CannotFollow::Broken(format!("who numbers {name}?").into()))))
    }
}

/// How a subscription begins to a topic that is numbered by its owner.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once for a subscription, and taken apart at once")]
pub enum Beginning {
    /// With what was missed: every message after the last that the client has, oldest first, each with its number.
    Resumed(Vec<(u64, ServerMessage)>),
    /// With a snapshot that stands for everything up to `seq`, and for nothing after it.
    Fresh {
        /// The number of the newest message that is in it.
        seq: u64,
        /// How things stood then.
        snapshot: Snapshot,
    },
}

/// Why a subject cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotFollow {
    /// There is nothing to follow.
    #[error("no such {0}")]
    NotFound(Cow<'static, str>),
    /// Not now. Trying again may help.
    #[error("temporarily unavailable: {0}")]
    Unavailable(Cow<'static, str>),
    /// Something is wrong here, and trying again does not help. The text is for the log.
    #[error("broken: {0}")]
    Broken(Cow<'static, str>),
}
