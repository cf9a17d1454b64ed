//! The stage: a system with a zone or two, people who act on it, and a clock that stands until a story moves it.

use std::sync::Arc;

use posthaste_clock::testing::{as_time_passes, eventually, eventually_shown};
use posthaste_clock::{Clock, ManualClock};
use posthaste_domain::contact::Contact;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, Id as _, MerchantId, OfferId, OrderId, TaskId, ZoneId};
use posthaste_domain::order::{CodeRule, NewPickup, NewStop, Order, Speed, Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::zone::{NewZone, Travel, ZoneRules};
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::pool::Pool;
use posthaste_storage::testing::{Relay, TestDatabase};
use serde_json::json;

use crate::drivers::{DriverCommand, RegisterDriver, ShiftChange};
use crate::orders::{Done, PlaceOrder};
use crate::{Cause, Once, Refused, Settings, System};

/// Product seconds, and seconds of silence, per real second where a stage runs by itself.
const SPEED: f64 = 30.0;

pub(super) struct Stage {
    pub(super) system: System,
    pub(super) database: TestDatabase,
    pub(super) zone: ZoneId,
    pub(super) merchant: MerchantId,
    /// Moves its clock; none where it runs by itself.
    time: Option<ManualClock>,
    _open: Closing,
}

/// All tests of a process may share a server: connections that are left open here are missing there.
struct Closing(Pool);

impl Drop for Closing {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread {
            let close = async { tokio::time::timeout(std::time::Duration::from_secs(1), self.0.close()).await };
            let _ = tokio::task::block_in_place(|| runtime.block_on(close));
        }
    }
}

pub(super) fn place(lat: f64, lng: f64) -> Place {
    Place::new(lat, lng).expect("a place")
}

pub(super) fn admin() -> Cause {
    Cause::new(Party::Admin(posthaste_domain::ids::Id::from_uuid(uuid::Uuid::from_u128(1))), "test")
}

pub(super) fn square_at(west: f64) -> serde_json::Value {
    let east = west + 0.2;
    json!({"type": "Polygon", "coordinates": [[[west, 52.0], [east, 52.0], [east, 52.2], [west, 52.2], [west, 52.0]]]})
}

fn running_clock(not_before: Option<Timestamp>) -> Clock {
    Clock::at_speed(SPEED, not_before).expect("a clock")
}

/// Nobody on a stage sends heartbeats; those who tell of silence set their own rules.
fn rules() -> ZoneRules {
    ZoneRules { offer_seconds: 20, stale_after_seconds: 7200, ..ZoneRules::default() }
}

/// Asks again as long as nobody can say whether it was done: an actor is being reloaded, or the database is away.
pub(super) async fn surely<T>(mut ask: impl AsyncFnMut() -> Result<T, Refused>) -> Result<T, Refused> {
    eventually("somebody answers", async || match ask().await {
        Err(Refused::Unavailable(_)) => None,
        answer => Some(answer),
    })
    .await
}

impl Stage {
    pub(super) async fn open() -> Self {
        Self::with_rules(rules()).await
    }

    pub(super) async fn with_rules(rules: ZoneRules) -> Self {
        Self::on(TestDatabase::new().await, rules, Some(ManualClock::at_present())).await
    }

    /// With a clock that runs by itself: for what everybody does at once, where nobody could say when to move it.
    pub(super) async fn running(rules: ZoneRules) -> Self {
        Self::on(TestDatabase::new().await, rules, None).await
    }

    /// With a database whose connections can be cut, and a clock that runs by itself: what is tried again later has to be.
    pub(super) async fn behind_a_relay(rules: ZoneRules) -> (Self, Relay) {
        let (database, relay) = TestDatabase::behind_a_relay().await;
        (Self::on(database, rules, None).await, relay)
    }

    pub(super) async fn on(database: TestDatabase, rules: ZoneRules, time: Option<ManualClock>) -> Self {
        let clock = time.as_ref().map_or_else(|| running_clock(None), ManualClock::clock);
        Self::of(database, clock, Settings { silence_speed: SPEED, ..Settings::default() }, rules, time).await
    }

    /// With a clock of its own that runs by itself, and other settings.
    pub(super) async fn at(clock: Clock, settings: Settings, rules: ZoneRules) -> Self {
        Self::of(TestDatabase::new().await, clock, settings, rules, None).await
    }

    async fn of(
        database: TestDatabase,
        clock: Clock,
        settings: Settings,
        rules: ZoneRules,
        time: Option<ManualClock>,
    ) -> Self {
        // `cargo xtask story` asks for it; usual runs are quiet.
        if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        }
        let system = System::start(database.pool.clone(), clock, settings).await.expect("a system");
        let merchant = system.clock().id();
        let nowhere = ZoneId::from_uuid(uuid::Uuid::nil());
        let _open = Closing(database.pool.clone());
        let mut stage = Self { zone: nowhere, system, database, merchant, time, _open };
        stage.zone = stage.zone_with("Centre", square_at(13.0), rules).await;
        stage
    }

    /// Another zone, from `west` to a fifth of a degree east of it.
    pub(super) async fn zone(&self, name: &str, west: f64) -> ZoneId {
        self.zone_with(name, square_at(west), rules()).await
    }

    pub(super) async fn zone_with(&self, name: &str, area: serde_json::Value, rules: ZoneRules) -> ZoneId {
        let zone = NewZone { name: name.to_owned(), area, rules, travel: Travel::default() };
        match self.system.zones().create(zone, None, admin()).await.expect("a zone") {
            Once::New(zone) => zone.zone.id,
            Once::Replayed { .. } => panic!("no key, no replay"),
        }
    }

    fn hands(&self) -> &ManualClock {
        self.time.as_ref().expect("the clock of this stage runs by itself")
    }

    /// So long passes. Alarms that are due have rung when this returns, and lie with whom they concern: whoever is asked
    /// something after it has heard of them before ([`Self::heard`]).
    pub(super) fn advance(&self, span: Span) {
        self.hands().advance(span);
    }

    /// Somebody sets the machine's clock back.
    pub(super) fn set_back(&self, span: Span) {
        self.hands().set_back(span);
    }

    /// Every duty whose period is over has been done when this returns.
    pub(super) async fn duties_done(&self) {
        self.hands().duties_done().await;
    }

    /// So much product time passes, and nobody is silent for it.
    pub(super) fn advance_product(&self, span: Span) {
        self.hands().advance_product(span);
    }

    /// Waits for what comes with time: it is moved on by `step` after each look in vain. For what is a chain of alarms and
    /// answers; where the moment matters, a story moves the clock itself.
    pub(super) async fn as_time_passes<T>(&self, step: Span, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
        as_time_passes(self.hands(), step, what, look).await
    }

    /// As [`Self::until`], while time passes.
    pub(super) async fn until_in_time(&self, id: OrderId, step: Span, holds: impl Fn(&Order) -> bool) -> Arc<Order> {
        let look = async || self.system.orders().get(id).await.ok().filter(|order| holds(order));
        self.as_time_passes(step, "an order that is as the story says", look).await
    }

    /// Everything that lay with the driver has been heard by them: what is asked later is answered later.
    pub(super) async fn heard(&self, driver: DriverId) {
        self.system.drivers().work(driver).await.expect("work");
    }

    /// What a crash must not lose: positions are written now and then, and whatever came since the last time is lost.
    pub(super) async fn checkpoint(&self) {
        self.system.checkpoint().await;
    }

    /// The system as after a crash: whatever it was at is broken off, nothing says good-bye, nothing more is written, and
    /// another starts on the same data.
    pub(super) async fn crash_and_restart(self) -> Self {
        // Nothing is started in the instant in which it fell.
        self.crash_and_restart_after(Span::seconds(1)).await
    }

    /// The same, where nobody is there for so long.
    pub(super) async fn crash_and_restart_after(self, away: Span) -> Self {
        let not_before = self.system.clock().now();
        self.system.crash().await;
        if let Some(time) = &self.time {
            time.advance(away);
        }
        let pool = posthaste_storage::pool::connect(&self.database.url, 8).await.expect("connections");
        let clock = self.time.as_ref().map_or_else(|| running_clock(Some(not_before)), ManualClock::clock);
        let settings = Settings { silence_speed: SPEED, ..Settings::default() };
        let system = System::start(pool.clone(), clock, settings).await.expect("a system again");
        let _open = Closing(pool.clone());
        let database = TestDatabase { pool, url: self.database.url };
        Self { system, database, zone: self.zone, merchant: self.merchant, time: self.time, _open }
    }

    /// Waits until memory is as it is stored, and everything that lives is known to whom it concerns.
    pub(super) async fn until_whole(&self) {
        eventually("memory is as it is stored", async || {
            let differences = self.system.differences().await.expect("what is stored");
            differences.is_empty().then_some(())
        })
        .await;
    }

    /// A driver of these zones who may carry so much, and is not at work.
    pub(super) async fn driver_of(&self, zones: Vec<ZoneId>, capacity: u32) -> DriverId {
        self.registered(zones, capacity).await.expect("a driver").id
    }

    /// The same, as the system answers.
    pub(super) async fn registered(&self, zones: Vec<ZoneId>, capacity: u32) -> Result<Arc<Driver>, Refused> {
        let new = RegisterDriver {
            id: None,
            name: "Dana Driver".to_owned(),
            vehicle: Vehicle::Bicycle,
            capacity,
            zones,
            speeds: vec![Speed::Fast, Speed::Slow],
        };
        match self.system.drivers().register(new, None, admin()).await? {
            Once::New(driver) => Ok(driver),
            Once::Replayed { .. } => panic!("no key, no replay"),
        }
    }

    pub(super) async fn goes_on_shift(&self, driver: DriverId, at: Place) {
        let shift = ShiftChange { place: Some(at), ..Shift::Available { until: None }.into() };
        self.system.drivers().shift(driver, shift, admin()).await.expect("a shift");
    }

    /// A driver of these zones at work, who may carry so much.
    pub(super) async fn driver_in(&self, zones: Vec<ZoneId>, capacity: u32, at: Place) -> DriverId {
        let driver = self.driver_of(zones, capacity).await;
        self.goes_on_shift(driver, at).await;
        driver
    }

    pub(super) async fn driver_on_shift(&self, at: Place) -> DriverId {
        self.driver_in(vec![self.zone], 10, at).await
    }

    pub(super) fn fast_order(&self) -> PlaceOrder {
        let stop = |lat, lng| NewStop {
            place: place(lat, lng),
            contact: Contact::default(),
            service_seconds: None,
            window: None,
        };
        PlaceOrder {
            merchant: self.merchant,
            customer: None,
            reference: None,
            speed: Speed::Fast,
            size: 1,
            priority: 0,
            pickups: vec![NewPickup {
                seller: self.merchant,
                needs_confirmation: false,
                ready_at: None,
                stop: stop(52.1, 13.1),
            }],
            delivery: stop(52.11, 13.11),
            codes: CodeRule::default(),
        }
    }

    pub(super) fn slow_order(&self, start: Timestamp, end: Timestamp) -> PlaceOrder {
        let mut order = PlaceOrder { speed: Speed::Slow, ..self.fast_order() };
        order.delivery.window = Some((start, end));
        order
    }

    pub(super) async fn place(&self, order: PlaceOrder) -> Arc<Order> {
        let cause = Cause::new(Party::Merchant(self.merchant), "test");
        match self.system.orders().place(order, None, cause).await.expect("an order") {
            Once::New(order) => order,
            Once::Replayed { .. } => panic!("no key, no replay"),
        }
    }

    pub(super) async fn order(&self, id: OrderId) -> Arc<Order> {
        self.system.orders().get(id).await.expect("the order")
    }

    pub(super) async fn as_driver(&self, driver: DriverId, command: DriverCommand) -> Result<Done, Refused> {
        let cause = Cause::new(Party::Driver(driver), "test");
        self.system.drivers().command(driver, command, None, cause).await
    }

    /// Waits until the order is offered to somebody, and says to whom.
    pub(super) async fn offered(&self, id: OrderId) -> (DriverId, OfferId) {
        let order = self.until(id, |o| o.offer.is_some()).await;
        let offer = order.offer.expect("an offer");
        (offer.driver, offer.id)
    }

    pub(super) async fn until(&self, id: OrderId, holds: impl Fn(&Order) -> bool) -> Arc<Order> {
        eventually_shown("the order is as the story says", async || match self.system.orders().get(id).await {
            Ok(order) if holds(&order) => Ok(order),
            other => Err(other),
        })
        .await
    }

    pub(super) async fn until_status(&self, id: OrderId, status: Status) -> Arc<Order> {
        self.until(id, |o| o.status() == status).await
    }

    /// The offered driver accepts, and the order is theirs.
    pub(super) async fn accepted(&self, id: OrderId) -> DriverId {
        let (driver, offer) = self.offered(id).await;
        self.as_driver(driver, DriverCommand::Accept(offer)).await.expect("accepted");
        driver
    }

    pub(super) async fn complete(&self, driver: DriverId, id: OrderId, kind: TaskKind) -> Result<Done, Refused> {
        let (task, code) = self.task(id, kind).await;
        self.as_driver(driver, DriverCommand::Complete { task, kind, code, proof: None }).await
    }

    pub(super) async fn task(&self, id: OrderId, kind: TaskKind) -> (TaskId, Option<String>) {
        let order = self.order(id).await;
        let task = order.tasks.iter().find(|t| t.kind == kind && !t.status.is_final()).expect("an open task");
        (task.id, task.code.as_ref().map(|c| c.digits().to_owned()))
    }

    pub(super) async fn carried_to_the_door(&self, driver: DriverId, id: OrderId) {
        self.complete(driver, id, TaskKind::Pickup).await.expect("picked up");
        self.complete(driver, id, TaskKind::Delivery).await.expect("delivered");
    }

    pub(super) fn now(&self) -> Timestamp {
        self.system.clock().now()
    }

    pub(super) fn in_minutes(&self, minutes: i64) -> Timestamp {
        self.now() + Span::minutes(minutes)
    }
}
