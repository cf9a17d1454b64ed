//! A message as it goes over the wire.

use bytes::Bytes;
use posthaste_protocol::socket::frame::{LONGEST_HEAD, Opcode, head};
use posthaste_protocol::socket::{Header, ServerMessage, Unnumbered, encode_server_into};

/// A message as a whole WebSocket frame: encoded once, shared by all who get it, written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Encodes a message.
    #[must_use]
    pub fn new(message: &ServerMessage, header: &Header) -> Self {
        Self::around(384, |to| encode_server_into(message, header, to))
    }

    /// Numbers a message that is encoded already.
    #[must_use]
    pub fn numbered(message: &Unnumbered, seq: u64) -> Self {
        Self::around(message.longest(), |to| message.write(seq, to))
    }

    fn around(length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(LONGEST_HEAD + length);
        bytes.resize(LONGEST_HEAD, 0);
        write(&mut bytes);
        let (head, used) = head(Opcode::Text, bytes.len() - LONGEST_HEAD);
        let start = LONGEST_HEAD - used;
        bytes[start..LONGEST_HEAD].copy_from_slice(&head[..used]);
        Self(Bytes::from(bytes).slice(start..))
    }

    /// The bytes of the frame, its head first.
    #[must_use]
    pub fn wire(&self) -> &Bytes {
        &self.0
    }

    /// The message: JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        let start = match self.0[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        std::str::from_utf8(&self.0[start..]).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self::around(text.len(), |to| to.extend_from_slice(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_its_text_whatever_the_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let text = "x".repeat(length);
            assert_eq!(Frame::of(&text).text(), text);
        }
    }
}
