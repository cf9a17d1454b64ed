//! What is known of a zone: its rules and travel model, its board of drivers, the orders that wait.
//!
//! The cell outlives the zone's actor and dispatcher. Drivers' actors write their own line of the board, their sockets
//! the position in it; the zone's actor writes what waits; the dispatcher reads all of it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use posthaste_domain::ids::{DriverId, OrderId, ZoneId};
use posthaste_domain::order::{Order, TaskKind};
use posthaste_domain::place::Place;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_matching::{Board, DriverView, OrderView, Stop};
use posthaste_protocol::zones::{DistanceView, TravelView, ZoneView};

use super::actor::ZoneMsg;
use super::dispatcher::DispatcherMsg;
use crate::keeper::Seat;

/// Degrees to metres in a plane laid near latitude 0, longitude 0.
const METERS_A_DEGREE: f64 = 111_320.0;

/// A zone's rules, as they are now.
#[derive(Debug, Clone)]
pub(crate) struct ZoneConfig {
    pub(crate) view: Arc<ZoneView>,
    pub(crate) rules: ZoneRules,
    /// A removed zone takes no new orders and finishes what it has.
    pub(crate) removed: bool,
}

impl ZoneConfig {
    pub(crate) fn new(view: ZoneView, removed: bool) -> Self {
        Self { rules: view.rules.into(), view: Arc::new(view), removed }
    }

    /// Travel time in whole seconds, rounded up.
    pub(crate) fn travel_seconds(&self, from: Place, to: Place) -> i64 {
        travel_seconds(&self.view.travel, from, to)
    }
}

fn travel_seconds(travel: &TravelView, from: Place, to: Place) -> i64 {
    let meters = match travel.distance {
        DistanceView::GreatCircle => from.meters_to(to),
        DistanceView::Plane => {
            let (north, east) = (to.lat() - from.lat(), to.lng() - from.lng());
            north.hypot(east) * METERS_A_DEGREE
        }
    };
    // A millimetre of slack: a distance that is a whole number of steps is not rounded up to one more.
    let seconds = (meters * travel.detour_factor - 1e-3).max(0.0) / travel.meters_per_second;
    let step = f64::from(travel.round_up_to_seconds.unwrap_or(1).max(1));
    #[expect(clippy::cast_possible_truncation, reason = "a way around the Earth takes fewer seconds than fit")]
    let whole = ((seconds / step).ceil() * step) as i64;
    whole
}

/// An order that waits for a driver.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) view: OrderView,
    pub(crate) since: Timestamp,
    /// When a driver was asked to hold time for it; no other is asked until he answered.
    pub(crate) asked: Option<std::time::Instant>,
    /// When the last decision without a driver was recorded, and in what words.
    pub(crate) recorded: Option<(Timestamp, String)>,
}

/// A zone.
pub(crate) struct ZoneCell {
    pub(crate) id: ZoneId,
    pub(crate) config: ArcSwap<ZoneConfig>,
    pub(crate) board: Mutex<Board>,
    pub(crate) waiting: Mutex<HashMap<OrderId, Waiting>>,
    pub(crate) actor: Seat<ZoneMsg>,
    pub(crate) dispatcher: Seat<DispatcherMsg>,
}

impl ZoneCell {
    pub(crate) fn new(id: ZoneId, config: ZoneConfig) -> Self {
        let board = Board::new(config.rules.pickup_radius_meters);
        Self {
            id,
            config: ArcSwap::from_pointee(config),
            board: Mutex::new(board),
            waiting: Mutex::default(),
            actor: Seat::default(),
            dispatcher: Seat::default(),
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
    }

    pub(crate) fn tell(&self, message: ZoneMsg) {
        let _ = self.actor.tell(message);
    }

    /// A driver's line changed: worth a look if something waits.
    pub(crate) fn dispatch_if_waiting(&self) {
        if !self.waiting.lock().is_empty() {
            self.dispatch(DispatcherMsg::Look);
        }
    }

    pub(crate) fn dispatch(&self, message: DispatcherMsg) {
        let _ = self.dispatcher.tell(message);
    }
}

/// The order as the matcher sees it. `None` for an order without pickups or door, which cannot be placed.
pub(crate) fn order_view(order: &Order) -> Option<OrderView> {
    let stop = |task: &posthaste_domain::order::Task| Stop {
        place: task.place,
        service: Span::seconds(i64::from(task.service_seconds)),
        ready_at: task.ready_at,
    };
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
