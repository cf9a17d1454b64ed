//! One attempt over HTTP. A receiver may be slow, refuse, hang up or never stop talking: all of it ends in an answer.

use std::time::{Duration, Instant};

use posthaste_outside::{Budget, Client, Operation, Outcome, Reads, Response};

use crate::addresses::{Allowed, Resolver};

/// How long a receiver may take, from dialling to the end of its answer.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);
/// Of this, until the connection stands.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);
/// Characters of an answer that are kept.
const MOST_KEPT: usize = 500;
/// Idle connections to a receiver that are kept.
const IDLE: usize = 2;
/// Many receivers stand behind it, and each endpoint has a health of its own (`schedule`): one of them stops no other.
const POST: Operation = Operation::new("webhooks", "post").unguarded();

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    /// What was wrong; none for 2xx.
    pub(crate) problem: Option<String>,
    /// The beginning of the body, where something was wrong.
    pub(crate) excerpt: String,
    /// How long the receiver asks to be left alone, in real time.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) took: Duration,
}

/// What posts.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    client: Client,
    allowed: Allowed,
}

/// What is posted.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) id: String,
    /// Seconds since 1970, of the machine's own time.
    pub(crate) timestamp: i64,
    pub(crate) signatures: String,
    pub(crate) body: String,
}

impl Poster {
    pub(crate) fn new(allowed: Allowed) -> Result<Self, reqwest::Error> {
        let client = Client::connecting_within(LONGEST_CONNECT).for_strangers(Resolver(allowed));
        Ok(Self { client: client.idle_connections(IDLE).build()?, allowed })
    }

    /// Posts a letter.
    pub(crate) async fn post(&self, url: &str, letter: Letter) -> Answer {
        let began = Instant::now();
        let mut answer = match self.send(url, letter).await {
            Ok(outcome) => read(outcome),
            Err(problem) => Answer { problem: Some(problem), ..Answer::default() },
        };
        answer.took = began.elapsed();
        answer
    }

    async fn send(&self, url: &str, letter: Letter) -> Result<Outcome<Response>, String> {
        // The configuration may have become stricter since the endpoint was made.
        let url = self.allowed.url(url).map_err(|problem| format!("the URL {problem}"))?;
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", letter.id)
            .header("webhook-timestamp", letter.timestamp)
            .header("webhook-signature", letter.signatures)
            .body(letter.body);
        Ok(self.client.send(POST, request, Reads::Status, Budget::of(LONGEST)).await)
    }
}

/// What may have arrived is sent again under the same id: the merchant's program tells.
fn read(outcome: Outcome<Response>) -> Answer {
    let (why, retry_after, response) = match outcome {
        Outcome::Done(response) => {
            return Answer { status: Some(response.status.as_u16()), ..Answer::default() };
        }
        Outcome::Refused(refusal) => (refusal.why, refusal.retry_after, refusal.answer),
        Outcome::Unknown(unknown) => (unknown.why, unknown.retry_after, unknown.answer),
    };
    let status = response.as_ref().map(|response| response.status.as_u16());
    let text = response.map_or_else(String::new, |response| String::from_utf8_lossy(&response.body).into_owned());
    let excerpt = text.chars().filter(|c| !c.is_control() || *c == '\n').take(MOST_KEPT).collect();
    let problem = match status {
        Some(300..400) => format!("{why}: redirects are not followed, change the endpoint's URL"),
        _ => why,
    };
    Answer { status, problem: Some(problem), excerpt, retry_after, took: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_outside::{Refusal, Scope, Unknown};

    #[test]
    fn what_was_not_taken_says_why_with_the_beginning_of_what_was_answered() {
        let answer = |status: u16, body: &str| Response {
            status: status.try_into().unwrap(),
            headers: Default::default(),
            body: body.to_owned().into(),
        };
        let done = read(Outcome::Done(answer(204, "")));
        assert_eq!(done, Answer { status: Some(204), ..Answer::default() });
        let moved = Refusal {
            answer: Some(answer(307, "")),
            ..Refusal::new(Scope::Service, "answered 307 Temporary Redirect")
        };
        let moved = read(Outcome::Refused(moved));
        assert!(moved.status == Some(307) && moved.problem.unwrap().ends_with("change the endpoint's URL"));
        let asked = Some(Duration::from_secs(60));
        let body = format!("not\u{0} now\n{}", "x".repeat(1000));
        let busy = Unknown { answer: Some(answer(503, &body)), retry_after: asked, ..Unknown::new("answered 503") };
        let busy = read(Outcome::Unknown(busy));
        assert_eq!((busy.status, busy.problem.as_deref(), busy.retry_after), (Some(503), Some("answered 503"), asked));
        assert!(
            busy.excerpt.starts_with("not now\nx") && busy.excerpt.chars().count() == MOST_KEPT,
            "{}",
            busy.excerpt
        );
        let silent = read(Outcome::Unknown(Unknown::new("no answer within 15 s")));
        assert_eq!(
            (silent.status, silent.problem.as_deref(), silent.excerpt.as_str()),
            (None, Some("no answer within 15 s"), "")
        );
    }
}
