//! The examples of `docs/sockets.md` are messages of the protocol, all of them, and there is one of every kind.

use std::collections::BTreeSet;

use posthaste_dispatch_api::asyncapi::{Direction, close_codes, examples};
use posthaste_protocol::socket::{
    ClientMessage, ServerMessage, Unnumbered, decode_client, decode_server, encode_client, encode_server,
};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../../docs/sockets.md");

/// An example says nothing that the protocol does not know: written again, it is the same.
fn assert_same(example: &str, again: &str) {
    let (example, again): (Value, Value) =
        (serde_json::from_str(example).unwrap(), serde_json::from_str(again).unwrap());
    assert_eq!(example, again);
}

#[test]
fn every_example_is_a_message_and_every_message_has_an_example() {
    let read = |direction| examples(direction).into_iter().map(|example| example.frame).collect::<Vec<_>>();
    let (server, clients) = (read(Direction::FromServer), read(Direction::FromClients));
    assert_eq!(server.len() + clients.len(), DOCUMENT.matches("```json\n").count());
    let mut kinds = BTreeSet::new();
    for example in server {
        let (header, message) = decode_server(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        assert_same(example, &encode_server(&message, &header));
        if let (Some(seq), Some(ts), None) = (header.seq, header.ts, &header.id) {
            let mut numbered = Vec::new();
            Unnumbered::new(&message, ts).write(seq, &mut numbered);
            assert_eq!(String::from_utf8(numbered).unwrap(), encode_server(&message, &header));
        }
        kinds.insert(message.kind());
    }
    assert_eq!(kinds, ServerMessage::KINDS.iter().copied().collect());
    let mut kinds = BTreeSet::new();
    for example in clients {
        let (header, message) = decode_client(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        assert_same(example, &encode_client(&message, &header));
        kinds.insert(message.kind());
    }
    assert_eq!(kinds, ClientMessage::KINDS.iter().copied().collect());
}

#[test]
fn every_close_code_is_documented() {
    let mut documented: Vec<_> = close_codes().iter().map(|close| close.code).collect();
    documented.sort_unstable();
    assert_eq!(documented, posthaste_protocol::socket::close::ALL);
    for close in close_codes() {
        assert!(!close.why.is_empty() && !close.then.is_empty(), "{close:?}");
    }
}
