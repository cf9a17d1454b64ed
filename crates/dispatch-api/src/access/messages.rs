//! Who may say what over a socket: the second half of the table, and what a connection makes of it.

use std::collections::HashMap;
use std::sync::LazyLock;

use posthaste_http::auth::Role;
use posthaste_protocol::socket::ClientMessage;

use super::{Access, MESSAGES};

/// One line of the table, about a message that clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRule {
    /// The message's `type`.
    pub kind: &'static str,
    /// Whose sockets take it.
    pub access: Access,
}

impl MessageRule {
    /// The line of a message.
    #[must_use]
    pub fn of(kind: &str) -> Option<&'static Self> {
        static TABLE: LazyLock<HashMap<&str, &MessageRule>> =
            LazyLock::new(|| MESSAGES.iter().map(|rule| (rule.kind, rule)).collect());
        TABLE.get(kind).copied()
    }

    /// Whether it may be said on the socket of this role; `None` is whoever holds a link.
    #[must_use]
    pub fn admits(&self, role: Option<Role>) -> bool {
        match role {
            Some(role) => self.access.scope(role).is_some(),
            None => matches!(self.access, Access::Public | Access::Link),
        }
    }
}

/// What may be said on one connection: the table, looked up once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights(u32);

// One bit for each message.
const _: () = assert!(ClientMessage::KINDS.len() <= u32::BITS as usize);

impl Rights {
    /// On the socket of this role; `None` is whoever holds a link. A message that is not in the table may nobody say.
    pub(crate) fn of(role: Option<Role>) -> Self {
        let may = |kind: &str| MessageRule::of(kind).is_some_and(|rule| rule.admits(role));
        let kinds = ClientMessage::KINDS.iter().enumerate();
        Self(kinds.filter(|(_, kind)| may(kind)).fold(0, |all, (place, _)| all | 1 << place))
    }

    /// Whether this may be said.
    pub(crate) fn allow(self, message: &ClientMessage) -> bool {
        self.0 >> message.place() & 1 == 1
    }

    /// Whether the message of this type may be said.
    pub(crate) fn allow_kind(self, kind: &str) -> bool {
        ClientMessage::KINDS.iter().position(|known| *known == kind).is_some_and(|place| self.0 >> place & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use posthaste_protocol::socket::decode_client;

    use super::*;

    #[test]
    fn every_message_stands_in_the_table_once() {
        let mut ruled: Vec<_> = MESSAGES.iter().map(|rule| rule.kind).collect();
        let mut kinds = ClientMessage::KINDS.to_vec();
        ruled.sort_unstable();
        kinds.sort_unstable();
        assert_eq!(ruled, kinds);
    }

    #[test]
    fn a_connection_knows_what_the_table_says() {
        for role in Role::ALL.map(Some).into_iter().chain([None]) {
            let rights = Rights::of(role);
            for rule in MESSAGES {
                assert_eq!(rights.allow_kind(rule.kind), rule.admits(role), "{role:?} {}", rule.kind);
            }
        }
        assert!(!Rights::of(Some(Role::Driver)).allow_kind("teleport"));
        let (_, beat) = decode_client(r#"{"type":"heartbeat"}"#).unwrap();
        let (_, accept) =
            decode_client(r#"{"type":"accept","data":{"offer_id":"ofr_01jd8v7cjxfm9sxv0q3e0b5z1c"}}"#).unwrap();
        assert!(Rights::of(None).allow(&beat) && !Rights::of(None).allow(&accept));
        assert!(Rights::of(Some(Role::Driver)).allow(&accept) && !Rights::of(Some(Role::Admin)).allow(&accept));
    }
}
