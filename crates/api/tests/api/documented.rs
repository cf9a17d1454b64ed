//! The examples of `docs/sockets.md` are messages of the protocol, all of them, and there is one of every kind.

use std::collections::BTreeSet;

use posthaste_protocol::socket::{
    ClientMessage, ServerMessage, decode_client, decode_server, encode_client, encode_server,
};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../../docs/sockets.md");

/// The JSON blocks of each half: what the server sends, and what clients send.
pub(crate) fn examples() -> (Vec<&'static str>, Vec<&'static str>) {
    let (before, clients) = DOCUMENT.split_once("## From clients").unwrap();
    let (_, server) = before.split_once("## From the server").unwrap();
    let blocks = |text: &'static str| {
        text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect::<Vec<_>>()
    };
    (blocks(server), blocks(clients))
}

/// An example says nothing that the protocol does not know: written again, it is the same.
fn assert_same(example: &str, again: &str) {
    let (example, again): (Value, Value) =
        (serde_json::from_str(example).unwrap(), serde_json::from_str(again).unwrap());
    assert_eq!(example, again);
}

#[test]
fn every_example_is_a_message_and_every_message_has_an_example() {
    let (server, clients) = examples();
    let mut kinds = BTreeSet::new();
    for example in server {
        let (header, message) = decode_server(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        assert_same(example, &encode_server(&message, &header));
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
    use posthaste_protocol::socket::close;
    let codes = [
        close::GOING_AWAY,
        close::TOO_BIG,
        close::TOKEN_EXPIRED,
        close::LOGIN_ENDED,
        close::FORBIDDEN,
        close::SILENT,
        close::TOO_SLOW,
        close::REPLACED,
        close::RATE_LIMITED,
    ];
    for code in codes {
        assert!(DOCUMENT.contains(&format!("| {code} |")), "{code}");
    }
}
