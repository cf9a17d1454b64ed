//! Every route and socket, tried with every role and with nobody.

use axum::http::{Method, StatusCode};
use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_domain::ids::Id;
use posthaste_domain::party::Party;
use posthaste_gate::access::{Access, RULES, Scope, rule_of};
use posthaste_http::auth::{KeyScope, Keys, Role};
use serde_json::{Value, json};

use crate::accounts::people;
use crate::document::operations;
use crate::stage::{Answer, Stage, admin_token, customer_id, driver_token, keys, merchant_id, order_body, token};

/// What the routes are tried on.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) driver: String,
    pub(crate) other_driver: String,
    /// An order that the driver has.
    pub(crate) assigned: Value,
    /// An access token of a login that was ended, and a key that was revoked, before either would have ended by itself.
    revoked: (String, String),
}

impl World {
    pub(crate) async fn new() -> Self {
        let stage = Stage::new().await;
        let driver = stage.driver("Grace").await;
        let other_driver = stage.driver("Ada").await;
        let order = stage.order().await;
        let path = format!("/v1/orders/{}/assign", order["id"].as_str().unwrap());
        let assigned = stage.post(&path, &stage.admin, &json!({"driver_id": driver})).await;
        assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
        let revoked = revoked(&stage).await;
        Self { stage, driver, other_driver, assigned: assigned.body, revoked }
    }

    /// A token of the role: of whom the things are, or of somebody else.
    pub(crate) fn token(&self, role: Role, owner: bool) -> String {
        let number = if owner { 1 } else { 99 };
        match role {
            Role::Admin => admin_token(),
            Role::Merchant => token(Party::Merchant(merchant_id(number))),
            Role::Customer => token(Party::Customer(customer_id(number))),
            Role::Driver => driver_token(if owner { &self.driver } else { &self.other_driver }),
        }
    }

    /// An endpoint of the owning merchant, a fresh one, as some routes take it away.
    async fn endpoint(&self) -> String {
        let (path, token) = ("/v1/webhooks/endpoints", self.token(Role::Merchant, true));
        for endpoint in self.stage.get(path, &token).await.body["items"].as_array().unwrap() {
            let path = format!("{path}/{}", endpoint["id"].as_str().unwrap());
            let gone = self.stage.call(Method::DELETE, &path, Some(&token), None).await;
            assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
        }
        self.stage.post(path, &token, &json!({"url": "https://shop.example/hooks"})).await.id()
    }

    /// A message to such an endpoint.
    pub(crate) async fn message(&self) -> String {
        let path = format!("/v1/webhooks/endpoints/{}/test", self.endpoint().await);
        self.stage.post(&path, &self.token(Role::Merchant, true), &json!({})).await.id()
    }

    /// The path with ids of the owner's things in it. Orders are fresh where a driver is not needed.
    pub(crate) async fn path_of_owner(&self, path: &str, role: Role) -> String {
        let order = if role == Role::Driver || path.contains("/drivers/") {
            self.assigned.clone()
        } else {
            self.stage.order().await
        };
        let id = if path.starts_with("/v1/accounts") {
            "acc_01jd8v7cjxfm9sxv0q3e0b5z1c"
        } else if path.starts_with("/v1/orders") {
            order["id"].as_str().unwrap()
        } else if path.starts_with("/v1/drivers") {
            &self.driver
        } else if path.starts_with("/v1/webhooks/messages") {
            &self.message().await
        } else if path.starts_with("/v1/jobs") {
            &crate::stage::dead_job(&self.stage).await
        } else if path.starts_with("/v1/webhooks") {
            &self.endpoint().await
        } else {
            &self.stage.zone
        };
        let token = self.stage.app.dispatch().keys().tracking_token(order["id"].as_str().unwrap().parse().unwrap());
        path.replace("{id}", id)
            .replace("{task}", order["tasks"][0]["id"].as_str().unwrap())
            .replace("{shift}", "shf_01jd8v7cjxfm9sxv0q3e0b5z1c")
            .replace("{code}", "invalid")
            .replace("{offer}", "ofr_01jd8v7cjxfm9sxv0q3e0b5z1c")
            .replace("{token}", &token)
    }

    /// The document's own example, about things that exist.
    pub(crate) fn body(&self, path: &str, operation: &Value, role: Role) -> Option<Value> {
        if path.ends_with("/shift") {
            return Some(json!({"state": "available"}));
        }
        if path.ends_with("/shifts") {
            let now = chrono::Utc::now();
            return Some(json!({"start": now, "end": now + posthaste_domain::Span::hours(8)}));
        }
        if path == "/v1/orders" {
            let mut body = order_body();
            if role == Role::Admin {
                body["merchant_id"] = json!(merchant_id(1));
            }
            return Some(body);
        }
        let example = operation["requestBody"]["content"]["application/json"]["example"].clone();
        let mut text = (!example.is_null()).then(|| example.to_string())?;
        text = text.replace("zon_01jd8v7cjxfm9sxv0q3e0b5z1c", &self.stage.zone);
        text = text.replace("drv_01jd8v7cjxfm9sxv0q3e0b5z1c", &self.driver);
        let task = self.assigned["tasks"][0]["id"].as_str().unwrap();
        text = text.replace("tsk_01jd8v7cjxfm9sxv0q3e0b5z1c", task);
        let mut body: Value = serde_json::from_str(&text).unwrap();
        if role == Role::Admin && path == "/v1/webhooks/endpoints" {
            body["merchant_id"] = json!(merchant_id(1));
        }
        if role == Role::Admin && (path.ends_with("/confirm") || path.ends_with("/reject")) {
            body["merchant_id"] = json!(merchant_id(1));
        }
        if body["area"].is_object() {
            body["name"] = json!(uuid::Uuid::now_v7().to_string());
        }
        Some(body)
    }
}

/// Let through: whatever became of it, it was not refused for who asked, nor for how it was asked.
fn assert_admitted(what: &str, path: &str, answer: &Answer) {
    let missing_offer =
        answer.status == StatusCode::NOT_FOUND && (path.contains("{offer}") || path.contains("{shift}"));
    let no_decision_yet = answer.status == StatusCode::NOT_FOUND && path.ends_with("/decision");
    if missing_offer || no_decision_yet {
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(!["no such driver", "no such order"].contains(&detail), "{what}: {answer:?}");
        return;
    }
    if path.starts_with("/v1/ws/") {
        // A request without a handshake gets as far as that.
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "malformed"), "{what}: {answer:?}");
        return;
    }
    let fine = answer.status.is_success()
        || answer.status == StatusCode::CONFLICT
        || ["wrong_code", "code_required", "code_locked"].contains(&answer.code());
    assert!(fine, "{what}: {answer:?}");
}

/// What a merchant worked with until it was taken from them: a login's token and a key.
async fn revoked(stage: &Stage) -> (String, String) {
    let (_, login) = people::merchant(stage, "former@example.org").await;
    let scopes: Vec<_> = KeyScope::ALL.iter().map(|scope| scope.name()).collect();
    let make = json!({"name": "backend", "scopes": scopes});
    let made = stage.post("/v1/account/keys", &login.access(), &make).await;
    let key = made.body["secret"].as_str().unwrap().to_owned();
    for token in [&login.access(), &key] {
        assert_eq!(stage.get("/v1/orders", token).await.status, StatusCode::OK, "good until it is revoked");
    }
    let path = format!("/v1/account/keys/{}", made.body["key"]["id"].as_str().unwrap());
    let gone = stage.call(Method::DELETE, &path, Some(&login.access()), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    assert_eq!(people::end(stage, &login).await.status, StatusCode::NO_CONTENT);
    (login.access(), key)
}

/// Tokens that prove nothing, with what is answered to them. A kind of token more that can be worthless goes in here,
/// and every route is tried with it.
fn worthless(world: &World) -> Vec<(&'static str, String, &'static str)> {
    let admin = Party::Admin(Id::from_uuid(uuid::Uuid::from_u128(1)));
    let now = Clock::system().wall();
    let expired = keys().mint(admin, now - Span::hours(2), Span::hours(1)).unwrap();
    let early = keys().mint(admin, now + Span::hours(1), Span::hours(1)).unwrap();
    let foreign = Keys::new(&[8; 32]).unwrap().mint(admin, now, Span::hours(1)).unwrap();
    let sound = admin_token();
    let mut parts = sound.split('.');
    let (head, body, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    // {"typ":"JWT","alg":"none"}
    let unsigned = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{body}.");
    let other_body = driver_token("drv_01jd8v7cjxfm9sxv0q3e0b5z1c");
    let swapped = format!("{head}.{}.{signature}", other_body.split('.').nth(1).unwrap());
    vec![
        ("expired", expired, "token_expired"),
        ("from the future", early, "unauthenticated"),
        ("of another key", foreign, "unauthenticated"),
        ("unsigned", unsigned, "unauthenticated"),
        ("with another's claims", swapped, "unauthenticated"),
        ("cut short", sound[..sound.len() - 2].to_owned(), "unauthenticated"),
        ("malformed", "a.b.c".to_owned(), "unauthenticated"),
        ("no token at all", "swordfish".to_owned(), "unauthenticated"),
        ("of a login that was ended", world.revoked.0.clone(), "login_ended"),
        ("a revoked key", world.revoked.1.clone(), "unauthenticated"),
        ("a malformed key", "ph_live_x".to_owned(), "unauthenticated"),
    ]
}

async fn try_route(world: &World, method: &str, path: &str, operation: &Value) {
    let rule = rule_of(&method.parse().unwrap(), path).unwrap_or_else(|| panic!("{method} {path} has no rule"));
    let verb: Method = method.parse().unwrap();
    let send = async |role: Role, token: Option<&str>| {
        let (url, body) = (world.path_of_owner(path, role).await, world.body(path, operation, role));
        world.stage.call(verb.clone(), &url, token, body.as_ref()).await
    };
    let of_accounts = operation["tags"][0] == "accounts";
    let nobody = send(Role::Admin, None).await;
    match rule.access {
        // What becomes of these depends on who has an account: see `accounts`.
        Access::Public if of_accounts => return,
        Access::Public | Access::Link => {
            assert_admitted(&format!("{method} {path} by nobody"), path, &nobody);
            return;
        }
        Access::Account(_) | Access::Roles(_) => {}
    }
    assert_eq!((nobody.status, nobody.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"), "{method} {path}");
    for (kind, token, code) in worthless(world) {
        let refused = send(Role::Admin, Some(&token)).await;
        let got = (refused.status, refused.code());
        assert_eq!(got, (StatusCode::UNAUTHORIZED, code), "{method} {path} with a token that is {kind}");
        if rule.socket {
            // Browsers send it in the query.
            let url = format!("{}?access_token={token}", world.path_of_owner(path, Role::Admin).await);
            let refused = world.stage.call(verb.clone(), &url, None, None).await;
            let got = (refused.status, refused.code());
            assert_eq!(got, (StatusCode::UNAUTHORIZED, code), "{path} with a token in the query that is {kind}");
        }
    }
    // The rightful last: some of them end what the others are tried on.
    for role in [Role::Customer, Role::Driver, Role::Merchant, Role::Admin] {
        let what = format!("{method} {path} by {role}");
        let Some(scope) = rule.access.scope(role) else {
            let refused = send(role, Some(&world.token(role, true))).await;
            assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"), "{what}: {refused:?}");
            continue;
        };
        if scope != Scope::All && path.contains("{id}") && !of_accounts {
            let refused = send(role, Some(&world.token(role, false))).await;
            // That it looks like what does not exist, `others` shows.
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{what} who is another: {refused:?}");
        }
        let admitted = send(role, Some(&world.token(role, true))).await;
        if let Access::Account(_) = rule.access {
            // These tokens have no account behind them.
            assert_eq!((admitted.status, admitted.code()), (StatusCode::FORBIDDEN, "forbidden"), "{what}");
            continue;
        }
        if of_accounts && path.contains("{id}") {
            assert_eq!((admitted.status, admitted.code()), (StatusCode::NOT_FOUND, "not_found"), "{what}");
            continue;
        }
        assert_admitted(&what, path, &admitted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let world = World::new().await;
    let mut all = operations();
    assert_eq!(all.len(), RULES.len());
    // What takes the zone away comes last.
    all.sort_by_key(|(method, _, _)| method == "DELETE");
    for (method, path, operation) in &all {
        try_route(&world, method, path, operation).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_each_role_only_its_own() {
    let world = World::new().await;
    world.stage.order().await;
    let count = async |token: &str, query: &str| {
        let answer = world.stage.get(&format!("/v1/orders{query}"), token).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body["items"].as_array().unwrap().len()
    };
    for (role, own) in [(Role::Admin, 2), (Role::Merchant, 2), (Role::Customer, 2), (Role::Driver, 1)] {
        assert_eq!(count(&world.token(role, true), "").await, own, "{role}");
        let others = if role == Role::Admin { own } else { 0 };
        assert_eq!(count(&world.token(role, false), "").await, others, "another {role}");
    }
    let theirs = format!("?merchant_id={}", merchant_id(1));
    assert_eq!(count(&world.token(Role::Merchant, false), &theirs).await, 0);
    assert_eq!(count(&world.token(Role::Merchant, true), &theirs).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracking_link_opens_one_order_and_a_forged_one_none() {
    let stage = Stage::new().await;
    let order = stage.order().await;
    let path = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
    let link = stage.get(&path, &stage.customer).await;
    let path = link.body["path"].as_str().unwrap();
    let seen = stage.call(Method::GET, path, None, None).await;
    assert_eq!((seen.status, &seen.body["order_id"]), (StatusCode::OK, &order["id"]));
    let mut forged = path.to_owned();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    for path in [forged.as_str(), "/v1/tracking/trk_", "/v1/tracking/x"] {
        let refused = stage.call(Method::GET, path, None, None).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_shown_to_those_who_need_them() {
    let world = World::new().await;
    let id = world.assigned["id"].as_str().unwrap();
    let codes = async |token: &str| {
        let order = world.stage.get(&format!("/v1/orders/{id}"), token).await.body;
        [0, 1].map(|n| order["tasks"][n]["code"].is_string())
    };
    assert_eq!(codes(&world.token(Role::Admin, true)).await, [true, true]);
    assert_eq!(codes(&world.token(Role::Merchant, true)).await, [true, true]);
    assert_eq!(codes(&world.token(Role::Customer, true)).await, [false, true]);
    assert_eq!(codes(&world.token(Role::Driver, true)).await, [false, false]);
}
