//! Who may do what: one table, of the contracts that stand beside the handlers. It is what is enforced, what the documents of
//! the API and of the sockets say, what `docs/access.md` shows, and what the tests try.
//!
//! A route that is not in the table refuses everybody, and so does a message of a socket. Somebody else's thing and a thing
//! that does not exist look the same (404); what a role may never do is 403.

mod messages;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::Order;
use posthaste_domain::party::Party;
use posthaste_http::address::ClientAddress;
use posthaste_http::auth::{Caller, Credential, Role, bearer};
use posthaste_http::bounds::{AllBounds, Bounds};
pub use posthaste_http::contract::{Access, Rule, Scope};
use posthaste_http::contract::{Audit, Quota};
use posthaste_http::idempotency::fingerprints;
use posthaste_http::problem::{Answer, Failure};
use posthaste_http::request_id::RequestId;
use posthaste_identity::{Entry, Origin, Same};
use posthaste_live::Cause;
use posthaste_live::orders::Idempotency;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::trace::TraceParent;

pub use self::messages::MessageRule;
pub(crate) use self::messages::Rights;
use crate::AppState;
use crate::worlds::Closed;

/// The table: the contracts of all routes, as their contexts export them.
pub static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| crate::openapi::routes().rules().to_vec());

/// The contract of a route; that of its head is the same.
#[must_use]
pub fn rule_of(method: &Method, path: &str) -> Option<&'static Rule> {
    static TABLE: LazyLock<HashMap<(&str, &str), &Rule>> =
        LazyLock::new(|| RULES.iter().map(|rule| ((rule.method, rule.path), rule)).collect());
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.get(&(method, path)).copied()
}

/// The contract of the route that a request is for; none where there is no such route.
pub(crate) fn rule_for(request: &Request) -> Option<&'static Rule> {
    rule_of(request.method(), request.extensions().get::<MatchedPath>()?.as_str())
}

/// Whoever has a socket open.
const ANY_SOCKET: Access = Access::Public;
/// Whose socket was opened with a token.
const WITH_TOKEN: Access =
    Access::Roles(&[(Role::Admin, Scope::Own), (Role::Merchant, Scope::Own), (Role::Driver, Scope::Own)]);
/// A driver, about himself and his own work.
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

/// Whether somebody whose role may use the route may do so with what he came with.
fn suits(rule: &Rule, caller: &Caller) -> Answer<()> {
    let refused = |code, detail: &str| Err(Problem::new(code).detail(detail).into());
    match (caller.credential, rule.access) {
        (Credential::Login(proof), _)
            if !proof.may_work && caller.role == Role::Admin && rule.wants_second_factor_of_admins() =>
        {
            refused(
                Code::SecondFactorMissing,
                "set the second factor up (POST /v1/account/second-factor), or where it is on show it \
                 (POST /v1/account/step-up); then refresh the token",
            )
        }
        (Credential::Login(_), Access::Account(_)) => Ok(()),
        (_, Access::Account(_)) => refused(Code::Forbidden, "sign in with an account for this"),
        (Credential::Login(proof), _) if !proof.may_work => {
            refused(Code::NotActivated, "merchants and drivers wait for an admin; then refresh the token")
        }
        (Credential::Key { scopes, .. }, _) => match rule.key {
            Some(scope) if scopes.hold(scope) => Ok(()),
            Some(scope) => refused(Code::ScopeRequired, &format!("the key has no scope `{}`", scope.name())),
            None => refused(Code::Forbidden, "not with a key: sign in for this"),
        },
        _ => Ok(()),
    }
}

/// The table as a page for people: `docs/access.md`.
#[must_use]
pub fn page() -> String {
    let mut messages = String::from("| message | whose socket |\n|---|---|\n");
    for rule in MESSAGES {
        let who = if rule.access == ANY_SOCKET { "whoever has one open".to_owned() } else { rule.access.to_string() };
        messages += &format!("| `{}` | {who} |\n", rule.kind);
    }
    format!(
        "# Who may do what\n\nWritten by `posthaste access` from the contracts that stand beside the handlers. What is not here \
         refuses everybody. Codes are those of what a route does; the rest follows from its shape and its access, and stands in \
         `/openapi.json`. \"Fresh proof\" is a password or second factor of the last ten minutes; what operations do, and \
         what wants a fresh proof, stands in the audit log before it is done, or with the change itself (\"notes itself\").\n{}\n\
         ## what clients say over sockets\n\n{messages}",
        posthaste_http::contract::page(&RULES)
    )
}

/// The limits of every operation, as the API document states them.
static BOUNDS: LazyLock<AllBounds> = LazyLock::new(|| {
    let document = serde_json::to_value(crate::openapi::document()).unwrap_or_default();
    let mut bounds = AllBounds::of(&document);
    for rule in RULES.iter().filter(|rule| rule.whole_at_once) {
        if let Ok(method) = rule.method.parse() {
            bounds.leave_sizes(&method, rule.path);
        }
    }
    bounds
});

/// Lets a request through, or answers 401 or 403. Runs before anything of the request is read.
pub(crate) async fn enforce(
    State(app): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Some(rule) = rule_for(&request) else {
        tracing::error!(path = request.uri().path(), "no contract says who may use this route: nobody may");
        return Err(Code::Forbidden.into());
    };
    let holds_something = !request.method().is_safe() || request.uri().query().is_some();
    if holds_something && let Some(bounds) = BOUNDS.get(request.method(), rule.path) {
        request.extensions_mut().insert::<&'static Bounds>(bounds);
    }
    if let Some(Closed(problem)) = request.extensions_mut().remove() {
        return Err(problem.into());
    }
    if rule.access.wants_token() {
        let query = request.uri().query().filter(|_| rule.socket);
        let in_header = request.headers().contains_key(header::AUTHORIZATION);
        let admitted = match bearer(request.headers(), query) {
            Ok(token) if !in_header && token.starts_with("ph_") => Err(key_in_address()),
            // A key that nobody has seen costs a query; whoever has none left is refused before.
            Ok(token) if app.identity().is_unseen_key(token) && app.counts().is_spent(&request) => {
                app.counts().stranger(&request)?;
                Err(Code::Unauthenticated.into())
            }
            Ok(token) => app.identity().admit(token).await.and_then(|caller| of_world(&app, caller)),
            Err(missing) => Err(missing),
        };
        let caller = match admitted {
            Ok(caller) => caller,
            Err(refused) => {
                app.counts().stranger(&request)?;
                return Err(refused);
            }
        };
        app.counts().caller(&request, &caller)?;
        let account = caller.login().map(|proof| proof.account);
        let same = |act| Same { kind: rule.path, ..Same::about(act, account) };
        let Some(scope) = rule.access.scope(caller.role) else {
            // Somebody tries doors. What cannot be noted now is refused all the same.
            let act = "access.refused";
            let (origin, entry) = note(&request, &caller, act);
            if let Err(error) = app.identity().note_folded(&origin, same(act), entry).await {
                tracing::warn!(%error, path = rule.path, "a refusal could not be noted");
            }
            return Err(forbidden(caller.role));
        };
        suits(rule, &caller)?;
        if rule.audit == Audit::Reading && caller.role == Role::Admin {
            let act = "persons.read";
            let (origin, entry) = note(&request, &caller, act);
            app.identity().note_folded(&origin, same(act), entry).await?;
        }
        if rule.sensitive {
            app.identity().show_fresh(&caller).await?;
        }
        if (rule.sensitive || caller.role == Role::Admin) && rule.audit == Audit::Before {
            // Written before it is done: what cannot be noted is not done.
            let (origin, entry) = note(&request, &caller, format!("{} {}", rule.method, rule.path));
            app.identity().note(&origin, entry).await?;
        }
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(scope);
    } else {
        if rule.quota == Quota::Counted {
            app.counts().stranger(&request)?;
        }
        if rule.own_pages {
            app.limits().browsers.admits(&request)?;
        }
    }
    Ok(next.run(request).await)
}

/// Keys do not end by themselves, and addresses are logged by whom they pass.
fn key_in_address() -> Failure {
    Problem::new(Code::Unauthenticated).detail("a key belongs into the header `authorization`").into()
}

/// A caller of the world that is asked. Requests are sorted by their tokens before they come here; that alone is not
/// trusted.
fn of_world(app: &AppState, caller: Caller) -> Answer<Caller> {
    if caller.world() == app.world() {
        return Ok(caller);
    }
    let detail = format!("it is of the {} world, which is not to be had here", caller.world().name());
    Err(Problem::new(Code::Unauthenticated).detail(detail).into())
}

/// What somebody does, and where from, for the audit log.
fn note(request: &Request, caller: &Caller, act: impl Into<String>) -> (Origin, Entry) {
    let address = request.extensions().get::<ClientAddress>().map(|address| address.0);
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    let local = Origin::local();
    let origin = Origin { address: address.unwrap_or(local.address), request_id, ..local };
    (origin, Entry::new(act, caller.actor()).on(request.uri().path()))
}

fn forbidden(role: Role) -> Failure {
    let article = if role == Role::Admin { "an" } else { "a" };
    Problem::new(Code::Forbidden).detail(format!("not for {article} {role}")).into()
}

/// Somebody who may use the route, and how far.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    request: Arc<str>,
    step: Option<TraceParent>,
}

impl FromRequestParts<AppState> for Admitted {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let scope = parts.extensions.get::<Scope>().copied().ok_or_else(|| forbidden(caller.role))?;
        let Ok(RequestId(request)) = RequestId::from_request_parts(parts, app).await;
        let step = parts.extensions.get::<TraceParent>().copied();
        Ok(Self { caller, scope, request, step })
    }
}

impl Admitted {
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

    /// The driver is the caller himself, or the caller may act for any.
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
pub(crate) fn no_such(what: &str) -> Failure {
    Problem::new(Code::NotFound).detail(format!("no such {what}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_the_head_needs_the_rights_of_asking_for_all() {
        assert_eq!(rule_of(&Method::HEAD, "/v1/drivers").map(|r| r.access), Some(Access::ADMIN));
        assert_eq!(rule_of(&Method::PATCH, "/v1/drivers"), None);
    }
}
