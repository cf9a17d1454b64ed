//! One attempt over HTTP. A receiver may be slow, refuse, hang up or never stop talking: all of it ends in an answer.

use std::error::Error;
use std::time::{Duration, Instant};

use posthaste_domain::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};

use crate::addresses::{Allowed, Resolver};

/// How long a receiver may take, from dialling to the end of its answer.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);
/// Of this, until the connection stands.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read. What comes after them is left in the line.
const MOST_READ: usize = 4096;
/// Characters of an answer that are kept.
const MOST_KEPT: usize = 500;

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
        // An error means that the program chose its cryptography before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("posthaste/", env!("CARGO_PKG_VERSION")))
            .timeout(LONGEST)
            .connect_timeout(LONGEST_CONNECT)
            // A redirect would lead past the check of the address, and sign for somebody else.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself.
            .no_proxy()
            .dns_resolver(Resolver(allowed))
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, allowed })
    }

    /// Posts a letter. `wall` is the machine's own time.
    pub(crate) async fn post(&self, url: &str, letter: Letter, wall: Timestamp) -> Answer {
        let began = Instant::now();
        let mut answer = match self.send(url, letter).await {
            Ok(response) => read(response, wall).await,
            Err(problem) => Answer { problem: Some(problem), ..Answer::default() },
        };
        answer.took = began.elapsed();
        answer
    }

    async fn send(&self, url: &str, letter: Letter) -> Result<Response, String> {
        // The configuration may have become stricter since the endpoint was made.
        let url = self.allowed.url(url).map_err(|problem| format!("the URL {problem}"))?;
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", letter.id)
            .header("webhook-timestamp", letter.timestamp)
            .header("webhook-signature", letter.signatures)
            .body(letter.body);
        request.send().await.map_err(|error| in_words(&error))
    }
}

fn in_words(error: &reqwest::Error) -> String {
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    if error.is_timeout() {
        format!("no answer within {} s", LONGEST.as_secs())
    } else if error.is_connect() {
        format!("cannot connect: {root}")
    } else {
        format!("the connection broke: {root}")
    }
}

async fn read(mut response: Response, wall: Timestamp) -> Answer {
    let status = response.status();
    let mut answer = Answer { status: Some(status.as_u16()), ..Answer::default() };
    if status.is_success() {
        return answer;
    }
    answer.retry_after = retry_after(response.headers(), wall);
    let mut bytes = Vec::new();
    // What is missing of the body of a refusal does not matter.
    while bytes.len() < MOST_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&bytes);
    answer.excerpt = text.chars().filter(|c| !c.is_control() || *c == '\n').take(MOST_KEPT).collect();
    answer.problem = Some(match status.as_u16() {
        300..400 => format!("answered {status}: redirects are not followed, change the endpoint's URL"),
        _ => format!("answered {status}"),
    });
    answer
}

/// `Retry-After` in seconds, or as a date.
fn retry_after(headers: &HeaderMap, wall: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    (at.to_utc() - wall).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wall = "2026-05-01T12:00:00Z".parse().unwrap();
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, wall).map(|d| d.as_secs())
        };
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Fri, 01 May 2026 12:05:00 GMT"), Some(300));
        for wrong in ["soon", "-5", "Fri, 01 May 2026 11:05:00 GMT", "99999999999999999999999"] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }
}
