//! What goes on in the city, in numbers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_client::{ClientError, Counters};
use posthaste_domain::Timestamp;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::Status;
use posthaste_protocol::orders::{OrderView, TimelineEntry};
use posthaste_protocol::problem::Code;

use crate::server_clock::ServerClock;
use crate::status_line::Progress;

/// Latencies kept for percentiles: the newest.
const KEPT: usize = 4096;
/// Errors kept in words.
const MOST_ERRORS: usize = 20;

/// What a driver is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriverState {
    /// Not at work.
    Off,
    /// Waiting for work.
    Free,
    /// On a break.
    OnBreak,
    /// On the way to a stop.
    Driving,
    /// At a stop.
    AtStop,
    /// In a tunnel.
    NoSignal,
}

impl DriverState {
    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Free => "free",
            Self::OnBreak => "on break",
            Self::Driving => "driving",
            Self::AtStop => "at a stop",
            Self::NoSignal => "no signal",
        }
    }
}

/// The newest of many latencies.
#[derive(Debug, Default)]
struct Latencies {
    values: Vec<Duration>,
    next: usize,
}

impl Latencies {
    fn add(&mut self, value: Duration) {
        if self.values.len() < KEPT {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// The value that a share of all are at most.
    fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied()
    }
}

/// An order that is not over.
#[derive(Debug)]
struct LiveOrder {
    status: Status,
    version: u64,
    /// Since when dispatch could have found a driver.
    waits_since: Timestamp,
    offered: bool,
    assigned: bool,
}

#[derive(Debug, Default)]
struct Orders {
    live: HashMap<OrderId, LiveOrder>,
    ended: BTreeMap<Status, u64>,
    on_time: u64,
    late: u64,
    to_offer: Latencies,
    to_assignment: Latencies,
}

/// Counts of a running city. Shared with whoever wants to watch.
#[derive(Debug, Default)]
pub struct CityStats {
    orders: Mutex<Orders>,
    drivers: Mutex<Vec<DriverState>>,
    pub(crate) sockets: Arc<Counters>,
    pub(crate) placed: AtomicU64,
    pub(crate) wrong_codes: AtomicU64,
    pub(crate) lost_signals: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    first_errors: Mutex<Vec<String>>,
    clock: Mutex<Option<ServerClock>>,
    began: Mutex<Option<Timestamp>>,
}

/// The numbers at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CityReport {
    /// Orders placed since the start.
    pub placed: u64,
    /// Orders that are not over, by status.
    pub live: BTreeMap<Status, u64>,
    /// Orders that ended, by status.
    pub ended: BTreeMap<Status, u64>,
    /// Drivers by what they are doing.
    pub drivers: BTreeMap<DriverState, u64>,
    /// Real time from when a driver could be looked for (placed, or confirmed) to the first offer: median, 99th percentile.
    pub to_offer: Option<(Duration, Duration)>,
    /// The same to the assignment; it contains the driver's own thinking.
    pub to_assignment: Option<(Duration, Duration)>,
    /// Share of deliveries that kept their promise.
    pub on_time_share: Option<f64>,
    /// Sockets that were made again.
    pub reconnects: u64,
    /// Messages missing in a stream, repaired.
    pub gaps: u64,
    /// Tunnels driven through.
    pub lost_signals: u64,
    /// Codes typed wrongly.
    pub wrong_codes: u64,
    /// Commands refused because the world had moved on (an offer gone, an order canceled).
    pub refused: u64,
    /// Things that should not have happened.
    pub errors: u64,
    /// The first of them in words.
    pub first_errors: Vec<String>,
}

impl CityStats {
    pub(crate) fn begin(&self, clock: ServerClock, drivers: usize) {
        *self.began.lock() = Some(clock.now());
        *self.clock.lock() = Some(clock);
        *self.drivers.lock() = vec![DriverState::Off; drivers];
    }

    pub(crate) fn driver(&self, index: usize, state: DriverState) {
        if let Some(slot) = self.drivers.lock().get_mut(index) {
            *slot = state;
        }
    }

    /// Takes in an order as its owner sees it, with what has just happened to it.
    pub(crate) fn order(&self, order: &OrderView, events: &[TimelineEntry]) {
        let speed = self.clock.lock().as_ref().map_or(1.0, ServerClock::speed);
        let before = self.began.lock().is_none_or(|began| order.placed_at < began);
        let mut orders = self.orders.lock();
        let orders = &mut *orders;
        if order.status.is_final() {
            if orders.live.remove(&order.id).is_some() {
                *orders.ended.entry(order.status).or_insert(0) += 1;
                if order.status == Status::Delivered {
                    let kept = order.settled_at.is_some_and(|at| at <= order.promised_at);
                    *(if kept { &mut orders.on_time } else { &mut orders.late }) += 1;
                }
            }
            return;
        }
        let live = orders.live.entry(order.id).or_insert_with(|| LiveOrder {
            status: order.status,
            version: 0,
            waits_since: order.placed_at,
            // An order from before the start is not measured.
            offered: before,
            assigned: before,
        });
        if order.version < live.version {
            return;
        }
        (live.status, live.version) = (order.status, order.version);
        for entry in events {
            let waited = (entry.at - live.waits_since).to_std().unwrap_or_default().div_f64(speed);
            match entry.event.as_str() {
                "seller_confirmed" | "seller_rejected" => live.waits_since = entry.at,
                "offered" if !live.offered => {
                    live.offered = true;
                    orders.to_offer.add(waited);
                }
                "assigned" if !live.assigned => {
                    live.assigned = true;
                    orders.to_assignment.add(waited);
                }
                _ => {}
            }
        }
    }

    /// How many orders are not over.
    #[must_use]
    pub fn live_orders(&self) -> usize {
        self.orders.lock().live.len()
    }

    /// Notes a command that did not work: expected where the world had moved on, an error otherwise.
    pub(crate) fn failed(&self, what: &str, error: &ClientError) {
        let moved_on =
            [Code::OfferGone, Code::Conflict, Code::OrderEnded, Code::DriverBusy, Code::NotFound, Code::GoodsOnBoard];
        if error.code().is_some_and(|code| moved_on.contains(&code)) {
            tracing::debug!(%what, %error, "refused");
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.errors.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%what, %error, "failed");
        let mut kept = self.first_errors.lock();
        if kept.len() < MOST_ERRORS {
            kept.push(format!("{what}: {error}"));
        }
    }

    /// The numbers now.
    #[must_use]
    pub fn report(&self) -> CityReport {
        let orders = self.orders.lock();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut report =
            CityReport { placed: count(&self.placed), ended: orders.ended.clone(), ..CityReport::default() };
        for live in orders.live.values() {
            *report.live.entry(live.status).or_insert(0) += 1;
        }
        for state in self.drivers.lock().iter() {
            *report.drivers.entry(*state).or_insert(0) += 1;
        }
        let both = |l: &Latencies| Some((l.percentile(50)?, l.percentile(99)?));
        (report.to_offer, report.to_assignment) = (both(&orders.to_offer), both(&orders.to_assignment));
        let ended = orders.on_time + orders.late;
        #[expect(clippy::cast_precision_loss, reason = "a share of orders")]
        let share = orders.on_time as f64 / ended.max(1) as f64;
        report.on_time_share = (ended > 0).then_some(share);
        let sockets = self.sockets.read();
        (report.reconnects, report.gaps) = (sockets.reconnects, sockets.gaps);
        (report.lost_signals, report.wrong_codes) = (count(&self.lost_signals), count(&self.wrong_codes));
        (report.refused, report.errors) = (count(&self.refused), count(&self.errors));
        report.first_errors = self.first_errors.lock().clone();
        report
    }
}

fn list<K>(counts: &BTreeMap<K, u64>, name: impl Fn(&K) -> &'static str) -> String {
    let parts: Vec<_> = counts.iter().map(|(key, n)| format!("{n} {}", name(key))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn latency(both: Option<(Duration, Duration)>) -> String {
    let text = |d: Duration| match d.as_secs_f64() {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s => format!("{s:.1} s"),
    };
    both.map_or_else(|| "–".to_owned(), |(p50, p99)| format!("{}/{}", text(p50), text(p99)))
}

impl fmt::Display for CityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "orders: {}; ended: {}", list(&self.live, |s| s.name()), list(&self.ended, |s| s.name()))?;
        write!(f, " · drivers: {}", list(&self.drivers, |s| s.name()))?;
        write!(f, " · to offer p50/p99 {}, to driver {}", latency(self.to_offer), latency(self.to_assignment))?;
        match self.on_time_share {
            Some(share) => write!(f, " · on time {:.0} %", share * 100.0)?,
            None => write!(f, " · on time –")?,
        }
        write!(f, " · reconnects {} · errors {}", self.reconnects, self.errors)
    }
}

impl Progress for CityStats {
    fn line(&self) -> String {
        let clock = self.clock.lock().clone();
        match clock {
            Some(clock) => format!("{} ×{} · {}", clock.now().format("%H:%M"), clock.speed(), self.report()),
            None => "setting up the city".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_newest_values() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), None);
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.percentile(50), Some(Duration::from_millis(50)));
        assert_eq!(latencies.percentile(99), Some(Duration::from_millis(99)));
        for _ in 0..KEPT {
            latencies.add(Duration::from_secs(1));
        }
        assert_eq!(latencies.percentile(1), Some(Duration::from_secs(1)));
    }

    #[test]
    fn an_empty_city_has_a_line_too() {
        assert!(CityReport::default().to_string().contains("orders: none"));
        assert_eq!(CityStats::default().line(), "setting up the city");
    }
}
