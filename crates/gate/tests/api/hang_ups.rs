//! Callers who are gone: every route that writes and every command of a driver's socket, as the table of access and the
//! documents list them, with the caller gone at some moment, and with the session to Postgres cut before and after the
//! commit. Then everything that is stored lives: memory is as the database, every deadline fires, and operations were told
//! of every step.

mod world;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use posthaste_clock::testing::{eventually_shown_within, eventually_within};
use posthaste_dispatch_api::access::MESSAGES;
use posthaste_gate::access::{Access, RULES, Rule, rule_of};
use posthaste_http::auth::Role;
use posthaste_storage::testing::Cut;
use serde_json::{Value, json};

use self::world::{Ask, Work, World, details};
use crate::document::operations;
use crate::sockets::Socket;
use crate::stage::Answer;

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

impl World {
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
        let answer = eventually_within(PATIENCE, &format!("{what}: an answer"), async || {
            let answer = self.stage().send(self.request(ask, id)).await;
            let is_unsure = answer.status == StatusCode::SERVICE_UNAVAILABLE || answer.code() == "duplicate_in_flight";
            (!is_unsure).then_some(answer)
        })
        .await;
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}: {answer:?}");
        if let Some(token) = &ask.ends {
            let path = if token.starts_with("ph_") { "/v1/orders" } else { "/v1/account" };
            // What an answer of Postgres that never came had ended is read from it, within a second.
            eventually_within(PATIENCE, &format!("{what}: what it ends is over, after {answer:?}"), async || {
                (self.stage().get(path, token).await.status == StatusCode::UNAUTHORIZED).then_some(())
            })
            .await;
        }
        answer
    }

    /// Everything that is stored lives, nobody was left without word, every deadline fires, and nothing had to be mended.
    async fn is_whole(&self) {
        let system = self.stage().app.system();
        eventually_shown_within(PATIENCE, "nothing differs, and every order ended or has a driver", async || {
            let differences = system.differences().await.unwrap_or_else(|refused| vec![refused.to_string()]);
            let waiting = self.waiting().await;
            if differences.is_empty() && waiting.is_empty() { Ok(()) } else { Err((differences, waiting)) }
        })
        .await;
        let stored = posthaste_storage::zones::served(&self.stage().database.pool).await.unwrap();
        let stored: std::collections::BTreeMap<_, _> = stored.iter().map(|zone| (zone.id, zone.version)).collect();
        let served: std::collections::BTreeMap<_, _> =
            system.zones().list().iter().map(|zone| (zone.zone.id, zone.zone.version)).collect();
        assert_eq!(served, stored);
        let versions = self.versions().await;
        eventually_shown_within(PATIENCE, "operations were told of every step", async || {
            let unheard = self.unheard(&versions);
            if unheard.is_empty() { Ok(()) } else { Err(unheard) }
        })
        .await;
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

/// Every route that writes, with the document's example of a body.
fn writing() -> Vec<(&'static Rule, Value)> {
    let mut found = Vec::new();
    for (method, path, operation) in operations() {
        if method == "GET" {
            continue;
        }
        let rule = rule_of(&method.parse().unwrap(), &path).unwrap();
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
        let answer = eventually_within(PATIENCE, &format!("{kind}: an answer"), async || {
            let mut socket = self.socket(driver).await;
            socket.say(kind, Some(id), data.clone()).await;
            let answer = socket.answer(id).await;
            (answer["data"]["code"] != "unavailable").then_some(answer)
        })
        .await;
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
