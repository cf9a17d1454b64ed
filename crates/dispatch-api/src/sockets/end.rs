//! How a connection ends: each cause has a name of its own, which the log and the figures tell apart where codes do not.

use posthaste_domain::ids::SessionId;
use posthaste_live::streams::Closed;
use posthaste_protocol::socket::close;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It broke: the other side has gone without a word.
    Gone,
    /// The client said good-bye.
    Left,
    /// What came in was no WebSocket frame.
    NotTheProtocol,
    /// A message was not UTF-8.
    NotUtf8,
    /// A frame was too large.
    TooLarge,
    /// The token's time is over.
    TokenExpired,
    /// The login was ended.
    LoginEnded,
    /// What the socket was to follow does not exist.
    NothingToFollow,
    /// The snapshot, or what was missed, could not be made.
    CannotBegin,
    /// The client did not say hello in time.
    NoHello,
    /// The client said nothing for three heartbeats.
    Silent,
    /// The connection took no bytes for too long.
    WriteStalled,
    /// More waited for the reader than is kept.
    QueueFull,
    /// Another connection of the same driver took its place.
    Replaced,
    /// The client said too much.
    TooManyMessages,
    /// The server stops.
    Stopping,
    /// The streams begin anew.
    StreamsBeginAnew,
    /// A message of the stream did not arrive.
    Missed,
}

impl End {
    /// Its name among the figures and in the log.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::Gone => "connection_lost",
            Self::Left => "client_left",
            Self::NotTheProtocol => "not_the_protocol",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "frame_too_large",
            Self::TokenExpired => "token_expired",
            Self::LoginEnded => "login_ended",
            Self::NothingToFollow => "nothing_to_follow",
            Self::CannotBegin => "cannot_begin",
            Self::NoHello => "no_hello",
            Self::Silent => "silent",
            Self::WriteStalled => "write_stalled",
            Self::QueueFull => "queue_full",
            Self::Replaced => "replaced",
            Self::TooManyMessages => "too_many_messages",
            Self::Stopping => "stopping",
            Self::StreamsBeginAnew => "streams_begin_anew",
            Self::Missed => "message_missed",
        }
    }

    /// The code and the reason that this side closes with; none where the other side ended it.
    pub(super) fn said(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Gone | Self::Left => return None,
            Self::NotTheProtocol => (close::NOT_THE_PROTOCOL, "not the WebSocket protocol"),
            Self::NotUtf8 => (close::NOT_UTF8, "not UTF-8"),
            Self::TooLarge => (close::TOO_BIG, "frame too large"),
            Self::TokenExpired => (close::TOKEN_EXPIRED, "token expired"),
            Self::LoginEnded => (close::LOGIN_ENDED, "the login was ended"),
            Self::NothingToFollow => (close::FORBIDDEN, "nothing to follow"),
            Self::CannotBegin => (close::GOING_AWAY, "cannot begin now"),
            Self::NoHello => (close::SILENT, "no hello"),
            Self::Silent => (close::SILENT, "silent for too long"),
            Self::WriteStalled => (close::TOO_SLOW, "reader too slow: the connection takes no bytes"),
            Self::QueueFull => (close::TOO_SLOW, "reader too slow: too many messages wait"),
            Self::Replaced => (close::REPLACED, "another connection took its place"),
            Self::TooManyMessages => (close::RATE_LIMITED, "too many messages"),
            Self::Stopping => (close::GOING_AWAY, "going away"),
            Self::StreamsBeginAnew => (close::GOING_AWAY, "the streams begin anew"),
            Self::Missed => (close::GOING_AWAY, "a message of the stream did not arrive"),
        })
    }

    /// Counts it and writes it into the log. What ends all sockets at once, and clients that leave, are a line each at
    /// `debug` only.
    pub(super) fn note(self, session: SessionId, path: &'static str) {
        let (cause, code) = (self.cause(), self.said().map(|(code, _)| code));
        let label = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        metrics::counter!("posthaste_sockets_closed_total", "code" => label, "cause" => cause).increment(1);
        if matches!(self, Self::Gone | Self::Left | Self::Stopping | Self::StreamsBeginAnew) {
            tracing::debug!(%session, path, code, cause, "a socket ended");
        } else {
            tracing::info!(%session, path, code, cause, "a socket was closed");
        }
    }
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::TooSlow => Self::QueueFull,
            Closed::Replaced => Self::Replaced,
            Closed::GoingAway => Self::Stopping,
            Closed::BegunAnew => Self::StreamsBeginAnew,
            Closed::Missed => Self::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [End; 18] = [
        End::Gone,
        End::Left,
        End::NotTheProtocol,
        End::NotUtf8,
        End::TooLarge,
        End::TokenExpired,
        End::LoginEnded,
        End::NothingToFollow,
        End::CannotBegin,
        End::NoHello,
        End::Silent,
        End::WriteStalled,
        End::QueueFull,
        End::Replaced,
        End::TooManyMessages,
        End::Stopping,
        End::StreamsBeginAnew,
        End::Missed,
    ];

    #[test]
    fn no_two_causes_have_one_name_or_one_reason_and_every_code_has_a_cause() {
        let names: BTreeSet<_> = ALL.iter().map(|end| end.cause()).collect();
        assert_eq!(names.len(), ALL.len());
        let said: Vec<_> = ALL.iter().filter_map(|end| end.said()).collect();
        assert_eq!(said.iter().map(|(_, reason)| reason).collect::<BTreeSet<_>>().len(), ALL.len() - 2);
        let codes: BTreeSet<_> = said.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, close::ALL.iter().copied().collect());
        assert!(said.iter().all(|(_, reason)| reason.len() <= 123), "a control frame has room for no more");
    }

    #[test]
    fn the_document_names_every_cause() {
        let document = include_str!("../../../../docs/operations.md");
        for end in ALL {
            assert!(document.contains(&format!("`{}`", end.cause())), "{}", end.cause());
        }
    }
}
