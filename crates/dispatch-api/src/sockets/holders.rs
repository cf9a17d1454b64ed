//! How many sockets one login, key, token, driver or tracking link has open, from their upgrade on: a new one beyond the bound
//! takes the oldest one's place, whether that has said hello or not.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::ids::{ApiKeyId, DriverId, LoginId, OrderId};
use posthaste_domain::party::Party;
use posthaste_http::auth::{Caller, Credential};
use posthaste_live::streams::Ender;

/// Who holds a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Login(LoginId),
    Key(ApiKeyId),
    Party(Party),
    /// A driver, whatever they came with.
    Driver(DriverId),
    /// Whoever has the link of this order.
    Link(OrderId),
}

impl Holder {
    pub(super) fn of(caller: &Caller) -> Self {
        match caller.credential {
            Credential::Login(proof) => Self::Login(proof.login),
            Credential::Key { key, .. } => Self::Key(key),
            Credential::Development => Self::Party(caller.party),
        }
    }
}

type Open = Mutex<HashMap<Holder, VecDeque<(u64, Ender)>>>;

/// The sockets of everybody.
#[derive(Default)]
pub(crate) struct Holders {
    open: Arc<Open>,
    opened: std::sync::atomic::AtomicU64,
}

/// A socket among those of its holder, until it is dropped.
pub(super) struct Held {
    open: Arc<Open>,
    holder: Holder,
    number: u64,
}

impl Holders {
    /// Counts a socket; above `most` of one holder the oldest one is told that another took its place.
    pub(super) fn enter(&self, holder: Holder, ender: Ender, most: usize) -> Held {
        let number = self.opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut open = self.open.lock();
        let own = open.entry(holder).or_default();
        own.push_back((number, ender));
        if own.len() > most.max(1)
            && let Some((_, oldest)) = own.pop_front()
        {
            oldest.replace();
        }
        Held { open: Arc::clone(&self.open), holder, number }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(own) = open.get_mut(&self.holder) {
            own.retain(|(number, _)| *number != self.number);
            if own.is_empty() {
                open.remove(&self.holder);
            }
        }
    }
}
