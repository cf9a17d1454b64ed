//! Callers who are gone: every route that writes and every command of a driver's socket, as the table of access and the
//! documents list them, with the caller gone at some moment, and with the session to Postgres cut before and after the
//! commit. Then everything that is stored lives: memory is as the database, every deadline fires, and operations were told
//! of every step.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use parking_lot::Mutex;
use posthaste_api::access::{Access, MESSAGES, RULES, Rule};
use posthaste_domain::Span;
use posthaste_http::auth::{KeyScope, Role};
use posthaste_storage::testing::{Cut, Relay};
use serde_json::{Value, json};

use crate::accounts::people::{self, Login};
use crate::document::operations;
use crate::sockets::{Server, Socket};
use crate::stage::{Answer, Stage, order_body};

/// The product's clock: deadlines of minutes come while one waits.
const SPEED: f64 = 60.0;
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);
/// When callers are gone: at once, and somewhere in what they asked for.
const GONE_AFTER: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_micros(300),
    Duration::from_micros(1_500),
    Duration::from_millis(5),
    Duration::from_millis(20),
];

/// A request that can be sent again, and what says that it was done.
#[derive(Debug, Clone)]
struct Ask {
    method: Method,
    path: String,
    token: Option<String>,
    body: Option<Value>,
    /// A token that is worth nothing once this is done.
    ends: Option<String>,
}

/// An order that is as far as somebody's next step needs it.
struct Work {
    driver: String,
    order: String,
    task: Value,
    offer: String,
}

struct Zone {
    id: String,
    n: u32,
}

struct World {
    server: Server,
    relay: Relay,
    admin_account: String,
    count: Mutex<u32>,
    told: Arc<Mutex<Told>>,
}

/// What the socket of operations said.
#[derive(Default)]
struct Told {
    /// The numbers of each order's events.
    events: BTreeMap<String, BTreeSet<u64>>,
    /// What had to be mended.
    mended: Vec<Value>,
}

async fn listen(mut desk: Socket, told: Arc<Mutex<Told>>) {
    let mut beat = tokio::time::interval(Duration::from_secs(5));
    loop {
        let frame = tokio::select! {
            _ = beat.tick() => {
                desk.say("heartbeat", None, json!({})).await;
                continue;
            }
            frame = desk.try_next() => frame,
        };
        let Some(frame) = frame else { break };
        let mut told = told.lock();
        if frame["type"] == "order" {
            let order = frame["data"]["order"]["id"].as_str().unwrap().to_owned();
            let seqs = frame["data"]["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap());
            told.events.entry(order).or_default().extend(seqs);
        } else if frame["type"] == "alert" && frame["data"]["kind"] == "state_mended" {
            told.mended.push(frame);
        }
    }
}

impl World {
    async fn new() -> Self {
        let (mut stage, relay) = Stage::behind_a_relay(SPEED).await;
        let mut zone = crate::stage::zone_body("Centre");
        zone["rules"] = zone_at(0)["rules"].clone();
        stage.zone = stage.post("/v1/zones", &stage.admin, &zone).await.id();
        let account = people::register(&stage, "merchant", "watched@example.org").await;
        let server = Server::on(stage).await;
        let (desk, ..) = server.begin("/v1/ws/operations", Some(&server.stage.admin), json!({})).await;
        let told = Arc::default();
        tokio::spawn(listen(desk, Arc::clone(&told)));
        let admin_account = account["id"].as_str().unwrap().to_owned();
        Self { server, relay, admin_account, count: Mutex::new(0), told }
    }

    fn stage(&self) -> &Stage {
        &self.server.stage
    }

    fn next(&self) -> u32 {
        let mut count = self.count.lock();
        *count += 1;
        *count
    }

    async fn admin(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.stage().call(method, path, Some(&self.stage().admin), Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.body
    }

    async fn see(&self, path: &str) -> Value {
        self.stage().get(path, &self.stage().admin).await.body
    }

    /// A driver on shift in a zone, where nobody else is.
    async fn driver(&self, zone: &Zone) -> String {
        let new = json!({"name": "Grace", "vehicle": "bicycle", "capacity": 3, "zones": [zone.id]});
        let id = self.admin(Method::POST, "/v1/drivers", &new).await["id"].as_str().unwrap().to_owned();
        let shift = json!({"state": "available", "place": zone.place(0.0)});
        self.admin(Method::PUT, &format!("/v1/drivers/{id}/shift"), &shift).await;
        id
    }

    /// An order that no driver has, with what else is said of it.
    async fn order(&self, zone: &Zone, with: Value) -> Value {
        let mut body = order_body();
        body["pickups"] = json!([zone.place(0.001)]);
        body["delivery"] = zone.place(0.01);
        for (name, value) in with.as_object().unwrap() {
            body[name] = value.clone();
        }
        let placed = self.stage().post("/v1/orders", &self.stage().merchant, &body).await;
        assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
        placed.body
    }

    /// The offer of an order, once the driver has it.
    async fn offer(&self, driver: &str) -> String {
        let looked = tokio::time::timeout(PATIENCE, async {
            loop {
                let route = self.see(&format!("/v1/drivers/{driver}/route")).await;
                if let Some(offer) = route["offers"].as_array().and_then(|offers| offers.first()) {
                    return offer["id"].as_str().unwrap().to_owned();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        looked.await.expect("it is offered to the only driver")
    }

    /// A driver and an order for this step, as the path or the message names it.
    async fn work(&self, step: &str) -> Work {
        let zone = self.zone().await;
        let driver = self.driver(&zone).await;
        let placed = self.order(&zone, json!({})).await;
        let order = placed["id"].as_str().unwrap().to_owned();
        let mut work = Work { driver, order, task: placed["tasks"][0].clone(), offer: String::new() };
        if ["accept", "decline"].contains(&step) {
            work.offer = self.offer(&work.driver).await;
            return work;
        }
        let assign = format!("/v1/orders/{}/assign", work.order);
        self.admin(Method::POST, &assign, &json!({"driver_id": work.driver})).await;
        let pickup = ["departed", "arrived", "picked_up"];
        let before: &[&str] = match step {
            "arrived" => &pickup[..1],
            "picked_up" => &pickup[..2],
            "delivered" => &["departed", "arrived", "picked_up", "departed", "arrived"],
            "failed" => &pickup,
            "returned" => &["departed", "arrived", "picked_up", "failed"],
            "undo_next" => &["do_next"],
            _ => &[],
        };
        for step in before {
            if *step == "do_next" {
                let next = format!("/v1/drivers/{}/route/next", work.driver);
                self.admin(Method::PUT, &next, &json!({"task_id": work.task["id"]})).await;
                continue;
            }
            let path = format!("/v1/drivers/{}/tasks/{}/{step}", work.driver, work.task["id"].as_str().unwrap());
            self.admin(Method::POST, &path, &details(step, &work.task)).await;
            if *step == "picked_up" {
                work.task = placed["tasks"][1].clone();
            }
        }
        if step == "returned" {
            let order = self.see(&format!("/v1/orders/{}", work.order)).await;
            let tasks = order["tasks"].as_array().unwrap();
            work.task = tasks.iter().find(|task| task["kind"] == "return").expect("goods to bring back").clone();
        }
        work
    }

    /// A zone of its own, where nobody else is.
    async fn zone(&self) -> Zone {
        let n = self.next();
        let id = self.admin(Method::POST, "/v1/zones", &zone_at(n)).await["id"].as_str().unwrap().to_owned();
        Zone { id, n }
    }

    async fn endpoint(&self) -> String {
        let (path, token) = ("/v1/webhooks/endpoints", &self.stage().merchant);
        for endpoint in self.stage().get(path, token).await.body["items"].as_array().unwrap() {
            let path = format!("{path}/{}", endpoint["id"].as_str().unwrap());
            self.stage().call(Method::DELETE, &path, Some(token), None).await;
        }
        self.stage().post(path, token, &json!({"url": "https://shop.example/hooks"})).await.id()
    }

    async fn message(&self) -> String {
        let path = format!("/v1/webhooks/endpoints/{}/test", self.endpoint().await);
        self.stage().post(&path, &self.stage().merchant, &json!({})).await.id()
    }

    /// This request by the one whose it is to make, about things that are ready for it.
    async fn ready(&self, rule: &Rule, example: &Value) -> Ask {
        let stage = self.stage();
        let mut ask = Ask {
            method: rule.method.parse().unwrap(),
            path: rule.path.to_owned(),
            token: Some(stage.admin.clone()),
            body: (!example.is_null()).then(|| example.clone()),
            ends: None,
        };
        let last = rule.path.rsplit('/').next().unwrap();
        match rule.path {
            "/v1/orders" => (ask.token, ask.body) = (Some(stage.merchant.clone()), Some(order_body())),
            path if path.starts_with("/v1/orders/") => {
                let zone = self.zone().await;
                let order = match last {
                    "confirm" | "reject" => self.order(&zone, json!({"needs_confirmation": true})).await,
                    "unassign" => {
                        let work = self.work("departed").await;
                        self.see(&format!("/v1/orders/{}", work.order)).await
                    }
                    _ => self.order(&zone, json!({})).await,
                };
                match last {
                    "assign" => ask.body = Some(json!({"driver_id": self.driver(&zone).await})),
                    "confirm" => (ask.token, ask.body) = (Some(stage.merchant.clone()), Some(json!({}))),
                    "reject" => ask.token = Some(stage.merchant.clone()),
                    _ => {}
                }
                ask.path = path
                    .replace("{id}", order["id"].as_str().unwrap())
                    .replace("{task}", order["tasks"][0]["id"].as_str().unwrap());
            }
            "/v1/drivers" => ask.body.as_mut().unwrap()["zones"] = json!([stage.zone]),
            path if path.starts_with("/v1/drivers/") => {
                let step = match last {
                    "next" if rule.method == "PUT" => "do_next",
                    "next" => "undo_next",
                    step => step,
                };
                let work = self.work(step).await;
                let mut shift = String::new();
                match last {
                    "shift" => ask.body = Some(json!({"state": "on_break"})),
                    "shifts" => ask.body = Some(self.planned().await),
                    "{shift}" => {
                        let path = format!("/v1/drivers/{}/shifts", work.driver);
                        let planned = self.admin(Method::POST, &path, &self.planned().await).await;
                        planned["id"].as_str().unwrap().clone_into(&mut shift);
                    }
                    "next" => ask.body = (step == "do_next").then(|| json!({"task_id": work.task["id"]})),
                    _ => ask.body = details(step, &work.task).as_object().filter(|d| !d.is_empty()).map(|d| json!(d)),
                }
                if last == "positions" {
                    ask.body = Some(json!({"positions": [{"lat": 52.5164, "lng": 13.3778}]}));
                }
                ask.path = path
                    .replace("{id}", &work.driver)
                    .replace("{task}", work.task["id"].as_str().unwrap())
                    .replace("{offer}", &work.offer)
                    .replace("{shift}", &shift);
            }
            "/v1/zones" => ask.body = Some(zone_at(self.next())),
            path if path.starts_with("/v1/zones/") => {
                let n = self.next() + 1;
                ask.path = path.replace("{id}", &self.zone().await.id);
                ask.body = ask.body.map(|_| json!({"name": format!("renamed {n}"), "area": zone_at(n)["area"]}));
            }
            path if path.starts_with("/v1/webhooks/") => {
                ask.token = Some(stage.merchant.clone());
                let id = if path.contains("/messages/") { self.message().await } else { self.endpoint().await };
                ask.path = path.replace("{id}", &id);
                if last == "resume" {
                    // As the server does it when a receiver keeps failing.
                    sqlx::query("UPDATE webhook_endpoints SET state = 'paused' WHERE state = 'active'")
                        .execute(stage.database.pool.connections())
                        .await
                        .unwrap();
                }
                if path == "/v1/webhooks/endpoints" {
                    stage.call(Method::DELETE, &format!("{path}/{id}"), ask.token.as_deref(), None).await;
                }
            }
            path if path.starts_with("/v1/accounts/") && path.contains("{id}") => {
                ask.path = path.replace("{id}", &self.admin_account);
            }
            _ => self.ready_for_an_account(rule, &mut ask).await,
        }
        assert!(!ask.path.contains('{'), "{} {}: nobody knows what it is tried on", rule.method, rule.path);
        ask
    }

    /// Somebody who is signed in, from an address of their own.
    async fn account(&self, role: Role, email: &str) -> Login {
        let address = IpAddr::from((0x7f01_0000 + self.next()).to_be_bytes());
        people::register_from(self.stage(), address, &role.to_string(), email).await;
        people::log_in_from(self.stage(), address, email).await
    }

    /// What people do with their own accounts.
    async fn ready_for_an_account(&self, rule: &Rule, ask: &mut Ask) {
        let (stage, n) = (self.stage(), self.next());
        let Access::Account(roles) = rule.access else {
            ask.token = None;
            if rule.path == "/v1/sessions/end" {
                let email = format!("leaves-{n}@example.org");
                let login = self.account(Role::Merchant, &email).await;
                ask.body = Some(json!({"refresh_token": login.refresh_token()}));
                ask.ends = Some(login.access());
            }
            return;
        };
        let role = if roles.contains(&Role::Merchant) { Role::Merchant } else { roles[0] };
        let email = format!("somebody-{n}@example.org");
        let login = self.account(role, &email).await;
        ask.token = Some(login.access());
        match (rule.method, rule.path) {
            ("DELETE", "/v1/account/sessions") => {
                ask.path.push_str("?including_this=true");
                ask.ends = Some(login.access());
            }
            ("DELETE", "/v1/account/sessions/{id}") => {
                let other = people::log_in(stage, &email).await;
                ask.path = ask.path.replace("{id}", &other.id());
                ask.ends = Some(other.access());
            }
            ("DELETE", "/v1/account/keys/{id}") => {
                let path = format!("/v1/accounts/{}/activate", login.account(stage).await);
                self.admin(Method::POST, &path, &json!({})).await;
                let login = login.refresh(stage).await;
                let scopes: Vec<_> = KeyScope::ALL.iter().map(|scope| scope.name()).collect();
                let make = json!({"name": "backend", "scopes": scopes});
                let made = stage.post("/v1/account/keys", &login.access(), &make).await;
                let secret = made.body["secret"].as_str().unwrap().to_owned();
                assert_eq!(stage.get("/v1/orders", &secret).await.status, StatusCode::OK, "{made:?}");
                ask.path = ask.path.replace("{id}", made.body["key"]["id"].as_str().unwrap());
                (ask.token, ask.ends) = (Some(login.access()), Some(secret));
            }
            _ => {}
        }
    }

    /// A shift that begins in an hour of the product's clock.
    async fn planned(&self) -> Value {
        let now = self.stage().app.system().clock().now();
        json!({"start": now + Span::hours(1), "end": now + Span::hours(9)})
    }

    fn request(&self, ask: &Ask, id: &str) -> Request<Body> {
        let mut request = Request::builder().method(ask.method.clone()).uri(&ask.path);
        request = request.header("x-request-id", id).header("idempotency-key", id);
        if let Some(token) = &ask.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        match &ask.body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
            }
            None => request.body(Body::empty()).unwrap(),
        }
    }

    /// Asks, and is gone after so long.
    async fn hang_up(&self, ask: &Ask, id: &str, after: Duration) {
        let (worlds, request) = (self.stage().worlds.clone(), self.request(ask, id));
        let asking = tokio::spawn(async move {
            let response = worlds.answer(request).await.unwrap();
            let _ = to_bytes(response.into_body(), usize::MAX).await;
        });
        tokio::time::sleep(after).await;
        asking.abort();
        let _ = asking.await;
    }

    /// Asks as long as nobody can say whether it was done.
    async fn surely(&self, what: &str, ask: &Ask, id: &str) -> Answer {
        let asked = tokio::time::timeout(PATIENCE, async {
            loop {
                let answer = self.stage().send(self.request(ask, id)).await;
                let is_unsure =
                    answer.status == StatusCode::SERVICE_UNAVAILABLE || answer.code() == "duplicate_in_flight";
                if !is_unsure {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let answer = asked.await.unwrap_or_else(|_| panic!("{what}: never answered"));
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}: {answer:?}");
        if let Some(token) = &ask.ends {
            let path = if token.starts_with("ph_") { "/v1/orders" } else { "/v1/account" };
            let ended = tokio::time::timeout(PATIENCE, async {
                // What an answer of Postgres that never came had ended is read from it, within a second.
                while self.stage().get(path, token).await.status != StatusCode::UNAUTHORIZED {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            assert!(ended.await.is_ok(), "{what}: answered {answer:?}, yet what it ends is still good");
        }
        answer
    }

    /// Everything that is stored lives, nobody was left without word, every deadline fires, and nothing had to be mended.
    async fn is_whole(&self) {
        let system = self.stage().app.system();
        let settled = tokio::time::timeout(PATIENCE, async {
            loop {
                let differences = system.differences().await.unwrap_or_else(|refused| vec![refused.to_string()]);
                let waiting = self.waiting().await;
                if differences.is_empty() && waiting.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if settled.await.is_err() {
            panic!(
                "{:?} differs; these neither ended nor have a driver: {:?}",
                system.differences().await,
                self.waiting().await
            );
        }
        let stored = posthaste_storage::zones::served(&self.stage().database.pool).await.unwrap();
        let stored: BTreeMap<_, _> = stored.iter().map(|zone| (zone.id, zone.version)).collect();
        let served: BTreeMap<_, _> = system.zones().list().iter().map(|zone| (zone.id, zone.version)).collect();
        assert_eq!(served, stored);
        let versions = self.versions().await;
        let heard = tokio::time::timeout(PATIENCE, async {
            while !self.unheard(&versions).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let _ = heard.await;
        assert_eq!(self.unheard(&versions), Vec::<String>::new(), "steps that operations were not told");
        assert_eq!(self.told.lock().mended, Vec::<Value>::new());
    }

    async fn versions(&self) -> Vec<(String, u64)> {
        let rows: Vec<(uuid::Uuid, i64)> = sqlx::query_as("SELECT id, version FROM orders")
            .fetch_all(self.stage().database.pool.connections())
            .await
            .unwrap();
        let id = |id| <posthaste_domain::ids::OrderId as posthaste_domain::ids::Id>::from_uuid(id).to_string();
        rows.into_iter().map(|(uuid, version)| (id(uuid), u64::try_from(version).unwrap())).collect()
    }

    fn unheard(&self, versions: &[(String, u64)]) -> Vec<String> {
        let told = self.told.lock();
        let is_whole =
            |id: &str, version: u64| told.events.get(id).is_some_and(|seen| seen.iter().copied().eq(1..=version));
        let missing = versions.iter().filter(|(id, version)| !is_whole(id, *version));
        missing.map(|(id, version)| format!("{id} 1 to {version}: {:?}", told.events.get(id))).collect()
    }

    /// Orders that wait for somebody and have not been given up.
    async fn waiting(&self) -> Vec<String> {
        let rows: Vec<(uuid::Uuid, String)> =
            sqlx::query_as("SELECT id, status::text FROM orders WHERE driver_id IS NULL AND settled_at IS NULL")
                .fetch_all(self.stage().database.pool.connections())
                .await
                .unwrap();
        rows.into_iter().map(|(id, status)| format!("{id} {status}")).collect()
    }
}

impl Zone {
    /// A place in it, so many degrees from where its driver starts.
    fn place(&self, north: f64) -> Value {
        let (west, south) = corner(self.n);
        json!({"lat": south + 0.1 + north, "lng": west + 0.1})
    }
}

fn corner(n: u32) -> (f64, f64) {
    (f64::from(n % 300) * 0.4 - 60.0, f64::from(n / 300) * 0.4)
}

fn zone_at(n: u32) -> Value {
    let (west, south) = corner(n);
    let (east, north) = (west + 0.2, south + 0.2);
    json!({
        "name": format!("zone {n}"),
        "area": {"type": "Polygon", "coordinates":
            [[[west, south], [east, south], [east, north], [west, north], [west, south]]]},
        // Deadlines that come while the test looks, and no silence of drivers who say nothing.
        "rules": {"offer_seconds": 600, "give_up_seconds": 900, "confirmation_seconds": 600,
            "stale_after_seconds": 7200, "lost_after_seconds": 7200},
    })
}

/// What a step says beside its task.
fn details(step: &str, task: &Value) -> Value {
    match step {
        "picked_up" | "delivered" | "returned" => json!({"code": task["code"]}),
        "failed" => json!({"reason": "customer_absent"}),
        _ => json!({}),
    }
}

/// Every route that writes, with the document's example of a body.
fn writing() -> Vec<(&'static Rule, Value)> {
    let mut found = Vec::new();
    for (method, path, operation) in operations() {
        if method == "GET" {
            continue;
        }
        let rule = Rule::of(&method.parse().unwrap(), &path).unwrap();
        found.push((rule, operation["requestBody"]["content"]["application/json"]["example"].clone()));
    }
    assert_eq!(found.len(), RULES.iter().filter(|rule| rule.method != "GET").count());
    found
}

/// The routes of people's accounts want codes from letters; they are tried as they are refused, too.
fn is_about_work(rule: &Rule) -> bool {
    ["/v1/orders", "/v1/drivers", "/v1/zones", "/v1/webhooks"].iter().any(|of| rule.path.starts_with(of))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_began_is_finished_when_they_are_gone() {
    let world = World::new().await;
    for (rule, example) in writing() {
        let what = format!("{} {}", rule.method, rule.path);
        let ask = world.ready(rule, &example).await;
        let answer = world.surely(&what, &ask, &format!("whole-{}", world.next())).await;
        assert!(!is_about_work(rule) || answer.status.is_success(), "{what} as it should be asked: {answer:?}");
        for after in GONE_AFTER {
            let (ask, id) = (world.ready(rule, &example).await, format!("gone-{}", world.next()));
            world.hang_up(&ask, &id, after).await;
            // Half of them come back, as clients do, and are told what became of it.
            if after.as_micros() % 2 == 0 && after > Duration::from_millis(1) {
                world.surely(&what, &ask, &id).await;
            }
        }
    }
    world.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_session_left_open_is_found_out_and_followed() {
    let world = World::new().await;
    let mut never = Vec::new();
    for (rule, example) in writing().into_iter().filter(|(rule, _)| is_about_work(rule) || rule.path.ends_with("{id}"))
    {
        let what = format!("{} {}", rule.method, rule.path);
        let before = world.relay.cuts();
        for cut in [Cut::Before, Cut::After] {
            for by_name in [true, false] {
                let (ask, id) = (world.ready(rule, &example).await, format!("cut-{}-", world.next()));
                // The statement that names the request, or whatever commits next.
                world.relay.cut(if by_name { id.as_bytes() } else { b"COMMIT" }, cut);
                world.surely(&what, &ask, &id).await;
                world.relay.disarm();
            }
        }
        if world.relay.cuts() == before {
            never.push(what);
        }
    }
    assert!(never.is_empty(), "nothing was cut in {never:?}");
    world.is_whole().await;
}

/// The commands of a driver.
fn commands() -> impl Iterator<Item = &'static str> {
    let of_drivers = |access: Access| access.scope(Role::Driver).is_some() && access.scope(Role::Merchant).is_none();
    MESSAGES.iter().filter(move |rule| of_drivers(rule.access)).map(|rule| rule.kind)
}

impl World {
    /// What the driver says of their work.
    async fn said(&self, kind: &str) -> (Work, Value) {
        let work = self.work(kind).await;
        let place = json!({"lat": 52.5164, "lng": 13.3778});
        let mut data = match kind {
            "shift" => json!({"state": "on_break"}),
            "position" => place,
            "positions" => json!({"positions": [place]}),
            "accept" | "decline" => json!({"offer_id": work.offer}),
            "undo_next" => json!({}),
            _ => json!({"task_id": work.task["id"]}),
        };
        for (name, value) in details(kind, &work.task).as_object().unwrap() {
            data[name] = value.clone();
        }
        (work, data)
    }

    async fn socket(&self, driver: &str) -> Socket {
        let token = crate::stage::driver_token(driver);
        self.server.begin("/v1/ws/driver", Some(&token), json!({})).await.0
    }

    /// Says it, again over another connection, as long as nobody can say whether it was done.
    async fn surely_said(&self, driver: &str, kind: &str, id: &str, data: &Value) {
        let said = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut socket = self.socket(driver).await;
                socket.say(kind, Some(id), data.clone()).await;
                let answer = socket.answer(id).await;
                if answer["data"]["code"] != "unavailable" {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let answer = said.await.unwrap_or_else(|_| panic!("{kind}: never answered"));
        assert_eq!(answer["type"], "ack", "{kind}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_driver_said_is_done_when_their_socket_is_gone_or_the_session_was_cut() {
    let world = World::new().await;
    let mut tried = 0;
    for kind in commands() {
        tried += 1;
        for after in GONE_AFTER {
            let (work, data) = world.said(kind).await;
            let id = format!("gone-{}", world.next());
            let mut socket = world.socket(&work.driver).await;
            socket.say(kind, Some(&id), data.clone()).await;
            tokio::time::sleep(after).await;
            drop(socket);
            world.surely_said(&work.driver, kind, &id, &data).await;
        }
        for cut in [Cut::Before, Cut::After] {
            let (work, data) = world.said(kind).await;
            let id = format!("cut-{}-", world.next());
            world.relay.cut(&id, cut);
            world.surely_said(&work.driver, kind, &id, &data).await;
            world.relay.disarm();
        }
    }
    assert!(tried >= 13, "only {tried}");
    world.is_whole().await;
}
