//! Entries as the columns of the journal's statement.
//!
//! JSON and ids are written once, into one buffer for the whole batch; the columns point into it. Everything else
//! is borrowed from the entries.

use std::fmt::Display;
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::calendar::Lane;
use posthaste_domain::ids::Id;
use posthaste_domain::order::{Event, Order, Speed};
use posthaste_domain::window::Window;
use serde::Serialize;
use uuid::Uuid;

use super::entry::{Change, CommitmentChange, DriverChange, Entry, OrderChange};
use crate::decisions::NewDecision;
use crate::drivers::vehicle_name;
use crate::feed::Drawn;
use crate::idempotency::IdempotencyRecord;
use crate::orders::StoredPlaced;

/// The text of a batch. Columns hold ranges of it until it is complete.
#[derive(Default)]
pub(super) struct Text(Vec<u8>);

type Piece = Range<usize>;

impl Text {
    fn json(&mut self, value: &impl Serialize) -> Result<Piece, serde_json::Error> {
        let start = self.0.len();
        serde_json::to_writer(&mut self.0, value)?;
        Ok(start..self.0.len())
    }

    fn display(&mut self, value: &impl Display) -> Piece {
        let start = self.0.len();
        self.write(value);
        start..self.0.len()
    }

    /// A Postgres array literal of texts that need no quotes.
    fn array<T: Display>(&mut self, values: impl Iterator<Item = T>) -> Piece {
        let start = self.0.len();
        self.0.push(b'{');
        for (n, value) in values.enumerate() {
            if n > 0 {
                self.0.push(b',');
            }
            self.write(&value);
        }
        self.0.push(b'}');
        start..self.0.len()
    }

    fn write(&mut self, value: &impl Display) {
        // Writing into memory cannot fail.
        let _ = write!(self.0, "{value}");
    }

    /// The text of each piece.
    pub(super) fn pieces(&self, pieces: &[Piece]) -> Vec<&str> {
        // Everything here was written as text; what were not UTF-8 would be empty, and refused by its column.
        pieces.iter().map(|piece| std::str::from_utf8(&self.0[piece.clone()]).unwrap_or_default()).collect()
    }
}

#[derive(Default)]
pub(super) struct OrderColumns<'e> {
    /// Which entry each row came from.
    pub(super) entry: Vec<usize>,
    pub(super) id: Vec<Uuid>,
    pub(super) version: Vec<i64>,
    pub(super) previous: Vec<i64>,
    pub(super) merchant: Vec<Uuid>,
    pub(super) zone: Vec<Uuid>,
    pub(super) customer: Vec<Option<Uuid>>,
    pub(super) driver: Vec<Option<Uuid>>,
    pub(super) offered: Vec<Option<Uuid>>,
    pub(super) placed_at: Vec<Timestamp>,
    pub(super) promised_at: Vec<Timestamp>,
    pub(super) settled_at: Vec<Option<Timestamp>>,
    pub(super) status: Vec<&'static str>,
    pub(super) speed: Vec<&'static str>,
    pub(super) reference: Vec<Option<&'e str>>,
    pub(super) state: Vec<Piece>,
}

#[derive(Default)]
pub(super) struct SellerColumns {
    pub(super) order: Vec<Uuid>,
    pub(super) merchant: Vec<Uuid>,
    pub(super) placed_at: Vec<Timestamp>,
}

/// What the feed says of the events of orders: a row for each, in their order.
#[derive(Default)]
pub(super) struct FeedColumns {
    pub(super) number: Vec<i64>,
    pub(super) merchants: Vec<Piece>,
}

/// Events of orders, or of drivers (who have no status).
#[derive(Default)]
pub(super) struct EventColumns<'e> {
    pub(super) stream: Vec<Uuid>,
    pub(super) seq: Vec<i64>,
    pub(super) at: Vec<Timestamp>,
    pub(super) by: Vec<Piece>,
    pub(super) name: Vec<&'static str>,
    pub(super) status: Vec<&'static str>,
    pub(super) correlation: Vec<Option<&'e str>>,
    pub(super) payload: Vec<Piece>,
}

#[derive(Default)]
pub(super) struct DriverColumns<'e> {
    /// Which entry each row came from.
    pub(super) entry: Vec<usize>,
    pub(super) id: Vec<Uuid>,
    pub(super) version: Vec<i64>,
    pub(super) previous: Vec<i64>,
    pub(super) created_at: Vec<Timestamp>,
    pub(super) until: Vec<Option<Timestamp>>,
    pub(super) capacity: Vec<i32>,
    pub(super) name: Vec<&'e str>,
    pub(super) vehicle: Vec<&'static str>,
    pub(super) shift: Vec<&'static str>,
    pub(super) next_task: Vec<Option<Uuid>>,
    pub(super) region: Vec<Uuid>,
    pub(super) zones: Vec<Piece>,
    pub(super) speeds: Vec<Piece>,
}

#[derive(Default)]
pub(super) struct TakeColumns {
    /// Which entry each row came from.
    pub(super) entry: Vec<usize>,
    pub(super) order: Vec<Uuid>,
    pub(super) version: Vec<i64>,
    pub(super) driver: Vec<Uuid>,
    pub(super) start: Vec<Timestamp>,
    pub(super) end: Vec<Timestamp>,
    pub(super) lane: Vec<Option<i32>>,
}

#[derive(Default)]
pub(super) struct DecisionColumns<'e> {
    pub(super) order: Vec<Uuid>,
    pub(super) driver: Vec<Option<Uuid>>,
    pub(super) at: Vec<Timestamp>,
    pub(super) summary: Vec<&'e str>,
    pub(super) detail: Vec<Piece>,
}

#[derive(Default)]
pub(super) struct KeyColumns<'e> {
    /// Which entry each row came from.
    pub(super) entry: Vec<usize>,
    pub(super) principal: Vec<&'e str>,
    pub(super) key: Vec<&'e str>,
    pub(super) at: Vec<Timestamp>,
    pub(super) status: Vec<i16>,
    pub(super) fingerprint: Vec<&'e [u8]>,
    pub(super) response: Vec<&'e str>,
}

/// Entries as columns.
#[derive(Default)]
pub(super) struct Batch<'e> {
    pub(super) text: Text,
    pub(super) orders: OrderColumns<'e>,
    pub(super) sellers: SellerColumns,
    pub(super) order_events: EventColumns<'e>,
    pub(super) feed: FeedColumns,
    pub(super) drivers: DriverColumns<'e>,
    pub(super) driver_events: EventColumns<'e>,
    pub(super) released: Vec<Uuid>,
    pub(super) takes: TakeColumns,
    pub(super) decisions: DecisionColumns<'e>,
    pub(super) keys: KeyColumns<'e>,
}

impl<'e> Batch<'e> {
    /// The columns of the entries `chosen`, whose events have the numbers that were drawn for them; or the entry that cannot
    /// be written down, and why.
    pub(super) fn of(
        entries: &'e [Entry],
        chosen: &[usize],
        drawn: &Drawn,
    ) -> Result<Self, (usize, serde_json::Error)> {
        let mut batch = Self::default();
        let mut takes = Vec::new();
        let mut keys = Vec::new();
        for &n in chosen {
            let entry = &entries[n];
            match &entry.change {
                Some(Change::Order(change)) => {
                    batch.order(n, change, entry.request(), drawn).map_err(|error| (n, error))?;
                    takes.extend(change.take().map(|(driver, window, lane)| (driver, n, window, lane, change)));
                }
                Some(Change::Driver(change)) => {
                    batch.driver(n, change, entry.request()).map_err(|error| (n, error))?;
                }
                None => {}
            }
            for decision in &entry.decisions {
                batch.decision(decision).map_err(|error| (n, error))?;
            }
            keys.extend(entry.idempotency.iter().map(|record| (record, n)));
        }
        // By key, so that two batches meet their common keys in the same order.
        takes.sort_unstable_by_key(|(driver, n, ..)| (*driver, *n));
        keys.sort_unstable_by_key(|(record, n)| (record.principal.as_str(), record.key.as_str(), *n));
        for (driver, n, window, lane, change) in takes {
            batch.takes.push(n, driver, window, lane, change);
        }
        for (record, n) in keys {
            batch.keys.push(n, record);
        }
        Ok(batch)
    }

    fn order(
        &mut self,
        n: usize,
        change: &'e OrderChange,
        why: Option<&'e str>,
        drawn: &Drawn,
    ) -> Result<(), serde_json::Error> {
        let order = &*change.order;
        let state = self.text.json(order)?;
        let merchants = self.text.array(order.merchants().into_iter().map(Id::uuid));
        for ((recorded, status), number) in change.events.iter().zip(drawn.numbers_of(n)) {
            self.feed.number.push(number);
            self.feed.merchants.push(merchants.clone());
            let events = &mut self.order_events;
            events.stream.push(order.id.uuid());
            events.seq.push(signed(recorded.seq));
            events.at.push(recorded.at);
            events.by.push(self.text.display(&recorded.by));
            events.name.push(recorded.event.name());
            events.status.push(status.name());
            events.correlation.push(why);
            events.payload.push(self.text.event(&recorded.event, &change.order)?);
            if matches!(recorded.event, Event::Placed { .. }) {
                self.sellers.push(order);
            }
        }
        if change.commitment.is_some() && change.expected_version > 0 {
            self.released.push(order.id.uuid());
        }
        self.orders.push(n, change, state);
        Ok(())
    }

    fn driver(&mut self, n: usize, change: &'e DriverChange, why: Option<&'e str>) -> Result<(), serde_json::Error> {
        let driver = &change.driver;
        for recorded in &change.events {
            let events = &mut self.driver_events;
            events.stream.push(driver.id.uuid());
            events.seq.push(signed(recorded.seq));
            events.at.push(recorded.at);
            events.by.push(self.text.display(&recorded.by));
            events.name.push(recorded.event.name());
            events.correlation.push(why);
            events.payload.push(self.text.json(&recorded.event)?);
        }
        let zones = self.text.array(driver.zones.iter().map(|zone| zone.uuid()));
        let speeds = self.text.array(driver.speeds.iter().map(|speed| speed_name(*speed)));
        self.drivers.push(n, change, zones, speeds);
        Ok(())
    }

    fn decision(&mut self, decision: &'e NewDecision) -> Result<(), serde_json::Error> {
        let columns = &mut self.decisions;
        columns.order.push(decision.order.uuid());
        columns.driver.push(decision.driver.map(Id::uuid));
        columns.at.push(decision.at);
        columns.summary.push(&decision.summary);
        columns.detail.push(self.text.json(&decision.detail)?);
        Ok(())
    }
}

impl OrderChange {
    fn take(&self) -> Option<(Uuid, Window, Lane)> {
        match self.commitment? {
            CommitmentChange::Take { driver, window, lane } => Some((driver.uuid(), window, lane)),
            CommitmentChange::Release => None,
        }
    }
}

impl Text {
    /// The JSON of an event. A new order's first event is stored without the state, which stands in the order's row.
    fn event(&mut self, event: &Event, order: &Arc<Order>) -> Result<Piece, serde_json::Error> {
        let placed = match event {
            Event::Placed { order: placed } if Arc::ptr_eq(placed, order) || placed == order => placed.at_first(),
            _ => None,
        };
        match placed {
            Some(first) => self.json(&StoredPlaced { first }),
            None => self.json(event),
        }
    }
}

impl<'e> OrderColumns<'e> {
    fn push(&mut self, n: usize, change: &'e OrderChange, state: Piece) {
        let order = &*change.order;
        self.entry.push(n);
        self.id.push(order.id.uuid());
        self.version.push(signed(order.version));
        self.previous.push(signed(change.expected_version));
        self.merchant.push(order.merchant.uuid());
        self.zone.push(order.zone.uuid());
        self.customer.push(order.customer.map(Id::uuid));
        self.driver.push(order.assignment.map(|a| a.driver.uuid()));
        self.offered.push(order.offer.map(|o| o.driver.uuid()));
        self.placed_at.push(order.placed_at);
        self.promised_at.push(order.promised_at);
        self.settled_at.push(order.settled_at);
        self.status.push(order.status().name());
        self.speed.push(speed_name(order.speed));
        self.reference.push(order.reference.as_deref());
        self.state.push(state);
    }
}

impl SellerColumns {
    /// Every seller but the owner.
    fn push(&mut self, order: &Order) {
        for seller in order.tasks.iter().filter_map(|task| task.seller).filter(|seller| *seller != order.merchant) {
            self.order.push(order.id.uuid());
            self.merchant.push(seller.uuid());
            self.placed_at.push(order.placed_at);
        }
    }
}

impl<'e> DriverColumns<'e> {
    fn push(&mut self, n: usize, change: &'e DriverChange, zones: Piece, speeds: Piece) {
        let driver = &change.driver;
        self.entry.push(n);
        self.id.push(driver.id.uuid());
        self.version.push(signed(driver.version));
        self.previous.push(signed(change.expected_version));
        self.created_at.push(driver.created_at);
        self.until.push(driver.shift.until());
        self.capacity.push(i32::try_from(driver.capacity).unwrap_or(i32::MAX));
        self.name.push(&driver.name);
        self.vehicle.push(vehicle_name(driver.vehicle));
        self.shift.push(driver.shift.name());
        self.next_task.push(driver.next_task.map(Id::uuid));
        self.region.push(driver.region.uuid());
        self.zones.push(zones);
        self.speeds.push(speeds);
    }
}

impl TakeColumns {
    fn push(&mut self, n: usize, driver: Uuid, window: Window, lane: Lane, change: &OrderChange) {
        self.entry.push(n);
        self.order.push(change.order.id.uuid());
        self.version.push(signed(change.order.version));
        self.driver.push(driver);
        self.start.push(window.start());
        self.end.push(window.end());
        self.lane.push(lane.map(i32::from));
    }
}

impl<'e> KeyColumns<'e> {
    fn push(&mut self, n: usize, record: &'e IdempotencyRecord) {
        self.entry.push(n);
        self.principal.push(&record.principal);
        self.key.push(&record.key);
        self.at.push(record.at);
        self.status.push(i16::try_from(record.status).unwrap_or(i16::MAX));
        self.fingerprint.push(&record.fingerprint);
        self.response.push(&record.response);
    }
}

/// Versions count events: far below the largest `bigint`.
fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub(crate) fn speed_name(speed: Speed) -> &'static str {
    match speed {
        Speed::Fast => "fast",
        Speed::Slow => "slow",
    }
}
