//! What is somebody else's looks like what does not exist, on every route of the document with an id in its path.

use axum::http::{Method, StatusCode};
use posthaste_clock::testing::eventually;
use posthaste_gate::access::{Access, Rule, Scope, rule_of};
use posthaste_http::auth::{KeyScope, Role};
use serde_json::{Value, json};

use crate::access::World;
use crate::accounts::people::{self, Login};
use crate::document::operations;
use crate::stage::{Answer, Stage};

/// The same kind of id, of nothing.
fn nothing_like(id: &str) -> String {
    let last = if id.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &id[..id.len() - 1])
}

/// All that a caller could tell two answers apart by, but for what they named themselves and the number of the request.
fn shown(answer: &Answer, named: &str) -> (StatusCode, Vec<String>, Value) {
    let mut body: Value = serde_json::from_str(&answer.body.to_string().replace(named, "…")).unwrap();
    if let Some(problem) = body.as_object_mut() {
        assert!(problem.remove("request_id").is_some_and(|id| id.is_string()), "{answer:?}");
    }
    let mut headers: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    headers.sort();
    (answer.status, headers, body)
}

/// Things of the owner's, and who is not the owner.
struct Things {
    world: World,
    endpoint: String,
    message: String,
    offer: String,
    /// Two merchants who are signed in: one has the key and the session that the other goes for.
    owner: Login,
    other: Login,
    key: String,
    other_key: String,
}

impl Things {
    async fn new() -> Self {
        let world = World::new().await;
        let message = world.message().await;
        let path = format!("/v1/webhooks/messages/{message}");
        let endpoint =
            world.stage.get(&path, &world.stage.admin).await.body["endpoint_id"].as_str().unwrap().to_owned();
        let offer = offer(&world).await;
        let (_, owner) = people::merchant(&world.stage, "owner@example.org").await;
        let (_, other) = people::merchant(&world.stage, "other@example.org").await;
        let (key, _) = make_key(&world.stage, &owner).await;
        let (_, other_key) = make_key(&world.stage, &other).await;
        Self { world, endpoint, message, offer, owner, other, key, other_key }
    }

    /// The owner's thing that a parameter of the path stands for.
    fn id(&self, path: &str, parameter: &str) -> String {
        match parameter {
            "task" => self.world.assigned["tasks"][0]["id"].as_str().unwrap().to_owned(),
            "offer" => self.offer.clone(),
            "shift" => "shf_01jd8v7cjxfm9sxv0q3e0b5z1c".to_owned(),
            _ if path.starts_with("/v1/orders") => self.world.assigned["id"].as_str().unwrap().to_owned(),
            _ if path.starts_with("/v1/drivers") => self.world.driver.clone(),
            _ if path.starts_with("/v1/webhooks/messages") => self.message.clone(),
            _ if path.starts_with("/v1/webhooks") => self.endpoint.clone(),
            _ if path.starts_with("/v1/account/sessions") => self.owner.id(),
            _ if path.starts_with("/v1/account/keys") => self.key.clone(),
            _ => panic!("{path}: whose is {parameter}? Say it here"),
        }
    }

    /// Who is not the owner, with each of their credentials that the route takes.
    fn others(&self, rule: &Rule, role: Role) -> Vec<String> {
        if let Access::Account(_) = rule.access {
            return vec![self.other.access()];
        }
        let keyed = role == Role::Merchant && rule.key.is_some();
        [Some(self.world.token(role, false)), keyed.then(|| self.other_key.clone())].into_iter().flatten().collect()
    }

    async fn send(&self, route: &Route<'_>, role: Role, token: &str, path: &str) -> Answer {
        let body = self.world.body(route.path, route.operation, role);
        self.world.stage.call(route.method.clone(), path, Some(token), body.as_ref()).await
    }

    /// What admins see of all that is the owner's, and whether their own doors are still open.
    async fn state(&self) -> Value {
        let (stage, order) = (&self.world.stage, self.world.assigned["id"].as_str().unwrap());
        let mut all = Vec::new();
        for path in [
            format!("/v1/orders/{order}"),
            format!("/v1/drivers/{}", self.world.driver),
            format!("/v1/drivers/{}/route", self.world.driver),
            format!("/v1/webhooks/endpoints/{}", self.endpoint),
            format!("/v1/webhooks/messages/{}", self.message),
        ] {
            let seen = stage.get(&path, &stage.admin).await;
            assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
            all.push(seen.body);
        }
        for path in ["/v1/account/sessions", "/v1/account/keys"] {
            let own = stage.get(path, &self.owner.access()).await;
            assert_eq!(own.status, StatusCode::OK, "{own:?}");
            all.push(own.body);
        }
        Value::Array(all)
    }
}

struct Route<'a> {
    method: Method,
    path: &'a str,
    operation: &'a Value,
}

/// An offer that is open to the other driver: the first has their hands full.
async fn offer(world: &World) -> String {
    let path = format!("/v1/drivers/{}/route", world.other_driver);
    world.stage.order().await;
    eventually("the other driver is asked", async || {
        let route = world.stage.get(&path, &world.stage.admin).await.body;
        route["offers"][0]["id"].as_str().map(str::to_owned)
    })
    .await
}

/// A key with every scope: its id and its secret.
async fn make_key(stage: &Stage, login: &Login) -> (String, String) {
    let scopes: Vec<_> = KeyScope::ALL.iter().map(|scope| scope.name()).collect();
    let made = stage.post("/v1/account/keys", &login.access(), &json!({"name": "backend", "scopes": scopes})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    (made.body["key"]["id"].as_str().unwrap().to_owned(), made.body["secret"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_looks_like_what_does_not_exist() {
    let things = Things::new().await;
    let before = things.state().await;
    let mut tried = 0;
    for (method, path, operation) in &operations() {
        let rule = rule_of(&method.parse().unwrap(), path).unwrap();
        // Who holds a link needs no id, and who may see all has no others.
        if !path.contains("{id}") || matches!(rule.access, Access::Public | Access::Link) {
            continue;
        }
        let route = Route { method: method.parse().unwrap(), path, operation };
        for role in Role::ALL {
            let own = match rule.access {
                Access::Account(_) => role == Role::Merchant,
                _ => rule.access.scope(role).is_some_and(|scope| scope != Scope::All),
            };
            if !own {
                continue;
            }
            let mut filled = path.clone();
            for parameter in ["task", "offer", "shift"] {
                let name = format!("{{{parameter}}}");
                if filled.contains(&name) {
                    filled = filled.replace(&name, &things.id(path, parameter));
                }
            }
            let theirs = things.id(path, "id");
            let none = nothing_like(&theirs);
            for token in things.others(rule, role) {
                let of_another = things.send(&route, role, &token, &filled.replace("{id}", &theirs)).await;
                let of_nobody = things.send(&route, role, &token, &filled.replace("{id}", &none)).await;
                let what = format!("{method} {path} by {role}");
                assert_eq!((of_nobody.status, of_nobody.code()), (StatusCode::NOT_FOUND, "not_found"), "{what}");
                assert_eq!(shown(&of_another, &theirs), shown(&of_nobody, &none), "{what}");
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "only {tried}");
    assert_eq!(things.state().await, before, "nothing of the owner's changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_anothers_hands_looks_like_nothing_in_ones_own() {
    let things = Things::new().await;
    let before = things.state().await;
    let world = &things.world;
    let mut tried = 0;
    for (method, path, operation) in &operations() {
        let Some(parameter) = ["task", "offer"].into_iter().find(|name| path.contains(&format!("{{{name}}}"))) else {
            continue;
        };
        let route = Route { method: method.parse().unwrap(), path, operation };
        // The offer is the second driver's, everything else the first's.
        let (role, token, own) = match (parameter, path.starts_with("/v1/orders")) {
            ("offer", _) => (Role::Driver, world.token(Role::Driver, true), world.driver.clone()),
            (_, false) => (Role::Driver, world.token(Role::Driver, false), world.other_driver.clone()),
            (_, true) => (
                Role::Merchant,
                world.token(Role::Merchant, true),
                world.stage.order().await["id"].as_str().unwrap().to_owned(),
            ),
        };
        let theirs = things.id(path, parameter);
        let none = nothing_like(&theirs);
        let name = format!("{{{parameter}}}");
        let path_of = |id: &str| path.replace("{id}", &own).replace(&name, id);
        let of_another = things.send(&route, role, &token, &path_of(&theirs)).await;
        let of_nobody = things.send(&route, role, &token, &path_of(&none)).await;
        let what = format!("{method} {path} by {role}");
        assert!(of_nobody.status.is_client_error(), "{what}: {of_nobody:?}");
        assert_eq!(shown(&of_another, &theirs), shown(&of_nobody, &none), "{what}");
        tried += 1;
    }
    assert!(tried >= 9, "only {tried}");
    assert_eq!(things.state().await, before, "nothing of the owner's changed");
}
