//! Orders and drivers to tell stories about, and their steps as journal entries.

use std::sync::Arc;

use posthaste_domain::contact::Contact;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{CustomerId, DriverId, Id, MerchantId, OfferId, ZoneId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{
    CodeRule, Command, Event, InvalidOrder, NewOrder, NewPickup, NewStop, Order, Recorded, ReleaseReason, Speed,
};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use uuid::Uuid;

use crate::drivers::{DriverEvent, DriverRecorded};
use crate::feed::Feed;
use crate::idempotency::IdempotencyRecord;
use crate::journal::{self, AppendError, CommitmentChange, Correlation, Entry};
use crate::pool::Pool;

/// Midnight of the tests, plus `minutes`.
pub(crate) fn at(minutes: i64) -> Timestamp {
    "2026-11-20T00:00:00Z".parse::<Timestamp>().expect("an instant") + Span::minutes(minutes)
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to)).expect("a window")
}

pub(crate) fn id<T: Id>(n: u128) -> T {
    T::from_uuid(Uuid::from_u128(n))
}

/// What a test may want to choose about an order.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) merchant: u128,
    pub(crate) seller: u128,
    pub(crate) customer: Option<u128>,
    pub(crate) zone: u128,
    pub(crate) speed: Speed,
    pub(crate) reference: Option<String>,
    pub(crate) minute: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { merchant: 1, seller: 1, customer: None, zone: 1, speed: Speed::Fast, reference: None, minute: 0 }
    }
}

pub(crate) fn order(n: u128) -> Order {
    order_like(n, &Wanted::default())
}

pub(crate) fn order_like(n: u128, wanted: &Wanted) -> Order {
    answer_of(new_order_like(n, wanted), at(wanted.minute)).expect("an order that can be placed")
}

/// The order as it is placed, or what is wrong with it.
pub(crate) fn answer_of(new: NewOrder, now: Timestamp) -> Result<Order, Vec<InvalidOrder>> {
    new.place(now).map(|event| match event {
        Event::Placed { order } => Arc::unwrap_or_clone(order),
        other => panic!("an order begins by being placed, not {}", other.name()),
    })
}

pub(crate) fn new_order_like(n: u128, wanted: &Wanted) -> NewOrder {
    let now = at(wanted.minute);
    let slow = wanted.speed == Speed::Slow;
    let stop = |lat| NewStop {
        place: Place::new(lat, 13.4).expect("a place"),
        contact: Contact { name: Some("Zoë \"Z\" Ångström".into()), ..Contact::default() },
        service_seconds: None,
        window: slow.then(|| (now + Span::hours(1), now + Span::hours(2))),
    };
    let seller: MerchantId = id(wanted.seller);
    NewOrder {
        id: id(n),
        merchant: id(wanted.merchant),
        customer: wanted.customer.map(id::<CustomerId>),
        reference: wanted.reference.clone(),
        speed: wanted.speed,
        size: 1,
        priority: 0,
        pickups: vec![NewPickup { seller, needs_confirmation: false, ready_at: None, stop: stop(52.51) }],
        delivery: stop(52.52),
        codes: CodeRule { pickup: false, delivery: true },
        entropy: vec![4711, 815],
        zone: id::<ZoneId>(wanted.zone),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    }
}

/// The first entry of an order.
pub(crate) fn placing(order: &Order) -> Entry {
    let order = Arc::new(order.clone());
    let event = Event::Placed { order: Arc::clone(&order) };
    let recorded = Recorded { seq: 1, at: order.placed_at, by: Party::Merchant(order.merchant), event };
    let status = order.status();
    Entry::order(0, order, [(recorded, status)]).correlation(Some(Correlation { request: "req_1".into(), trace: None }))
}

/// Does the commands, one after another, and gives the entry of all that happened.
pub(crate) fn step(order: &mut Order, commands: &[Command]) -> Entry {
    let (before, now) = (order.version, order.placed_at + Span::minutes(1));
    let mut events = Vec::new();
    for command in commands {
        for event in order.decide(command, now).expect("a command that is possible") {
            order.apply(&event, now);
            events.push((Recorded { seq: order.version, at: now, by: Party::System, event }, order.status()));
        }
    }
    Entry::order(before, Arc::new(order.clone()), events)
}

pub(crate) fn offer(order: &Order, driver: DriverId, commitment: Window) -> Offer {
    let id = OfferId::from_uuid(order.id.uuid());
    Offer { id, driver, made_at: order.placed_at, deadline: order.placed_at + Span::minutes(2), commitment, lane: None }
}

/// The driver is asked, accepts, and their time is taken.
pub(crate) fn assigning(order: &mut Order, driver: u128, time: Window) -> Entry {
    let driver = id(driver);
    let offer = offer(order, driver, time);
    step(order, &[Command::Offer(offer), Command::Accept { offer: offer.id, driver }])
        .commitment(CommitmentChange::Take { driver, window: time, lane: None })
}

/// Operations take the order from its driver, whose time is free again.
pub(crate) fn unassigning(order: &mut Order) -> Entry {
    step(order, &[Command::Unassign { reason: ReleaseReason::ByHand }]).commitment(CommitmentChange::Release)
}

/// The order is canceled, and gives back what it holds.
pub(crate) fn canceling(order: &mut Order) -> Entry {
    step(order, &[Command::Cancel { by: Party::System, reason: "a test".into() }]).commitment(CommitmentChange::Release)
}

pub(crate) fn driver(n: u128) -> Driver {
    Driver {
        id: id(n),
        name: "Ravi".into(),
        vehicle: Vehicle::Bicycle,
        capacity: 3,
        zones: vec![id(1), id(2)],
        speeds: vec![Speed::Fast, Speed::Slow],
        shift: Shift::Offline,
        next_task: None,
        region: id(9),
        created_at: at(0),
        version: 1,
    }
}

pub(crate) fn registering(driver: &Driver) -> Entry {
    let recorded = DriverRecorded { seq: 1, at: at(0), by: Party::System, event: DriverEvent::Registered };
    Entry::driver(0, driver.clone(), vec![recorded])
}

pub(crate) fn shifting(driver: &mut Driver, shift: Shift) -> Entry {
    let before = driver.version;
    driver.shift = shift;
    driver.version += 1;
    let event = DriverEvent::ShiftChanged { shift, command: None };
    let recorded = DriverRecorded { seq: driver.version, at: at(1), by: Party::Driver(driver.id), event };
    Entry::driver(before, driver.clone(), vec![recorded])
}

pub(crate) fn answer(key: &str) -> IdempotencyRecord {
    IdempotencyRecord {
        principal: "mer_a".into(),
        key: key.into(),
        fingerprint: vec![0, 1, 255],
        status: 201,
        response: r#"{"id":"ord_1"}"#.into(),
        at: at(0),
    }
}

/// Writes entries as a journal that has just started.
pub(crate) async fn write(pool: &Pool, entries: &[Entry]) -> Vec<Result<(), AppendError>> {
    let feed = Feed::open(pool).await.expect("a feed");
    journal::write(pool, feed.draw(entries), entries).await
}

/// Writes entries that must all succeed.
pub(crate) async fn written(pool: &Pool, entries: &[Entry]) {
    for (n, outcome) in write(pool, entries).await.into_iter().enumerate() {
        outcome.unwrap_or_else(|error| panic!("entry {n}: {error:?}"));
    }
}

/// Writes one entry.
pub(crate) async fn outcome(pool: &Pool, entry: Entry) -> Result<(), AppendError> {
    write(pool, &[entry]).await.remove(0)
}
