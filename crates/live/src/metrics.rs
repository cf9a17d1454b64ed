//! What is measured while the system works, by the `metrics` facade: whoever runs the system installs a recorder, or
//! nothing is kept. Names are those of Prometheus, times are real seconds; `docs/operations.md` lists them.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use posthaste_domain::order::{Personal, Status};
use posthaste_domain::position::{Reason, Taken};

use crate::Refused;
use crate::system::System;

/// A commit of the journal.
pub(crate) fn committed(entries: usize, took: Duration) {
    histogram!("posthaste_commit_seconds").record(took.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "at most 1,024")]
    histogram!("posthaste_commit_entries").record(entries as f64);
}

/// A driver was asked about an order that has waited for so long.
pub(crate) fn dispatched(waited: Duration) {
    histogram!("posthaste_dispatch_seconds").record(waited.as_secs_f64());
}

/// A plan of routes was made.
pub(crate) fn planned(took: Duration) {
    histogram!("posthaste_plan_seconds").record(took.as_secs_f64());
}

/// An order came to an end.
pub(crate) fn settled(status: Status) {
    counter!("posthaste_orders_settled_total", "status" => status.name()).increment(1);
}

/// Something in memory was not as it is stored.
pub(crate) fn mended(kind: &'static str) {
    counter!("posthaste_mended_total", "kind" => kind).increment(1);
}

/// Orders of which something about people was forgotten.
pub(crate) fn forgotten(what: Personal, orders: u64) {
    counter!("posthaste_forgotten_total", "what" => what.name()).increment(orders);
}

/// Ways in which a position is taken: three, and a reason for each other.
const WAYS_TAKEN: usize = 3 + Reason::ALL.len();
/// The figure of each, once a recorder is there: positions are many, and look for nothing by its name.
static POSITIONS: OnceLock<[Counter; WAYS_TAKEN]> = OnceLock::new();

/// How positions that came together were taken.
#[derive(Default)]
pub(crate) struct PositionTally([u32; WAYS_TAKEN]);

impl PositionTally {
    pub(crate) fn add(&mut self, taken: Taken) {
        let way = match taken {
            Taken::Believed { corrected, .. } => usize::from(corrected),
            Taken::Kept { .. } => 2,
            Taken::LeftOut(reason) => 3 + reason as usize,
        };
        self.0[way] += 1;
    }

    /// Adds them to the figures.
    pub(crate) fn count(&self) {
        let Some(counters) = POSITIONS.get() else { return };
        for (counter, times) in counters.iter().zip(self.0).filter(|(_, times)| *times > 0) {
            counter.increment(u64::from(times));
        }
    }
}

fn position_counters() -> [Counter; WAYS_TAKEN] {
    std::array::from_fn(|way| {
        let taken = match way {
            0 => "believed",
            1 => "believed_clock_wrong",
            2 => "kept",
            _ => Reason::ALL[way - 3].name(),
        };
        counter!("posthaste_positions_total", "taken" => taken)
    })
}

/// Says what the figures are, once a recorder is there.
pub fn describe() {
    describe_counter!("posthaste_positions_total", "Positions that devices reported, by how they were taken.");
    POSITIONS.get_or_init(position_counters);
    describe_histogram!("posthaste_commit_seconds", "Real seconds that a commit of the journal took.");
    describe_histogram!("posthaste_commit_entries", "Entries in a commit of the journal.");
    describe_gauge!("posthaste_feed_behind", "Events of orders that a consumer of the feed has not read, by consumer.");
    describe_gauge!("posthaste_feed_in_doubt", "Batches of unknown outcome that all consumers of the feed wait for.");
    describe_histogram!("posthaste_dispatch_seconds", "Real seconds from an order waiting to a driver being asked.");
    describe_histogram!("posthaste_plan_seconds", "Real seconds that a plan of routes took.");
    describe_counter!("posthaste_orders_settled_total", "Orders that came to an end, by their status.");
    describe_counter!(
        "posthaste_mended_total",
        "Things in memory that were not as they are stored and were mended, by kind. Stays at zero unless something is wrong."
    );
    for kind in crate::reconcile::KINDS {
        counter!("posthaste_mended_total", "kind" => kind).increment(0);
    }
    describe_counter!(
        "posthaste_forgotten_total",
        "Orders, accounts and audit entries that were forgotten, by what was."
    );
    for what in Personal::ALL {
        forgotten(what, 0);
    }
    describe_gauge!("posthaste_orders", "Live orders, by their status.");
    describe_gauge!("posthaste_orders_waiting", "Orders that wait for a driver.");
    describe_gauge!("posthaste_drivers", "Drivers on shift, by state.");
    describe_gauge!("posthaste_actors", "Actors in memory, by kind.");
    describe_gauge!(
        "posthaste_mailbox_depth",
        "Messages that wait to be handled, by kind of actor: the fullest mailbox."
    );
}

/// Sets a gauge for every label.
fn set(name: &'static str, label: &'static str, counts: &BTreeMap<&'static str, usize>) {
    for (value, count) in counts {
        #[expect(clippy::cast_precision_loss, reason = "counts of things in memory")]
        gauge!(name, label => *value).set(*count as f64);
    }
}

impl System {
    /// Brings the gauges up to date: to be called when somebody reads them. Counts live orders in Postgres, and looks there how
    /// far the feed was read.
    pub async fn observe(&self) -> Result<(), Refused> {
        let doors = &self.doors;
        let mut waiting = 0;
        let (mut zones, mut dispatchers) = (0, 0);
        for cell in doors.zones.cells() {
            waiting += cell.waiting.lock().len();
            zones = zones.max(cell.actor.depth());
            dispatchers = dispatchers.max(cell.dispatcher.depth());
        }
        let depths = [
            ("journal", doors.journal.seat.depth()),
            ("hub", doors.hub.depth()),
            ("zone", zones),
            ("dispatcher", dispatchers),
        ];
        set("posthaste_mailbox_depth", "actor", &depths.into());
        #[expect(clippy::cast_precision_loss, reason = "a count of orders in memory")]
        gauge!("posthaste_orders_waiting").set(waiting as f64);
        let actors = [("order", doors.orders.door.len()), ("driver", doors.drivers.door.len())];
        set("posthaste_actors", "kind", &actors.into());
        let mut drivers = BTreeMap::from([("available", 0), ("on_break", 0)]);
        for driver in doors.drivers.on_shift() {
            *drivers.entry(driver.driver.shift.name()).or_default() += 1;
        }
        set("posthaste_drivers", "shift", &drivers);
        let live = Status::ALL.into_iter().filter(|s| !s.is_final());
        let mut orders: BTreeMap<&'static str, usize> = live.map(|s| (s.name(), 0)).collect();
        for (status, count) in posthaste_storage::orders::live_by_status(&doors.pool).await? {
            if let Some(known) = orders.iter_mut().find(|(name, _)| **name == status) {
                *known.1 = usize::try_from(count).unwrap_or(0);
            }
        }
        set("posthaste_orders", "status", &orders);
        #[expect(clippy::cast_precision_loss, reason = "counts of batches and of events")]
        {
            gauge!("posthaste_feed_in_doubt").set(doors.feed.in_doubt() as f64);
            for behind in posthaste_storage::feed::behind(&doors.pool).await? {
                gauge!("posthaste_feed_behind", "consumer" => behind.consumer).set(behind.numbers as f64);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_which_a_position_is_taken_has_a_figure_of_its_own() {
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            let mut tally = PositionTally::default();
            tally.add(Taken::LeftOut(reason));
            assert_eq!(tally.0[3 + n], 1, "{reason:?}");
        }
    }
}
