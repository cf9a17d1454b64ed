//! What a plan is made from: plain copies of what a zone has, and the problem that follows from them.
//!
//! Whoever plans fills an [`Input`] (a running server from under its locks, a simulated day from its world) and asks it
//! for the [`Snapshot`]: everything that a pass needs, on numbers. What it says about the future follows from the rules
//! here and from nothing else:
//!
//! - `drivers`: where each is free next; `roster`: who comes soon. `orders`: what waits, and what drivers have.
//! - `locked`: what comes first in a route and stays; `intended`: what the plan before meant for the rest.
//! - `forecast`: what is to be expected; `seen`: the orders that it is expected from.
//! - `refused`: who could not hold time for an order and is not asked again at once.

mod builder;
mod drivers;
mod forecast;
mod intended;
mod locked;
mod orders;
mod refused;
mod roster;
mod seen;

use std::collections::HashMap;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OrderId, TaskId};
use posthaste_domain::order::{TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};

pub use builder::{MOST_MOVED, MOVE_GAIN};
pub use drivers::Whereabouts;
pub use refused::RefusedBy;
pub use seen::{SeenOrder, SeenOrders};

use super::outcome::Standby;
use super::outcome::ahead::Ahead;
use super::problem::{NEVER, OrderIndex, PlaceIndex};
use super::{Act, Budget, Problem, Routes, Second, Travel};
use crate::views::{DriverView, OrderView, Stop};

/// The acts of each driver, as the last plan had them.
pub type Intended = HashMap<DriverId, Vec<(OrderId, TaskKind)>>;

/// Everything that a plan is made from, but for what is remembered from the plan before.
#[derive(Debug, Clone)]
pub struct Input {
    /// The instant of the pass.
    pub now: Timestamp,
    /// The zone's rules.
    pub rules: ZoneRules,
    /// How long ways take.
    pub travel: StraightLine,
    /// Everybody on the zone's board, in any order; those who take no work, too.
    pub drivers: Vec<DriverInput>,
    /// Planned shifts of the zone's drivers that are not over, in any order.
    pub roster: Vec<RosteredShift>,
    /// What waits for a driver, in any order.
    pub waiting: Vec<WaitingOrder>,
    /// Orders that were seen lately.
    pub seen: SeenOrders,
    /// Numbers the plans of the zone.
    pub generation: u64,
    /// How much to search, and what its chance follows from. How much is looked at and how much may move is set here.
    pub budget: Budget,
}

/// A driver of the board.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverInput {
    /// As the board has them.
    pub view: DriverView,
    /// What they have to do, where that is known.
    pub work: Option<DriverWork>,
}

/// What a driver has to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DriverWork {
    /// Orders assigned or offered to them.
    pub orders: Vec<OrderInHand>,
    /// The last stop that they have done.
    pub last_stop: Option<LastStop>,
    /// The stop that they said they do next: open, and its turn can be now.
    pub chosen: Option<(OrderId, TaskId)>,
    /// Where they are advised to wait for work.
    pub standby: Option<Standby>,
}

/// A stop that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastStop {
    /// Where.
    pub place: Place,
    /// When its driver can leave, or could.
    pub free_at: Timestamp,
}

/// An order that a driver has.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderInHand {
    /// The whole order, with what is done already.
    pub view: OrderView,
    /// Its tasks, pickups in the order in which they are made.
    pub tasks: Vec<TaskInHand>,
}

/// A task of an order that a driver has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskInHand {
    /// The task.
    pub id: TaskId,
    /// What is to be done.
    pub kind: TaskKind,
    /// How far it is.
    pub status: TaskStatus,
    /// When the driver arrived, where they have.
    pub arrived_at: Option<Timestamp>,
    /// Where, how long, and not before when.
    pub stop: Stop,
}

/// A planned shift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RosteredShift {
    /// Whose.
    pub driver: DriverId,
    /// From its start to its end.
    pub during: Window,
    /// Where they start, where that is known.
    pub place: Option<Place>,
    /// Whether they serve fast orders.
    pub fast: bool,
    /// Whether they serve slow orders.
    pub slow: bool,
    /// Units of size that fit at once.
    pub capacity: u32,
}

/// An order that waits for a driver.
#[derive(Debug, Clone)]
pub struct WaitingOrder {
    /// The order.
    pub view: OrderView,
    /// Who was just asked to hold time for it; nobody else is asked until they answer.
    pub asked: Option<DriverId>,
    /// When it is given up.
    pub gives_up_at: Timestamp,
    /// Who could not hold time for it.
    pub refused: Vec<RefusedBy>,
    /// Whether it would be recorded that nobody can take it: where not, nobody looks for why.
    pub may_be_recorded: bool,
}

/// How an order waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// From when on it is offered to whoever has it on their route, or it might be given up.
    pub(super) last_call: Second,
    /// Whether it would be recorded that nobody can take it.
    pub(super) may_be_recorded: bool,
}

/// Ways between numbered places, by the zone's model.
#[derive(Debug, Clone)]
pub struct Roads {
    pub(super) places: Vec<Place>,
    pub(super) model: StraightLine,
}

impl Travel for Roads {
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
        if from == to {
            return 0;
        }
        let seconds = self.model.seconds(self.places[from as usize], self.places[to as usize], VehicleSpeed::default());
        Second::try_from(seconds).unwrap_or(NEVER).min(NEVER)
    }
}

/// Everything that a pass needs, on numbers. [`search`](Self::search) it, then ask for the
/// [`outcome`](Self::outcome).
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) generation: u64,
    pub(super) now: Timestamp,
    pub(super) drivers: Vec<DriverId>,
    /// How many of them are at work; the others come later, and are asked nothing yet.
    pub(super) here: usize,
    pub(super) orders: Vec<OrderId>,
    pub(super) numbers: HashMap<OrderId, OrderIndex>,
    /// For each order, how it waits; nothing for what a driver has.
    pub(super) waiting: Vec<Option<Waits>>,
    /// For each driver, the act that they said they do next.
    pub(super) chosen: Vec<Option<Act>>,
    pub(super) problem: Problem<Roads>,
    pub(super) routes: Routes,
    pub(super) budget: Budget,
    pub(super) lead: Second,
    /// Where the zone sends idle drivers ahead of work.
    pub(super) ahead: Option<Ahead>,
}

impl Snapshot {
    /// The instant of the pass.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The problem that the pass solves.
    #[must_use]
    pub fn problem(&self) -> &Problem<Roads> {
        &self.problem
    }

    /// The routes that it starts from: what drivers have and what the plan before intended.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }
}
