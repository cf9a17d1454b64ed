//! What the document of the sockets says of them: on which paths they are opened, what is sent there, and its schemas.
//!
//! - `written`: what `docs/sockets.md` says. [`shapes`]: the schemas of the protocol's types.

pub mod shapes;
mod written;

use posthaste_http::limits::Limits;

pub use self::written::{CloseCode, Direction, Example, close_codes, examples, examples_by_kind};
use crate::sockets::FRAME_OF_READERS;

/// A path on which sockets are opened.
#[derive(Debug)]
pub struct Channel {
    /// How it is called.
    pub name: &'static str,
    /// Its route.
    pub path: &'static str,
    /// Bytes of the longest frame that it takes.
    pub frame_bytes: fn(&Limits) -> u64,
}

/// All of them.
pub const CHANNELS: &[Channel] = &[
    Channel { name: "driver", path: "/v1/ws/driver", frame_bytes: |limits| limits.socket.frame_bytes.into() },
    Channel { name: "merchant", path: "/v1/ws/merchant", frame_bytes: |_| FRAME_OF_READERS as u64 },
    Channel { name: "customer", path: "/v1/ws/customer", frame_bytes: |_| FRAME_OF_READERS as u64 },
    Channel { name: "operations", path: "/v1/ws/operations", frame_bytes: |_| FRAME_OF_READERS as u64 },
    Channel { name: "track", path: "/v1/ws/track/{token}", frame_bytes: |_| FRAME_OF_READERS as u64 },
];

/// What the server sends, and to whom. The tests of the sockets hold every frame that they get against it.
pub const SENT: &[(&str, &[&str])] = &[
    ("welcome", &["driver", "merchant", "customer", "operations", "track"]),
    ("resumed", &["driver", "merchant", "customer", "operations", "track"]),
    ("snapshot", &["driver", "merchant", "customer", "operations", "track"]),
    ("ack", &["driver", "merchant", "customer", "operations", "track"]),
    ("error", &["driver", "merchant", "customer", "operations", "track"]),
    ("offer", &["driver"]),
    ("offer_ended", &["driver"]),
    ("route", &["driver"]),
    ("shift", &["driver"]),
    ("order", &["merchant", "customer", "operations"]),
    ("step", &["track"]),
    ("position", &["merchant", "customer", "operations", "track"]),
    ("driver", &["operations"]),
    ("zone", &["operations"]),
    ("alert", &["merchant", "operations"]),
];

#[cfg(test)]
mod tests {
    use posthaste_protocol::socket::ServerMessage;

    use super::*;

    #[test]
    fn of_everything_that_the_server_sends_it_is_known_to_whom() {
        let known: Vec<_> = SENT.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(known, ServerMessage::KINDS);
        let names: Vec<_> = CHANNELS.iter().map(|one| one.name).collect();
        for (kind, channels) in SENT {
            assert!(!channels.is_empty() && channels.iter().all(|name| names.contains(name)), "{kind}");
        }
    }
}
