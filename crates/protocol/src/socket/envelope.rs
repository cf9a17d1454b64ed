//! Reading and writing the envelope. The body is parsed once, by its type: no intermediate tree.

use posthaste_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::messages::{ClientMessage, ServerMessage};

/// The envelope around a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// A command's id, and its answer's.
    pub id: Option<String>,
    /// Place in the stream.
    pub seq: Option<u64>,
    /// When it was sent.
    pub ts: Option<Timestamp>,
}

/// A frame that is no message of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not an envelope.
    #[error("not an envelope: {0}")]
    Envelope(serde_json::Error),
    /// A type that does not exist in this direction.
    #[error("unknown message type {kind:?}")]
    UnknownType {
        /// The command's id, so that the error can be answered.
        id: Option<String>,
        /// The type that was given.
        kind: String,
    },
    /// The data does not fit the type.
    #[error("{kind}: {source}")]
    Data {
        /// The command's id, so that the error can be answered.
        id: Option<String>,
        /// The type.
        kind: String,
        /// Where in the data, `.` for all of it.
        path: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    ts: Option<Timestamp>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Outgoing<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<Timestamp>,
    data: &'a T,
}

pub(super) fn write<T: Serialize>(kind: &str, header: &Header, data: &T, to: &mut Vec<u8>) {
    let frame = Outgoing { kind, id: header.id.as_deref(), seq: header.seq, ts: header.ts, data };
    // Views hold no maps with non-string keys and no failing serializers: this cannot fail.
    let _ = serde_json::to_writer(to, &frame);
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::with_capacity(256);
    write(&mut bytes);
    String::from_utf8(bytes).unwrap_or_default()
}

fn open(text: &str) -> Result<(Header, String, Option<&RawValue>), DecodeError> {
    let incoming: Incoming<'_> = serde_json::from_str(text).map_err(DecodeError::Envelope)?;
    let header = Header { id: incoming.id, seq: incoming.seq, ts: incoming.ts };
    Ok((header, incoming.kind.into_owned(), incoming.data))
}

/// Reads a frame that a client sent.
pub fn decode_client(text: &str) -> Result<(Header, ClientMessage), DecodeError> {
    let (header, kind, data) = open(text)?;
    let body = data.map_or("{}", RawValue::get);
    match ClientMessage::from_parts(&kind, body) {
        Some(Ok(message)) => Ok((header, message)),
        Some(Err(source)) => {
            let (path, source) = ClientMessage::misfit(&kind, body).unwrap_or_else(|| (".".to_owned(), source));
            Err(DecodeError::Data { id: header.id, kind, path, source })
        }
        None => Err(DecodeError::UnknownType { id: header.id, kind }),
    }
}

/// Reads a frame that the server sent.
pub fn decode_server(text: &str) -> Result<(Header, ServerMessage), DecodeError> {
    let (header, kind, data) = open(text)?;
    let body = data.map_or("{}", RawValue::get);
    match ServerMessage::from_parts(&kind, body) {
        Some(Ok(message)) => Ok((header, message)),
        Some(Err(source)) => {
            let (path, source) = ServerMessage::misfit(&kind, body).unwrap_or_else(|| (".".to_owned(), source));
            Err(DecodeError::Data { id: header.id, kind, path, source })
        }
        None => Err(DecodeError::UnknownType { id: header.id, kind }),
    }
}

/// Writes a frame for the server.
#[must_use]
pub fn encode_client(message: &ClientMessage, header: &Header) -> String {
    text(|to| message.write(header, to))
}

/// Writes a frame for a client.
#[must_use]
pub fn encode_server(message: &ServerMessage, header: &Header) -> String {
    text(|to| message.write(header, to))
}

/// Appends what [`encode_server`] writes.
pub fn encode_server_into(message: &ServerMessage, header: &Header, to: &mut Vec<u8>) {
    message.write(header, to);
}

/// A message for clients that is encoded but for its number: streams that number it each in their own way share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unnumbered {
    /// The whole frame, without a number.
    text: Box<[u8]>,
    /// Where the number goes.
    at: usize,
}

impl Unnumbered {
    /// Encodes a message that was sent at `ts`.
    #[must_use]
    pub fn new(message: &ServerMessage, ts: Timestamp) -> Self {
        let mut text = Vec::with_capacity(384);
        message.write(&Header { ts: Some(ts), ..Header::default() }, &mut text);
        // After the `type`, which comes first and holds nothing that JSON escapes.
        let at = r#"{"type":"""#.len() + message.kind().len();
        Self { text: text.into_boxed_slice(), at }
    }

    /// Appends what [`encode_server`] would write of the message with this number.
    pub fn write(&self, seq: u64, to: &mut Vec<u8>) {
        let (before, after) = self.text.split_at(self.at);
        to.extend_from_slice(before);
        to.extend_from_slice(br#","seq":"#);
        to.extend_from_slice(seq.to_string().as_bytes());
        to.extend_from_slice(after);
    }

    /// How many bytes it has at most, whatever its number.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.text.len() + r#","seq":18446744073709551615"#.len()
    }
}
