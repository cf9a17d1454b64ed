//! Where the simulated people get their tokens.

use std::fmt;
use std::sync::Arc;

use posthaste_client::{Client, Token};
use posthaste_domain::party::Party;

/// Mints a token for anybody. The server's program signs with its own key; against another server, with that
/// server's.
#[derive(Clone)]
pub struct Tokens(Arc<dyn Fn(Party) -> String + Send + Sync>);

impl Tokens {
    /// Tokens from a function.
    pub fn new(mint: impl Fn(Party) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(mint))
    }

    /// A token for `party`, fresh whenever it is needed, so that a long run outlives any one token.
    #[must_use]
    pub fn of(&self, party: Party) -> Token {
        let mint = Arc::clone(&self.0);
        Token::source(move || mint(party))
    }

    /// The client that acts as `party`.
    pub(crate) fn client(&self, client: &Client, party: Party) -> Client {
        client.with_token(self.of(party))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}
