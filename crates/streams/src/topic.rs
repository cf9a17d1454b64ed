//! What can be followed: topics of kinds that the crates who own them register.

use std::fmt;
use std::hash::{Hash, Hasher};

use uuid::Uuid;

use crate::View;

/// A kind of topic: a `static` of the crate that owns it, registered with
/// [`Streams::register`](crate::Streams::register).
#[derive(Debug)]
pub struct Kind {
    /// What it is called; no two kinds have one name.
    pub name: &'static str,
    /// Who numbers its messages.
    pub numbering: Numbering,
    /// Frames that may wait for one slow reader. Too few closes readers over a hiccup; too many lets one of them hold much
    /// memory.
    pub queue: usize,
    /// Sweeps, one a minute, after which a topic that nobody follows forgets its messages; at none it goes with its last
    /// follower.
    pub idle_sweeps: u32,
}

/// Who numbers the messages of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// They are numbered here, from each start on. Clients get a snapshot after a restart.
    Here {
        /// Messages kept for those who come back. Too few means snapshots; too many holds memory for nobody.
        kept: usize,
    },
    /// Whoever owns the topic stores its messages by their numbers, which never start anew: clients resume across restarts,
    /// with what [`Snapshots::beginning`](crate::Snapshots::beginning) finds.
    Owner {
        /// The epoch of all topics of the kind.
        epoch: &'static str,
    },
}

/// One thing that can be followed. Everybody who follows it gets all of it.
#[derive(Clone, Copy)]
pub struct Topic {
    /// Of which kind it is.
    pub kind: &'static Kind,
    /// Which of them.
    pub id: Uuid,
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && (std::ptr::eq(self.kind, other.kind) || self.kind.name == other.kind.name)
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Ids of different kinds are hardly ever the same.
        self.id.hash(state);
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name, self.id)
    }
}

/// What a socket follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subject {
    /// A topic.
    Topic(Topic),
    /// Operations: everything, one zone, or a bounding box.
    Operations(View),
}

impl From<Topic> for Subject {
    fn from(topic: Topic) -> Self {
        Self::Topic(topic)
    }
}

impl From<View> for Subject {
    fn from(view: View) -> Self {
        Self::Operations(view)
    }
}

impl Subject {
    /// Its kind.
    pub(crate) fn kind(&self) -> &'static Kind {
        match self {
            Self::Topic(topic) => topic.kind,
            Self::Operations(_) => &crate::views::OPERATIONS,
        }
    }
}
