//! The socket protocol: one envelope for drivers, customers, merchants and operations.
//!
//! ```json
//! {"type":"offer","seq":12,"ts":"2026-05-01T12:00:00Z","data":{…}}
//! ```
//!
//! A server message that is part of the stream has a `seq`, one more than the one before; `welcome`,
//! `ack`, `error` and `position` have none. A client command may carry an `id`, and is then answered
//! by `ack` or `error` with the same `id`. The whole protocol is written down in `docs/sockets.md`.

mod declare;
mod envelope;
pub mod frame;
mod messages;

pub use declare::Described;
pub use envelope::{
    DecodeError, Header, Unnumbered, decode_client, decode_server, encode_client, encode_server, encode_server_into,
};
pub use messages::*;

/// Close codes of the socket protocol.
pub mod close {
    /// The server is going away (RFC 6455): connect again, perhaps elsewhere.
    pub const GOING_AWAY: u16 = 1001;
    /// What came was not the WebSocket protocol (RFC 6455).
    pub const NOT_THE_PROTOCOL: u16 = 1002;
    /// A message was not UTF-8 (RFC 6455).
    pub const NOT_UTF8: u16 = 1007;
    /// A frame was too large (RFC 6455).
    pub const TOO_BIG: u16 = 1009;
    /// The token's time is over: get a new one.
    pub const TOKEN_EXPIRED: u16 = 4001;
    /// The login was ended, or its account shut out: sign in again.
    pub const LOGIN_ENDED: u16 = 4002;
    /// The token does not open this stream.
    pub const FORBIDDEN: u16 = 4003;
    /// Silent for longer than the heartbeat allows.
    pub const SILENT: u16 = 4008;
    /// The reader takes less than its stream brings, or nothing at all: connect again and resume.
    pub const TOO_SLOW: u16 = 4010;
    /// Another connection of the same driver, login, key or link took its place.
    pub const REPLACED: u16 = 4011;
    /// Too many messages.
    pub const RATE_LIMITED: u16 = 4029;

    /// Every code that the server closes with.
    pub const ALL: &[u16] = &[
        GOING_AWAY,
        NOT_THE_PROTOCOL,
        NOT_UTF8,
        TOO_BIG,
        TOKEN_EXPIRED,
        LOGIN_ENDED,
        FORBIDDEN,
        SILENT,
        TOO_SLOW,
        REPLACED,
        RATE_LIMITED,
    ];
}
