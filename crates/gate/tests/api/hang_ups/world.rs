//! What the requests of those who are gone are about: each time a zone, a driver and an order of their own, as far as the step
//! needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use parking_lot::Mutex;
use posthaste_clock::testing::eventually_within;
use posthaste_domain::Span;
use posthaste_gate::access::{Access, Rule};
use posthaste_http::auth::{KeyScope, Role};
use posthaste_storage::testing::Relay;
use serde_json::{Value, json};

use super::PATIENCE;
use crate::accounts::people::{self, Login};
use crate::sockets::{Server, Socket};
use crate::stage::{Stage, dead_job, order_body};

/// The product's clock: deadlines of minutes come while one waits.
const SPEED: f64 = 60.0;
/// A request that can be sent again, and what says that it was done.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) body: Option<Value>,
    /// A token that is worth nothing once this is done.
    pub(super) ends: Option<String>,
}

/// An order that is as far as somebody's next step needs it.
pub(super) struct Work {
    pub(super) driver: String,
    pub(super) order: String,
    pub(super) task: Value,
    pub(super) offer: String,
}

pub(super) struct Zone {
    id: String,
    n: u32,
}

pub(super) struct World {
    pub(super) server: Server,
    pub(super) relay: Relay,
    admin_account: String,
    count: Mutex<u32>,
    pub(super) told: Arc<Mutex<Told>>,
}

/// What the socket of operations said.
#[derive(Default)]
pub(super) struct Told {
    /// The numbers of each order's events.
    pub(super) events: BTreeMap<String, BTreeSet<u64>>,
    /// What had to be mended.
    pub(super) mended: Vec<Value>,
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
    pub(super) async fn new() -> Self {
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

    pub(super) fn stage(&self) -> &Stage {
        &self.server.stage
    }

    pub(super) fn next(&self) -> u32 {
        let mut count = self.count.lock();
        *count += 1;
        *count
    }

    async fn admin(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.stage().call(method, path, Some(&self.stage().admin), Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.body
    }

    pub(super) async fn see(&self, path: &str) -> Value {
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
        eventually_within(PATIENCE, "it is offered to the only driver", async || {
            let route = self.see(&format!("/v1/drivers/{driver}/route")).await;
            route["offers"][0]["id"].as_str().map(str::to_owned)
        })
        .await
    }

    /// A driver and an order for this step, as the path or the message names it.
    pub(super) async fn work(&self, step: &str) -> Work {
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
    pub(super) async fn ready(&self, rule: &Rule, example: &Value) -> Ask {
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
            path if path.starts_with("/v1/jobs/") => ask.path = path.replace("{id}", &dead_job(stage).await),
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
            ("DELETE", "/v1/account") => {
                ask.body = Some(json!({"password": people::PASSWORD}));
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
pub(super) fn details(step: &str, task: &Value) -> Value {
    match step {
        "picked_up" | "delivered" | "returned" => json!({"code": task["code"]}),
        "failed" => json!({"reason": "customer_absent"}),
        _ => json!({}),
    }
}
