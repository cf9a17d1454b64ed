//! What `docs/sockets.md` says: the examples of every message, in the words around them, and how connections end.

use std::collections::BTreeMap;

use serde_json::Value;

const TEXT: &str = include_str!("../../../../docs/sockets.md");
const FROM_SERVER: &str = "## From the server";
const FROM_CLIENTS: &str = "## From clients";
const ENDS: &str = "## How a connection ends";

/// One example of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The frame, as it is written there.
    pub frame: &'static str,
    /// What stands before it, as one line.
    pub words: String,
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Sent by the server.
    FromServer,
    /// Sent by clients.
    FromClients,
}

/// A code that connections are closed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseCode {
    /// The code.
    pub code: u16,
    /// Why.
    pub why: &'static str,
    /// What the client does then.
    pub then: &'static str,
}

/// The examples of one direction, in their order.
#[must_use]
pub fn examples(direction: Direction) -> Vec<Example> {
    let (before, clients) = TEXT.split_once(FROM_CLIENTS).unwrap_or_default();
    let half = match direction {
        Direction::FromServer => before.split_once(FROM_SERVER).map_or("", |(_, server)| server),
        Direction::FromClients => clients.split_once(ENDS).map_or(clients, |(messages, _)| messages),
    };
    let mut found = Vec::new();
    let mut rest = half;
    while let Some((words, after)) = rest.split_once("```json\n") {
        let Some((frame, after)) = after.split_once("```") else { break };
        found.push(Example { frame, words: last_words(words) });
        rest = after;
    }
    found
}

/// What is said since the last heading, as one line.
fn last_words(text: &str) -> String {
    let lines = text.lines().rev().take_while(|line| !line.starts_with('#'));
    let mut lines: Vec<_> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.reverse();
    lines.join(" ")
}

/// The examples by the `type` of their message.
#[must_use]
pub fn examples_by_kind(direction: Direction) -> BTreeMap<String, Vec<(Example, Value)>> {
    let mut all = BTreeMap::<String, Vec<_>>::new();
    for example in examples(direction) {
        // A test holds every example against the protocol's own types.
        let Ok(frame) = serde_json::from_str::<Value>(example.frame) else { continue };
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        all.entry(kind).or_default().push((example, frame));
    }
    all
}

/// The codes that connections are closed with.
#[must_use]
pub fn close_codes() -> Vec<CloseCode> {
    let (_, table) = TEXT.split_once(ENDS).unwrap_or_default();
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
        Some((cells.next()?, cells.next()?, cells.next()?))
    });
    let codes = rows.flat_map(|(codes, why, then)| {
        let codes = codes.split(',').filter_map(|code| code.trim().parse().ok());
        codes.map(move |code| CloseCode { code, why, then })
    });
    codes.collect()
}
