//! Who may do what: one table, of the contracts that stand beside the handlers. It is what is enforced, what the documents of
//! the API and of the sockets say, what `docs/access.md` shows, and what the tests try.
//!
//! A route that is not in the table refuses everybody, and so does a message of a socket. Somebody else's thing and a thing
//! that does not exist look the same (404); what a role may never do is 403.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use posthaste_dispatch_api::access::{ANY_SOCKET, MESSAGES, forbidden};
use posthaste_http::address::ClientAddress;
use posthaste_http::auth::{Caller, Credential, Role, bearer};
use posthaste_http::bounds::{AllBounds, Bounds};
pub use posthaste_http::contract::{Access, Rule, Scope};
use posthaste_http::contract::{Audit, Quota};
use posthaste_http::problem::{Answer, Failure};
use posthaste_http::request_id::RequestId;
use posthaste_identity::{Entry, Origin, Same};
use posthaste_protocol::problem::{Code, Problem};

use crate::AppState;
use crate::worlds::Closed;

/// The table: the contracts of all routes, as their contexts export them.
pub static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| crate::openapi::routes(None).rules().to_vec());

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

/// Whether somebody whose role may use the route may do so with what they came with.
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
            Ok(token) if app.identity().is_unseen_key(token) && app.process().counts.is_spent(&request) => {
                app.process().counts.stranger(&request)?;
                Err(Code::Unauthenticated.into())
            }
            Ok(token) => app.identity().admit(token).await.and_then(|caller| of_world(&app, caller)),
            Err(missing) => Err(missing),
        };
        let caller = match admitted {
            Ok(caller) => caller,
            Err(refused) => {
                app.process().counts.stranger(&request)?;
                return Err(refused);
            }
        };
        app.process().counts.caller(&request, &caller)?;
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
            app.process().counts.stranger(&request)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_the_head_needs_the_rights_of_asking_for_all() {
        assert_eq!(rule_of(&Method::HEAD, "/v1/drivers").map(|r| r.access), Some(Access::ADMIN));
        assert_eq!(rule_of(&Method::PATCH, "/v1/drivers"), None);
    }
}
