//! A caller as far as their right reaches, and the table of who may say what over a socket. Somebody else's thing and a thing
//! that does not exist look the same (404); what a role may never do is 403.

mod messages;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::Order;
use posthaste_domain::party::Party;
use posthaste_http::auth::{Caller, Role};
pub use posthaste_http::contract::{Access, Scope};
use posthaste_http::idempotency::fingerprints;
use posthaste_http::problem::{Answer, Failure};
use posthaste_http::request_id::RequestId;
use posthaste_live::Cause;
use posthaste_live::orders::Idempotency;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::trace::TraceParent;

pub use self::messages::MessageRule;
pub(crate) use self::messages::Rights;

/// Whoever has a socket open.
pub const ANY_SOCKET: Access = Access::Public;
/// Whose socket was opened with a token.
const WITH_TOKEN: Access = Access::Roles(&[
    (Role::Admin, Scope::Own),
    (Role::Merchant, Scope::Own),
    (Role::Driver, Scope::Own),
    (Role::Customer, Scope::Own),
]);
/// A driver, about themselves and their own work.
const DRIVER: Access = Access::Roles(&[(Role::Driver, Scope::Own)]);

const fn message(kind: &'static str, access: Access) -> MessageRule {
    MessageRule { kind, access }
}

/// The table of what clients say over sockets: a line for each type of message.
pub const MESSAGES: &[MessageRule] = &[
    message("hello", ANY_SOCKET),
    message("heartbeat", ANY_SOCKET),
    message("token", WITH_TOKEN),
    message("shift", DRIVER),
    message("position", DRIVER),
    message("positions", DRIVER),
    message("accept", DRIVER),
    message("decline", DRIVER),
    message("departed", DRIVER),
    message("arrived", DRIVER),
    message("picked_up", DRIVER),
    message("delivered", DRIVER),
    message("returned", DRIVER),
    message("failed", DRIVER),
    message("do_next", DRIVER),
    message("undo_next", DRIVER),
];

/// What somebody of this role may never do.
#[must_use]
pub fn forbidden(role: Role) -> Failure {
    let article = if role == Role::Admin { "an" } else { "a" };
    Problem::new(Code::Forbidden).detail(format!("not for {article} {role}")).into()
}

/// Somebody who may use the route, and how far.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    request: Arc<str>,
    step: Option<TraceParent>,
}

impl<S: Send + Sync> FromRequestParts<S> for Admitted {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let scope = parts.extensions.get::<Scope>().copied().ok_or_else(|| forbidden(caller.role))?;
        let Ok(RequestId(request)) = RequestId::from_request_parts(parts, state).await;
        let step = parts.extensions.get::<TraceParent>().copied();
        Ok(Self { caller, scope, request, step })
    }
}

impl Admitted {
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who asks, under which request.
    pub(crate) fn cause(&self) -> Cause {
        Cause { step: self.step, ..Cause::new(self.caller.party, Arc::clone(&self.request)) }
    }

    /// What an idempotency key of the caller's stands for: a request that creates something under `path`.
    pub(crate) fn idempotency(&self, key: String, path: &str, body: &[u8]) -> Idempotency {
        Idempotency {
            principal: self.caller.party.to_string(),
            key,
            fingerprint: fingerprints(&Method::POST, path, body).into(),
            audience: self.caller.audience(),
        }
    }

    /// The order is the caller's business, or looks as if it did not exist.
    pub(crate) fn order(&self, order: &Order) -> Answer<()> {
        if concerns(order, self.caller.party, self.scope) { Ok(()) } else { Err(no_such("order")) }
    }

    /// The driver is the caller, or the caller may act for any.
    pub(crate) fn driver(&self, id: DriverId) -> Answer<()> {
        if self.scope == Scope::All || self.caller.driver() == Some(id) { Ok(()) } else { Err(no_such("driver")) }
    }
}

/// Whether an order is a party's business, as far as `scope` reaches.
fn concerns(order: &Order, party: Party, scope: Scope) -> bool {
    if scope == Scope::All {
        return true;
    }
    match party {
        Party::System | Party::Admin(_) => false,
        Party::Merchant(id) if scope == Scope::Part => order.concerns_merchant(id),
        Party::Merchant(id) => order.merchant == id,
        Party::Customer(id) => order.customer == Some(id),
        Party::Driver(id) => {
            order.assignment.is_some_and(|a| a.driver == id) || order.offer.is_some_and(|o| o.driver == id)
        }
    }
}

/// What is not there, or not the caller's: the two look the same.
#[must_use]
pub fn no_such(what: &str) -> Failure {
    Problem::new(Code::NotFound).detail(format!("no such {what}")).into()
}
