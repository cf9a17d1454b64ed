//! The reconciler: holds memory against what is stored, and mends what differs.
//!
//! Everything follows its commit by itself; this is the net under it. It takes no input, doing it again changes nothing, and it
//! runs on a signal ([`Doors::doubt`]) and on a timer. What is under way looks like a difference for a moment: only what
//! still differs at a second look is mended, each by asking who owns it to go on from what is stored. What is mended is
//! counted ([`Doors::mended`]); the count stays at zero unless something is wrong here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_protocol::socket::Alert;
use posthaste_protocol::words::AlertKind;
use posthaste_storage::orders::Standing;

use crate::Refused;
use crate::drivers::DriverMsg;
use crate::orders::OrderMsg;
use crate::streams::Scope;
use crate::system::Doors;
use crate::zones::ZoneMsg;

/// How often memory is held against what is stored when nobody doubts it (real time). More often reads every live order's
/// row for nothing; less leaves an order that fell through lying for longer.
const EVERY: Duration = Duration::from_secs(30);
/// After a doubt, what caused it has so long to come to its end.
const SOON: Duration = Duration::from_millis(500);
/// Between the two looks.
const BETWEEN: Duration = Duration::from_secs(1);
/// Rows read at once.
const PAGE: u32 = 5_000;

/// What was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mended {
    /// An order without an actor, or behind what is stored, or one whose steps were not told.
    Order(OrderId),
    /// An order that waits and was not on its zone's list, or was on it and does not wait.
    Waiting(OrderId),
    /// A driver without an actor, or whose record was behind.
    Driver(DriverId),
    /// Time of a driver that was held for an order and is not theirs, or is and was not held.
    Holding(DriverId, OrderId),
    /// A zone that was not served as it is stored.
    Zone(ZoneId),
    /// Planned shifts of a driver that were not on the rosters as they are stored.
    Roster(DriverId),
}

/// The kinds of what is mended.
pub(crate) const KINDS: [&str; 6] = ["order", "waiting", "driver", "holding", "zone", "roster"];

impl Mended {
    /// The kind, as the metric names it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Order(_) => "order",
            Self::Waiting(_) => "waiting",
            Self::Driver(_) => "driver",
            Self::Holding(..) => "holding",
            Self::Zone(_) => "zone",
            Self::Roster(_) => "roster",
        }
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => write!(f, "order {order} was not as it is stored"),
            Self::Waiting(order) => write!(f, "whether order {order} waits was not as it is stored"),
            Self::Driver(driver) => write!(f, "driver {driver} was not as they are stored"),
            Self::Holding(driver, order) => write!(f, "what driver {driver} holds for order {order} was not right"),
            Self::Zone(zone) => write!(f, "zone {zone} was not served as it is stored"),
            Self::Roster(driver) => write!(f, "the planned shifts of driver {driver} were not as they are stored"),
        }
    }
}

impl Doors {
    /// Something in memory was not as it is stored, and is now. Counted, logged and told to operations.
    pub(crate) fn mended(&self, what: Mended) {
        crate::metrics::mended(what.kind());
        let (order_id, driver_id, zone_id) = match what {
            Mended::Order(order) | Mended::Waiting(order) => (Some(order), None, None),
            Mended::Driver(driver) | Mended::Roster(driver) => (None, Some(driver), None),
            Mended::Holding(driver, order) => (Some(order), Some(driver), None),
            Mended::Zone(zone) => (None, None, Some(zone)),
        };
        let text = format!("{what}: mended");
        let alert = Alert { kind: AlertKind::StateMended, text, order_id, driver_id, zone_id };
        self.alert(alert, zone_id.map_or_else(Scope::default, Scope::of_zone));
    }
}

/// Looks until the system has stopped.
pub(crate) async fn run(doors: Weak<Doors>) {
    if let Some(here) = doors.upgrade() {
        here.clock.duties().register(duty(&here));
    }
    loop {
        let Some(here) = doors.upgrade() else { return };
        let doubted = tokio::time::timeout(EVERY, here.doubted.notified()).await.is_ok();
        if doubted {
            tokio::time::sleep(SOON).await;
        }
        let duty = duty(&here);
        let _ = here.clock.duties().did(duty, pass(&here)).await;
    }
}

fn duty(doors: &Doors) -> Duty {
    Duty {
        name: "live.reconcile",
        world: doors.world.name(),
        does: "holds memory against what is stored, and mends what differs",
        period: EVERY,
        trigger: Some("doubt: it is unknown whether something was stored"),
        runs: Runs::Region,
    }
}

/// One look at everything. No part keeps another from being looked at: what cannot be read now is looked at by the next.
async fn pass(doors: &Arc<Doors>) -> Result<(), String> {
    let parts = [
        ("zones", doors.zones.as_stored(doors).await),
        ("rosters", crate::drivers::roster::as_stored(doors).await),
        ("orders", orders_and_drivers(doors).await),
    ];
    let mut failed = Vec::new();
    for (part, outcome) in parts {
        if let Err(refused) = outcome {
            tracing::debug!(part, %refused, "memory was not held against what is stored; the next look does it");
            failed.push(format!("{part}: {refused}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Looks twice at orders, and mends what differs at both. Drivers are told once what is stored as theirs.
async fn orders_and_drivers(doors: &Arc<Doors>) -> Result<(), Refused> {
    let stored = all(doors).await?;
    let around: BTreeSet<ZoneId> = stored.iter().map(|standing| standing.zone).collect();
    for zone in around.into_iter().filter(|zone| doors.zones.cell(*zone).is_none()) {
        doors.zones.bring_back(zone, doors).await?;
    }
    let suspects = differences(doors, &stored);
    compare_drivers(doors, &stored).await?;
    if suspects.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(BETWEEN).await;
    let ids: BTreeSet<OrderId> = suspects.iter().map(|difference| difference.order()).collect();
    let list: Vec<OrderId> = ids.iter().copied().collect();
    let again = posthaste_storage::orders::standings_of(&doors.pool, &list).await?;
    for difference in suspects.intersection(&differences_of(doors, &again, &ids)) {
        mend(doors, *difference);
    }
    Ok(())
}

/// How an order in memory differs from the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// It has no actor.
    Missing(OrderId),
    /// Its steps were told up to the first version, and are stored up to the second.
    Behind(OrderId, u64, u64),
    /// It is over, and has an actor.
    Over(OrderId),
    /// It waits, and its zone does not know.
    Unlisted(OrderId, ZoneId),
    /// It does not wait in this zone, which believes it does.
    Listed(OrderId, ZoneId),
}

impl Difference {
    fn order(self) -> OrderId {
        match self {
            Self::Missing(order)
            | Self::Behind(order, ..)
            | Self::Over(order)
            | Self::Unlisted(order, _)
            | Self::Listed(order, _) => order,
        }
    }
}

/// The zones that have live orders.
pub(crate) async fn zones_with_orders(doors: &Doors) -> Result<BTreeSet<ZoneId>, Refused> {
    Ok(all(doors).await?.into_iter().map(|standing| standing.zone).collect())
}

async fn all(doors: &Doors) -> Result<Vec<Standing>, Refused> {
    let mut stored: Vec<Standing> = Vec::new();
    loop {
        let page = posthaste_storage::orders::standings(&doors.pool, stored.last(), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        stored.extend(page);
        if is_last {
            return Ok(stored);
        }
    }
}

/// Where memory differs from all that is stored.
fn differences(doors: &Doors, stored: &[Standing]) -> BTreeSet<Difference> {
    let known = doors.orders.door.keys().into_iter().chain(listed(doors).into_keys()).collect();
    differences_of(doors, stored, &known)
}

/// Where memory differs from what is stored of some orders: those of `asked` that are not stored as live are over.
fn differences_of(doors: &Doors, stored: &[Standing], asked: &BTreeSet<OrderId>) -> BTreeSet<Difference> {
    let mut found = BTreeSet::new();
    let listed = listed(doors);
    let zones_of = |order: &OrderId| listed.get(order).map_or(&[][..], Vec::as_slice);
    for Standing { id, version, zone, waits, .. } in stored {
        match doors.orders.door.told(*id).map(|told| told.version()) {
            None => _ = found.insert(Difference::Missing(*id)),
            Some(told) if told < *version => _ = found.insert(Difference::Behind(*id, told, *version)),
            Some(_) => {}
        }
        if *waits && !zones_of(id).contains(zone) {
            found.insert(Difference::Unlisted(*id, *zone));
        }
        let wrong = zones_of(id).iter().filter(|listing| !(*waits && *listing == zone));
        found.extend(wrong.map(|listing| Difference::Listed(*id, *listing)));
    }
    let live: BTreeSet<OrderId> = stored.iter().map(|standing| standing.id).collect();
    for order in asked.difference(&live) {
        if doors.orders.door.present(*order).is_some() {
            found.insert(Difference::Over(*order));
        }
        found.extend(zones_of(order).iter().map(|listing| Difference::Listed(*order, *listing)));
    }
    found
}

/// The orders that zones believe to wait in them: nearly always one zone each.
fn listed(doors: &Doors) -> HashMap<OrderId, Vec<ZoneId>> {
    let mut listed: HashMap<OrderId, Vec<ZoneId>> = HashMap::new();
    for cell in doors.zones.cells() {
        for order in cell.waiting.lock().keys() {
            listed.entry(*order).or_default().push(cell.id);
        }
    }
    listed
}

fn mend(doors: &Arc<Doors>, difference: Difference) {
    match difference {
        Difference::Missing(order) => {
            let there = Arc::clone(doors);
            doors.carried.beside(async move {
                // Loaded, it catches up with what nobody was told, and says so.
                let _ = there.orders.door.find(order).await;
            });
        }
        Difference::Behind(order, ..) | Difference::Over(order) => {
            let _ = doors.orders.door.tell(order, OrderMsg::CatchUp);
        }
        Difference::Unlisted(order, _) => {
            if doors.orders.door.tell(order, OrderMsg::Announce).is_ok() {
                doors.mended(Mended::Waiting(order));
            }
        }
        Difference::Listed(order, zone) => {
            doors.zones.tell(zone, ZoneMsg::Gone(order));
            doors.mended(Mended::Waiting(order));
        }
    }
}

/// Tells every driver what is stored as theirs; they ask about what they know otherwise. Drivers on shift who have no actor
/// get one.
async fn compare_drivers(doors: &Arc<Doors>, stored: &[Standing]) -> Result<(), Refused> {
    let mut theirs: HashMap<DriverId, Vec<(OrderId, u64)>> = HashMap::new();
    for standing in stored {
        for driver in [standing.driver, standing.offered].into_iter().flatten() {
            theirs.entry(driver).or_default().push((standing.id, standing.version));
        }
    }
    let records = posthaste_storage::drivers::versions_on_shift(&doors.pool).await?;
    for (driver, version) in &records {
        let known = doors.drivers.presences.get(driver).map(|presence| presence.summary().driver.version);
        if doors.drivers.door.present(*driver).is_none() {
            if doors.drivers.door.find(*driver).await.is_ok() {
                doors.mended(Mended::Driver(*driver));
            }
        } else if known.is_none_or(|known| known < *version) {
            let _ = doors.drivers.door.tell(*driver, DriverMsg::CatchUp);
        }
    }
    for driver in theirs.keys() {
        // Who went off shift with work is watched over until it is done. Who cannot be read now is looked for again.
        let _ = doors.drivers.door.find(*driver).await;
    }
    for driver in doors.drivers.door.keys() {
        let _ = doors.drivers.door.tell(driver, DriverMsg::Compare(theirs.remove(&driver).unwrap_or_default()));
    }
    Ok(())
}

impl crate::System {
    /// Where memory differs from what is stored, in words; empty when nothing does. What is under way may differ for a
    /// moment. Reads every live order's row: for tests, and for somebody who looks for a fault.
    ///
    /// # Errors
    ///
    /// What is stored cannot be read now.
    pub async fn differences(&self) -> Result<Vec<String>, Refused> {
        let stored = all(&self.doors).await?;
        Ok(differences(&self.doors, &stored).iter().map(|difference| format!("{difference:?}")).collect())
    }
}
