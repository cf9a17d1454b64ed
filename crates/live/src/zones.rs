//! The door to zones.

mod actor;
mod cell;
mod changing;
mod dispatcher;
mod mirror;
mod reasons;
mod routed;
mod shadow;

pub(crate) use actor::{ZoneActor, ZoneMsg};
pub(crate) use cell::{InHand, ZoneCell, ZoneConfig};
pub(crate) use cell::{order_view, stop_view};
pub(crate) use dispatcher::{Dispatcher, DispatcherMsg};

use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::place::Place;
use posthaste_domain::zone::ZoneRules;
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed, ZoneMap, ZoneShape};
use posthaste_protocol::socket::ServerMessage;
use posthaste_protocol::zones::{BoardDriver, BoardOrder, BoardView, PutZone, ZoneView};
use posthaste_storage::pool::Pool;
use posthaste_storage::zones::{Zone, ZoneError};
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
/// Characters of a zone's name at most.
pub const MOST_NAME: usize = 100;
/// What a zone's travel model may hold: the field, the least and the greatest value.
pub const TRAVEL_BOUNDS: [(&str, (f64, f64)); 3] = [
    ("detour_factor", StraightLine::DETOUR_FACTOR),
    ("meters_per_second", StraightLine::SPEED_METERS_PER_SECOND),
    ("round_up_to_seconds", StraightLine::ROUND_UP_TO_SECONDS),
];

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

    /// Takes in every stored zone, without their actors. The map is made once: a zone more copies it.
    pub(crate) fn load_all(&self, stored: Vec<Zone>) -> Result<(), Refused> {
        let mut served = Vec::new();
        for zone in stored {
            let (id, removed, shape) = (zone.id, zone.deleted_at.is_some(), read(&zone.area)?);
            self.cell_of(view(zone, &shape), &shape, removed);
            served.extend(Some((id, shape)).filter(|_| !removed));
        }
        self.0.map.store(Arc::new(ZoneMap::new(served)));
        Ok(())
    }

    /// Takes in a stored zone, without its actors. A removed one stays while it has live orders.
    pub(crate) fn load(&self, stored: Zone) -> Result<(), Refused> {
        let shape = read(&stored.area)?;
        let removed = stored.deleted_at.is_some();
        let view = view(stored, &shape);
        self.put_cell(view, &shape, removed);
        Ok(())
    }

    /// The zone's cell, new or as it is now, and the zone on the map.
    fn put_cell(&self, view: ZoneView, shape: &Arc<ZoneShape>, removed: bool) -> Arc<ZoneCell> {
        let id = view.id;
        let cell = self.cell_of(view, shape, removed);
        let map = self.0.map.load();
        let map = if removed { map.without_zone(id) } else { map.with_zone(id, Arc::clone(shape)) };
        self.0.map.store(Arc::new(map));
        cell
    }

    fn cell_of(&self, view: ZoneView, shape: &ZoneShape, removed: bool) -> Arc<ZoneCell> {
        let id = view.id;
        let bounds = shape.bounds();
        let latitude = f64::midpoint(bounds.south, bounds.north);
        let config = ZoneConfig::new(view, removed);
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
    fn changed(&self, cell: &ZoneCell, doors: &Doors) -> Arc<ZoneView> {
        for (_, driver) in doors.drivers.door.all() {
            let _ = driver.cast(DriverMsg::Announce);
        }
        let view = Arc::clone(&cell.config.load().view);
        doors.streams.to_operations(ServerMessage::Zone(Box::new((*view).clone())), Scope::of_zone(view.id));
        view
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
        let view = (*cell.config.load().view).clone();
        // In this order: a zone that is listed no more takes no order any more.
        self.0.map.store(Arc::new(self.0.map.load().without_zone(id)));
        cell.config.store(Arc::new(ZoneConfig::new(view, true)));
        Ok(())
    }

    /// One zone.
    pub fn get(&self, id: ZoneId) -> Result<Arc<ZoneView>, Refused> {
        let cell = self.cell(id).ok_or(Refused::NotFound("zone".into()))?;
        let config = cell.config.load();
        if config.removed { Err(Refused::NotFound("zone".into())) } else { Ok(Arc::clone(&config.view)) }
    }

    /// All zones, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ZoneView>> {
        let configs = self.0.cells.iter().map(|cell| cell.config.load_full());
        let mut all: Vec<_> = configs.filter(|c| !c.removed).map(|c| Arc::clone(&c.view)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The zone of a place.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<ZoneId> {
        self.0.map.load().zone_at(place)
    }

    /// What the zone's dispatcher sees.
    pub fn board(&self, id: ZoneId) -> Result<BoardView, Refused> {
        self.get(id)?;
        let cell = self.cell(id).ok_or(Refused::NotFound("zone".into()))?;
        let now = self.0.doors.get()?.clock.now();
        let (mut drivers, drivers_total) = {
            let board = cell.board.lock();
            let drivers: Vec<_> = board
                .drivers()
                .map(|d| BoardDriver {
                    id: d.id,
                    shift: d.shift.name().to_owned(),
                    stale: d.stale,
                    open_orders: d.open_orders,
                    committed_seconds: d.committed_seconds(now),
                    place: Some(d.place.into()),
                })
                .collect();
            let total = drivers.len();
            (drivers, total)
        };
        drivers.sort_by_key(|d| d.id);
        drivers.truncate(MOST_LISTED);
        let mut waiting: Vec<_> = cell
            .waiting
            .lock()
            .values()
            .map(|w| BoardOrder {
                id: w.view.id,
                waiting_since: w.since,
                promised_at: w.view.promised_at,
                pickup: w.view.first_stop(),
            })
            .collect();
        let waiting_total = waiting.len();
        waiting.sort_by_key(|w| (w.waiting_since, w.id));
        waiting.truncate(MOST_LISTED);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(BoardView {
            zone: id,
            drivers_total: count(drivers_total),
            waiting_total: count(waiting_total),
            drivers,
            waiting,
        })
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
async fn check(zone: &PutZone) -> Result<Arc<ZoneShape>, Refused> {
    let mut wrong = Vec::new();
    let length = zone.name.trim().chars().count();
    if length == 0 || length > MOST_NAME {
        wrong.push(("name".to_owned(), format!("must have 1 to {MOST_NAME} characters")));
    }
    if let Err(rules) = ZoneRules::from(zone.rules).check() {
        wrong.extend(rules.into_iter().map(|w| (format!("rules.{}", w.field), w.to_string())));
    }
    if zone.rules.shadow == Some(zone.rules.policy) {
        wrong.push(("rules.shadow".to_owned(), "must be another policy than the one that decides".to_owned()));
    }
    if let Err(travel) = cell::travel_model(&zone.travel).check() {
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

fn view(zone: Zone, shape: &ZoneShape) -> ZoneView {
    ZoneView {
        id: zone.id,
        name: zone.name,
        area: zone.area,
        area_km2: shape.square_kilometers(),
        cells: u32::try_from(shape.cell_count()).unwrap_or(u32::MAX),
        rules: zone.rules.into(),
        travel: serde_json::from_value(zone.travel).unwrap_or_default(),
        created_at: zone.created_at,
        version: zone.version,
    }
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

    fn zone(travel: &serde_json::Value) -> PutZone {
        let area = json!({"type": "Polygon", "coordinates": [[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0]]]});
        serde_json::from_value(json!({"name": "a zone", "area": area, "travel": travel})).expect("a zone")
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
