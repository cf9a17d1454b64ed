//! The problem on plain numbers: who can drive, what is to be carried, how long each way takes, and what it costs to
//! be slow. `ROUTED.md` states it in prose.
//!
//! Every time is in seconds from the instant of the pass: 0 is now, what is past is negative.

/// Index of a place in the travel times.
pub type PlaceIndex = u32;
/// Index of a driver in [`Problem::drivers`].
pub type DriverIndex = u32;
/// Index of an order in [`Problem::orders`].
pub type OrderIndex = u32;
/// Seconds from the instant of the pass.
pub type Second = i32;

/// No limit: far beyond any day, and far enough from the end of the type to be added to.
pub const NEVER: Second = Second::MAX / 4;

/// Travel times between numbered places.
pub trait Travel: Sync {
    /// Whole seconds from one place to another; 0 at the same place.
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second;
}

impl<T: Travel + ?Sized> Travel for &T {
    fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
        (**self).seconds(from, to)
    }
}

/// One act of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// The order is taken aboard. Pickups next to each other at one place are one visit, with one service.
    Pickup(OrderIndex),
    /// The order is handed over at its door.
    Dropoff(OrderIndex),
}

impl Act {
    /// Whose act it is.
    #[must_use]
    pub fn order(self) -> OrderIndex {
        match self {
            Self::Pickup(order) | Self::Dropoff(order) => order,
        }
    }
}

/// A driver with what they drive, as the solver sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vehicle {
    /// Where they are free next: the place they stand at, or the one that they are on their way to.
    pub place: PlaceIndex,
    /// When they can start anything there; in the past when they stand there already.
    pub free_at: Second,
    /// How long their ways take, in hundredths of the travel times.
    pub pace: Second,
    /// No pickup happens after.
    pub shift_end: Second,
    /// Units of size that fit at once.
    pub capacity: i64,
    /// Units aboard now.
    pub load: i64,
    /// How many leading acts of their route stay as they are, with nothing put before them: they are on their way to
    /// them, or it was so ordered. What they cannot do in time of these counts as late, not as impossible.
    pub locked_acts: u32,
    /// Whether they are at work and can be asked now. Those who only come later are planned for, and are never idle.
    pub at_work: bool,
}

impl Vehicle {
    /// At work and free at a place, now and without end, with room for all.
    #[must_use]
    pub fn at(place: PlaceIndex) -> Self {
        let capacity = i64::from(u32::MAX);
        Self { place, free_at: 0, pace: 100, shift_end: NEVER, capacity, load: 0, locked_acts: 0, at_work: true }
    }
}

/// When an act may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Not before; who comes earlier waits.
    pub from: Second,
    /// After this it is late, or, for a [strict](Job::strict) order, not allowed.
    pub to: Second,
}

impl Opening {
    /// At any time.
    pub const ALWAYS: Self = Self { from: -NEVER, to: NEVER };
}

/// Seconds that a stop takes before its moment (parking, finding the door) and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// From arrival to the moment.
    pub before: Second,
    /// From the moment to leaving.
    pub after: Second,
}

/// An order, as the solver sees it: a pickup and a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where it is picked up.
    pub pickup: PlaceIndex,
    /// Where the driver stands after that: the same place, or the last of several sellers; the ways (those of
    /// the slowest driver) and services between them are in [`pickup_service`](Self::pickup_service).
    pub last_pickup: PlaceIndex,
    /// Where it is handed over.
    pub dropoff: PlaceIndex,
    /// Ready from; picked up at the latest.
    pub ready: Opening,
    /// The window or promise at the door.
    pub due: Opening,
    /// Service at the pickup, once for a visit.
    pub pickup_service: Service,
    /// Service at the door.
    pub dropoff_service: Service,
    /// Units of size.
    pub size: i64,
    /// Nobody leaves for it before this: 0 for real orders, later for those that are only
    /// [expected](Self::is_expected).
    pub known_at: Second,
    /// How much its waiting counts, in hundredths: 100 for a real order, less for one that is only expected.
    pub weight: i64,
    /// Being late means not at all. Never for what is aboard: it is to be brought, however late.
    pub strict: bool,
    /// The only driver who may carry it: pinned, or it is aboard.
    pub pinned: Option<DriverIndex>,
    /// The driver who was told that it is theirs: to give it to another costs [`Weights::moved`].
    pub promised: Option<DriverIndex>,
    /// Who may not carry it (declined, wrong vehicle, too far away), ascending.
    pub barred: Vec<DriverIndex>,
}

impl Job {
    /// One that is known, of size 1, whenever and by whomever, at stops that take no time.
    #[must_use]
    pub fn between(pickup: PlaceIndex, dropoff: PlaceIndex) -> Self {
        let at_once = Service { before: 0, after: 0 };
        Self {
            pickup,
            last_pickup: pickup,
            dropoff,
            ready: Opening::ALWAYS,
            due: Opening::ALWAYS,
            pickup_service: at_once,
            dropoff_service: at_once,
            size: 1,
            known_at: 0,
            weight: 100,
            strict: false,
            pinned: None,
            promised: None,
            barred: Vec::new(),
        }
    }

    /// Whether it is only expected: it is not known yet. Its weight does not tell, a real one may count little too.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.known_at > 0
    }
}

/// What a plan is judged by: the sum of all of these. A cost of 100 is one second of one customer's waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// A second until an order is handed over.
    pub delivery: i64,
    /// A second after the end of an order's window or promise, on top.
    pub late: i64,
    /// A second of travel.
    pub travel: i64,
    /// An order that nobody carries.
    pub unserved: i64,
    /// An order that goes to another driver than the one who was told: the gain below which it stays.
    pub moved: i64,
}

impl Default for Weights {
    /// Customers' waiting, and nothing else, four hours of it for an order that nobody carries. Found on recorded days:
    /// weights on travel or on busy time made every day worse, since the nearest driver is the one to be kept for what
    /// comes next.
    fn default() -> Self {
        Self { delivery: 100, late: 0, travel: 0, unserved: 100 * 4 * 3600, moved: 0 }
    }
}

/// Everything that a pass is given.
#[derive(Debug, Clone)]
pub struct Problem<T> {
    /// Travel times.
    pub travel: T,
    /// Who can drive.
    pub drivers: Vec<Vehicle>,
    /// What is to be carried, and what is aboard.
    pub orders: Vec<Job>,
    /// Whether a driver may pick up elsewhere while orders are aboard. Without it, what one visit took aboard is
    /// handed over before the next visit.
    pub interleave: bool,
    /// The prices.
    pub weights: Weights,
}

/// The acts of each driver, in order.
pub type Routes = Vec<Vec<Act>>;
