//! Who may do what: one table. It is what is enforced, what the documents of the API and of the sockets say, and what the
//! tests try.
//!
//! A route that is not in the table refuses everybody, and so does a message of a socket. Somebody else's thing and a thing that does not exist look
//! the same (404); what a role may never do is 403.

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
use posthaste_http::auth::{Caller, Credential, KeyScope, Role, bearer};
use posthaste_http::bounds::{AllBounds, Bounds};
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

/// How far a role's right reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's things.
    All,
    /// Its own: a merchant's orders, a customer's orders, a driver himself and the orders offered or given to him.
    Own,
    /// A merchant: its own orders, and those that it sells a part of.
    Part,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// Whoever holds the tracking link in the path.
    Link,
    /// Whoever is signed in to an account of these roles, whether it may work already or not: to look after itself.
    Account(&'static [Role]),
    /// Tokens of these roles, each as far as its scope.
    Roles(&'static [(Role, Scope)]),
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The method.
    pub method: &'static str,
    /// The path as it is routed.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What a merchant's key must be good for; none where keys are refused.
    pub key: Option<KeyScope>,
    /// Whether somebody who is signed in must have shown lately who he is, and whether it stands in the audit log
    /// whoever does it. Routes of accounts see to both themselves.
    pub sensitive: bool,
}

use Scope::{All, Own, Part};

const ADMIN: Access = Access::Roles(&[(Role::Admin, All)]);
const ADMIN_OR_DRIVER: Access = Access::Roles(&[(Role::Admin, All), (Role::Driver, Own)]);
const ADMIN_OR_OWNER: Access = Access::Roles(&[(Role::Admin, All), (Role::Merchant, Own)]);
const ADMIN_OR_SELLER: Access = Access::Roles(&[(Role::Admin, All), (Role::Merchant, Part)]);
const ADMIN_OWNER_CUSTOMER: Access = Access::Roles(&[(Role::Admin, All), (Role::Merchant, Own), (Role::Customer, Own)]);
const ADMIN_SELLER_CUSTOMER: Access =
    Access::Roles(&[(Role::Admin, All), (Role::Merchant, Part), (Role::Customer, Own)]);
const WHOM_IT_CONCERNS: Access =
    Access::Roles(&[(Role::Admin, All), (Role::Merchant, Part), (Role::Driver, Own), (Role::Customer, Own)]);
const ANY_ROLE: Access =
    Access::Roles(&[(Role::Admin, All), (Role::Merchant, All), (Role::Driver, All), (Role::Customer, All)]);

const ACCOUNT: Access = Access::Account(&Role::ALL);
const MERCHANT_ACCOUNT: Access = Access::Account(&[Role::Merchant]);

const fn rule(method: &'static str, path: &'static str, access: Access) -> Rule {
    Rule { method, path, access, key: None, sensitive: false }
}

/// A route that merchants' keys may use too.
const fn keyed(method: &'static str, path: &'static str, access: Access, key: KeyScope) -> Rule {
    Rule { method, path, access, key: Some(key), sensitive: false }
}

/// A route for which a login that lies open is not enough.
const fn sensitive(rule: Rule) -> Rule {
    Rule { sensitive: true, ..rule }
}

/// The table.
pub const RULES: &[Rule] = &[
    rule("GET", "/health/live", Access::Public),
    rule("GET", "/health/ready", Access::Public),
    rule("GET", "/version", Access::Public),
    rule("GET", "/asyncapi.json", Access::Public),
    rule("GET", "/docs/sockets", Access::Public),
    rule("GET", "/problems/{code}", Access::Public),
    keyed("GET", "/v1/clock", ANY_ROLE, KeyScope::OrdersRead),
    keyed("POST", "/v1/orders", ADMIN_OR_OWNER, KeyScope::OrdersWrite),
    keyed("GET", "/v1/orders", WHOM_IT_CONCERNS, KeyScope::OrdersRead),
    keyed("GET", "/v1/orders/{id}", WHOM_IT_CONCERNS, KeyScope::OrdersRead),
    keyed("POST", "/v1/orders/{id}/cancel", ADMIN_OWNER_CUSTOMER, KeyScope::OrdersWrite),
    keyed("POST", "/v1/orders/{id}/confirm", ADMIN_OR_SELLER, KeyScope::OrdersWrite),
    keyed("POST", "/v1/orders/{id}/reject", ADMIN_OR_SELLER, KeyScope::OrdersWrite),
    keyed("GET", "/v1/orders/{id}/timeline", ADMIN_SELLER_CUSTOMER, KeyScope::OrdersRead),
    keyed("GET", "/v1/orders/{id}/decision", ADMIN_OR_OWNER, KeyScope::OrdersRead),
    keyed("GET", "/v1/orders/{id}/tracking-link", ADMIN_OWNER_CUSTOMER, KeyScope::OrdersRead),
    keyed("POST", "/v1/orders/{id}/tasks/{task}/unlock-code", ADMIN_OR_SELLER, KeyScope::OrdersWrite),
    rule("PUT", "/v1/orders/{id}/priority", ADMIN),
    rule("POST", "/v1/orders/{id}/assign", ADMIN),
    rule("POST", "/v1/orders/{id}/unassign", ADMIN),
    rule("GET", "/v1/tracking/{token}", Access::Link),
    rule("POST", "/v1/drivers", ADMIN),
    rule("GET", "/v1/drivers", ADMIN),
    rule("GET", "/v1/drivers/{id}", ADMIN_OR_DRIVER),
    rule("PUT", "/v1/drivers/{id}/shift", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/shifts", ADMIN),
    rule("GET", "/v1/drivers/{id}/shifts", ADMIN_OR_DRIVER),
    rule("DELETE", "/v1/drivers/{id}/shifts/{shift}", ADMIN),
    rule("GET", "/v1/drivers/{id}/route", ADMIN_OR_DRIVER),
    rule("PUT", "/v1/drivers/{id}/route/next", ADMIN_OR_DRIVER),
    rule("DELETE", "/v1/drivers/{id}/route/next", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/positions", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/heartbeat", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/offers/{offer}/accept", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/offers/{offer}/decline", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/tasks/{task}/departed", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/tasks/{task}/arrived", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/tasks/{task}/picked_up", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/tasks/{task}/delivered", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/tasks/{task}/returned", ADMIN_OR_DRIVER),
    rule("POST", "/v1/drivers/{id}/tasks/{task}/failed", ADMIN_OR_DRIVER),
    rule("POST", "/v1/zones", ADMIN),
    keyed("GET", "/v1/zones", ANY_ROLE, KeyScope::ZonesRead),
    keyed("GET", "/v1/zones/{id}", ANY_ROLE, KeyScope::ZonesRead),
    rule("PUT", "/v1/zones/{id}", ADMIN),
    rule("DELETE", "/v1/zones/{id}", ADMIN),
    rule("GET", "/v1/zones/{id}/board", ADMIN),
    rule("GET", "/v1/zones/{id}/shadow", ADMIN),
    rule("GET", "/v1/zones/{id}/shadow/plans", ADMIN),
    keyed("GET", "/v1/webhooks/types", ADMIN_OR_OWNER, KeyScope::WebhooksRead),
    sensitive(keyed("POST", "/v1/webhooks/endpoints", ADMIN_OR_OWNER, KeyScope::WebhooksWrite)),
    keyed("GET", "/v1/webhooks/endpoints", ADMIN_OR_OWNER, KeyScope::WebhooksRead),
    keyed("GET", "/v1/webhooks/endpoints/{id}", ADMIN_OR_OWNER, KeyScope::WebhooksRead),
    sensitive(keyed("PUT", "/v1/webhooks/endpoints/{id}", ADMIN_OR_OWNER, KeyScope::WebhooksWrite)),
    sensitive(keyed("DELETE", "/v1/webhooks/endpoints/{id}", ADMIN_OR_OWNER, KeyScope::WebhooksWrite)),
    sensitive(keyed("POST", "/v1/webhooks/endpoints/{id}/secret", ADMIN_OR_OWNER, KeyScope::WebhooksWrite)),
    keyed("POST", "/v1/webhooks/endpoints/{id}/test", ADMIN_OR_OWNER, KeyScope::WebhooksWrite),
    keyed("POST", "/v1/webhooks/endpoints/{id}/resume", ADMIN_OR_OWNER, KeyScope::WebhooksWrite),
    keyed("POST", "/v1/webhooks/endpoints/{id}/replay", ADMIN_OR_OWNER, KeyScope::WebhooksWrite),
    keyed("GET", "/v1/webhooks/endpoints/{id}/messages", ADMIN_OR_OWNER, KeyScope::WebhooksRead),
    keyed("GET", "/v1/webhooks/messages/{id}", ADMIN_OR_OWNER, KeyScope::WebhooksRead),
    keyed("POST", "/v1/webhooks/messages/{id}/replay", ADMIN_OR_OWNER, KeyScope::WebhooksWrite),
    keyed("GET", "/v1/insight/times", ADMIN_OR_OWNER, KeyScope::InsightRead),
    keyed("GET", "/v1/insight/performance", ADMIN_OR_OWNER, KeyScope::InsightRead),
    rule("GET", "/.well-known/jwks.json", Access::Public),
    rule("GET", "/dev/mail", Access::Public),
    rule("POST", "/v1/accounts", Access::Public),
    rule("POST", "/v1/accounts/verify", Access::Public),
    rule("POST", "/v1/password/forgot", Access::Public),
    rule("POST", "/v1/password/reset", Access::Public),
    rule("POST", "/v1/sessions", Access::Public),
    rule("POST", "/v1/sessions/refresh", Access::Public),
    rule("POST", "/v1/sessions/end", Access::Public),
    rule("POST", "/v1/sessions/google", Access::Public),
    rule("GET", "/v1/sessions/google/callback", Access::Public),
    rule("POST", "/v1/sessions/google/confirm", Access::Public),
    rule("GET", "/v1/account", ACCOUNT),
    rule("DELETE", "/v1/account", ACCOUNT),
    rule("GET", "/v1/account/export", ACCOUNT),
    rule("POST", "/v1/account/password", ACCOUNT),
    rule("POST", "/v1/account/email", ACCOUNT),
    rule("POST", "/v1/account/email/verify", ACCOUNT),
    rule("POST", "/v1/account/phone", ACCOUNT),
    rule("POST", "/v1/account/phone/verify", ACCOUNT),
    rule("PUT", "/v1/account/profile/customer", Access::Account(&[Role::Customer])),
    rule("PUT", "/v1/account/profile/merchant", MERCHANT_ACCOUNT),
    rule("PUT", "/v1/account/profile/driver", Access::Account(&[Role::Driver])),
    rule("GET", "/v1/account/sessions", ACCOUNT),
    rule("DELETE", "/v1/account/sessions", ACCOUNT),
    rule("DELETE", "/v1/account/sessions/{id}", ACCOUNT),
    rule("POST", "/v1/account/step-up", ACCOUNT),
    rule("POST", "/v1/account/second-factor", ACCOUNT),
    rule("DELETE", "/v1/account/second-factor", ACCOUNT),
    rule("POST", "/v1/account/second-factor/confirm", ACCOUNT),
    rule("POST", "/v1/account/recovery-codes", ACCOUNT),
    rule("POST", "/v1/account/google", ACCOUNT),
    rule("POST", "/v1/account/google/confirm", ACCOUNT),
    rule("DELETE", "/v1/account/google", ACCOUNT),
    rule("POST", "/v1/account/keys", MERCHANT_ACCOUNT),
    rule("GET", "/v1/account/keys", MERCHANT_ACCOUNT),
    rule("DELETE", "/v1/account/keys/{id}", MERCHANT_ACCOUNT),
    rule("GET", "/v1/accounts", ADMIN),
    rule("GET", "/v1/accounts/{id}", ADMIN),
    rule("POST", "/v1/accounts/{id}/activate", ADMIN),
    rule("POST", "/v1/accounts/{id}/ban", ADMIN),
    rule("POST", "/v1/accounts/{id}/unban", ADMIN),
    rule("GET", "/v1/audit", ADMIN),
    rule("GET", "/v1/ws/driver", Access::Roles(&[(Role::Driver, Own)])),
    keyed("GET", "/v1/ws/merchant", Access::Roles(&[(Role::Merchant, Part)]), KeyScope::OrdersRead),
    rule("GET", "/v1/ws/operations", ADMIN),
    rule("GET", "/v1/ws/track/{token}", Access::Link),
];

/// Whoever has a socket open.
const ANY_SOCKET: Access = Access::Public;
/// Whose socket was opened with a token.
const WITH_TOKEN: Access = Access::Roles(&[(Role::Admin, Own), (Role::Merchant, Own), (Role::Driver, Own)]);
/// A driver, about himself and his own work.
const DRIVER: Access = Access::Roles(&[(Role::Driver, Own)]);

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

impl Rule {
    /// The line of a route.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Option<&'static Self> {
        static TABLE: LazyLock<HashMap<(&str, &str), &Rule>> =
            LazyLock::new(|| RULES.iter().map(|rule| ((rule.method, rule.path), rule)).collect());
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        TABLE.get(&(method, path)).copied()
    }

    /// Whether somebody whose role may use the route may do so with what he came with.
    fn suits(&self, caller: &Caller) -> Answer<()> {
        let refused = |code, detail: &str| Err(Problem::new(code).detail(detail).into());
        match (caller.credential, self.access) {
            (Credential::Login(proof), _)
                if !proof.may_work && caller.role == Role::Admin && self.wants_second_factor_of_admins() =>
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
            (Credential::Key { scopes, .. }, _) => match self.key {
                Some(scope) if scopes.hold(scope) => Ok(()),
                Some(scope) => refused(Code::ScopeRequired, &format!("the key has no scope `{}`", scope.name())),
                None => refused(Code::Forbidden, "not with a key: sign in for this"),
            },
            _ => Ok(()),
        }
    }

    /// Whether an admin needs the second factor for it, where admins need one to work: for all but what leads there, and
    /// looking at and ending sessions.
    pub(crate) fn wants_second_factor_of_admins(&self) -> bool {
        const LEADS_THERE: [(&str, &str); 7] = [
            ("GET", "/v1/account"),
            ("POST", "/v1/account/step-up"),
            ("POST", "/v1/account/second-factor"),
            ("POST", "/v1/account/second-factor/confirm"),
            ("GET", "/v1/account/sessions"),
            ("DELETE", "/v1/account/sessions"),
            ("DELETE", "/v1/account/sessions/{id}"),
        ];
        self.access.scope(Role::Admin).is_some()
            && !matches!(self.access, Access::Public | Access::Link)
            && !LEADS_THERE.contains(&(self.method, self.path))
    }

    /// Whether nothing is to be written into the audit log beforehand: nothing is changed, or the entry is written with
    /// the change itself.
    fn is_noted_by_itself(&self) -> bool {
        // To the letter: a path that only begins alike is another's.
        let is_accounts = ["/v1/account", "/v1/accounts"]
            .into_iter()
            .any(|of| self.path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        self.method == "GET" || is_accounts
    }

    /// Whether the sizes in its body are checked as a whole by the rules of what it becomes, which name everything that is wrong with
    /// it at once, by the same constants.
    fn is_whole_at_once(&self) -> bool {
        self.method == "POST" && self.path == "/v1/orders"
    }

    /// Whether operations read about people there: who did stands in the audit log.
    fn reads_persons(&self) -> bool {
        self.method == "GET" && ["/v1/accounts", "/v1/accounts/{id}", "/v1/audit"].contains(&self.path)
    }

    /// Whether the route takes or gives the cookie of a session, so that it matters whose page asks.
    #[must_use]
    pub fn takes_cookie(&self) -> bool {
        // Browsers come back there from Google's pages; a cookie of its own says whose they are.
        self.path.starts_with("/v1/sessions") && self.path != "/v1/sessions/google/callback"
    }

    /// Whether the route is a socket, where the token may stand in the query: browsers cannot send headers there.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.path.starts_with("/v1/ws/")
    }
}

impl Access {
    /// How far the role's right reaches; `None` where it has none.
    #[must_use]
    pub fn scope(self, role: Role) -> Option<Scope> {
        match self {
            Self::Public | Self::Link => Some(All),
            Self::Account(roles) => roles.contains(&role).then_some(Own),
            Self::Roles(grants) => grants.iter().find(|(granted, _)| *granted == role).map(|(_, scope)| *scope),
        }
    }
}

/// The limits of every operation, as the API document states them.
static BOUNDS: LazyLock<AllBounds> = LazyLock::new(|| {
    let document = serde_json::to_value(crate::openapi::document()).unwrap_or_default();
    let mut bounds = AllBounds::of(&document);
    for rule in RULES.iter().filter(|rule| rule.is_whole_at_once()) {
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
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let Some(rule) = Rule::of(request.method(), path) else {
        tracing::error!(path, "no rule says who may use this route: nobody may");
        return Err(Code::Forbidden.into());
    };
    let holds_something = !request.method().is_safe() || request.uri().query().is_some();
    if holds_something && let Some(bounds) = BOUNDS.get(request.method(), rule.path) {
        request.extensions_mut().insert::<&'static Bounds>(bounds);
    }
    if let Some(Closed(problem)) = request.extensions_mut().remove() {
        return Err(problem.into());
    }
    if let Access::Roles(_) | Access::Account(_) = rule.access {
        let query = request.uri().query().filter(|_| rule.is_socket());
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
        rule.suits(&caller)?;
        if rule.reads_persons() && caller.role == Role::Admin {
            let act = "persons.read";
            let (origin, entry) = note(&request, &caller, act);
            app.identity().note_folded(&origin, same(act), entry).await?;
        }
        if rule.sensitive {
            app.identity().show_fresh(&caller).await?;
        }
        if (rule.sensitive || caller.role == Role::Admin) && !rule.is_noted_by_itself() {
            // Written before it is done: what cannot be noted is not done.
            let (origin, entry) = note(&request, &caller, format!("{} {}", rule.method, rule.path));
            app.identity().note(&origin, entry).await?;
        }
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(scope);
    } else {
        app.counts().stranger(&request)?;
        if rule.takes_cookie() {
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
        if self.scope == All || self.caller.driver() == Some(id) { Ok(()) } else { Err(no_such("driver")) }
    }
}

/// Whether an order is a party's business, as far as `scope` reaches.
fn concerns(order: &Order, party: Party, scope: Scope) -> bool {
    if scope == All {
        return true;
    }
    match party {
        Party::System | Party::Admin(_) => false,
        Party::Merchant(id) if scope == Part => order.concerns_merchant(id),
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
    fn no_route_stands_in_the_table_twice() {
        for (n, rule) in RULES.iter().enumerate() {
            assert_eq!(Rule::of(&rule.method.parse().unwrap(), rule.path), Some(&RULES[n]), "{rule:?}");
        }
    }

    #[test]
    fn asking_for_the_head_needs_the_rights_of_asking_for_all() {
        assert_eq!(Rule::of(&Method::HEAD, "/v1/drivers").map(|r| r.access), Some(ADMIN));
        assert_eq!(Rule::of(&Method::PATCH, "/v1/drivers"), None);
    }
}
