//! What leaves has an audience: every route that reads, every socket and every webhook, seen by everybody, while orders are
//! asked about, carried and over. Nobody meets an id or a personal word that is not theirs to know, and a field of an answer
//! is met by those alone whom `audiences.txt` names. A new field fails that until somebody has said who may see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use parking_lot::Mutex;
use posthaste_clock::testing::eventually;
use posthaste_domain::ids::{AdminId, Id};
use posthaste_domain::party::Party;
use posthaste_gate::access::{Access, rule_of};
use posthaste_gate::asyncapi;
use posthaste_gate::openapi::document;
use posthaste_http::auth::Role;
use posthaste_protocol::accounts::Secret;
use serde_json::{Value, json};

use crate::accounts::people;
use crate::document::operations;
use crate::sockets::{Server, Socket};
use crate::stage::{customer_id, dead_job, driver_token, merchant_id, token};

/// Who looks.
#[derive(Debug, Clone)]
struct Viewer {
    name: &'static str,
    role: Option<Role>,
    token: Option<String>,
    /// Of a login of an account that is theirs.
    login: Option<String>,
    /// The link that they hold.
    own: String,
}

/// By name: ids, and words that only one field of one order holds.
type Names = BTreeMap<String, String>;

struct World {
    server: Server,
    names: Names,
    viewers: Vec<Viewer>,
    /// What the sockets said, and to which of the viewers.
    frames: Arc<Mutex<Vec<(usize, Value)>>>,
}

fn contact(of: &str) -> Value {
    json!({"name": format!("name-{of}"), "phone": format!("phone-{of}"), "address": format!("address-{of}"),
        "note": format!("note-{of}")})
}

async fn listen(viewer: usize, mut socket: Socket, frames: Arc<Mutex<Vec<(usize, Value)>>>) {
    while let Some(frame) = socket.try_next().await {
        frames.lock().push((viewer, frame));
    }
}

impl World {
    /// Merchant A has an order that Grace gets, of which B sells a part; B has one that Ada is asked about. C has nothing.
    async fn new() -> Self {
        let server = Server::new().await;
        let stage = &server.stage;
        let mut names = Names::new();
        let duty = posthaste_clock::duty::Duty {
            name: "test.fails",
            world: None,
            does: "fails, so that what was wrong is shown",
            period: Duration::from_secs(1),
            trigger: Some("the test"),
            runs: posthaste_clock::duty::Runs::Everywhere,
        };
        let _ = stage.app.system().clock().duties().did(duty, async { Err::<(), _>("it failed") }).await;
        names.insert("job".to_owned(), dead_job(stage).await);
        // And of its kind one that waits, one that runs, and when the next is put.
        let others =
            "INSERT INTO jobs (id, kind, place, group_name, state, behind, due_at, attempts, tries, claim, created_at,
                leased_until)
            SELECT gen_random_uuid(), 'test.nobody', 1, '', state, false, now(), 0, 0, 0, now(),
                CASE state WHEN 'running' THEN now() END
            FROM unnest('{waiting,running}'::text[]) AS s (state);
            INSERT INTO job_schedules VALUES ('test.nobody', 3600, now(), now())";
        sqlx::raw_sql(others).execute(stage.database.pool.connections()).await.unwrap();
        let merchants = [1, 2, 3].map(|n| token(Party::Merchant(merchant_id(n))));
        let (a, b) = (merchant_id(1).to_string(), merchant_id(2).to_string());
        for token in &merchants {
            stage.post("/v1/webhooks/endpoints", token, &json!({"url": "https://shop.example/hooks"})).await.id();
        }
        let here = |of: &str| json!({"lat": 52.5163, "lng": 13.3777, "contact": contact(of)});
        let pickup = |seller: &str, of: &str| {
            let mut pickup = here(of);
            pickup["merchant_id"] = json!(seller);
            pickup
        };
        let place = async |token: &str, body: &Value| {
            let placed = stage.post("/v1/orders", token, body).await;
            assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
            placed.body
        };
        let mut ones = json!({"speed": "fast", "reference": "reference-1", "customer_id": customer_id(1),
            "needs_confirmation": true, "pickups": [pickup(&a, "counter-a"), pickup(&b, "counter-b")],
            "delivery": here("door-1")});
        ones["delivery"]["lat"] = json!(52.5208);
        let grace = stage.driver("Grace").await;
        let one = place(&merchants[0], &ones).await;
        for token in &merchants[..2] {
            let path = format!("/v1/orders/{}/confirm", one["id"].as_str().unwrap());
            let confirmed = stage.post(&path, token, &json!({})).await;
            assert_eq!(confirmed.status, StatusCode::OK, "{confirmed:?}");
        }
        let path = format!("/v1/orders/{}/assign", one["id"].as_str().unwrap());
        let assigned = stage.post(&path, &stage.admin, &json!({"driver_id": grace})).await;
        assert_eq!(assigned.status, StatusCode::OK, "{assigned:?}");
        let ada = stage.driver("Ada").await;
        let on_break = json!({"state": "on_break"});
        stage.call(Method::PUT, &format!("/v1/drivers/{grace}/shift"), Some(&stage.admin), Some(&on_break)).await;
        let twos = json!({"speed": "fast", "reference": "reference-2", "customer_id": customer_id(2),
            "pickups": [here("counter-2")], "delivery": here("door-2")});
        let two = place(&merchants[1], &twos).await;
        for (name, id) in [("order 1", &one["id"]), ("order 2", &two["id"])] {
            names.insert(name.to_owned(), id.as_str().unwrap().to_owned());
        }
        for (order, tasks) in [(&one, &["task a", "task b", "task door-1"][..]), (&two, &["task 2", "task door-2"])] {
            for (task, name) in order["tasks"].as_array().unwrap().iter().zip(tasks) {
                names.insert((*name).to_owned(), task["id"].as_str().unwrap().to_owned());
            }
        }
        for of in ["counter-a", "counter-b", "door-1", "counter-2", "door-2"] {
            for part in ["name", "phone", "address", "note"] {
                names.insert(format!("{part} {of}"), format!("{part}-{of}"));
            }
        }
        for word in ["reference-1", "reference-2", "received-1", "remark-1"] {
            names.insert(word.to_owned(), word.to_owned());
        }
        for (name, id) in [("merchant a", a), ("merchant b", b), ("merchant c", merchant_id(3).to_string())] {
            names.insert(name.to_owned(), id);
        }
        for n in [1, 2] {
            names.insert(format!("customer {n}"), customer_id(n).to_string());
        }
        names.insert("grace".to_owned(), grace.clone());
        names.insert("ada".to_owned(), ada.clone());
        let mut links = Vec::new();
        for order in [&one, &two] {
            let path = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
            links.push(stage.get(&path, &stage.admin).await.body["token"].as_str().unwrap().to_owned());
        }
        let viewer = |name, role, token: Option<String>, own: &str| {
            let login = None;
            Viewer { name, role, token, login, own: own.to_owned() }
        };
        let [ta, tb, tc] = merchants;
        let customer = |n| Some(token(Party::Customer(customer_id(n))));
        let viewers = vec![
            viewer("operations", Some(Role::Admin), Some(stage.admin.clone()), ""),
            viewer("merchant a", Some(Role::Merchant), Some(ta), ""),
            viewer("merchant b", Some(Role::Merchant), Some(tb), ""),
            viewer("merchant c", Some(Role::Merchant), Some(tc), ""),
            viewer("customer 1", Some(Role::Customer), customer(1), ""),
            viewer("customer 2", Some(Role::Customer), customer(2), ""),
            viewer("grace", Some(Role::Driver), Some(driver_token(&grace)), ""),
            viewer("ada", Some(Role::Driver), Some(driver_token(&ada)), ""),
            viewer("link 1", None, None, &links[0]),
            viewer("link 2", None, None, &links[1]),
        ];
        let mut world = Self { server, names, viewers, frames: Arc::default() };
        let parties = [
            ("operations", Party::Admin(AdminId::from_uuid(uuid::Uuid::from_u128(1)))),
            ("merchant a", Party::Merchant(merchant_id(1))),
            ("merchant b", Party::Merchant(merchant_id(2))),
            ("merchant c", Party::Merchant(merchant_id(3))),
            ("customer 1", Party::Customer(customer_id(1))),
            ("customer 2", Party::Customer(customer_id(2))),
            ("grace", Party::Driver(grace.parse().unwrap())),
            ("ada", Party::Driver(ada.parse().unwrap())),
        ];
        for (name, party) in parties {
            world.has_an_account(name, party).await;
        }
        let offer = world.until_asked(&ada).await;
        world.names.insert("offer 2".to_owned(), offer);
        for (n, viewer) in world.viewers.iter().enumerate() {
            let path = match viewer.role {
                Some(Role::Admin) => "/v1/ws/operations".to_owned(),
                Some(Role::Merchant) => "/v1/ws/merchant".to_owned(),
                Some(Role::Driver) => "/v1/ws/driver".to_owned(),
                Some(Role::Customer) => "/v1/ws/customer".to_owned(),
                None => format!("/v1/ws/track/{}", viewer.own),
            };
            let (socket, welcome, first) = world.server.begin(&path, viewer.token.as_deref(), json!({})).await;
            world.frames.lock().extend([(n, welcome), (n, first)]);
            tokio::spawn(listen(n, socket, Arc::clone(&world.frames)));
        }
        world
    }

    /// Gives a viewer an account, under which they are who they are.
    async fn has_an_account(&mut self, name: &'static str, party: Party) {
        let stage = &self.server.stage;
        let email = format!("person-{}@example.org", name.replace(' ', "-"));
        let role = Role::of(party).unwrap();
        if role == Role::Admin {
            let password = Secret(people::PASSWORD.to_owned());
            stage.app.identity().create_admin(&email, name, &password).await.unwrap();
        } else {
            people::register(stage, &role.to_string(), &email).await;
        }
        sqlx::query("UPDATE accounts SET subject = $2, name = $1, activated_at = now() WHERE email = $1")
            .bind(&email)
            .bind(subject(party))
            .execute(stage.database.pool.connections())
            .await
            .unwrap();
        let login = people::log_in(stage, &email).await;
        if role == Role::Merchant {
            let make = json!({"name": email, "scopes": ["orders:read"]});
            stage.post("/v1/account/keys", &login.access(), &make).await;
        }
        self.names.insert(format!("person {name}"), email);
        let viewer = self.viewers.iter_mut().find(|viewer| viewer.name == name).unwrap();
        viewer.login = Some(login.access());
    }

    /// Everything that is exported for a viewer, page after page.
    async fn exported(&self, viewer: &Viewer, schema: &Value, all: &mut Vec<(String, Value, Value)>) {
        let mut path = "/v1/account/export?limit=100".to_owned();
        while let Some(token) = &viewer.login {
            let page = self.server.stage.get(&path, token).await;
            assert!(page.status.is_success(), "{}: {page:?}", viewer.name);
            let next = page.body["next_cursor"].as_str().map(|cursor| format!("/v1/account/export?cursor={cursor}"));
            all.push((path, schema.clone(), page.body));
            let Some(next) = next else { return };
            path = next;
        }
    }

    async fn until_asked(&self, driver: &str) -> String {
        let path = format!("/v1/drivers/{driver}/route");
        eventually("somebody is asked about the second order", async || {
            let route = self.server.stage.get(&path, &self.server.stage.admin).await.body;
            route["offers"][0]["id"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Grace hands the first order over.
    async fn deliver(&self) {
        let stage = &self.server.stage;
        let order = stage.get(&format!("/v1/orders/{}", self.names["order 1"]), &stage.admin).await.body;
        for task in order["tasks"].as_array().unwrap() {
            let at_door = task["kind"] == "delivery";
            for step in ["departed", "arrived", if at_door { "delivered" } else { "picked_up" }] {
                let mut body = json!({});
                if !["departed", "arrived"].contains(&step) {
                    body = json!({"code": task["code"]});
                }
                if step == "delivered" {
                    body["proof"] = json!({"received_by": "received-1", "note": "remark-1"});
                }
                let (driver, id) = (&self.names["grace"], task["id"].as_str().unwrap());
                let done = stage.post(&format!("/v1/drivers/{driver}/tasks/{id}/{step}"), &stage.admin, &body).await;
                assert!(done.status.is_success(), "{step}: {done:?}");
            }
        }
    }

    /// Everything that a route may stand for, of the things in this world.
    fn paths(&self, viewer: &Viewer, path: &str) -> Vec<String> {
        let named = |names: &[&str]| names.iter().map(|name| self.names[*name].clone()).collect::<Vec<_>>();
        let ids = if path.starts_with("/v1/orders") {
            named(&["order 1", "order 2"])
        } else if path.starts_with("/v1/drivers") {
            named(&["grace", "ada"])
        } else if path.starts_with("/v1/zones") {
            vec![self.server.stage.zone.clone()]
        } else if path.starts_with("/v1/jobs") {
            vec![self.names["job"].clone()]
        } else {
            vec![String::new()]
        };
        if path.contains("{token}") {
            // Whoever holds a link sees what it shows, whoever they are otherwise.
            return viewer.role.is_none().then(|| path.replace("{token}", &viewer.own)).into_iter().collect();
        }
        if path.contains("{id}") {
            return ids.iter().map(|id| path.replace("{id}", id)).collect();
        }
        vec![path.to_owned()]
    }

    /// Every answer that reads, and every message of webhooks, with the schema that the document gives it.
    async fn answers(&self, viewer: &Viewer) -> Vec<(String, Value, Value)> {
        let mut all = Vec::new();
        for (method, path, operation) in operations() {
            let rule = rule_of(&method.parse().unwrap(), &path).unwrap();
            let is_of_itself =
                ["/openapi.json", "/asyncapi.json", "/docs/sockets", "/problems/{code}"].contains(&path.as_str());
            let is_account = matches!(rule.access, Access::Account(_)) || path.starts_with("/v1/account");
            let schema = operation["responses"]["200"]["content"]["application/json"]["schema"].clone();
            if path == "/v1/account/export" {
                self.exported(viewer, &schema, &mut all).await;
                continue;
            }
            if method != "GET" || is_of_itself || is_account || rule.socket || path.contains("google") {
                continue;
            }
            for path in self.paths(viewer, &path) {
                for path in self.of_webhooks(viewer, &path).await {
                    let answer = self.server.stage.call(Method::GET, &path, viewer.token.as_deref(), None).await;
                    assert!(!answer.status.is_server_error(), "{path}: {answer:?}");
                    if answer.status.is_success() {
                        all.push((path, schema.clone(), answer.body));
                    }
                }
            }
        }
        all
    }

    /// With the endpoints and messages of this merchant in it.
    async fn of_webhooks(&self, viewer: &Viewer, path: &str) -> Vec<String> {
        let (stage, Some(token)) = (&self.server.stage, viewer.token.as_deref()) else { return vec![path.to_owned()] };
        let Some(rest) = path.strip_prefix("/v1/webhooks/").filter(|_| path.contains("//") || path.ends_with('/'))
        else {
            return vec![path.to_owned()];
        };
        let ids = async |path: &str| {
            let page = stage.get(path, token).await.body;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let endpoints = ids("/v1/webhooks/endpoints").await;
        if rest.starts_with("endpoints") {
            return endpoints.iter().map(|id| path.replacen("endpoints/", &format!("endpoints/{id}"), 1)).collect();
        }
        let mut messages = Vec::new();
        for endpoint in endpoints {
            messages.extend(ids(&format!("/v1/webhooks/endpoints/{endpoint}/messages")).await);
        }
        messages.iter().map(|id| format!("/v1/webhooks/messages/{id}")).collect()
    }

    /// What is not this viewer's to know, by its name.
    fn secrets(&self, viewer: &Viewer, known: &[&str]) -> Vec<(&str, &str)> {
        if viewer.name == "operations" {
            return Vec::new();
        }
        let is_own = |name: &str| name.strip_prefix("person ").unwrap_or(name) == viewer.name;
        let is_known = |name: &str| is_own(name) || known.contains(&name);
        self.names.iter().filter(|(name, _)| !is_known(name)).map(|(n, id)| (n.as_str(), id.as_str())).collect()
    }
}

/// What each may know of the first order while Grace carries it, and of the second while Ada is asked.
fn known(viewer: &str, is_over: bool) -> Vec<&'static str> {
    let contact = |of: &str| match of {
        "a" => ["name counter-a", "phone counter-a", "address counter-a", "note counter-a"],
        "b" => ["name counter-b", "phone counter-b", "address counter-b", "note counter-b"],
        "1" => ["name door-1", "phone door-1", "address door-1", "note door-1"],
        "2" => ["name counter-2", "phone counter-2", "address counter-2", "note counter-2"],
        _ => ["name door-2", "phone door-2", "address door-2", "note door-2"],
    };
    let one = ["order 1", "task a", "task b", "task door-1", "merchant a", "merchant b", "grace", "reference-1"];
    let two = ["order 2", "task 2", "task door-2", "merchant b", "reference-2"];
    let proof = ["received-1", "remark-1"];
    match viewer {
        "merchant a" => [&one[..], &["customer 1"], &contact("a"), &contact("b"), &contact("1"), &proof].concat(),
        "merchant b" => {
            let part = ["order 1", "task b", "merchant a", "grace"];
            [&part[..], &contact("b"), &two, &["customer 2"], &contact("2"), &contact("door")].concat()
        }
        "customer 1" => [&one[..], &contact("1"), &proof].concat(),
        "customer 2" => [&two[..], &contact("door")].concat(),
        "grace" if is_over => one.to_vec(),
        "grace" => [&one[..], &contact("a"), &contact("b"), &contact("1"), &proof].concat(),
        "ada" => [&two[..], &["offer 2"]].concat(),
        "link 1" => vec!["order 1"],
        "link 2" => vec!["order 2"],
        _ => Vec::new(),
    }
}

fn assert_none_of(secrets: &[(&str, &str)], viewer: &str, of: &str, told: &Value) {
    let text = told.to_string();
    for (name, secret) in secrets {
        assert!(!text.contains(secret), "{viewer} learns {name} from {of}: {text}");
    }
}

fn subject(party: Party) -> uuid::Uuid {
    match party {
        Party::System => uuid::Uuid::nil(),
        Party::Admin(id) => id.uuid(),
        Party::Merchant(id) => id.uuid(),
        Party::Driver(id) => id.uuid(),
        Party::Customer(id) => id.uuid(),
    }
}

/// Notes each field that holds something, by the schema that the document gives it.
fn fields(document: &Value, schema: &Value, value: &Value, of: &str, seen: &mut BTreeSet<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap();
        return fields(document, document.pointer(&target[1..]).unwrap(), value, name, seen);
    }
    for way in ["oneOf", "anyOf", "allOf"] {
        for one in schema[way].as_array().into_iter().flatten() {
            fields(document, one, value, of, seen);
        }
    }
    for entry in value.as_array().into_iter().flatten() {
        fields(document, &schema["items"], entry, of, seen);
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let known = &schema["properties"][name];
        if known.is_object() && !field.is_null() {
            seen.insert(format!("{of}.{name}"));
            fields(document, known, field, of, seen);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_meets_an_id_a_word_or_a_field_that_is_not_theirs() {
    let world = World::new().await;
    let (rest, sockets) = (serde_json::to_value(document()).unwrap(), asyncapi::document());
    let mut seen: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut note = |viewer: &Viewer, fields: BTreeSet<String>| {
        let who = viewer.name.split(' ').next().unwrap();
        let who = if ["grace", "ada"].contains(&who) { "driver" } else { who };
        fields.into_iter().for_each(|field| _ = seen.entry(field).or_default().insert(who));
    };
    for is_over in [false, true] {
        if is_over {
            world.deliver().await;
        }
        for viewer in &world.viewers {
            let secrets = world.secrets(viewer, &known(viewer.name, is_over));
            let answers = world.answers(viewer).await;
            assert!(answers.len() >= 3, "{viewer:?} reads next to nothing");
            for (path, schema, body) in answers {
                let mut found = BTreeSet::new();
                fields(&rest, &schema, &body, "?", &mut found);
                note(viewer, found);
                assert_none_of(&secrets, viewer.name, &path, &body);
            }
        }
    }
    let last = &world.names["order 1"];
    let is_last =
        |frame: &Value| frame["data"]["order"]["id"] == *last && frame["data"]["order"]["status"] == "delivered";
    eventually("the seller of a part is told of the end", async || {
        world.frames.lock().iter().any(|(n, frame)| *n == 2 && is_last(frame)).then_some(())
    })
    .await;
    for (n, frame) in world.frames.lock().iter() {
        let viewer = &world.viewers[*n];
        let mut found = BTreeSet::new();
        let kind = frame["type"].as_str().unwrap();
        let payload = &sockets["components"]["messages"][format!("server_{kind}")]["payload"]["properties"]["data"];
        fields(&sockets, payload, &frame["data"], kind, &mut found);
        // Whether somebody falls silent meanwhile, or lets an offer lapse, depends on how long all of this takes.
        if !["alert", "offer_ended"].contains(&kind) {
            note(viewer, found);
        }
        // Whoever carried it was told before it was over.
        let mut known = known(viewer.name, false);
        // Who follows their order learns no more of its driver than a tracking link tells.
        known.retain(|name| viewer.role != Some(Role::Customer) || *name != "grace");
        assert_none_of(&world.secrets(viewer, &known), viewer.name, kind, frame);
    }
    let written: String = seen
        .iter()
        .map(|(field, who)| format!("{field}: {}\n", who.iter().copied().collect::<Vec<_>>().join(" ")))
        .collect();
    if std::env::var_os("WRITE_AUDIENCES").is_some() {
        std::fs::write("tests/api/audiences.txt", &written).unwrap();
    }
    let said: BTreeMap<_, BTreeSet<_>> = include_str!("audiences.txt")
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(field, who)| (field, who.split(' ').collect()))
        .collect();
    // Whether there is another page depends on how much there is.
    seen.retain(|field, _| !field.ends_with(".next_cursor"));
    for (field, who) in &seen {
        let may = said
            .get(field.as_str())
            .unwrap_or_else(|| panic!("{field} goes to {who:?}: say in audiences.txt who may see it"));
        let others: Vec<_> = who.difference(may).collect();
        assert!(others.is_empty(), "{field} goes to {others:?}, who may not see it");
    }
    let stale: Vec<_> = said.keys().filter(|field| !seen.contains_key(**field)).collect();
    assert!(stale.is_empty(), "nobody was shown {stale:?}: the walk has to, or the line goes");
}
