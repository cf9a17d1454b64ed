//! One REST request: address, token, body, answer, and when to try it again.

use std::sync::Arc;
use std::time::Duration;

use posthaste_protocol::problem::{Code, Problem};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::error::ClientError;
use crate::tls::install_crypto;
use crate::token::Token;

/// The longest that one try of a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is waited for; a longer one is returned as the problem it came with.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often and how fast a request that may be repeated is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// Tries in all; 1 for no repetition.
    pub tries: u32,
    /// The first wait, where the server names none.
    pub first_wait: Duration,
    /// The longest wait between two tries.
    pub most_wait: Duration,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self { tries: 6, first_wait: Duration::from_millis(100), most_wait: Duration::from_secs(5) }
    }
}

/// A client of one server with one token. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<Url>,
    token: Token,
    timeout: Duration,
    retry: RetryRule,
}

impl Client {
    /// A client of the server at `base_url` (`http://…` or `https://…`), with a token or [`Token::None`].
    pub fn new(base_url: impl AsRef<str>, token: impl Into<Token>) -> Result<Self, ClientError> {
        install_crypto();
        let text = base_url.as_ref();
        let wrong = |problem: String| ClientError::Address { url: text.to_owned(), problem };
        let base = Url::parse(text).map_err(|e| wrong(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong("expected http:// or https://".to_owned()));
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .map_err(|e| ClientError::Transport(Box::new(e)))?;
        Ok(Self {
            http,
            base: Arc::new(base),
            token: token.into(),
            timeout: REQUEST_TIMEOUT,
            retry: RetryRule::default(),
        })
    }

    /// The same server and connections for somebody else.
    #[must_use]
    pub fn with_token(&self, token: impl Into<Token>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    /// The same client with another limit for one try of a request.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same client with another rule for trying again.
    #[must_use]
    pub fn with_retry(&self, retry: RetryRule) -> Self {
        Self { retry, ..self.clone() }
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// The address of a route: `segments` are escaped one by one.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = (*self.base).clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The address of a socket.
    pub(crate) fn socket_url(&self, segments: &[&str], query: Option<(&str, &str)>) -> Url {
        let mut url = self.url(segments);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // Only fails for a change between special and other schemes, which this is not.
        let _ = url.set_scheme(scheme);
        if let Some((name, value)) = query {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T, ClientError> {
        self.send(Call::new(Method::GET, self.url(segments))).await
    }

    pub(crate) async fn list<Q: Serialize, T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &Q,
    ) -> Result<T, ClientError> {
        let call = Call { query: Some(pairs(query)), ..Call::new(Method::GET, self.url(segments)) };
        self.send(call).await
    }

    /// A command that may be sent twice: the server does it once.
    pub(crate) async fn command<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: &B,
    ) -> Result<T, ClientError> {
        let key = (method == Method::POST).then(|| uuid::Uuid::now_v7().to_string());
        self.send(Call { key, body: Some(json(body)), ..Call::new(method, self.url(segments)) }).await
    }

    /// Sends, and tries again while the call may be repeated and it may help.
    pub(crate) async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let mut backoff = Backoff::new(self.retry.first_wait, self.retry.most_wait);
        let tries = if call.repeatable { self.retry.tries.max(1) } else { 1 };
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match self.once(&call).await {
                Ok(bytes) => return decode(&call, &bytes),
                Err(error) => error,
            };
            if tried >= tries || !error.is_temporary() {
                return Err(error);
            }
            let wait = match error.problem().and_then(|p| p.retry_after_seconds) {
                Some(seconds) => Duration::from_secs(u64::from(seconds)),
                None => backoff.next_wait(),
            };
            if wait > LONGEST_WAIT {
                return Err(error);
            }
            tracing::debug!(url = %call.url, tried, ?wait, %error, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, call: &Call) -> Result<Vec<u8>, ClientError> {
        let mut request = self.http.request(call.method.clone(), call.url.clone()).timeout(self.timeout);
        if let Some(query) = &call.query {
            request = request.query(query);
        }
        if let Some(token) = self.token.current() {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.map_err(broken)?;
        if status.is_success() { Ok(bytes.to_vec()) } else { Err(refused(status, &headers, &bytes)) }
    }
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) query: Option<Vec<(String, String)>>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) key: Option<String>,
    pub(crate) repeatable: bool,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, query: None, body: None, key: None, repeatable: true }
    }
}

/// A view as JSON.
pub(crate) fn json<B: Serialize>(body: &B) -> Vec<u8> {
    // Views hold no maps with non-string keys and no failing serializers: this cannot fail.
    serde_json::to_vec(body).unwrap_or_default()
}

/// The fields of a flat query as name and value; absent fields are left out.
fn pairs<Q: Serialize>(query: &Q) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else { return Vec::new() };
    fields
        .into_iter()
        .filter_map(|(name, value)| match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        })
        .collect()
}

fn broken(error: reqwest::Error) -> ClientError {
    if error.is_timeout() { ClientError::Timeout } else { ClientError::Transport(Box::new(error)) }
}

fn decode<T: DeserializeOwned>(call: &Call, bytes: &[u8]) -> Result<T, ClientError> {
    let text: &[u8] = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(text).map_err(|cause| ClientError::Decode {
        what: format!("{} {}", call.method, call.url.path()),
        cause: Box::new(cause),
    })
}

/// The problem in an answer; one made from the status where the body is none (a proxy's page, say).
pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> ClientError {
    let mut problem = serde_json::from_slice::<Problem>(bytes).unwrap_or_else(|_| {
        let code = match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            405 => Code::MethodNotAllowed,
            408 | 504 => Code::Timeout,
            409 => Code::Conflict,
            413 => Code::TooLarge,
            415 => Code::UnsupportedMediaType,
            422 => Code::Invalid,
            429 => Code::RateLimited,
            502 | 503 => Code::Unavailable,
            400..=499 => Code::Malformed,
            _ => Code::Internal,
        };
        let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
        let mut problem = Problem::new(code).detail(format!("HTTP {status} {text}"));
        problem.status = status.as_u16();
        problem
    });
    if let Some(seconds) = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok()) {
        problem.retry_after_seconds = Some(seconds);
    }
    problem.into()
}
