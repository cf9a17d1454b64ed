//! Who did what, on whom, when, from where: entries that are written with what they tell of and never changed.

pub(crate) mod folding;
pub(crate) mod routes;
pub(crate) mod store;

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use posthaste_domain::ids::AccountId;
use posthaste_http::address::ClientAddress;
use posthaste_http::request_id::RequestId;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// The longest description of a device that is kept, in characters.
const LONGEST_DEVICE: usize = 200;
/// The longest subject that is searched for, in characters.
pub(crate) const LONGEST_SUBJECT: usize = 500;

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The network address.
    pub address: IpAddr,
    /// What the device calls itself.
    pub device: String,
    /// The request's id.
    pub request_id: String,
}

impl Origin {
    /// The program itself.
    #[must_use]
    pub fn local() -> Self {
        let address = Ipv4Addr::LOCALHOST.into();
        Self { address, device: "the server's command line".to_owned(), request_id: String::new() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let Ok(ClientAddress(address)) = ClientAddress::from_request_parts(parts, state).await;
        let Ok(RequestId(request_id)) = RequestId::from_request_parts(parts, state).await;
        let device = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let device = device.chars().filter(|c| !c.is_control()).take(LONGEST_DEVICE).collect();
        Ok(Self { address, device, request_id: request_id.to_string() })
    }
}

/// An entry that is about to be written.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) act: String,
    pub(crate) actor: String,
    pub(crate) subject: Option<String>,
    pub(crate) details: Value,
}

impl Entry {
    /// What somebody did.
    #[must_use]
    pub fn new(act: impl Into<String>, actor: impl ToString) -> Self {
        Self { act: act.into(), actor: actor.to_string(), subject: None, details: json!({}) }
    }

    /// What nobody in particular did, with an account where there is one.
    pub(crate) fn of_nobody(act: &'static str, account: Option<AccountId>) -> Self {
        let entry = Self::new(act, "nobody");
        match account {
            Some(account) => entry.on(account),
            None => entry,
        }
    }

    /// On whom or what.
    #[must_use]
    pub fn on(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// What else belongs to it. Never a secret.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}
