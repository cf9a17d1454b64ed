//! What browsers are told on every answer: what a page may do, and whose pages may ask.

use std::time::Duration;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use posthaste_protocol::problem::{Code, Problem};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::idempotency::IDEMPOTENCY_KEY;
use crate::problem::Answer;
use crate::quota::{RATELIMIT, RATELIMIT_POLICY};
use crate::request_id::{TRACEPARENT, X_REQUEST_ID};

/// Nothing of an answer of the API is to be shown, run or framed.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
);
/// The page that shows the API runs what this server sends, and talks to this server only.
const CSP_OF_DOCS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
/// What a browser says of the page that asks.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// How long a browser remembers that another origin may ask.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);
/// Bodies up to this size, in bytes, fit into a packet: compressing them saves nothing.
const TOO_SMALL_TO_COMPRESS: u64 = 1024;

/// What is told to browsers, as configured.
#[derive(Debug, Clone, Default)]
pub struct Browsers {
    /// Origins whose pages may use the API, exactly as browsers write them.
    pub origins: Vec<Origin>,
    /// For how many seconds a browser is to come over TLS only; 0 says nothing.
    pub hsts_seconds: u32,
}

/// Where a page comes from, as in `https://shop.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: scheme, host and, if it is not the usual one, port; as in https://shop.example.org")]
pub struct NoOrigin(String);

impl Origin {
    /// As browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl std::str::FromStr for Origin {
    type Err = NoOrigin;
    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let wrong = || NoOrigin(text.to_owned());
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong())?;
        let usual = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let plain = !authority.as_str().contains(['@', '*']) && authority.port_u16() != Some(usual);
        // Browsers write origins in lower case and without a path: another spelling would never be equal to theirs.
        let bare = text.ends_with(authority.as_str()) && text == text.to_lowercase();
        if plain && bare { HeaderValue::from_str(text).map(Self).map_err(|_| wrong()) } else { Err(wrong()) }
    }
}

/// What kind of answer a request asks for: browsers are told accordingly.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    is_docs: bool,
    is_private: bool,
}

impl Kind {
    /// The kind that a request asks for.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let is_docs = path == "/docs" || path.starts_with("/docs/") || path.starts_with("/problems/");
        let is_private = path.starts_with("/v1/") || request.headers().contains_key(header::AUTHORIZATION);
        Self { is_docs, is_private }
    }
}

impl Browsers {
    /// Refuses what a page of another origin asks, unless it is configured. For routes that go by a cookie: browsers send
    /// it along for pages of the same site, and a request without a body needs nobody's leave.
    ///
    /// # Errors
    ///
    /// 403 for a page that is neither this server's nor one of [`Self::origins`].
    pub fn admits(&self, request: &Request) -> Answer<()> {
        let headers = request.headers();
        let origin = headers.get(header::ORIGIN);
        if origin.is_some_and(|origin| self.origins.iter().any(|known| known.0 == *origin)) {
            return Ok(());
        }
        let own = match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            // `none`: nobody's page, but somebody at their browser.
            Some(site) => site == b"same-origin" || site == b"none",
            // Older browsers, and programs, which send neither.
            None => origin.is_none_or(|origin| is_of_host(origin, request)),
        };
        if own {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden).detail("pages of another origin may not use sessions here").into())
    }

    /// Adds the headers of every answer.
    pub fn tell(&self, kind: Kind, headers: &mut HeaderMap) {
        let mut say = |name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        say(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        say(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        say(header::CONTENT_SECURITY_POLICY, if kind.is_docs { CSP_OF_DOCS } else { CSP });
        if kind.is_private {
            say(header::CACHE_CONTROL, NO_STORE);
        }
        if self.hsts_seconds > 0 {
            let text = format!("max-age={}", self.hsts_seconds);
            if let Ok(value) = HeaderValue::try_from(text) {
                say(header::STRICT_TRANSPORT_SECURITY, value);
            }
        }
    }

    /// Answers pages of the configured origins, and only those; none where no origin is configured.
    #[must_use]
    pub fn cors(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.origins.iter().map(|origin| origin.0.clone())))
            // Sessions of browsers live in a cookie. Safe beside a list of exact origins, and only there.
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static(IDEMPOTENCY_KEY),
                HeaderName::from_static(X_REQUEST_ID),
                HeaderName::from_static(TRACEPARENT),
            ])
            .expose_headers([
                header::LOCATION,
                header::RETRY_AFTER,
                HeaderName::from_static(X_REQUEST_ID),
                HeaderName::from_static(TRACEPARENT),
                HeaderName::from_static("idempotent-replayed"),
                RATELIMIT,
                RATELIMIT_POLICY,
            ])
            .max_age(PREFLIGHT_AGE);
        Some(layer)
    }
}

/// Whether the origin is where the request was sent to. A proxy in front may speak another scheme: it is not compared.
fn is_of_host(origin: &HeaderValue, request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(Authority::as_str));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    host.zip(origin).is_some_and(|(host, (_, origin))| origin.eq_ignore_ascii_case(host))
}

/// Compresses what is worth it, for those who take it.
#[must_use]
pub fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(TOO_SMALL_TO_COMPRESS).and(NotForContentType::IMAGES).and(NotForContentType::SSE);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_origins_are_refused_and_configured_ones_are_not() {
        let browsers = Browsers { origins: vec!["https://shop.example.org".parse().unwrap()], hsts_seconds: 0 };
        let admits = |site: Option<&str>, origin: Option<&str>| {
            let mut request = Request::post("/v1/sessions/end").header("host", "api.example.org:8443");
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            browsers.admits(&request.body(axum::body::Body::empty()).unwrap()).is_ok()
        };
        let (own, shop, evil) =
            ("https://api.example.org:8443", "https://shop.example.org", "https://evil.example.org");
        for (site, origin) in [
            (None, None),
            (None, Some(own)),
            (None, Some(shop)),
            (Some("same-origin"), Some(own)),
            (Some("same-origin"), None),
            (Some("none"), None),
            (Some("same-site"), Some(shop)),
            (Some("cross-site"), Some(shop)),
        ] {
            assert!(admits(site, origin), "{site:?} {origin:?}");
        }
        for (site, origin) in [
            (None, Some(evil)),
            (None, Some("null")),
            (None, Some("https://api.example.org")),
            (Some("same-site"), Some(evil)),
            (Some("cross-site"), Some(evil)),
            (Some("cross-site"), None),
            (Some("cross-site"), Some("null")),
            (Some("same-site"), Some(own)),
        ] {
            assert!(!admits(site, origin), "{site:?} {origin:?}");
        }
    }

    #[test]
    fn an_origin_is_what_browsers_write() {
        for sound in ["https://shop.example.org", "http://localhost:5173", "https://[::1]:8443"] {
            assert!(sound.parse::<Origin>().is_ok(), "{sound}");
        }
        let wrong = ["*", "null", "shop.example.org", "https://shop.example.org/", "https://Shop.example.org"];
        for text in wrong.into_iter().chain(["https://a@b.org", "https://*.b.org", "ftp://b.org", "https://b.org:443"])
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
