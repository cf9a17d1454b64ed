//! A head that cannot be read never reaches the routes: the HTTP library answers it by itself, with nothing but a status.
//! That answer is recognised on its way out and replaced by one that says what was wrong, like every other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use posthaste_http::problem::PROBLEM_JSON;
use posthaste_http::request_id::{RequestId, X_REQUEST_ID};
use posthaste_protocol::problem::{Code, Problem};
use tokio::io::AsyncWrite;

/// How the library says that a body of ours would begin here.
const EMPTY: &str = "content-length: 0";

/// An answer on its way out in place of the library's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instead {
    bytes: Vec<u8>,
    written: usize,
    /// Bytes of the library's answer.
    stands_for: usize,
}

impl Instead {
    /// What is sent instead of these bytes; none where they are no refusal of the library's.
    pub(super) fn of(answer: &[u8]) -> Option<Self> {
        let (code, detail) = match answer.get(..13)? {
            b"HTTP/1.1 431 " => (Code::HeadTooLarge, "the request's head is larger, or has more fields, than is taken"),
            b"HTTP/1.1 400 " => (Code::Malformed, "the request's head is not HTTP/1.1"),
            _ => return None,
        };
        let head = std::str::from_utf8(answer).ok()?.strip_suffix("\r\n\r\n")?;
        let (before, after) = head.split_once(EMPTY)?;
        let RequestId(id) = RequestId::fresh();
        tracing::debug!(request_id = &*id, status = code.status(), "the head of a request could not be read");
        let problem = Problem { request_id: Some(id.to_string()), ..Problem::new(code).detail(detail) };
        // A problem holds no maps and no failing serializers: this cannot fail.
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let length = body.len();
        let answer = format!(
            "{before}content-length: {length}{after}\r\ncontent-type: {PROBLEM_JSON}\r\n\
             {X_REQUEST_ID}: {id}\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n\r\n{body}"
        );
        Some(Self { bytes: answer.into_bytes(), written: 0, stands_for: head.len() + 4 })
    }

    /// Writes what is left of it; then the library learns that all of its own answer went out.
    pub(super) fn poll_write(
        &mut self,
        mut stream: Pin<&mut impl AsyncWrite>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while self.written < self.bytes.len() {
            match ready!(stream.as_mut().poll_write(context, &self.bytes[self.written..])) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.written += written,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(self.stands_for))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\
        date: Fri, 01 May 2026 12:00:00 GMT\r\n\r\n";

    #[test]
    fn a_bare_refusal_gets_a_problem_and_keeps_what_else_it_says() {
        let instead = Instead::of(REFUSAL.as_bytes()).unwrap();
        assert_eq!(instead.stands_for, REFUSAL.len());
        let text = String::from_utf8(instead.bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nconnection: close\r\n") && head.contains("\r\ndate: Fri"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!((problem.status, problem.code), (431, Code::HeadTooLarge));
        assert!(head.contains(&format!("x-request-id: {}\r\n", problem.request_id.unwrap())), "{head}");
    }

    #[test]
    fn what_has_a_body_or_is_no_refusal_is_left_alone() {
        for other in [
            REFUSAL.replace("content-length: 0", "content-length: 12"),
            REFUSAL.replace("431 Request Header Fields Too Large", "200 OK"),
            REFUSAL.trim_end().to_owned(),
            "HTTP/1.1 431".to_owned(),
            String::new(),
        ] {
            assert_eq!(Instead::of(other.as_bytes()), None, "{other:?}");
        }
    }

    #[tokio::test]
    async fn it_goes_out_whole_however_little_is_taken_at_once() {
        use tokio::io::AsyncReadExt as _;
        let mut instead = Instead::of(REFUSAL.as_bytes()).unwrap();
        let all = instead.bytes.clone();
        let (mut ours, mut theirs) = tokio::io::duplex(7);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            theirs.read_to_end(&mut read).await.map(|_| read)
        });
        let stands_for = std::future::poll_fn(|context| instead.poll_write(Pin::new(&mut ours), context)).await;
        assert_eq!(stands_for.unwrap(), REFUSAL.len());
        drop(ours);
        assert_eq!(reading.await.unwrap().unwrap(), all);
    }
}
