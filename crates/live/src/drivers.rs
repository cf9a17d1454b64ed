//! The door to drivers.

use std::sync::Arc;

use dashmap::DashMap;
use posthaste_clock::Clock;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, OfferId, TaskId, ZoneId};
use posthaste_domain::order::{FailReason, Order, Proof, Speed};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::drivers::{DriverEvent, DriverRecorded};
use posthaste_storage::journal::Entry;
use posthaste_storage::pool::Pool;
use posthaste_storage::positions::Position;
use ractor::{ActorCell, SpawnErr};
use serde::{Deserialize, Serialize};

mod actor;
mod commands;
mod forget;
mod holding;
mod next;
mod positions;
mod repeated;
pub(crate) mod roster;
mod route;
mod shift;
mod shown;
mod silence;
mod standby;

pub use next::NextChosen;
pub use positions::{MOST_POSITIONS, Received};
pub use posthaste_matching::routed::outcome::{PlannedStop, Standby};
pub use route::{PlannedRoute, Work};
pub use shift::ShiftChange;

#[cfg(test)]
pub(crate) use actor::Alarm;
pub(crate) use actor::{DriverActor, DriverArgs, DriverMsg, DriverRef, Proposal};
pub(crate) use roster::Rostered;
pub(crate) use route::LastDone;

use crate::carried::{UNKNOWN, Within};
use crate::commit::{Commit, Whose};
use crate::door::{Door, Kind};
use crate::orders::{Done, Idempotency};
use crate::presence::{Fix, Presence, Summary};
use crate::streams::Streams;
use crate::system::{Doors, Late};
use crate::{Cause, Once, Refused, World, views};

/// A new driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterDriver {
    /// Who they are to be, where that was decided before; otherwise a new id.
    pub id: Option<DriverId>,
    /// The name customers see.
    pub name: String,
    /// The vehicle.
    pub vehicle: Vehicle,
    /// Units of size that fit at once.
    pub capacity: u32,
    /// Zones served.
    pub zones: Vec<ZoneId>,
    /// Speeds served.
    pub speeds: Vec<Speed>,
}

/// A driver with what is live about them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiveDriver {
    /// The record.
    pub driver: Arc<Driver>,
    /// Silent too long to get work.
    pub stale: bool,
    /// Assigned orders that are not over.
    pub open_orders: u32,
    /// Last position.
    pub position: Option<Fix>,
}

/// What a driver asks for about their work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum DriverCommand {
    /// Take an offer.
    Accept(OfferId),
    /// Decline an offer.
    Decline(OfferId),
    /// On the way to a task.
    Depart(TaskId),
    /// At a task.
    Arrive(TaskId),
    /// Picked up, delivered or brought back, as the task's kind says.
    Complete {
        /// The task.
        task: TaskId,
        /// What kind the caller believes it is: another kind is refused.
        kind: posthaste_domain::order::TaskKind,
        /// The code.
        code: Option<String>,
        /// What else they show.
        proof: Option<Proof>,
    },
    /// It cannot be done.
    Fail {
        /// The task.
        task: TaskId,
        /// Why.
        reason: FailReason,
        /// In words.
        note: Option<String>,
    },
}

/// How drivers are loaded and started.
pub(crate) struct DriverKind {
    pub(crate) doors: Late,
    pub(crate) pool: Pool,
}

impl Kind for DriverKind {
    type Key = DriverId;
    type Msg = DriverMsg;
    type Loaded = (Arc<Driver>, Vec<Arc<Order>>);
    type Told = ();
    const NAME: &'static str = "driver";

    async fn load(&self, key: DriverId) -> Result<Option<Self::Loaded>, Refused> {
        let doors = self.doors.get()?;
        let Some(driver) = posthaste_storage::drivers::get(&self.pool, key).await? else { return Ok(None) };
        let orders = posthaste_storage::orders::of_driver(&self.pool, key).await?;
        if !doors.drivers.presences.contains_key(&key) {
            let newest = posthaste_storage::positions::get(&self.pool, key).await?;
            doors.drivers.make_presence(Arc::new(driver.clone()), newest);
        }
        Ok(Some((Arc::new(driver), orders.into_iter().map(Arc::new).collect())))
    }

    fn spawn(
        &self,
        (driver, orders): Self::Loaded,
        (): (),
        supervisor: ActorCell,
        world: &World,
    ) -> Result<DriverRef, SpawnErr> {
        let doors = self.doors.get().map_err(|refused| SpawnErr::StartupFailed(refused.into()))?;
        let presence = doors.drivers.make_presence(Arc::clone(&driver), None);
        let id = driver.id;
        let args = DriverArgs { driver, orders, presence };
        world.start_at_once(DriverActor { id, doors }, args, supervisor)
    }

    fn announce() -> DriverMsg {
        DriverMsg::Loaded
    }

    async fn settled(&self, _: DriverId, (): ()) -> Result<(), Refused> {
        Ok(())
    }
}

/// The door to drivers. Cheap to clone.
#[derive(Clone)]
pub struct Drivers {
    pub(crate) door: Arc<Door<DriverKind>>,
    /// Slots outlive their actors, so that a failed actor costs no position.
    pub(crate) presences: Arc<DashMap<DriverId, Arc<Presence>>>,
    pub(crate) clock: Clock,
    /// The clock by which drivers are silent.
    pub(crate) silence: Clock,
    pub(crate) streams: Streams,
    /// For how long tracks are kept, and whether positions are in the figures.
    pub(crate) keeps: (Span, bool),
    /// One change of rosters at a time.
    pub(crate) rosters: Arc<tokio::sync::Mutex<()>>,
    pub(crate) doors: Late,
}

impl Drivers {
    fn doors(&self) -> Result<Arc<Doors>, Refused> {
        self.doors.get()
    }

    /// Registers a driver. A key used before gives its first answer.
    pub async fn register(
        &self,
        new: RegisterDriver,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<Once<Arc<Driver>>, Refused> {
        let doors = self.doors()?;
        let region = doors.zones.region_of(&new.zones)?;
        let now = doors.clock.now();
        let driver = Driver {
            id: new.id.unwrap_or_else(|| doors.clock.id()),
            name: new.name,
            vehicle: new.vehicle,
            capacity: new.capacity,
            zones: new.zones,
            speeds: new.speeds,
            shift: Shift::Offline,
            next_task: None,
            region,
            created_at: now,
            version: 1,
        };
        let event = DriverRecorded { seq: 1, at: now, by: cause.by, event: DriverEvent::Registered };
        let mut entry = Entry::driver(0, driver.clone(), vec![event]).correlation(cause.ids());
        if let Some(key) = &idempotency {
            entry = entry.idempotency(key.record_of(201, &views::new_driver(&driver), now)?);
        }
        let (drivers, driver) = (self.clone(), Arc::new(driver));
        let carried = doors.carried.clone();
        carried.through(async move { drivers.take_on(&doors, driver, entry, idempotency).await }).await
    }

    /// Commits a new driver, and has them there.
    async fn take_on(
        &self,
        doors: &Doors,
        driver: Arc<Driver>,
        entry: Entry,
        idempotency: Option<Idempotency>,
    ) -> Result<Once<Arc<Driver>>, Refused> {
        match doors.commit(Whose::Driver(driver.id), entry).await {
            Commit::Stored => {}
            Commit::KeyUsed => {
                let key = idempotency.ok_or(Refused::LostRace)?;
                return key.first_answer(&doors.pool).await.map(Once::replayed);
            }
            Commit::ReadBack { unknown: true } => {
                let look = || async { Ok(posthaste_storage::drivers::get(&doors.pool, driver.id).await?) };
                // Who is stored is loaded when somebody asks for them.
                doors.carried.look_up(Within::Moments, look).await.ok_or(UNKNOWN)?;
            }
            not => return Err(not.refused()),
        }
        self.door.enter(driver.id, (Arc::clone(&driver), Vec::new()), ())?;
        Ok(Once::New(driver))
    }

    /// The driver with what is live about them.
    pub async fn get(&self, id: DriverId) -> Result<LiveDriver, Refused> {
        Ok(self.of(&*self.presence(id).await?))
    }

    /// Who has the order, where they can be asked.
    pub(crate) async fn of_order(&self, order: &Order) -> Option<LiveDriver> {
        self.get(order.working_driver()?).await.ok()
    }

    pub(crate) fn of(&self, presence: &Presence) -> LiveDriver {
        Self::shown(presence, &presence.summary())
    }

    fn shown(presence: &Presence, summary: &Summary) -> LiveDriver {
        LiveDriver {
            driver: Arc::clone(&summary.driver),
            stale: summary.stale,
            open_orders: summary.open_orders,
            position: presence.newest(),
        }
    }

    /// Adds what is live about drivers read from a list.
    #[must_use]
    pub fn live(&self, driver: Driver) -> LiveDriver {
        match self.presences.get(&driver.id) {
            Some(presence) => self.of(&presence),
            None => LiveDriver { driver: Arc::new(driver), stale: false, open_orders: 0, position: None },
        }
    }

    /// The driver, where they are in memory.
    pub(crate) fn in_memory(&self, id: DriverId) -> Option<LiveDriver> {
        self.presences.get(&id).map(|presence| self.of(&presence))
    }

    /// Everybody on shift.
    #[must_use]
    pub fn on_shift(&self) -> Vec<LiveDriver> {
        let mut all: Vec<_> = self.presences.iter().map(|p| self.of(&p)).filter(|d| d.driver.shift.is_on()).collect();
        all.sort_by_key(|d| d.driver.id);
        all
    }

    /// Changes the shift.
    pub async fn shift(
        &self,
        id: DriverId,
        change: ShiftChange,
        cause: Cause,
    ) -> Result<(Shift, bool, Timestamp), Refused> {
        self.door.ask(id, |reply| DriverMsg::Shift { change, cause: cause.clone(), reply }).await
    }

    /// Does what the driver asks, once per `command_id`. Answered after the commit.
    pub async fn command(
        &self,
        id: DriverId,
        command: DriverCommand,
        command_id: Option<String>,
        cause: Cause,
    ) -> Result<Done, Refused> {
        let message = |reply| DriverMsg::Command {
            command: command.clone(),
            command_id: command_id.clone(),
            cause: cause.clone(),
            reply,
        };
        match self.door.ask(id, message).await {
            Err(refused) if repeated::may_be_one(&refused) => self.repeated(id, &command).await?.ok_or(refused),
            answer => answer,
        }
    }

    /// Has the driver do this stop next and everything else around it; nothing takes that back. Answered after the
    /// commit.
    pub async fn choose_next(&self, id: DriverId, task: Option<TaskId>, cause: Cause) -> Result<NextChosen, Refused> {
        self.door.ask(id, |reply| DriverMsg::Next { task, cause: cause.clone(), reply }).await
    }

    /// Orders in hand, orders offered to the driver, and the route planned for them.
    pub async fn work(&self, id: DriverId) -> Result<Work, Refused> {
        self.door.ask(id, DriverMsg::Work).await.map(|(work, _)| work)
    }

    /// The driver and the work, as they are at one moment.
    pub(crate) async fn at_work(&self, id: DriverId) -> Result<(LiveDriver, Work), Refused> {
        let presence = self.presence(id).await?;
        let (work, summary) = self.door.ask(id, DriverMsg::Work).await?;
        Ok((Self::shown(&presence, &summary), work))
    }

    /// The driver's position slot: a socket writes it directly, with no actor in between.
    pub async fn presence(&self, id: DriverId) -> Result<Arc<Presence>, Refused> {
        if self.door.present(id).is_none() {
            self.door.find(id).await?;
        }
        let presence = self.presences.get(&id).ok_or(Refused::NotFound("driver".into()))?;
        Ok(Arc::clone(&presence))
    }

    /// Where a driver was last heard of, if they are on shift.
    pub(crate) fn newest_place(&self, id: DriverId) -> Option<Place> {
        self.presences.get(&id).and_then(|presence| presence.newest()).map(|fix| fix.place)
    }

    /// Where a driver is, if their device said so since `since`.
    pub(crate) fn place_lately(&self, id: DriverId, since: Timestamp) -> Option<Place> {
        let newest = self.presences.get(&id).and_then(|presence| presence.newest());
        newest.filter(|fix| fix.at >= since).map(|fix| fix.place)
    }

    pub(crate) fn make_presence(&self, driver: Arc<Driver>, newest: Option<Position>) -> Arc<Presence> {
        let id = driver.id;
        let presence = self.presences.entry(id).or_insert_with(|| {
            let fix = newest.map(|p| Fix {
                place: p.place,
                at: p.at,
                heading_degrees: p.heading_degrees,
                speed_meters_per_second: p.speed_meters_per_second,
            });
            let door = Arc::downgrade(&self.door);
            let waker = Box::new(move || {
                if let Some(door) = door.upgrade() {
                    let _ = door.tell(id, DriverMsg::Awake);
                }
            });
            let summary = Summary { driver, stale: false, open_orders: 0 };
            let clocks = (self.clock.clone(), self.silence.clone());
            Arc::new(Presence::new(summary, fix, self.keeps, clocks, self.streams.clone(), waker))
        });
        Arc::clone(&presence)
    }
}
