//! A route's whole contract, in one line beside its handler: who may use it and how far, what a merchant's key must be good
//! for, what stands in the audit log, which cookie it takes, what it counts against, how large its body may be, and the codes
//! of what it does.
//!
//! A context lists its handlers with their contracts once ([`Routes`]) and exports the list. Whoever puts the lists together
//! gets one table: what is enforced, what the documents say, and what the tests try. A handler without its contract, a contract
//! without its handler, and either of them twice are not routed at all.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use posthaste_protocol::problem::Code;
use utoipa::openapi::path::{PathItem, Paths};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::auth::{KeyScope, Role};

/// How far a role's right reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's things.
    All,
    /// Its own: a merchant's orders, a customer's orders, a driver themself and the orders offered or given to them.
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

use Scope::{All, Own, Part};

impl Access {
    /// Operations.
    pub const ADMIN: Self = Self::Roles(&[(Role::Admin, All)]);
    /// Operations, and the driver themself.
    pub const ADMIN_OR_DRIVER: Self = Self::Roles(&[(Role::Admin, All), (Role::Driver, Own)]);
    /// Operations, and the merchant whose it is.
    pub const ADMIN_OR_OWNER: Self = Self::Roles(&[(Role::Admin, All), (Role::Merchant, Own)]);
    /// Operations, and each merchant who sells a part.
    pub const ADMIN_OR_SELLER: Self = Self::Roles(&[(Role::Admin, All), (Role::Merchant, Part)]);
    /// Operations, the merchant whose it is, and the customer.
    pub const ADMIN_OWNER_CUSTOMER: Self =
        Self::Roles(&[(Role::Admin, All), (Role::Merchant, Own), (Role::Customer, Own)]);
    /// Operations, each merchant who sells a part, and the customer.
    pub const ADMIN_SELLER_CUSTOMER: Self =
        Self::Roles(&[(Role::Admin, All), (Role::Merchant, Part), (Role::Customer, Own)]);
    /// All whom an order concerns.
    pub const WHOM_IT_CONCERNS: Self =
        Self::Roles(&[(Role::Admin, All), (Role::Merchant, Part), (Role::Driver, Own), (Role::Customer, Own)]);
    /// Whoever may work, in whatever role.
    pub const ANY_ROLE: Self =
        Self::Roles(&[(Role::Admin, All), (Role::Merchant, All), (Role::Driver, All), (Role::Customer, All)]);
    /// Whoever is signed in.
    pub const ACCOUNT: Self = Self::Account(&Role::ALL);
    /// Merchants who are signed in.
    pub const MERCHANT_ACCOUNT: Self = Self::Account(&[Role::Merchant]);

    /// How far the role's right reaches; `None` where it has none.
    #[must_use]
    pub fn scope(self, role: Role) -> Option<Scope> {
        match self {
            Self::Public | Self::Link => Some(All),
            Self::Account(roles) => roles.contains(&role).then_some(Own),
            Self::Roles(grants) => grants.iter().find(|(granted, _)| *granted == role).map(|(_, scope)| *scope),
        }
    }

    /// Whether it wants a token at all.
    #[must_use]
    pub fn wants_token(self) -> bool {
        matches!(self, Self::Account(_) | Self::Roles(_))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
        match self {
            Self::Public => f.write_str("everybody"),
            Self::Link => f.write_str("who holds the link"),
            Self::Account(roles) if roles.len() == Role::ALL.len() => f.write_str("who is signed in"),
            Self::Account(roles) => write!(f, "{} who is signed in", names(roles)),
            Self::Roles(grants) => {
                let one = |(role, scope): &(Role, Scope)| match (role, scope) {
                    (role, All) => role.name().to_owned(),
                    (role, Own) => format!("{role} (own)"),
                    (role, Part) => format!("{role} (own, and parts they sell)"),
                };
                f.write_str(&grants.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// What stands in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Nothing is changed, and nothing is read that is worth an entry.
    Nothing,
    /// What operations do, and what is sensitive whoever does it: written before it is done. What cannot be noted is not done.
    Before,
    /// The entry is written with the change itself, in its transaction.
    WithTheChange,
    /// Operations read about people: who did, and when.
    Reading,
}

/// The cookie that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenCookie {
    /// The one of a session's refresh token.
    Refresh,
    /// The one of a browser that began to sign in with Google.
    Google,
}

/// What a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Its caller's quota; where it has none, its address's.
    Counted,
    /// Nothing: those who watch over the server ask often, and from few addresses. It takes no place among running requests.
    Free,
}

/// How large a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// What is usual.
    Usual,
    /// The outline of a zone: longer than anything else.
    Outline,
}

/// What an `Idempotency-Key` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// A request: with another body it is a mismatch.
    Request,
    /// A command's id, as on the socket, which may come again however it likes.
    Command,
}

/// The contract of a route.
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
    /// Whether somebody who is signed in must have shown lately who they are, and whether it stands in the audit log
    /// whoever does it.
    pub sensitive: bool,
    /// Whether an admin may use it before they have shown their second factor, where admins need one: what leads there, and
    /// looking at and ending sessions.
    pub before_second_factor: bool,
    /// What stands in the audit log.
    pub audit: Audit,
    /// The cookie that it takes.
    pub cookie: Option<TakenCookie>,
    /// Whether it takes or gives a session's cookie, so that only one's own pages may ask.
    pub own_pages: bool,
    /// What it counts against.
    pub quota: Quota,
    /// How large its body may be.
    pub body: BodyLimit,
    /// Whether the sizes in its body are checked as a whole by the rules of what it becomes, which name everything that is
    /// wrong with it at once, by the same constants.
    pub whole_at_once: bool,
    /// Whether it is a socket, where the token may stand in the query: browsers cannot send headers there.
    pub socket: bool,
    /// What an idempotency key stands for.
    pub repeats: Repeats,
    /// The codes of what it does. Those that follow from its shape and its access come by themselves.
    pub codes: &'static [Code],
}

impl Rule {
    const fn new(method: &'static str, path: &'static str, access: Access, audit: Audit) -> Self {
        Self {
            method,
            path,
            access,
            key: None,
            sensitive: false,
            before_second_factor: false,
            // Whoever needs no token is nobody that could be named.
            audit: if matches!(access, Access::Public | Access::Link) { Audit::Nothing } else { audit },
            cookie: None,
            own_pages: false,
            quota: Quota::Counted,
            body: BodyLimit::Usual,
            whole_at_once: false,
            socket: false,
            repeats: Repeats::Request,
            codes: &[],
        }
    }

    /// A route that reads.
    #[must_use]
    pub const fn get(path: &'static str, access: Access) -> Self {
        Self::new("GET", path, access, Audit::Nothing)
    }

    /// A route that makes or does something.
    #[must_use]
    pub const fn post(path: &'static str, access: Access) -> Self {
        Self::new("POST", path, access, Audit::Before)
    }

    /// A route that sets something.
    #[must_use]
    pub const fn put(path: &'static str, access: Access) -> Self {
        Self::new("PUT", path, access, Audit::Before)
    }

    /// A route that removes something.
    #[must_use]
    pub const fn delete(path: &'static str, access: Access) -> Self {
        Self::new("DELETE", path, access, Audit::Before)
    }

    /// A socket: it opens with a `GET`.
    #[must_use]
    pub const fn socket(path: &'static str, access: Access) -> Self {
        Self { socket: true, ..Self::get(path, access) }
    }

    /// Merchants' keys may use it too, with this scope.
    #[must_use]
    pub const fn key(self, scope: KeyScope) -> Self {
        Self { key: Some(scope), ..self }
    }

    /// A login that lies open is not enough for it.
    #[must_use]
    pub const fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    /// Admins may use it before they have shown their second factor.
    #[must_use]
    pub const fn before_second_factor(self) -> Self {
        Self { before_second_factor: true, ..self }
    }

    /// Its entry in the audit log is written in the transaction of the change, by the context.
    #[must_use]
    pub const fn notes_itself(self) -> Self {
        Self { audit: Audit::WithTheChange, ..self }
    }

    /// Operations read about people there.
    #[must_use]
    pub const fn reads_persons(self) -> Self {
        Self { audit: Audit::Reading, ..self }
    }

    /// It takes this cookie.
    #[must_use]
    pub const fn cookie(self, cookie: TakenCookie) -> Self {
        Self { cookie: Some(cookie), ..self }
    }

    /// Only one's own pages may ask.
    #[must_use]
    pub const fn own_pages(self) -> Self {
        Self { own_pages: true, ..self }
    }

    /// It counts against nobody's quota.
    #[must_use]
    pub const fn free(self) -> Self {
        Self { quota: Quota::Free, ..self }
    }

    /// Its body holds an outline.
    #[must_use]
    pub const fn outline(self) -> Self {
        Self { body: BodyLimit::Outline, ..self }
    }

    /// The sizes in its body are checked by the rules of what it becomes.
    #[must_use]
    pub const fn whole_at_once(self) -> Self {
        Self { whole_at_once: true, ..self }
    }

    /// Its idempotency key is a command's id.
    #[must_use]
    pub const fn command(self) -> Self {
        Self { repeats: Repeats::Command, ..self }
    }

    /// What it does may come to these.
    #[must_use]
    pub const fn codes(self, codes: &'static [Code]) -> Self {
        Self { codes, ..self }
    }

    /// Whether an admin needs the second factor for it, where admins need one to work.
    #[must_use]
    pub fn wants_second_factor_of_admins(&self) -> bool {
        self.access.wants_token() && self.access.scope(Role::Admin).is_some() && !self.before_second_factor
    }
}

/// Handlers with their contracts.
pub struct Routes<S> {
    router: OpenApiRouter<S>,
    rules: Vec<Rule>,
    faults: Vec<String>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: OpenApiRouter::new(), rules: Vec::new(), faults: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None so far; the document begins with `frame`.
    #[must_use]
    pub fn with_openapi(frame: utoipa::openapi::OpenApi) -> Self {
        Self { router: OpenApiRouter::with_openapi(frame), ..Self::default() }
    }

    /// The handlers of one path (`routes!(…)`) with the contract of each. Where the two do not agree, or one is there
    /// already, none of them is routed, and [`Self::faults`] says why.
    #[must_use]
    pub fn with<const N: usize>(mut self, rules: [Rule; N], handlers: UtoipaMethodRouter<S>) -> Self {
        let handled = handled(&handlers.1);
        let ruled: BTreeSet<_> = rules.iter().map(|rule| (rule.method, rule.path.to_owned())).collect();
        let mut wrong = Vec::new();
        if ruled.len() < rules.len() {
            wrong.push(format!("{} has two contracts of one method", rules.first().map_or("a path", |rule| rule.path)));
        }
        for (method, path) in handled.symmetric_difference(&ruled) {
            let lacks = if ruled.contains(&(*method, path.clone())) { "handler" } else { "contract" };
            wrong.push(format!("{method} {path} has no {lacks}"));
        }
        wrong.extend(self.twice(&rules));
        if wrong.is_empty() {
            self.rules.extend(rules);
            self.router = self.router.routes(handlers);
        }
        self.faults.extend(wrong);
        self
    }

    /// The routes of another list too.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        let wrong = self.twice(&other.rules);
        if wrong.is_empty() {
            self.rules.extend(other.rules);
            self.router = self.router.merge(other.router);
        }
        self.faults.extend(wrong);
        self
    }

    /// The same routes with the state that they reach, to be merged into those of a program whose state is another. Without one
    /// they are there for their contracts and documents alone, and answer nothing.
    ///
    /// A context makes its routes for its own state, so that its handlers are compiled with it, once.
    #[must_use]
    pub fn given<T: Clone + Send + Sync + 'static>(self, state: Option<S>) -> Routes<T> {
        let router = match state {
            Some(state) => self.router.with_state(state),
            None => OpenApiRouter::with_openapi(self.router.into_openapi()),
        };
        Routes { router, rules: self.rules, faults: self.faults }
    }

    fn twice(&self, rules: &[Rule]) -> Vec<String> {
        let known = |rule: &&Rule| self.rules.iter().any(|one| one.method == rule.method && one.path == rule.path);
        rules.iter().filter(known).map(|rule| format!("{} {} is there twice", rule.method, rule.path)).collect()
    }

    /// What was left out, and why; each with its method and path.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The contracts of what is routed.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The router with its documentation.
    #[must_use]
    pub fn into_router(self) -> OpenApiRouter<S> {
        self.router
    }
}

/// The methods and paths that have a handler.
fn handled(paths: &Paths) -> BTreeSet<(&'static str, String)> {
    let methods = |item: &PathItem| {
        let all = [
            ("GET", item.get.is_some()),
            ("PUT", item.put.is_some()),
            ("POST", item.post.is_some()),
            ("DELETE", item.delete.is_some()),
            ("PATCH", item.patch.is_some()),
            ("HEAD", item.head.is_some()),
            ("OPTIONS", item.options.is_some()),
            ("TRACE", item.trace.is_some()),
        ];
        all.into_iter().filter_map(|(name, there)| there.then_some(name))
    };
    paths.paths.iter().flat_map(|(path, item)| methods(item).map(|method| (method, path.clone()))).collect()
}

/// The contracts as a page for people: a table for each first word of the paths.
#[must_use]
pub fn page(rules: &[Rule]) -> String {
    let mut page = String::new();
    let mut begun = "";
    for rule in rules {
        let noun =
            rule.path.strip_prefix("/v1/").map_or("the server itself", |rest| rest.split('/').next().unwrap_or(rest));
        if noun != begun {
            let _ = write!(page, "\n## {noun}\n\n| route | who | key | besides |\n|---|---|---|---|\n");
            begun = noun;
        }
        let key = rule.key.map_or_else(String::new, |scope| format!("`{}`", scope.name()));
        let _ = writeln!(page, "| `{} {}` | {} | {key} | {} |", rule.method, rule.path, rule.access, besides(rule));
    }
    page
}

/// What else stands in a contract, as far as it is not the usual.
fn besides(rule: &Rule) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut say = |is_so: bool, text: &str| all.extend(is_so.then(|| text.to_owned()));
    say(rule.socket, "socket");
    say(rule.sensitive, "fresh proof");
    say(rule.before_second_factor, "before the second factor");
    say(rule.audit == Audit::WithTheChange, "notes itself");
    say(rule.audit == Audit::Reading, "reading is noted");
    say(rule.cookie == Some(TakenCookie::Refresh), "takes the session's cookie");
    say(rule.cookie == Some(TakenCookie::Google), "takes Google's cookie");
    say(rule.own_pages, "own pages only");
    say(rule.quota == Quota::Free, "not counted");
    say(rule.body == BodyLimit::Outline, "long body");
    say(rule.repeats == Repeats::Command, "key is the command's id");
    if !rule.codes.is_empty() {
        let mut names: Vec<_> = rule.codes.iter().map(|code| format!("`{}`", code.name())).collect();
        names.dedup();
        all.push(names.join(" "));
    }
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use utoipa_axum::routes;

    use super::*;

    #[utoipa::path(get, path = "/a", responses((status = 200)))]
    async fn read() {}

    #[utoipa::path(put, path = "/a", responses((status = 200)))]
    async fn replace() {}

    const READ: Rule = Rule::get("/a", Access::Public);
    const REPLACE: Rule = Rule::put("/a", Access::ADMIN);

    fn routes() -> Routes<()> {
        Routes::default()
    }

    #[test]
    fn a_handler_is_routed_with_its_contract() {
        let all = routes().with([READ, REPLACE], routes!(read, replace));
        assert_eq!((all.rules(), all.faults()), (&[READ, REPLACE][..], &[][..]));
        assert_eq!(all.into_router().into_openapi().paths.paths.len(), 1);
    }

    #[test]
    fn what_has_no_contract_is_not_routed_and_named() {
        let all = routes().with([READ], routes!(read, replace));
        assert_eq!(all.faults(), ["PUT /a has no contract"]);
        assert!(all.rules().is_empty() && all.into_router().into_openapi().paths.paths.is_empty());
    }

    #[test]
    fn a_method_that_no_contract_can_name_is_not_routed() {
        #[utoipa::path(patch, path = "/a", responses((status = 200)))]
        async fn change() {}
        let all = routes().with([], routes!(change));
        assert_eq!(all.faults(), ["PATCH /a has no contract"]);
        assert!(all.into_router().into_openapi().paths.paths.is_empty());
    }

    #[test]
    fn two_contracts_of_one_handler_are_named() {
        let all = routes().with([READ, Rule::get("/a", Access::ADMIN)], routes!(read));
        assert_eq!(all.faults(), ["/a has two contracts of one method"]);
        assert!(all.rules().is_empty());
    }

    #[test]
    fn what_has_no_handler_is_named() {
        let all = routes().with([READ, Rule::get("/b", Access::Public)], routes!(read));
        assert_eq!(all.faults(), ["GET /b has no handler"]);
    }

    #[test]
    fn what_is_there_twice_is_routed_once_and_named() {
        let once = || routes().with([READ], routes!(read));
        for all in [once().with([READ], routes!(read)), once().merge(once())] {
            assert_eq!(all.faults(), ["GET /a is there twice"]);
            assert_eq!(all.rules(), [READ]);
        }
    }

    #[test]
    fn faults_of_a_context_are_the_assemblys() {
        let all = routes().merge(routes().with([REPLACE], routes!(read)));
        assert_eq!(all.faults(), ["GET /a has no contract", "PUT /a has no handler"]);
    }
}
