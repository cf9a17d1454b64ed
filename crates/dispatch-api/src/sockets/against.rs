//! Frames against another implementation of RFC 6455, both ways: what tungstenite reads of a client's bytes is what we read,
//! however they were cut and whatever came in parts; and what we write is what it reads.

use std::io::{self, Read, Write};

use posthaste_protocol::socket::frame::{LONGEST_HEAD, Opcode, head};
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use super::inbox::{Inbox, Incoming};

/// The longest message here: longer than what fits any of the shorter lengths of a head.
const LONGEST: usize = 70_000;

/// What a client sends.
#[derive(Debug, Clone)]
enum Sent {
    /// In so many parts, at least one; as text, or the same bytes as binary.
    Message {
        text: String,
        parts: usize,
        binary: bool,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = prop_oneof![8 => "\\PC{0,40}", 2 => "[a-zü]{100,300}", 1 => Just("x".repeat(66_000))];
    let small = || proptest::collection::vec(any::<u8>(), 0..126);
    prop_oneof![
        6 => (text, 1..4usize, any::<bool>()).prop_map(|(text, parts, binary)| Sent::Message { text, parts, binary }),
        1 => small().prop_map(Sent::Ping),
        1 => small().prop_map(Sent::Pong),
    ]
}

fn frame(first: u8, payload: &[u8], mask: [u8; 4], into: &mut Vec<u8>) {
    into.push(first);
    match payload.len() {
        n @ 0..=125 => into.push(0x80 | u8::try_from(n).expect("short")),
        n @ 126..=0xFFFF => {
            into.push(0x80 | 126);
            into.extend(u16::try_from(n).expect("longer").to_be_bytes());
        }
        n => {
            into.push(0x80 | 127);
            into.extend((n as u64).to_be_bytes());
        }
    }
    into.extend(mask);
    into.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The bytes of it. Between the parts of a message comes a ping, as it may.
fn bytes(sent: &[Sent], mask: [u8; 4]) -> Vec<u8> {
    let mut all = Vec::new();
    for one in sent {
        match one {
            Sent::Message { text, parts, binary } => {
                let opcode = if *binary { 0x2 } else { 0x1 };
                // A part that is not the last holds something.
                let parts = (*parts).min(text.len().max(1));
                let each = text.len().div_ceil(parts).max(1);
                let pieces: Vec<_> =
                    if text.is_empty() { vec![&[][..]] } else { text.as_bytes().chunks(each).collect() };
                for (n, piece) in pieces.iter().enumerate() {
                    let last = if n + 1 == pieces.len() { 0x80 } else { 0 };
                    frame(last | if n == 0 { opcode } else { 0 }, piece, mask, &mut all);
                    if last == 0 {
                        frame(0x89, b"between", mask, &mut all);
                    }
                }
            }
            Sent::Ping(payload) => frame(0x89, payload, mask, &mut all),
            Sent::Pong(payload) => frame(0x8A, payload, mask, &mut all),
        }
    }
    all
}

/// A connection that has these bytes to read, and takes whatever is written.
struct Wire<'b>(&'b [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite reads, to the end of the bytes.
fn theirs(bytes: &[u8], role: Role) -> Vec<String> {
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), role, None);
    let mut read = Vec::new();
    while let Ok(message) = socket.read() {
        read.push(match message {
            Message::Text(text) => format!("message {text}"),
            Message::Binary(bytes) => format!("message {}", String::from_utf8_lossy(&bytes)),
            Message::Ping(payload) => format!("ping {payload:?}"),
            Message::Pong(_) => "pong".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    read
}

/// What we read of the same, fed in pieces of this size.
fn ours(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut inbox = Inbox::new(LONGEST);
    let mut read = Vec::new();
    for piece in bytes.chunks(piece) {
        inbox.feed(piece);
        while let Some(incoming) = inbox.take().expect("what may be sent") {
            read.push(match incoming {
                Incoming::Message(text) => format!("message {text}"),
                Incoming::Ping(payload) => {
                    format!("ping {:?}", tokio_tungstenite::tungstenite::Bytes::copy_from_slice(payload))
                }
                Incoming::Pong => "pong".to_owned(),
                Incoming::Close(code) => panic!("nobody said good-bye: {code:?}"),
            });
        }
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_sends_is_read_as_tungstenite_reads_it(
        sent in proptest::collection::vec(sent(), 1..12),
        mask in any::<[u8; 4]>(),
        piece in 1..5000usize,
    ) {
        let bytes = bytes(&sent, mask);
        let theirs = theirs(&bytes, Role::Server);
        prop_assert!(theirs.len() >= sent.len(), "{} of {}", theirs.len(), sent.len());
        prop_assert_eq!(ours(&bytes, piece), theirs);
    }

    #[test]
    fn what_we_send_is_read_by_tungstenite(texts in proptest::collection::vec("\\PC{0,200}", 1..8), long in 0..3u32) {
        let mut bytes = Vec::new();
        let longer = "y".repeat([0, 126, 65_536][long as usize]);
        let texts: Vec<_> = texts.into_iter().chain([longer]).collect();
        for text in &texts {
            let (head, used) = head(Opcode::Text, text.len());
            prop_assert!(used <= LONGEST_HEAD);
            bytes.extend(&head[..used]);
            bytes.extend(text.as_bytes());
        }
        let expected: Vec<_> = texts.iter().map(|text| format!("message {text}")).collect();
        prop_assert_eq!(theirs(&bytes, Role::Client), expected);
    }
}
