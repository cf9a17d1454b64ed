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
use posthaste_geography::{Distance, StraightLine};
use posthaste_matching::{Board, DriverView, OrderView, Stop};
use posthaste_protocol::zones::{DistanceView, TravelView, ZoneView};

use super::actor::ZoneMsg;
use super::dispatcher::DispatcherMsg;
use crate::keeper::Seat;

/// A zone's rules, as they are now.
#[derive(Debug, Clone)]
pub(crate) struct ZoneConfig {
    pub(crate) view: Arc<ZoneView>,
    pub(crate) rules: ZoneRules,
    pub(crate) travel: StraightLine,
    /// A removed zone takes no new orders and finishes what it has.
    pub(crate) removed: bool,
}

impl ZoneConfig {
    pub(crate) fn new(view: ZoneView, removed: bool) -> Self {
        Self { rules: view.rules.into(), travel: travel_model(&view.travel), view: Arc::new(view), removed }
    }
}

pub(super) fn travel_model(travel: &TravelView) -> StraightLine {
    StraightLine {
        distance: match travel.distance {
            DistanceView::GreatCircle => Distance::GreatCircle,
            DistanceView::Plane => Distance::Plane,
        },
        detour_factor: travel.detour_factor,
        speed_meters_per_second: travel.meters_per_second,
        round_up_to_seconds: travel.round_up_to_seconds,
    }
}

/// An order that waits for a driver.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) view: OrderView,
    pub(crate) since: Timestamp,
    /// Who was asked to hold time for it, and when; no other is asked until he answered.
    pub(crate) asked: Option<(DriverId, std::time::Instant)>,
    /// When the last decision without a driver was recorded, and in what words.
    pub(crate) recorded: Option<(std::time::Instant, String)>,
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
    pub(crate) fn new(id: ZoneId, latitude: f64, config: ZoneConfig) -> Self {
        let board = Board::new(latitude, config.rules.pickup_radius_meters);
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
