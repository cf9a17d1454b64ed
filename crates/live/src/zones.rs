//! The door to zones.

mod actor;
mod cell;
mod changing;
mod dispatcher;
mod mirror;
mod routed;
mod shadow;

pub(crate) use actor::{ZoneActor, ZoneMsg};
pub(crate) use cell::{InHand, ZoneCell, ZoneConfig};
pub(crate) use cell::{order_view, stop_view};
pub(crate) use dispatcher::{Dispatcher, DispatcherMsg};

use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use posthaste_domain::Timestamp;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId, RegionId, ZoneId};
use posthaste_domain::place::Place;
use posthaste_domain::region::{self, RegionsDiffer};
use posthaste_domain::zone::{NewZone, Zone, ZoneRules};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed, ZoneMap, ZoneShape};
use posthaste_matching::DriverView;
use posthaste_protocol::socket::ServerMessage;
use posthaste_storage::pool::Pool;
use posthaste_storage::zones::{Stored, ZoneError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::Refused;
use crate::drivers::DriverMsg;
use crate::keeper::{KeeperMsg, Post};
use crate::learned::SharedLearned;
use crate::orders::OrderMsg;
use crate::streams::Scope;
use crate::system::{Doors, Late};

/// Drivers and orders listed on a board at most.
const MOST_LISTED: usize = 1000;
/// What a zone's travel model may hold: the field, the least and the greatest value.
pub const TRAVEL_BOUNDS: [(&str, (f64, f64)); 3] = [
    ("detour_factor", StraightLine::DETOUR_FACTOR),
    ("meters_per_second", StraightLine::SPEED_METERS_PER_SECOND),
    ("round_up_to_seconds", StraightLine::ROUND_UP_TO_SECONDS),
];

/// A zone that is served, with what its area comes to. Cheap to clone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiveZone {
    /// The zone.
    pub zone: Arc<Zone>,
    /// Its size in square kilometres.
    pub square_kilometers: f64,
    /// How many H3 cells cover it.
    pub cells: u32,
}

impl LiveZone {
    fn new(zone: Zone, shape: &ZoneShape) -> Self {
        let cells = u32::try_from(shape.cell_count()).unwrap_or(u32::MAX);
        Self { zone: Arc::new(zone), square_kilometers: shape.square_kilometers(), cells }
    }
}

/// What a zone's dispatcher sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZoneBoard {
    /// How many drivers are on the board.
    pub drivers_total: usize,
    /// How many orders wait.
    pub waiting_total: usize,
    /// Drivers, by id, at most 1,000.
    pub drivers: Vec<DriverOnBoard>,
    /// Waiting orders, the longest waiting first, at most 1,000.
    pub waiting: Vec<WaitingOrder>,
}

/// A driver as a zone's dispatcher sees them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DriverOnBoard {
    /// The driver.
    pub id: DriverId,
    /// Whether they work.
    pub shift: Shift,
    /// Whether they have been silent too long.
    pub stale: bool,
    /// Orders that are not over.
    pub open_orders: u32,
    /// Seconds ahead for which their time is taken.
    pub committed_seconds: i64,
    /// Where they are.
    pub place: Place,
}

/// An order that waits for a driver.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct WaitingOrder {
    /// The order.
    pub id: OrderId,
    /// Since when.
    pub since: Timestamp,
    /// What was promised.
    pub promised_at: Timestamp,
    /// The first pickup.
    pub pickup: Place,
}

/// The door to zones. Cheap to clone.
#[derive(Clone)]
pub struct Zones(Arc<Inner>);

struct Inner {
    cells: DashMap<ZoneId, Arc<ZoneCell>>,
    map: ArcSwap<ZoneMap>,
    /// One change of zones at a time.
    changing: tokio::sync::Mutex<()>,
    doors: Late,
    pool: Pool,
    learned: SharedLearned,
}

impl Zones {
    pub(crate) fn new(doors: Late, pool: Pool, learned: SharedLearned) -> Self {
        Self(Arc::new(Inner {
            cells: DashMap::new(),
            map: ArcSwap::from_pointee(ZoneMap::new([])),
            changing: tokio::sync::Mutex::default(),
            doors,
            pool,
            learned,
        }))
    }

    /// Takes in every zone that is served, without their actors. The map is made once: a zone more copies it.
    pub(crate) fn load_all(&self, stored: Vec<Zone>) -> Result<(), Refused> {
        let mut served = Vec::new();
        for zone in stored {
            let (id, shape) = (zone.id, read(&zone.area)?);
            self.cell_of(LiveZone::new(zone, &shape), &shape, false);
            served.push((id, shape));
        }
        self.0.map.store(Arc::new(ZoneMap::new(served)));
        Ok(())
    }

    /// Takes in a stored zone, without its actors. A removed one stays while it has live orders.
    pub(crate) fn load(&self, stored: Stored) -> Result<(), Refused> {
        let shape = read(&stored.zone.area)?;
        self.put_cell(LiveZone::new(stored.zone, &shape), &shape, stored.deleted_at.is_some());
        Ok(())
    }

    /// The zone's cell, new or as it is now, and the zone on the map.
    fn put_cell(&self, zone: LiveZone, shape: &Arc<ZoneShape>, removed: bool) -> Arc<ZoneCell> {
        let id = zone.zone.id;
        let cell = self.cell_of(zone, shape, removed);
        let map = self.0.map.load();
        let map = if removed { map.without_zone(id) } else { map.with_zone(id, Arc::clone(shape)) };
        self.0.map.store(Arc::new(map));
        cell
    }

    fn cell_of(&self, zone: LiveZone, shape: &ZoneShape, removed: bool) -> Arc<ZoneCell> {
        let id = zone.zone.id;
        let bounds = shape.bounds();
        let latitude = f64::midpoint(bounds.south, bounds.north);
        let config = ZoneConfig::new(zone, removed);
        let cell =
            Arc::clone(
                &self.0.cells.entry(id).or_insert_with(|| {
                    Arc::new(ZoneCell::new(id, latitude, config.clone(), Arc::clone(&self.0.learned)))
                }),
            );
        cell.board.lock().set_radius(config.rules.pickup_radius_meters);
        cell.config.store(Arc::new(config));
        cell
    }

    /// Fills the posts of a zone's actor and dispatcher.
    pub(crate) async fn start(&self, id: ZoneId, doors: &Doors) -> Result<(), Refused> {
        for post in [Post::Zone(id), Post::Dispatcher(id)] {
            doors.keep(|reply| KeeperMsg::Start(post, reply)).await?;
        }
        Ok(())
    }

    /// Drivers look at their zones again; operations see the change.
    fn changed(&self, cell: &ZoneCell, doors: &Doors) -> LiveZone {
        for (_, driver) in doors.drivers.door.all() {
            let _ = driver.cast(DriverMsg::Announce);
        }
        let zone = cell.config.load().zone.clone();
        doors
            .streams
            .tell_operations(ServerMessage::Zone(Box::new(crate::views::zone(&zone))), Scope::of_zone(cell.id));
        zone
    }

    /// Orders in zones that are removed say how they stand: those that wait find another zone, if there is one now.
    fn move_what_waits(&self, doors: &Doors) {
        if !self.0.cells.iter().any(|cell| cell.config.load().removed) {
            return;
        }
        for (_, order) in doors.orders.door.all() {
            let _ = order.cast(OrderMsg::FindZone);
        }
    }

    /// Whether a zone is removed, or not known.
    pub(crate) fn is_removed(&self, id: ZoneId) -> bool {
        self.cell(id).is_none_or(|cell| cell.config.load().removed)
    }

    /// No new orders for a zone.
    fn take_out(&self, id: ZoneId) -> Result<(), Refused> {
        let cell = self.cell(id).ok_or(Refused::NotFound("zone".into()))?;
        let zone = cell.config.load().zone.clone();
        // In this order: a zone that is listed no more takes no order any more.
        self.0.map.store(Arc::new(self.0.map.load().without_zone(id)));
        cell.config.store(Arc::new(ZoneConfig::new(zone, true)));
        Ok(())
    }

    /// One zone.
    pub fn get(&self, id: ZoneId) -> Result<LiveZone, Refused> {
        let cell = self.cell(id).ok_or(Refused::NotFound("zone".into()))?;
        let config = cell.config.load();
        if config.removed { Err(Refused::NotFound("zone".into())) } else { Ok(config.zone.clone()) }
    }

    /// All zones, by name.
    #[must_use]
    pub fn list(&self) -> Vec<LiveZone> {
        let configs = self.0.cells.iter().map(|cell| cell.config.load_full());
        let mut all: Vec<_> = configs.filter(|c| !c.removed).map(|c| c.zone.clone()).collect();
        all.sort_by(|a, b| a.zone.name.cmp(&b.zone.name));
        all
    }

    /// The zone of a place.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<ZoneId> {
        self.0.map.load().zone_at(place)
    }

    /// What the zone's dispatcher sees.
    pub fn board(&self, id: ZoneId) -> Result<ZoneBoard, Refused> {
        self.get(id)?;
        let cell = self.cell(id).ok_or(Refused::NotFound("zone".into()))?;
        let now = self.0.doors.get()?.clock.now();
        let on_board = |driver: &DriverView| DriverOnBoard {
            id: driver.id,
            shift: driver.shift,
            stale: driver.stale,
            open_orders: driver.open_orders,
            committed_seconds: driver.committed_seconds(now),
            place: driver.place,
        };
        let waits = |waiting: &cell::Waiting| WaitingOrder {
            id: waiting.view.id,
            since: waiting.since,
            promised_at: waiting.view.promised_at,
            pickup: waiting.view.first_stop(),
        };
        let mut drivers: Vec<_> = cell.board.lock().drivers().map(on_board).collect();
        let mut waiting: Vec<_> = cell.waiting.lock().values().map(waits).collect();
        let (drivers_total, waiting_total) = (drivers.len(), waiting.len());
        drivers.sort_by_key(|driver| driver.id);
        drivers.truncate(MOST_LISTED);
        waiting.sort_by_key(|order| (order.since, order.id));
        waiting.truncate(MOST_LISTED);
        Ok(ZoneBoard { drivers_total, waiting_total, drivers, waiting })
    }

    /// The region that all of these zones are of. Zones that are not known have none.
    pub(crate) fn region_of(&self, zones: &[ZoneId]) -> Result<RegionId, RegionsDiffer> {
        let cells = zones.iter().filter_map(|id| self.cell(*id));
        region::of_all(cells.map(|cell| (cell.id, cell.config.load().zone.zone.region)))
    }

    pub(crate) fn cell(&self, id: ZoneId) -> Option<Arc<ZoneCell>> {
        self.0.cells.get(&id).map(|cell| Arc::clone(&cell))
    }

    /// Every zone that is in memory, removed ones with orders among them.
    pub(crate) fn cells(&self) -> Vec<Arc<ZoneCell>> {
        self.0.cells.iter().map(|cell| Arc::clone(&cell)).collect()
    }

    pub(crate) fn ids(&self) -> Vec<ZoneId> {
        self.0.cells.iter().map(|cell| cell.id).collect()
    }

    pub(crate) fn tell(&self, id: ZoneId, message: ZoneMsg) {
        if let Some(cell) = self.cell(id) {
            cell.tell(message);
        }
    }

    /// The zone's rules; the defaults for one that is not known.
    pub(crate) fn rules(&self, id: ZoneId) -> ZoneRules {
        self.cell(id).map_or_else(ZoneRules::default, |cell| cell.config.load().rules)
    }

    /// The zone's travel model; the default for one that is not known.
    pub(crate) fn travel(&self, id: ZoneId) -> StraightLine {
        self.cell(id).map_or_else(StraightLine::default, |cell| cell.config.load().travel)
    }

    /// Travel time along the places, in seconds.
    pub(crate) fn way_seconds(&self, id: ZoneId, places: impl Iterator<Item = Place>) -> u32 {
        let travel = self.travel(id);
        let places: Vec<_> = places.collect();
        let leg = |pair: &[Place]| travel.seconds(pair[0], pair[1], VehicleSpeed::default());
        places.windows(2).map(leg).fold(0, u32::saturating_add)
    }
}

/// Areas are read and cut into cells one at a time: whoever wants a zone waits, and nobody else.
static READING: Semaphore = Semaphore::const_new(1);

/// Reads an area and cuts it into cells, which is up to a second of work.
fn read(area: &serde_json::Value) -> Result<Arc<ZoneShape>, Refused> {
    let wrong = |problem: String| Refused::InvalidZone(vec![("area".to_owned(), problem)]);
    ZoneShape::from_geojson(area).map(Arc::new).map_err(|error| wrong(error.to_string()))
}

/// The same on a thread apart. Whoever waits may leave: their turn passes, and an area that is being read is read to its
/// end, as threads cannot be stopped.
async fn read_apart(area: serde_json::Value) -> Result<Arc<ZoneShape>, Refused> {
    let turn = READING.acquire().await.map_err(|_| Refused::Unavailable("areas".into()))?;
    let reading = tokio::task::spawn_blocking(move || {
        let shape = read(&area);
        drop(turn);
        shape
    });
    reading.await.map_err(|_| Refused::Unavailable("areas".into()))?
}

/// Everything that is wrong with a zone, or its shape.
async fn check(zone: &NewZone) -> Result<Arc<ZoneShape>, Refused> {
    let mut wrong: Vec<_> = zone.check().into_iter().map(|wrong| (wrong.field, wrong.problem)).collect();
    if let Err(travel) = StraightLine::from(&zone.travel).check() {
        wrong.extend(travel.into_iter().map(|w| (format!("travel.{}", w.field), w.to_string())));
    }
    match read_apart(zone.area.clone()).await {
        Ok(shape) if wrong.is_empty() => return Ok(shape),
        Err(Refused::InvalidZone(more)) => wrong.extend(more),
        Err(other) => return Err(other),
        Ok(_) => {}
    }
    Err(Refused::InvalidZone(wrong))
}

impl From<ZoneError> for Refused {
    fn from(error: ZoneError) -> Self {
        match error {
            ZoneError::NameTaken => Self::ZoneNameTaken,
            ZoneError::IdempotencyKeyUsed | ZoneError::VersionConflict => Self::LostRace,
            ZoneError::Storage(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn zone(travel: &serde_json::Value) -> NewZone {
        let area = json!({"type": "Polygon", "coordinates": [[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0]]]});
        let zone = json!({"name": "a zone", "area": area, "rules": {}, "travel": travel});
        serde_json::from_value(zone).expect("a zone")
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_travel_model_is_said_by_the_names_of_its_fields() {
        for (field, (_, most)) in TRAVEL_BOUNDS {
            let refused = check(&zone(&json!({field: most as u32 + 1}))).await.expect_err("above the greatest value");
            let Refused::InvalidZone(wrong) = refused else { panic!("{refused:?}") };
            let [(named, problem)] = &wrong[..] else { panic!("{wrong:?}") };
            assert_eq!(*named, format!("travel.{field}"));
            assert!(problem.starts_with(&format!("{field} must lie between")), "{problem}");
        }
        assert!(check(&zone(&json!({}))).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_for_an_area_to_be_read_holds_no_worker_and_may_leave() {
        let another = READING.acquire().await.expect("never closed");
        let gone = tokio::spawn(async { check(&zone(&json!({}))).await.is_ok() });
        let patient = tokio::spawn(async { check(&zone(&json!({}))).await.is_ok() });
        // The only worker comes to this task, and to others, while both wait.
        tokio::spawn(async {}).await.expect("a task");
        gone.abort();
        drop(another);
        assert!(patient.await.expect("a task"));
    }
}
