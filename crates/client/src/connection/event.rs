//! What a socket tells its reader.

use posthaste_domain::Timestamp;
use posthaste_protocol::problem::Problem;
use posthaste_protocol::socket::{PositionUpdate, Resumed, ServerMessage, Snapshot, Welcome};

/// Something that happened on a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Connected, for the first time or again. `Resumed` or `Snapshot` follows.
    Connected(Welcome),
    /// The stream goes on; the missed messages follow as `Message`.
    Resumed(Resumed),
    /// The present state of what the socket follows. What was known before no longer counts.
    Snapshot(Box<Snapshot>),
    /// The next message of the stream: none is left out and none comes twice.
    Message {
        /// Its place in the stream.
        seq: u64,
        /// When the server sent it.
        at: Option<Timestamp>,
        /// The message.
        message: ServerMessage,
    },
    /// A driver moved. Newer ones may have been left out.
    Position(PositionUpdate),
    /// The server did not understand a frame, or refuses the stream for now.
    Problem(Box<Problem>),
    /// The connection is lost and will be made again.
    Disconnected {
        /// The close code, where the server gave one.
        code: Option<u16>,
        /// In words.
        reason: String,
    },
    /// The connection is over and will not be made again: no more events follow.
    Closed {
        /// The close code, where the server gave one.
        code: Option<u16>,
        /// What the server said against it, where it refused the connection.
        problem: Option<Box<Problem>>,
    },
}
