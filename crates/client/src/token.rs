//! The bearer token: none, a fixed one, or a source that is asked before each request and connection, and by sockets
//! before the present one ends.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::Timestamp;

/// Who the client is. A source lets a long-lived socket come back with a fresh token.
#[derive(Clone, Default)]
pub enum Token {
    /// Nobody: for public routes and tracking links.
    #[default]
    None,
    /// The same token always.
    Fixed(Arc<str>),
    /// Asked before each request and each connection, and by an open socket when most of the present token's time has
    /// passed.
    Source(Arc<dyn Fn() -> String + Send + Sync>),
}

impl Token {
    /// A token from a source.
    pub fn source(source: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self::Source(Arc::new(source))
    }

    /// The token's text now.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Fixed(text) => Some(text.to_string()),
            Self::Source(source) => Some(source()),
        }
    }

    /// Whether asking again may give another token.
    #[must_use]
    pub fn renews(&self) -> bool {
        matches!(self, Self::Source(_))
    }
}

/// When a token ends, where it says so (a JWT's `exp`). Not checked: that is the server's.
pub(crate) fn ends_at(token: &str) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Timestamp::from_timestamp(serde_json::from_slice::<Claims>(&claims).ok()?.exp, 0)
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self::Fixed(text.into())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self::Fixed(text.into())
    }
}

impl From<&String> for Token {
    fn from(text: &String) -> Self {
        Self::Fixed(text.as_str().into())
    }
}

impl From<Option<String>> for Token {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::None, Self::from)
    }
}

/// Tokens are secrets: debug output never shows them.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Token::None",
            Self::Fixed(_) => "Token::Fixed(…)",
            Self::Source(_) => "Token::Source(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_when_it_ends_or_nothing_is_known() {
        // {"exp":600}
        assert_eq!(ends_at("e30.eyJleHAiOjYwMH0.sig"), Timestamp::from_timestamp(600, 0));
        for unknown in ["", "opaque", "a.b.c", "e30.e30.sig", "e30.eyJleHAiOiJ4In0.sig", "ph_live_x"] {
            assert_eq!(ends_at(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_token_is_never_shown_by_debug_output() {
        assert!(!format!("{:?}", Token::from("secret")).contains("secret"));
        assert_eq!(Token::from("secret").current().as_deref(), Some("secret"));
    }
}
