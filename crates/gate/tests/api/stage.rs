//! A live system behind its router, with a zone, and callers of every role.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use posthaste_clock::{Clock, ManualClock};
use posthaste_domain::Span;
use posthaste_domain::ids::{AdminId, CustomerId, DriverId, Id, JobId, MerchantId};
use posthaste_domain::party::Party;
use posthaste_gate::{AppState, Build, Plan, Process, Worlds};
use posthaste_http::auth::Keys;
use posthaste_http::limits::Limits;
use posthaste_identity::{Hashing, Identity, Parts, Upkeep};
use posthaste_jobs::{Jobs, Kind, Retries, Times};
use posthaste_live::stopping::Leave;
use posthaste_live::wire::through_bytes;
use posthaste_live::{Retention, Settings, System};
use posthaste_notifications::worker::Worker;
use posthaste_notifications::{Carrier, Notifications};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_storage::installation::Outside;
use posthaste_storage::migrations::Older;
use posthaste_storage::pool::Schemas;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::{Relay, TestDatabase};
use posthaste_testworld::Tables;
use posthaste_webhooks::{Allowed, Webhooks};
use serde_json::{Value, json};

/// An answer, with its body read as JSON (`Null` where it is none).
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The fields that the problem names.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|e| e["field"].as_str()).collect()
    }

    pub(crate) fn id(&self) -> String {
        assert!(self.status.is_success(), "{self:?}");
        self.body["id"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) struct Stage {
    pub(crate) app: AppState,
    pub(crate) worlds: Worlds,
    pub(crate) database: TestDatabase,
    pub(crate) zone: String,
    pub(crate) admin: String,
    pub(crate) merchant: String,
    pub(crate) other_merchant: String,
    pub(crate) customer: String,
    pub(crate) mailbox: PathBuf,
    /// What time it is here.
    pub(crate) clock: Clock,
    time: Option<ManualClock>,
    _upkeep: (Worker, Upkeep),
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.mailbox);
        // All tests of this process share one server: what is left open here is missing there.
        let runtime = tokio::runtime::Handle::current();
        if runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread {
            let close = async {
                self.worlds.stop(Leave::InOrder).await;
                self.database.pool.close().await;
            };
            let close = async { tokio::time::timeout(Duration::from_secs(2), close).await };
            let _ = tokio::task::block_in_place(|| runtime.block_on(close));
        }
    }
}

pub(crate) fn keys() -> Keys {
    Keys::new(b"thirty-two bytes that nobody uses").unwrap()
}

pub(crate) fn merchant_id(n: u128) -> MerchantId {
    MerchantId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn customer_id(n: u128) -> CustomerId {
    CustomerId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn token(party: Party) -> String {
    keys().mint(party, Clock::system().wall(), Span::hours(1)).unwrap()
}

pub(crate) fn admin_token() -> String {
    token(Party::Admin(AdminId::from_uuid(uuid::Uuid::from_u128(1))))
}

pub(crate) fn driver_token(id: &str) -> String {
    token(Party::Driver(id.parse::<DriverId>().unwrap()))
}

/// Jobs that wait for ever.
static DONE_BY_NOBODY: Kind = Kind {
    name: "test.nobody",
    duty: "test.nobody",
    does: "is done by nobody",
    times: Times::Product,
    sealed_for: None,
    at_once: 1,
    of_group: 1,
    longest: Duration::from_secs(1),
    retries: Retries { seconds: &[], jitter: 0.0, longest_asked: Span::zero() },
    done_kept: None,
    dead_kept: Some(Span::days(1)),
    dead_keeps_payload: true,
    every: None,
};

const ALLOWED: Allowed = Allowed { private: true, plain_http: true };

/// Webhooks that may go to this machine, as in development. Nothing is sent until they are started.
pub(crate) fn webhooks(database: &TestDatabase, system: &System) -> Webhooks {
    webhooks_at(database, Clock::system(), system)
}

fn webhooks_at(database: &TestDatabase, clock: Clock, system: &System) -> Webhooks {
    let (pool, seal, feed) = (database.pool.clone(), Seal::new(b"a secret of tests"), system.feed().clone());
    Webhooks::new(Jobs::new(pool, seal, clock, Outside::Open), ALLOWED, feed)
}

pub(crate) fn zone_body(name: &str) -> Value {
    json!({
        "name": name,
        "area": {"type": "Polygon", "coordinates":
            [[[13.30, 52.45], [13.50, 52.45], [13.50, 52.60], [13.30, 52.60], [13.30, 52.45]]]},
    })
}

pub(crate) fn order_body() -> Value {
    json!({
        "speed": "fast",
        "pickups": [{"lat": 52.5163, "lng": 13.3777}],
        "delivery": {"lat": 52.5208, "lng": 13.4094},
        "customer_id": customer_id(1),
    })
}

/// A job that was given up and can be tried again, of a kind that runs here, with everything that a job may have.
pub(crate) async fn dead_job(stage: &Stage) -> String {
    let id: JobId = Clock::system().id();
    stage.app.jobs().register(&DONE_BY_NOBODY);
    let insert =
        "INSERT INTO jobs (id, kind, lane, place, group_name, key, payload, state, behind, due_at, attempts, tries,
            claim, last_error, created_at, ended_at, kept_until)
        VALUES ($1, 'test.nobody', $2, 1, 'group', $2, 'x', 'dead', false, now(), 3, 3, 3, 'it failed', now(), now(),
            now() + interval '1 day')";
    let pool = stage.database.pool.connections();
    sqlx::query(insert).bind(id.uuid()).bind(id.to_string()).execute(pool).await.unwrap();
    id.to_string()
}

/// As the server is by default.
fn kept_half_a_year() -> Settings {
    Settings { retention: Retention { contacts_days: Some(180), proofs_days: Some(180) }, ..Settings::default() }
}

/// What the routes of the live world reach, of another process each time.
pub(crate) fn app(
    database: &TestDatabase,
    system: System,
    identity: Identity,
    webhooks: Webhooks,
    limits: Limits,
) -> AppState {
    let build = Build { version: "0.0.0", commit: None };
    let process = Process::new(identity, limits, build, system.clock().clone());
    let parts = posthaste_gate::Parts {
        key: posthaste_gate::Key::first(KeyWorld::Live),
        live: through_bytes(&system),
        system,
        pool: database.pool.clone(),
        keys: keys(),
        jobs: webhooks.jobs().clone(),
        webhooks,
    };
    AppState::new(&process, parts)
}

/// A test world beside the live one.
fn plan(database: &TestDatabase) -> Plan {
    Plan {
        tables: Tables { schemas: Schemas::of(&database.url).unwrap(), older: Older::Migrate },
        reach: through_bytes,
        seal: Seal::new(b"a secret of tests"),
        allowed: ALLOWED,
        outside: Outside::Open,
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::with_identity(limits, |_| {}).await
    }

    /// With other numbers of identity than the tests' own.
    pub(crate) async fn with_identity(limits: Limits, change: impl FnOnce(&mut posthaste_identity::Settings)) -> Self {
        Self::open(Clock::system(), None, limits, change).await
    }

    /// With a clock that stands until it is moved ([`Self::advance`]): the product's, and the one of accounts and quotas.
    pub(crate) async fn by_hand(limits: Limits, change: impl FnOnce(&mut posthaste_identity::Settings)) -> Self {
        let time = ManualClock::at_present();
        Self::open(time.clock(), Some(time), limits, change).await
    }

    /// So long passes.
    pub(crate) fn advance(&self, span: Span) {
        self.time.as_ref().expect("the clock of this stage runs by itself").advance(span);
    }

    async fn open(
        clock: Clock,
        time: Option<ManualClock>,
        limits: Limits,
        change: impl FnOnce(&mut posthaste_identity::Settings),
    ) -> Self {
        // Why a request was answered 500 stands in the log alone.
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_test_writer().try_init();
        let database = TestDatabase::new().await;
        let system = System::start(database.pool.clone(), clock.clone(), kept_half_a_year()).await.unwrap();
        let mailbox = std::env::temp_dir().join(format!("posthaste-mail-{}", uuid::Uuid::now_v7()));
        let mut stage = Self::on(database, system, clock, mailbox, limits, change).await;
        stage.time = time;
        stage.zone = stage.post("/v1/zones", &stage.admin, &zone_body("Centre")).await.id();
        stage
    }

    /// On a database whose connections can be cut, with a clock that runs at `speed`.
    pub(crate) async fn behind_a_relay(speed: f64) -> (Self, Relay) {
        let (database, relay) = TestDatabase::behind_a_relay().await;
        let clock = Clock::at_speed(speed, None).unwrap();
        let system = System::start(database.pool.clone(), clock, Settings::default()).await.unwrap();
        let mailbox = std::env::temp_dir().join(format!("posthaste-mail-{}", uuid::Uuid::now_v7()));
        (Self::on(database, system, Clock::system(), mailbox, Limits::default(), |_| {}).await, relay)
    }

    /// Another process on the same database, as far as identity is concerned. Dropped before the first.
    pub(crate) async fn beside(&self, change: impl FnOnce(&mut posthaste_identity::Settings)) -> Self {
        let database = TestDatabase { pool: self.database.pool.clone(), url: self.database.url.clone() };
        let (system, mailbox) = (self.app.system().clone(), self.mailbox.clone());
        let mut stage = Self::on(database, system, self.clock.clone(), mailbox, Limits::default(), change).await;
        stage.zone = self.zone.clone();
        stage
    }

    async fn on(
        database: TestDatabase,
        system: System,
        clock: Clock,
        mailbox: PathBuf,
        limits: Limits,
        change: impl FnOnce(&mut posthaste_identity::Settings),
    ) -> Self {
        let carrier = Some(Carrier::mailbox(mailbox.clone()));
        let (pool, seal) = (database.pool.clone(), Seal::new(b"a secret of tests"));
        let jobs = Jobs::new(pool.clone(), seal.clone(), clock.clone(), Outside::Open);
        let outbox = Notifications::new(jobs.clone(), carrier.clone(), carrier);
        let mut settings = posthaste_identity::Settings {
            development: true,
            mailbox: Some(mailbox.clone()),
            hashing: Hashing { memory_kib: 64, passes: 1, ..Hashing::default() },
            ..posthaste_identity::Settings::default()
        };
        change(&mut settings);
        let parts = Parts { pool, clock: clock.clone(), seal, keys: keys(), notifications: outbox.clone(), settings };
        let identity = Identity::open(parts).await.unwrap();
        let upkeep = (outbox.start(), identity.start());
        let webhooks = Webhooks::new(jobs, ALLOWED, system.feed().clone());
        let app = app(&database, system, identity, webhooks, limits);
        let worlds = Worlds::new(app.clone(), Some(plan(&database)));
        Self {
            worlds,
            app,
            database,
            zone: String::new(),
            admin: admin_token(),
            merchant: token(Party::Merchant(merchant_id(1))),
            other_merchant: token(Party::Merchant(merchant_id(2))),
            customer: token(Party::Customer(customer_id(1))),
            mailbox,
            clock,
            time: None,
            _upkeep: upkeep,
        }
    }

    /// Stops the test world; another may be opened on what it stored.
    pub(crate) async fn restart_test_world(&mut self) {
        self.worlds.stop(Leave::InOrder).await;
        self.worlds = Worlds::new(self.app.clone(), Some(plan(&self.database)));
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.worlds.answer(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
            }
            None => request.body(Body::empty()).unwrap(),
        };
        self.send(request).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(token), Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, Some(token), None).await
    }

    /// A driver on shift in the zone, near the pickups.
    pub(crate) async fn driver(&self, name: &str) -> String {
        let new = json!({"name": name, "vehicle": "bicycle", "capacity": 3, "zones": [self.zone]});
        let id = self.post("/v1/drivers", &self.admin, &new).await.id();
        let shift = json!({"state": "available", "place": {"lat": 52.516, "lng": 13.378}});
        let path = format!("/v1/drivers/{id}/shift");
        let answer = self.call(Method::PUT, &path, Some(&self.admin), Some(&shift)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        id
    }

    /// An order of the first merchant for the first customer.
    pub(crate) async fn order(&self) -> Value {
        let answer = self.post("/v1/orders", &self.merchant, &order_body()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.body
    }
}
