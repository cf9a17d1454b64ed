//! What counts where: orders, drivers, and then the figures.

mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use posthaste_domain::Timestamp;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, ZoneId};
use posthaste_domain::order::{Event, Order};
use posthaste_protocol::insight::Figures;

use crate::Range;
use crate::intervals::{Interval, intersection, length_within, union};
use crate::work::{Act, trips, turns};
use tally::Tally;

/// A row: the start of its span, and its zone.
type Key = (Timestamp, ZoneId);

/// What is known so far. Orders are told first, then drivers.
#[derive(Debug)]
pub struct Performance {
    range: Range,
    zone: Option<ZoneId>,
    now: Timestamp,
    rows: BTreeMap<Key, Tally>,
    total: Tally,
    in_hand: HashMap<DriverId, Vec<Interval>>,
    /// What drivers did, with the row of the order they did it for, if it has one.
    acts: HashMap<DriverId, Vec<(Act, Option<Key>)>>,
}

/// A zone in a span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The zone.
    pub zone: ZoneId,
    /// The span's start.
    pub from: Timestamp,
    /// The span's end.
    pub to: Timestamp,
    /// How deliveries went.
    pub figures: Figures,
}

impl Performance {
    /// Of all zones or of one, as seen at `now`: what has not ended ends there.
    #[must_use]
    pub fn new(range: Range, zone: Option<ZoneId>, now: Timestamp) -> Self {
        Self {
            range,
            zone,
            now,
            rows: BTreeMap::new(),
            total: Tally::default(),
            in_hand: HashMap::new(),
            acts: HashMap::new(),
        }
    }

    /// An order, with its events. It has a row if it was placed in the range, in the zone; of others only the driver's
    /// part counts.
    pub fn order(&mut self, order: &Order, events: &[(Timestamp, Event)]) {
        let counts = self.range.contains(order.placed_at) && self.zone.is_none_or(|zone| zone == order.zone);
        let key = counts.then(|| (self.range.span_of(order.placed_at), order.zone));
        if let Some(key) = key {
            self.rows.entry(key).or_default().order(order, events);
            self.total.order(order, events);
        }
        for turn in turns(order, events, self.now) {
            let (start, end) = turn.in_hand;
            if start < end && start < self.range.to() && self.range.from() < end {
                self.in_hand.entry(turn.driver).or_default().push((start, end));
            }
            if !turn.acts.is_empty() {
                self.acts.entry(turn.driver).or_default().extend(turn.acts.into_iter().map(|act| (act, key)));
            }
        }
    }

    /// A driver with their zones and the changes of their shift, oldest first: those within the range and the last one
    /// before it. Their time counts in each zone that they serve, and once in all.
    pub fn driver(&mut self, driver: DriverId, zones: &[ZoneId], shifts: &[(Timestamp, Shift)]) {
        let zones = || zones.iter().copied().filter(|zone| self.zone.is_none_or(|wanted| wanted == *zone));
        let on_shift = on_shift(shifts, &self.range, self.now);
        if on_shift.is_empty() || zones().next().is_none() {
            return;
        }
        let in_hand = intersection(&on_shift, &union(self.in_hand.remove(&driver).unwrap_or_default()));
        let last = on_shift[on_shift.len() - 1].1;
        let mut start = self.range.span_of(on_shift[0].0);
        while start < last {
            let end = self.range.end_of(start);
            let here = (length_within(&on_shift, start, end), length_within(&in_hand, start, end));
            if here.0 > posthaste_domain::Span::zero() {
                for zone in zones() {
                    self.rows.entry((start, zone)).or_default().driver(here.0, here.1);
                }
                self.total.driver(here.0, here.1);
            }
            start = end;
        }
    }

    /// The rows, by span and zone, and all of them together. `with_drivers` says whether drivers were told.
    #[must_use]
    pub fn finish(mut self, with_drivers: bool) -> (Vec<Row>, Figures) {
        for acts in self.acts.into_values() {
            for (key, pickups) in trips(acts) {
                let Some(row) = key.and_then(|key| self.rows.get_mut(&key)) else { continue };
                row.trip(pickups);
                self.total.trip(pickups);
            }
        }
        let range = self.range;
        let row = |((from, zone), tally): (Key, Tally)| {
            let to = range.end_of(from);
            Row { zone, from, to, figures: tally.figures(with_drivers) }
        };
        (self.rows.into_iter().map(row).collect(), self.total.figures(with_drivers))
    }
}

/// When a driver was on shift and not on a break, within the range and before now. A shift that they never ended is
/// over at the time at which they meant to stop, if they said one, and else goes on.
fn on_shift(shifts: &[(Timestamp, Shift)], range: &Range, now: Timestamp) -> Vec<Interval> {
    let last = range.to().min(now);
    let ends = shifts.iter().skip(1).map(|(at, _)| *at).chain([last]);
    let parts = shifts.iter().zip(ends).filter_map(|((at, shift), end)| match shift {
        Shift::Available { until } => {
            Some(((*at).max(range.from()), until.map_or(end, |until| end.min(until)).min(last)))
        }
        Shift::Offline | Shift::OnBreak { .. } => None,
    });
    union(parts.collect())
}
