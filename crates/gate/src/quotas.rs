//! Who has asked how often: each account and each key for itself, all of a merchant's together, everybody else by
//! address.
//!
//! The table of access knows who asks, so it counts; what stands around it tells how the caller stands, on every
//! answer.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use posthaste_clock::Clock;
use posthaste_domain::ids::{AccountId, ApiKeyId, MerchantId};
use posthaste_domain::party::Party;
use posthaste_http::address::ClientAddress;
use posthaste_http::auth::{Caller, Credential};
use posthaste_http::problem::Answer;
use posthaste_http::quota::{Limiter, Quotas, Standing};

/// Accounts remembered at most. About 60 MB, were all of them to ask within a minute.
const MOST_CALLERS: usize = 1_000_000;
/// Addresses remembered at most: strangers are to cost less.
const MOST_ADDRESSES: usize = 200_000;

/// How many times one caller's quota a merchant has, for all their keys and their account together.
const TOGETHER: u32 = 4;

/// Whose quota a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asking {
    /// Signed in: on however many devices.
    Account(AccountId),
    Key(ApiKeyId),
    /// By a token of development.
    Party(Party),
}

impl Asking {
    fn of(caller: &Caller) -> Self {
        match caller.credential {
            Credential::Login(proof) => Self::Account(proof.account),
            Credential::Key { key, .. } => Self::Key(key),
            Credential::Development => Self::Party(caller.party),
        }
    }
}

/// Who has asked how often.
pub(crate) struct Counts {
    clock: Clock,
    callers: Limiter<Asking>,
    merchants: Limiter<MerchantId>,
    addresses: Limiter<IpAddr>,
}

/// How the caller of a request stands, once it was counted; nothing where no limit is set for them.
#[derive(Clone, Default)]
struct Meter(Arc<OnceLock<Option<Standing>>>);

impl Counts {
    pub(crate) fn new(quotas: Quotas, clock: Clock) -> Self {
        let now = clock.instant();
        Self {
            clock,
            callers: Limiter::new("caller", quotas.caller_per_minute, MOST_CALLERS, now),
            merchants: Limiter::new("merchant", quotas.caller_per_minute.saturating_mul(TOGETHER), MOST_CALLERS, now),
            addresses: Limiter::new("address", quotas.address_per_minute, MOST_ADDRESSES, now),
        }
    }

    /// Counts a request of somebody whose token was accepted.
    pub(crate) fn caller(&self, request: &Request, caller: &Caller) -> Answer<()> {
        let now = self.clock.instant();
        let own = self.callers.take(Asking::of(caller), now);
        let is_refused = |standing: &Standing| standing.refused_for.is_some();
        let together = match (caller.party, caller.credential) {
            // One token is all there is of them.
            (_, Credential::Development) => None,
            (Party::Merchant(id), _) if !own.as_ref().is_some_and(is_refused) => self.merchants.take(id, now),
            _ => None,
        };
        admit(request, together.filter(is_refused).or(own))
    }

    /// Whether strangers from this address have nothing left: what they send is not worth a look into the database.
    pub(crate) fn is_spent(&self, request: &Request) -> bool {
        let standing = self.addresses.look(ClientAddress::of(request).network(), self.clock.instant());
        standing.is_some_and(|standing| standing.left == 0)
    }

    /// Counts a request of somebody who is nobody yet.
    pub(crate) fn stranger(&self, request: &Request) -> Answer<()> {
        admit(request, self.addresses.take(ClientAddress::of(request).network(), self.clock.instant()))
    }
}

fn admit(request: &Request, standing: Option<Standing>) -> Answer<()> {
    if let Some(Meter(meter)) = request.extensions().get() {
        let _ = meter.set(standing);
    }
    standing.map_or(Ok(()), |standing| standing.admit())
}

/// A request whose caller will have been counted when it is answered.
pub(crate) struct Metered {
    meter: Meter,
    address: IpAddr,
}

impl Metered {
    /// Prepares a request to be counted.
    pub(crate) fn begin(request: &mut Request) -> Self {
        let metered = Self { meter: Meter::default(), address: ClientAddress::of(request).network() };
        request.extensions_mut().insert(metered.meter.clone());
        metered
    }

    /// Tells on the answer how its caller stands. What no route has counted (no such path, the page of the API) counts
    /// for the address.
    pub(crate) fn tell(self, counts: &Counts, mut response: Response) -> Response {
        let addresses = &counts.addresses;
        let standing = match self.meter.0.get() {
            Some(standing) => *standing,
            // The server's own trouble is not held against anybody.
            None if response.status().is_server_error() => addresses.look(self.address, counts.clock.instant()),
            None => {
                let standing = addresses.take(self.address, counts.clock.instant());
                if let Some(Err(refused)) = standing.map(|standing| standing.admit()) {
                    response = refused.into_response();
                }
                standing
            }
        };
        if let Some(standing) = standing {
            standing.tell(response.headers_mut());
        }
        response
    }
}
