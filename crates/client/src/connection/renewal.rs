//! When a connection's access token is replaced by the next one, before it ends.

use std::time::Duration;

use posthaste_domain::Timestamp;
use tokio::time::Instant;

use crate::token::{Token, ends_at};

/// Of a token's remaining time, the part that passes before the next one is asked for. Earlier is more tokens; later
/// leaves less time to try again.
const PART: f64 = 0.8;
/// The shortest wait between two tries, so that a source that has nothing newer is not asked without end.
const LEAST: Duration = Duration::from_secs(1);
/// What begins the ids of messages that carry a token. Commands' ids never begin so.
pub(super) const ID: &str = "token";

/// The token of one connection. Quiet where the token is fixed, or does not say when it ends.
#[derive(Default)]
pub(super) struct Renewal {
    token: Token,
    /// What the server knows.
    present: Option<String>,
    /// What was sent and not answered yet.
    sent: Option<String>,
    at: Option<Instant>,
    number: u64,
}

impl Renewal {
    /// For a connection that was opened with `present`.
    pub(super) fn new(token: &Token, present: Option<String>) -> Self {
        let mut renewal = Self { token: token.clone(), present, ..Self::default() };
        renewal.wait();
        renewal
    }

    /// When to ask for the next one.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    fn wait(&mut self) {
        let end = self.present.as_deref().filter(|_| self.token.renews()).and_then(ends_at);
        self.at = end.map(|end| Instant::now() + until_next(end, Timestamp::from(std::time::SystemTime::now())));
    }

    /// Where it is time: the next token with the message's id, if the source has another than the server knows.
    pub(super) fn next(&mut self) -> Option<(String, String)> {
        if self.at.is_none_or(|at| at > Instant::now()) {
            return None;
        }
        // An answer that never comes is not waited for.
        self.sent = None;
        self.wait();
        let next = self.token.current().filter(|next| Some(next) != self.present.as_ref())?;
        self.sent = Some(next.clone());
        self.number += 1;
        Some((super::session::id(ID, self.number), next))
    }

    /// The server's answer to the message with this id.
    pub(super) fn answered(&mut self, id: &str, taken: bool) {
        if id != super::session::id(ID, self.number) {
            return;
        }
        if let Some(sent) = self.sent.take().filter(|_| taken) {
            self.present = Some(sent);
            self.wait();
        }
    }
}

/// How long to wait for a token that ends at `end`. A token that is over already may be taken for a while: its successor is
/// asked for soon.
fn until_next(end: Timestamp, now: Timestamp) -> Duration {
    (end - now).to_std().unwrap_or_default().mul_f64(PART).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_token_is_asked_for_before_the_present_one_ends_and_never_without_a_pause() {
        let now = Timestamp::UNIX_EPOCH;
        let wait = |seconds: i64| until_next(now + chrono::TimeDelta::seconds(seconds), now);
        assert_eq!(wait(600), Duration::from_secs(480));
        assert_eq!([wait(1), wait(0), wait(-40)], [LEAST; 3]);
    }

    #[tokio::test]
    async fn what_does_not_renew_or_does_not_say_its_end_is_left_alone() {
        let fixed = Renewal::new(&Token::from("a.eyJleHAiOjB9.c"), Some("a.eyJleHAiOjB9.c".to_owned()));
        assert!(fixed.at().is_none());
        let opaque = Renewal::new(&Token::source(|| "opaque".to_owned()), Some("opaque".to_owned()));
        assert!(opaque.at().is_none());
        assert!(Renewal::new(&Token::None, None).at().is_none());
        let renews = Renewal::new(&Token::source(|| "x".to_owned()), Some("a.eyJleHAiOjB9.c".to_owned()));
        assert!(renews.at().is_some());
    }
}
