//! Who has asked how often: accounts and keys by whom their token names, everybody else by address.
//!
//! The table of access knows who asks, so it counts; what stands around it tells how the caller stands, on every
//! answer.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use posthaste_domain::party::Party;
use posthaste_http::address::ClientAddress;
use posthaste_http::problem::Answer;
use posthaste_http::quota::{Limiter, Quotas, Standing};

/// Accounts remembered at most. About 60 MB, were all of them to ask within a minute.
const MOST_CALLERS: usize = 1_000_000;
/// Addresses remembered at most: strangers are to cost less.
const MOST_ADDRESSES: usize = 200_000;

/// Who has asked how often.
pub(crate) struct Counts {
    callers: Limiter<Party>,
    addresses: Limiter<IpAddr>,
}

/// How the caller of a request stands, once it was counted; nothing where no limit is set for him.
#[derive(Clone, Default)]
struct Meter(Arc<OnceLock<Option<Standing>>>);

impl Counts {
    pub(crate) fn new(quotas: Quotas) -> Self {
        let now = Instant::now();
        Self {
            callers: Limiter::new("caller", quotas.caller_per_minute, MOST_CALLERS, now),
            addresses: Limiter::new("address", quotas.address_per_minute, MOST_ADDRESSES, now),
        }
    }

    /// Counts a request of somebody whose token was accepted.
    pub(crate) fn caller(&self, request: &Request, party: Party) -> Answer<()> {
        admit(request, self.callers.take(party, Instant::now()))
    }

    /// Counts a request of somebody who is nobody yet.
    pub(crate) fn stranger(&self, request: &Request) -> Answer<()> {
        if is_free(request) {
            return Ok(());
        }
        admit(request, self.addresses.take(ClientAddress::of(request).network(), Instant::now()))
    }
}

fn admit(request: &Request, standing: Option<Standing>) -> Answer<()> {
    if let Some(Meter(meter)) = request.extensions().get() {
        let _ = meter.set(standing);
    }
    standing.map_or(Ok(()), |standing| standing.admit())
}

/// Those who watch over the server ask often, and from few addresses.
fn is_free(request: &Request) -> bool {
    request.uri().path().starts_with("/health/")
}

/// A request whose caller will have been counted when it is answered.
pub(crate) struct Metered {
    meter: Meter,
    address: IpAddr,
}

impl Metered {
    /// Prepares a request to be counted; none where it is not.
    pub(crate) fn begin(request: &mut Request) -> Option<Self> {
        if is_free(request) {
            return None;
        }
        let metered = Self { meter: Meter::default(), address: ClientAddress::of(request).network() };
        request.extensions_mut().insert(metered.meter.clone());
        Some(metered)
    }

    /// Tells on the answer how its caller stands. What no route has counted (no such path, the page of the API) counts
    /// for the address.
    pub(crate) fn tell(self, counts: &Counts, mut response: Response) -> Response {
        let addresses = &counts.addresses;
        let standing = match self.meter.0.get() {
            Some(standing) => *standing,
            // The server's own trouble is not held against anybody.
            None if response.status().is_server_error() => addresses.look(self.address, Instant::now()),
            None => {
                let standing = addresses.take(self.address, Instant::now());
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
