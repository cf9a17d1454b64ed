//! Google over HTTP: where its endpoints are, its keys, and the trade of a code for an ID token. Whatever is answered,
//! however slowly, ends in one of three: what was asked for, a refusal, or "not now".

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_clock::Clock;
use posthaste_domain::Timestamp;
use posthaste_outside::{Budget, Client, NoClient, Operation, Outcome, Reads, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout_at;

use super::claims::{self, Expected, Keys, Untrusted, Vouched};
use super::settings::{GoogleSettings, is_safe};

/// How long everything that one request needs of Google may take. People wait in front of it.
const LONGEST: Duration = Duration::from_secs(5);
/// Of this, until a connection stands.
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read. Google's are a tenth of it.
const MOST_READ: usize = 256 * 1024;
/// How long endpoints and keys are believed. Longer is fewer requests; a key that Google took back is believed as long.
const KEPT: Duration = Duration::from_secs(3600);
/// How often keys are read anew because a token names one that is not among them: forged tokens ask for no more.
const ANEW_EVERY: Duration = Duration::from_secs(60);
/// How long nobody asks again after endpoints or keys could not be read.
const PAUSE: Duration = Duration::from_secs(2);
/// Requests that wait for Google at once. Above it people are told to come back; the rest of the server is not slower.
const AT_ONCE: usize = 64;
/// Idle connections that are kept.
const IDLE: usize = 4;
/// What Google publishes. Who reads it has a pause of its own: [`PAUSE`].
const READ: Operation = Operation::new("google", "read").repeatable().unguarded();
/// A code is good once.
const TRADE: Operation = Operation::new("google", "trade");

/// Why there is nothing from Google.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Not now: it is down, slow, or answers what nobody understands.
    Unavailable,
    /// Google does not take the code, or its token is not believed.
    Refused,
}

/// Google, as it is configured.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) settings: GoogleSettings,
    clock: Clock,
    client: Client,
    places: Semaphore,
    known: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    failed: Option<Instant>,
}

/// What was read of Google.
#[derive(Debug)]
struct Known {
    endpoints: Endpoints,
    keys: Keys,
    read: Instant,
}

#[derive(Debug)]
struct Endpoints {
    authorization: Url,
    token: Url,
    keys: Url,
}

/// Of the discovery document, what is needed here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
}

/// What goes to Google with the browser. The verifier's digest, never the verifier.
pub(crate) struct Begun<'a> {
    pub(crate) state: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) challenge: &'a str,
}

/// What came back from Google, with what it is checked by.
pub(crate) struct Returned<'a> {
    pub(crate) code: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) nonce: &'a str,
}

impl Provider {
    /// # Errors
    ///
    /// Where the machine cannot make an HTTP client.
    pub(crate) fn new(settings: GoogleSettings, clock: Clock) -> Result<Self, NoClient> {
        let client = Client::connecting_within(LONGEST_CONNECT).without_proxy().idle_connections(IDLE).build()?;
        Ok(Self { settings, clock, client, places: Semaphore::new(AT_ONCE), known: Mutex::default() })
    }

    /// Where a browser goes to sign in.
    pub(crate) async fn authorization_url(&self, begun: Begun<'_>) -> Result<Url, Failed> {
        let budget = Budget::of(LONGEST);
        let known = self.in_time(budget, self.known(None, budget)).await?;
        let mut url = known.endpoints.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", self.settings.callback.as_str())
            .append_pair("scope", "openid email profile")
            .append_pair("state", begun.state)
            .append_pair("nonce", begun.nonce)
            .append_pair("code_challenge", begun.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Whom Google vouches for with the code that came back.
    pub(crate) async fn exchange(&self, returned: Returned<'_>, now: Timestamp) -> Result<Vouched, Failed> {
        let budget = Budget::of(LONGEST);
        self.in_time(budget, async {
            let known = self.known(None, budget).await?;
            let token = self.trade(&known.endpoints.token, &returned, budget).await?;
            let GoogleSettings { issuer, client_id, .. } = &self.settings;
            let expected = Expected { issuer, client_id, nonce: returned.nonce };
            let mut read = claims::read(&token, &known.keys, expected, now);
            if read == Err(Untrusted::UnknownKey) {
                let newer = self.known(Some(&known), budget).await?;
                read = claims::read(&token, &newer.keys, expected, now);
            }
            read.map_err(|why| {
                tracing::warn!(%why, "an ID token was not believed");
                Failed::Refused
            })
        })
        .await
    }

    /// The work, if there is a place, and if it is done in time.
    async fn in_time<T>(&self, budget: Budget, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let Ok(_place) = self.places.try_acquire() else { return Err(Failed::Unavailable) };
        timeout_at(budget.ends(), work).await.unwrap_or_else(|_| {
            tracing::warn!("Google took too long");
            Err(Failed::Unavailable)
        })
    }

    /// Endpoints and keys. One task at a time reads them, the others wait for it. `old` is what was not good enough.
    async fn known(&self, old: Option<&Arc<Known>>, budget: Budget) -> Result<Arc<Known>, Failed> {
        let mut state = self.known.lock().await;
        if let Some(known) = &state.known {
            let did_not_do = old.is_some_and(|old| Arc::ptr_eq(old, known));
            if still_serves(self.clock.instant().duration_since(known.read), did_not_do) {
                return Ok(Arc::clone(known));
            }
        }
        if state.failed.is_some_and(|at| self.clock.instant().duration_since(at) < PAUSE) {
            return Err(Failed::Unavailable);
        }
        // Stays so if the caller is gone before the answer.
        state.failed = Some(self.clock.instant());
        let endpoints = self.discover(budget).await;
        let read = match endpoints {
            Ok(endpoints) => self.keys(&endpoints.keys, budget).await.map(|keys| (endpoints, keys)),
            Err(why) => Err(why),
        };
        let (endpoints, keys) = read.map_err(|why| {
            tracing::warn!(issuer = self.settings.issuer, why, "what Google publishes could not be read");
            state.failed = Some(self.clock.instant());
            Failed::Unavailable
        })?;
        let known = Arc::new(Known { endpoints, keys, read: self.clock.instant() });
        *state = State { known: Some(Arc::clone(&known)), failed: None };
        Ok(known)
    }

    async fn discover(&self, budget: Budget) -> Result<Endpoints, String> {
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| error.to_string())?;
        let body = self.get(&url, budget).await?;
        let said: Metadata = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        if said.issuer != self.settings.issuer {
            return Err("it speaks for another issuer".to_owned());
        }
        let endpoint = |text: &str| {
            let url = Url::parse(text).map_err(|error| format!("an endpoint: {error}"))?;
            let safe = is_safe(&url, self.settings.plain_http);
            if safe { Ok(url) } else { Err("it names an endpoint without TLS".to_owned()) }
        };
        let authorization = endpoint(&said.authorization_endpoint)?;
        Ok(Endpoints { authorization, token: endpoint(&said.token_endpoint)?, keys: endpoint(&said.jwks_uri)? })
    }

    async fn keys(&self, url: &Url, budget: Budget) -> Result<Keys, String> {
        Keys::read(&self.get(url, budget).await?).ok_or_else(|| "its keys are no key set".to_owned())
    }

    async fn get(&self, url: &Url, budget: Budget) -> Result<Vec<u8>, String> {
        let request = self.client.get(url.clone()).header("accept", "application/json");
        match self.client.send(READ, request, Reads::Body(MOST_READ), budget).await {
            Outcome::Done(response) if response.status == StatusCode::OK => Ok(response.body.into()),
            Outcome::Done(response) => Err(format!("answered {}", response.status)),
            Outcome::Refused(refusal) => Err(refusal.why),
            Outcome::Unknown(unknown) => Err(unknown.why),
        }
    }

    /// The ID token for a code.
    async fn trade(&self, endpoint: &Url, returned: &Returned<'_>, budget: Budget) -> Result<String, Failed> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", returned.code),
            ("redirect_uri", self.settings.callback.as_str()),
            ("client_id", &self.settings.client_id),
            ("client_secret", self.settings.client_secret.expose()),
            ("code_verifier", returned.verifier),
        ];
        let unavailable = |why: &str| {
            tracing::warn!(why, "Google did not trade a code");
            Failed::Unavailable
        };
        let request = self.client.post(endpoint.clone()).header("accept", "application/json").form(&form);
        let refusal = match self.client.send(TRADE, request, Reads::Body(MOST_READ), budget).await {
            Outcome::Done(response) => {
                let tokens: Result<Tokens, _> = serde_json::from_slice(&response.body);
                return tokens.map(|tokens| tokens.id_token).map_err(|_| unavailable("answered without an ID token"));
            }
            // Whether the code was used up is not known: it is asked for again with another.
            Outcome::Unknown(unknown) => return Err(unavailable(&unknown.why)),
            Outcome::Refused(refusal) => refusal,
        };
        let said = refusal.answer.as_ref().map_or(&[][..], |answer| &answer.body);
        let error = serde_json::from_slice(said).map_or_else(|_| String::new(), |body: TokenError| body.error);
        if refusal.code.is_some_and(|code| (400..500).contains(&code)) && error == "invalid_grant" {
            return Err(Failed::Refused);
        }
        if error == "invalid_client" || error == "unauthorized_client" || error == "redirect_uri_mismatch" {
            tracing::error!(error, "Google does not know this server: are client id, secret and public_url right?");
        }
        Err(unavailable(&refusal.why))
    }
}

/// Whether what was read so long ago is used again. Where a key was missing in it, it is read anew sooner.
fn still_serves(age: Duration, did_not_do: bool) -> bool {
    age < if did_not_do { ANEW_EVERY } else { KEPT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_anew_after_an_hour_and_for_an_unknown_key_once_a_minute() {
        let cases = [(59, true, true), (61, true, false), (61, false, true), (3599, false, true), (3600, false, false)];
        for (seconds, did_not_do, serves) in cases {
            assert_eq!(still_serves(Duration::from_secs(seconds), did_not_do), serves, "{seconds} {did_not_do}");
        }
    }
}
