//! What is known of a zone: its rules and travel model, its board of drivers, the orders that wait.
//!
//! The cell outlives the zone's actor and dispatcher. Drivers' actors write their own line of the board, their sockets
//! the position in it; the zone's actor writes what waits; the dispatcher reads all of it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, MerchantId, OrderId, ShiftId, TaskId, ZoneId};
use posthaste_domain::order::{Order, Task, TaskKind};
use posthaste_domain::place::Place;
use posthaste_domain::zone::{Policy, ZoneRules};
use posthaste_geography::StraightLine;
use posthaste_matching::routed::input::{RefusedBy, SeenOrders};
use posthaste_matching::{Board, DriverView, OrderView, Stop};

use super::LiveZone;
use super::actor::ZoneMsg;
use super::dispatcher::DispatcherMsg;
use crate::drivers::{LastDone, Rostered, Standby};
use crate::keeper::Seat;
use crate::learned::{Learned, SharedLearned};

/// A zone's rules, as they are now.
#[derive(Debug, Clone)]
pub(crate) struct ZoneConfig {
    pub(crate) zone: LiveZone,
    pub(crate) rules: ZoneRules,
    pub(crate) travel: StraightLine,
    /// A removed zone takes no new orders and finishes what it has.
    pub(crate) removed: bool,
    /// Set when it was looked whether a removed zone has orders: what was on its way to it then has come by the next look.
    pub(crate) looked_at: bool,
}

impl ZoneConfig {
    pub(crate) fn new(zone: LiveZone, removed: bool) -> Self {
        Self { rules: zone.zone.rules, travel: StraightLine::from(&zone.zone.travel), zone, removed, looked_at: false }
    }
}

/// An order that waits for a driver.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) view: OrderView,
    pub(crate) since: Timestamp,
    /// When the zone heard of it, this time.
    pub(crate) noticed: std::time::Instant,
    /// Who was asked to hold time for it, and when; no other is asked until they answered.
    pub(crate) asked: Option<(DriverId, std::time::Instant)>,
    /// When the last decision without a driver was recorded, and in what words.
    pub(crate) recorded: Option<(std::time::Instant, String)>,
    /// Whether operations were told that it waits for want of a driver.
    pub(crate) alerted: bool,
    /// When it is given up.
    pub(crate) gives_up_at: Timestamp,
    /// Drivers who could not hold time for it.
    pub(crate) refused: Vec<RefusedBy>,
}

/// What a driver has to do, for a zone that plans routes.
#[derive(Debug, Clone)]
pub(crate) struct InHand {
    /// Orders assigned or offered to them.
    pub(crate) orders: Vec<Arc<Order>>,
    pub(crate) last_done: Option<LastDone>,
    /// The stop that they said they do next: open, and its turn can be now.
    pub(crate) chosen: Option<(OrderId, TaskId)>,
    /// Where they are advised to wait for work.
    pub(crate) standby: Option<Standby>,
}

/// A zone.
pub(crate) struct ZoneCell {
    pub(crate) id: ZoneId,
    pub(crate) config: ArcSwap<ZoneConfig>,
    pub(crate) board: Mutex<Board>,
    pub(crate) waiting: Mutex<HashMap<OrderId, Waiting>>,
    /// Filled while [`Self::wants_work`].
    pub(crate) work: Mutex<HashMap<DriverId, InHand>>,
    /// Filled whatever the policy, so that the next one knows what to expect.
    pub(crate) seen: Mutex<SeenOrders>,
    /// Planned shifts of the zone's drivers that are not over.
    pub(crate) roster: Mutex<HashMap<ShiftId, Rostered>>,
    pub(crate) actor: Seat<ZoneMsg>,
    pub(crate) dispatcher: Seat<DispatcherMsg>,
    pub(crate) learned: SharedLearned,
}

impl ZoneCell {
    pub(crate) fn new(id: ZoneId, latitude: f64, config: ZoneConfig, learned: SharedLearned) -> Self {
        let board = Board::new(latitude, config.rules.pickup_radius_meters);
        Self {
            id,
            config: ArcSwap::from_pointee(config),
            board: Mutex::new(board),
            waiting: Mutex::default(),
            work: Mutex::default(),
            seen: Mutex::default(),
            roster: Mutex::default(),
            actor: Seat::default(),
            dispatcher: Seat::default(),
            learned,
        }
    }

    pub(crate) fn move_driver(&self, driver: DriverId, place: Place) {
        self.board.lock().move_driver(driver, place);
    }

    pub(crate) fn upsert_driver(&self, driver: DriverView) {
        self.board.lock().upsert_driver(driver);
    }

    pub(crate) fn remove_driver(&self, driver: DriverId) {
        self.board.lock().remove_driver(driver);
        self.work.lock().remove(&driver);
    }

    /// Whether the zone's policy is `routed`.
    pub(crate) fn plans_routes(&self) -> bool {
        self.config.load().rules.policy == Policy::Routed
    }

    /// Whether what drivers have in hand is needed here: for plans of routes, or for a policy in the shadow.
    pub(crate) fn wants_work(&self) -> bool {
        let rules = self.config.load().rules;
        rules.policy == Policy::Routed || rules.shadow.is_some()
    }

    /// Remembers an order for the forecast. What waits again, or is told anew to an actor that was restarted, is known.
    pub(crate) fn remember(&self, order: &OrderView, merchant: Option<MerchantId>) {
        self.seen.lock().remember(order, merchant);
    }

    /// The zone's travel model, at the pace that drivers have at this hour.
    pub(crate) fn travel(&self, now: Timestamp) -> StraightLine {
        self.learned.likely_travel(self.id, self.config.load().travel, now)
    }

    pub(crate) fn tell(&self, message: ZoneMsg) {
        let _ = self.actor.tell(message);
    }

    /// A driver's line changed: worth a look if something waits.
    pub(crate) fn dispatch_if_waiting(&self) {
        if self.plans_routes() || !self.waiting.lock().is_empty() {
            self.dispatch(DispatcherMsg::Wake);
        }
    }

    pub(crate) fn dispatch(&self, message: DispatcherMsg) {
        let _ = self.dispatcher.tell(message);
    }
}

/// A stop as the matcher sees it: what is said of it, and what was learned of those who say it.
pub(crate) fn stop_view(order: &Order, task: &Task, learned: &Learned, now: Timestamp) -> Stop {
    let pickup = task.kind == TaskKind::Pickup;
    Stop {
        place: task.place,
        service: learned.likely_service(order, task, now),
        ready_at: if pickup { learned.likely_ready(order, task) } else { None },
    }
}

/// The order as the matcher sees it. `None` for an order without pickups or door, which cannot be placed.
pub(crate) fn order_view(order: &Order, learned: &Learned, now: Timestamp) -> Option<OrderView> {
    let stop = |task: &Task| stop_view(order, task, learned, now);
    Some(OrderView {
        id: order.id,
        speed: order.speed,
        size: order.size,
        priority: order.priority,
        placed_at: order.placed_at,
        promised_at: order.promised_at,
        window: order.window(),
        pickups: order.pickups().map(stop).collect(),
        delivery: order.tasks.iter().find(|t| t.kind == TaskKind::Delivery).map(stop)?,
        cooling: order.cooling.clone(),
    })
}
