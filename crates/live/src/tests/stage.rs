//! The stage: a system with one zone, and people who act on it.

use std::sync::Arc;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_domain::contact::Contact;
use posthaste_domain::driver::{Shift, Vehicle};
use posthaste_domain::ids::{DriverId, MerchantId, OfferId, OrderId, TaskId, ZoneId};
use posthaste_domain::order::{CodeRule, NewPickup, NewStop, Order, Speed, Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::zones::{PutZone, RulesView, TravelView};
use posthaste_storage::testing::{Relay, TestDatabase};
use serde_json::json;

use crate::drivers::{DriverCommand, RegisterDriver, ShiftChange};
use crate::orders::{Done, PlaceOrder};
use crate::{Cause, Once, Refused, Settings, System};

/// Product seconds per real second on stage.
const SPEED: f64 = 30.0;
/// Seconds of silence per real second on stage.
const SILENCE: f64 = 30.0;
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    pub(super) system: System,
    pub(super) database: TestDatabase,
    pub(super) zone: ZoneId,
    pub(super) merchant: MerchantId,
}

pub(super) fn place(lat: f64, lng: f64) -> Place {
    Place::new(lat, lng).expect("a place")
}

pub(super) fn admin() -> Cause {
    Cause::new(Party::Admin(posthaste_domain::ids::Id::from_uuid(uuid::Uuid::from_u128(1))), "test")
}

fn square() -> serde_json::Value {
    square_at(13.0)
}

pub(super) fn square_at(west: f64) -> serde_json::Value {
    let east = west + 0.2;
    json!({"type": "Polygon", "coordinates": [[[west, 52.0], [east, 52.0], [east, 52.2], [west, 52.2], [west, 52.0]]]})
}

fn settings() -> Settings {
    Settings { silence_speed: SILENCE, ..Settings::default() }
}

impl Stage {
    pub(super) async fn open() -> Self {
        // Nobody on this stage sends heartbeats; those who tell of silence set their own rules.
        Self::with_rules(RulesView { offer_seconds: 20, stale_after_seconds: 7200, ..RulesView::default() }).await
    }

    pub(super) async fn with_rules(rules: RulesView) -> Self {
        Self::on(TestDatabase::new().await, rules).await
    }

    /// With a database whose connections can be cut.
    pub(super) async fn behind_a_relay(rules: RulesView) -> (Self, Relay) {
        let (database, relay) = TestDatabase::behind_a_relay().await;
        (Self::on(database, rules).await, relay)
    }

    async fn on(database: TestDatabase, rules: RulesView) -> Self {
        // `cargo xtask story` asks for it; usual runs are quiet.
        if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        }
        let clock = Clock::at_speed(SPEED, None).expect("a clock");
        let system = System::start(database.pool.clone(), clock, settings()).await.expect("a system");
        let zone = PutZone { name: "Centre".to_owned(), area: square(), rules, travel: TravelView::default() };
        let Once::New(zone) = system.zones().create(zone, None, admin()).await.expect("a zone") else {
            panic!("a new zone is no replay")
        };
        let merchant = system.clock().id();
        Self { zone: zone.id, system, database, merchant }
    }

    /// The system as after a crash: nothing says good-bye, nothing more is written, and another starts on the same data.
    pub(super) async fn crash_and_restart(self) -> Self {
        let not_before = self.system.clock().now();
        self.system.crash().await;
        let pool = posthaste_storage::pool::connect(&self.database.url, 8).await.expect("connections");
        let clock = Clock::at_speed(SPEED, Some(not_before)).expect("a clock");
        let system = System::start(pool.clone(), clock, settings()).await.expect("a system again");
        let database = TestDatabase { pool, url: self.database.url };
        Self { system, database, zone: self.zone, merchant: self.merchant }
    }

    /// Waits until memory is as it is stored, and everything that lives is known to whom it concerns.
    pub(super) async fn until_whole(&self) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.system.differences().await.expect("what is stored").is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if waited.await.is_err() {
            panic!("memory is not as it is stored: {:#?}", self.system.differences().await.expect("what is stored"));
        }
    }

    /// Another zone, beside the first.
    pub(super) async fn another_zone(&self, name: &str, west: f64) -> ZoneId {
        let zone = PutZone {
            name: name.to_owned(),
            area: square_at(west),
            rules: RulesView { offer_seconds: 20, stale_after_seconds: 7200, ..RulesView::default() },
            travel: TravelView::default(),
        };
        match self.system.zones().create(zone, None, admin()).await.expect("a zone") {
            Once::New(zone) => zone.id,
            Once::Replayed { .. } => panic!("no key, no replay"),
        }
    }

    pub(super) async fn driver_on_shift(&self, at: Place) -> DriverId {
        let new = RegisterDriver {
            id: None,
            name: "Dana Driver".to_owned(),
            vehicle: Vehicle::Bicycle,
            capacity: 10,
            zones: vec![self.zone],
            speeds: vec![Speed::Fast, Speed::Slow],
        };
        let registered = self.system.drivers().register(new, None, admin()).await.expect("a driver");
        let Once::New(driver) = registered else { panic!("no key, no replay") };
        let shift = Shift::Available { until: None };
        self.system
            .drivers()
            .shift(driver.id, ShiftChange { place: Some(at), ..shift.into() }, admin())
            .await
            .expect("a shift");
        driver.id
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
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Ok(order) = self.system.orders().get(id).await
                    && holds(&order)
                {
                    return order;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        match waited.await {
            Ok(order) => order,
            Err(_) => panic!("the condition never held; the order is {:#?}", self.order(id).await),
        }
    }

    pub(super) async fn until_status(&self, id: OrderId, status: Status) -> Arc<Order> {
        self.until(id, |o| o.status() == status).await
    }

    /// The offered driver accepts, and the order is his.
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
