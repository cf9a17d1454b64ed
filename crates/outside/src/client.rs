//! HTTP to outside services, by the rules of the house: no redirect is followed, every wait and every body has a bound.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::Resolve;
use reqwest::header::HeaderMap;
use reqwest::{ClientBuilder, RequestBuilder, StatusCode, Url};
use tokio::time::timeout_at;

use crate::breaker::Limits;
use crate::budget::Budget;
use crate::calls::{Calls, no_answer};
use crate::operation::Operation;
use crate::outcome::{Outcome, Refusal, Scope, Unknown, of_status};
use crate::{NoClient, redact, retry_after};

/// Bytes of a body that are kept where an answer is not 2xx. What is missing of it does not matter.
const MOST_OF_A_REFUSAL: usize = 4096;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How much of a sound answer's body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// None of it: its status says all.
    Status,
    /// All of it, of at most so many bytes. A longer one is left, and what it said is not known.
    Body(usize),
}

/// An answer. Debug output shows neither headers nor body.
#[derive(Clone)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What was read of its body: where it is not 2xx, its beginning.
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status.as_u16(), self.body.len())
    }
}

/// Makes a client.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    client: ClientBuilder,
    limits: Limits,
}

impl Builder {
    /// Connects through no proxy that the environment names.
    pub fn without_proxy(mut self) -> Self {
        self.client = self.client.no_proxy();
        self
    }

    /// Calls addresses that strangers give: names are resolved by `resolver` alone, which leaves out what may not be dialled,
    /// and by no proxy.
    pub fn for_strangers(mut self, resolver: impl Resolve + 'static) -> Self {
        self.client = self.client.no_proxy().dns_resolver(resolver);
        self
    }

    /// Keeps so many idle connections to a host.
    pub fn idle_connections(mut self, most: usize) -> Self {
        self.client = self.client.pool_max_idle_per_host(most);
        self
    }

    /// With breakers of other limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// Where no HTTP client can be made on this machine.
    pub fn build(self) -> Result<Client, NoClient> {
        // An error means that the program chose its cryptography before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Client { http: self.client.build()?, calls: Calls::new(self.limits) })
    }
}

/// An HTTP client for outside services. Cheap to clone; clones share connections and breakers.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    calls: Calls,
}

impl Client {
    /// A client that waits at most so long until a connection stands. Shorter than the budgets of its calls, so that what
    /// could not be sent is told from what may have been.
    pub fn connecting_within(longest: Duration) -> Builder {
        let client = reqwest::Client::builder()
            .user_agent(concat!("posthaste/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(longest)
            // A redirect would lead past the check of the address, and take secrets elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        Builder { client, limits: Limits::default() }
    }

    /// A request that reads something.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// A request that does something.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.http.post(url)
    }

    /// Sends a request of this client, once, within the budget: [what its outcome means](crate::Outcome).
    pub async fn send(
        &self,
        operation: Operation,
        request: RequestBuilder,
        reads: Reads,
        budget: Budget,
    ) -> Outcome<Response> {
        self.calls.call(operation, budget, self.exchange(operation, request, reads, budget)).await
    }

    async fn exchange(
        &self,
        operation: Operation,
        request: RequestBuilder,
        reads: Reads,
        budget: Budget,
    ) -> Outcome<Response> {
        let mut response = match timeout_at(budget.ends(), request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return broken(&error),
            Err(_) => return Outcome::Unknown(no_answer(budget)),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        if !status.is_success() {
            let mut body = BytesMut::new();
            let _ = timeout_at(budget.ends(), read(&mut response, MOST_OF_A_REFUSAL, &mut body)).await;
            let asked = retry_after::of(&headers, self.calls.wall());
            let answer = Response { status, headers, body: body.freeze() };
            return of_status(status, operation.is_repeatable, asked, answer);
        }
        let mut body = BytesMut::new();
        if let Reads::Body(most) = reads {
            let why = match timeout_at(budget.ends(), read(&mut response, most + 1, &mut body)).await {
                Ok(Ok(())) if body.len() <= most => None,
                Ok(Ok(())) => Some("answered too much".to_owned()),
                Ok(Err(error)) => Some(format!("the connection broke: {}", redact::cause(&error))),
                Err(_) => Some(no_answer(budget).why),
            };
            if let Some(why) = why {
                return Outcome::Unknown(Unknown { code: Some(status.as_u16()), ..Unknown::new(why) });
            }
        }
        Outcome::Done(Response { status, headers, body: body.freeze() })
    }
}

/// Reads a body, or its first bytes.
async fn read(response: &mut reqwest::Response, most: usize, body: &mut BytesMut) -> Result<(), reqwest::Error> {
    while body.len() < most
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
    }
    Ok(())
}

/// What a request that got no answer comes to.
fn broken(error: &reqwest::Error) -> Outcome<Response> {
    let cause = redact::cause(error);
    if error.is_builder() {
        return Outcome::Refused(Refusal::new(Scope::Request, format!("cannot be sent: {cause}")).permanent());
    }
    if error.is_connect() {
        return Outcome::Refused(Refusal::new(Scope::Service, format!("cannot connect: {cause}")));
    }
    Outcome::Unknown(Unknown::new(format!("the connection broke: {cause}")))
}
