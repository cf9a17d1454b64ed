//! What was sent, in memory: the newest of it.

use std::collections::VecDeque;

use posthaste_domain::Timestamp;
use serde::Serialize;

/// Most messages that are kept.
pub const MOST_KEPT: usize = 1000;
/// Most bytes of them.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;

/// By which way something was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To the mail server.
    Email,
    /// To the sender of texts.
    Text,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Its id: of a text, the one that was answered.
    pub id: String,
    /// By which way.
    pub kind: Kind,
    /// From whom, by the envelope.
    pub from: String,
    /// To whom, by the envelope.
    pub to: Vec<String>,
    /// As it came: of an email, headers and body as they were sent.
    pub text: String,
    /// When, by the machine's clock.
    pub at: Timestamp,
}

impl Sent {
    /// A header of an email, as it was sent, on one line.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next().filter(|_| self.kind == Kind::Email)?;
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.from.len() + self.to.iter().map(String::len).sum::<usize>()
    }
}

/// The newest messages.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    sent: VecDeque<Sent>,
    bytes: usize,
}

impl Keeping {
    /// Keeps one; the oldest go where there are too many.
    pub(crate) fn keep(&mut self, sent: Sent) {
        self.bytes += sent.bytes();
        self.sent.push_back(sent);
        while self.sent.len() > MOST_KEPT || self.bytes > MOST_BYTES {
            let Some(oldest) = self.sent.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.sent.iter()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(n: usize, bytes: usize) -> Sent {
        let (id, at) = (n.to_string(), Timestamp::UNIX_EPOCH);
        Sent { id, kind: Kind::Email, from: String::new(), to: Vec::new(), text: "x".repeat(bytes), at }
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_or_they_are_too_long() {
        let mut kept = Keeping::default();
        (0..MOST_KEPT + 5).for_each(|n| kept.keep(sent(n, 1)));
        assert_eq!((kept.all().count(), kept.all().next().unwrap().id.as_str()), (MOST_KEPT, "5"));
        let half = MOST_BYTES / 2;
        (0..3).for_each(|n| kept.keep(sent(n, half)));
        assert_eq!(kept.all().map(|sent| sent.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(kept.bytes, 2 * half);
        kept.keep(sent(9, MOST_BYTES + 1));
        assert_eq!((kept.all().count(), kept.bytes), (0, 0), "one that is longer than all may be");
    }

    #[test]
    fn headers_are_read_on_one_line() {
        let text = "From: a@b.c\r\nSUBJECT: Your\r\n code\r\nTo: d@e.f\r\n\r\nSubject: not this\r\n".to_owned();
        let email = Sent { text, ..sent(1, 0) };
        assert_eq!(email.header("subject").as_deref(), Some("Your code"));
        assert_eq!(email.header("date"), None);
    }
}
