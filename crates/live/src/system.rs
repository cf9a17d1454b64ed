//! Wires the live system together: the journal, the doors, the zones with their dispatchers, the periodic work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use posthaste_clock::Clock;
use posthaste_clock::alarm::Alarms;
use posthaste_domain::Span;
use posthaste_domain::ids::{OfferId, OrderId, TaskId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{MOST_PICKUPS, Order, Recorded, Status, Task};
use posthaste_storage::feed::Feed;
use posthaste_storage::orders::ListFilter;
use posthaste_storage::pool::Pool;
use posthaste_streams::{News, Snapshots};
use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::Refused;
use crate::carried::Carried;
use crate::door::{Door, Reply};
use crate::drivers::{DriverKind, Drivers};
use crate::journal::Journal;
use crate::keeper::{Keeper, KeeperMsg, Post, Seat};
use crate::learned::{Learned, SharedLearned};
use crate::orders::{OrderKind, OrderMsg, Orders, Told};
use crate::periodic::Periodic;
use crate::retention::Retention;
use crate::stopping::{Leave, Stopping};
use crate::streams::{self, FromMemory, Streams};
use crate::world::World;
use crate::zones::Zones;

/// How long work that was begun for somebody may take to come to its end when the system stops.
const CARRIED_WITHIN: Duration = Duration::from_secs(2);
/// Steps of an order before an offer, beyond which the order is not found by the offer. An order that was offered hundreds
/// of times is nobody's any more.
const MOST_STEPS_TO_AN_OFFER: u64 = 512;

/// Numbers that the live system is run by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often newest positions are written to Postgres (real time).
    pub checkpoint_every: Duration,
    /// Days for which tracks are kept.
    pub track_retention_days: u32,
    /// For how long orders that are over hold anything about people.
    pub retention: Retention,
    /// How many seconds of a driver's silence pass in a real one: 1, as phones are real whatever the clock's speed is. For
    /// tests only, which have no time to be silent.
    pub silence_speed: f64,
    /// Where orders are only tried out: how that is kept small. None where they are real.
    pub trial: Option<Trial>,
}

/// How a system of orders that are only tried out is kept small. What happens there is not measured.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Live orders of one merchant at most.
    pub most_orders_of_merchant: u32,
    /// Live orders at most.
    pub most_orders: u32,
    /// By an order's reference: after how many seconds without a driver it is given up, where that is not for the zone to
    /// say. For fast orders.
    pub gives_up_after: fn(Option<&str>) -> Option<u32>,
    /// Days for which orders that are over are kept: longer than webhooks may tell of them.
    pub kept_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            checkpoint_every: Duration::from_secs(3),
            track_retention_days: 30,
            retention: Retention::default(),
            silence_speed: 1.0,
            trial: None,
        }
    }
}

/// Why the system could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Stored state could not be loaded.
    #[error("could not load stored state")]
    Load(#[from] posthaste_storage::StorageError),
    /// An actor could not be started.
    #[error("could not start an actor")]
    Spawn(#[from] ractor::SpawnErr),
    /// Something stored cannot be run.
    #[error("stored state cannot be run")]
    Refused(#[from] Refused),
    /// The settings cannot be run.
    #[error("the speed of silence cannot be run")]
    Silence(#[from] posthaste_clock::InvalidSpeed),
}

/// Everything an actor needs to reach the others.
pub(crate) struct Doors {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    pub(crate) alarms: Alarms,
    /// How long drivers have been silent, and alarms for that: in real time.
    pub(crate) silence: Alarms,
    pub(crate) pool: Pool,
    pub(crate) journal: Journal,
    /// Events of orders in one order, as the journal writes them.
    pub(crate) feed: Feed,
    pub(crate) orders: Orders,
    pub(crate) drivers: Drivers,
    pub(crate) zones: Zones,
    pub(crate) streams: Streams,
    /// Where the hub of the streams sits.
    pub(crate) hub: Seat<News>,
    pub(crate) learned: SharedLearned,
    pub(crate) keeper: ActorRef<KeeperMsg>,
    pub(crate) carried: Carried,
    /// Whether all that is stored is in memory.
    loaded: AtomicBool,
    /// Something in memory may not be as it is stored.
    pub(crate) doubted: Notify,
    pub(crate) settings: Settings,
    /// That the system stops.
    pub(crate) stopping: Stopping,
    /// Whose turn it is to place an order where their number is limited.
    pub(crate) trial_turn: Arc<tokio::sync::Mutex<()>>,
}

/// The doors, for those who are made before them; gone when the system has stopped.
#[derive(Clone, Default)]
pub(crate) struct Late(Arc<OnceLock<Weak<Doors>>>);

impl Late {
    pub(crate) fn get(&self) -> Result<Arc<Doors>, Refused> {
        self.0.get().and_then(Weak::upgrade).ok_or(Refused::Unavailable("the system is starting or stopping".into()))
    }
}

impl Doors {
    /// Whether what becomes of orders is measured: what is only tried out says nothing of how well real ones go.
    pub(crate) fn is_measured(&self) -> bool {
        self.settings.trial.is_none()
    }

    /// Whether the system has started. Until then whoever comes in is told by who loads them.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Something in memory may not be as it is stored: it is looked at soon.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }

    pub(crate) async fn keep(&self, message: impl FnOnce(Reply<()>) -> KeeperMsg) -> Result<(), Refused> {
        match self.keeper.call(message, Some(Duration::from_secs(10))).await {
            Ok(CallResult::Success(answer)) => answer,
            _ => Err(Refused::Unavailable("an actor could not be started".into())),
        }
    }

    pub(crate) async fn timeline(&self, id: OrderId, after: u64) -> Result<Vec<(Recorded, Status)>, Refused> {
        Ok(posthaste_storage::orders::timeline(&self.pool, id, after).await?)
    }

    /// Live orders, newest first.
    pub(crate) async fn live_orders(&self, of: ListFilter, most: u32) -> Result<Vec<Order>, Refused> {
        let statuses = Status::ALL.into_iter().filter(|s| !s.is_final()).collect();
        let filter = ListFilter { statuses, ..of };
        Ok(posthaste_storage::orders::list(&self.pool, &filter, None, most).await?.orders)
    }

    /// The order that a task belongs to, live or settled. Task ids are made from order ids, so few can be meant: all of
    /// them are looked for at once.
    pub(crate) async fn order_of_task(&self, task: TaskId) -> Result<Option<Arc<Order>>, Refused> {
        // Pickups, the delivery, and a return for each pickup.
        let ids: Vec<_> = (0..=2 * MOST_PICKUPS).map(|index| Task::order_of(task, index)).collect();
        self.one_of(&ids, |order| order.task(task).is_some()).await
    }

    /// The order that made an offer, live or settled, and whatever has become of the offer. Offers' ids are made from
    /// order ids, too.
    pub(crate) async fn order_of_offer(&self, offer: OfferId) -> Result<Option<Arc<Order>>, Refused> {
        let ids: Vec<_> = (1..=MOST_STEPS_TO_AN_OFFER).map(|seq| Offer::order_of(offer, seq)).collect();
        self.one_of(&ids, |_| true).await
    }

    /// The present state of the first of these orders that is the one looked for.
    async fn one_of(&self, ids: &[OrderId], is_it: impl Fn(&Order) -> bool) -> Result<Option<Arc<Order>>, Refused> {
        let found = posthaste_storage::orders::get_any(&self.pool, ids).await?;
        match found.into_iter().find(|order| is_it(order)) {
            // Read again from who owns it: it may be a step further.
            Some(order) => self.orders.get(order.id).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The live system. Cheap to clone.
#[derive(Clone)]
pub struct System {
    pub(crate) doors: Arc<Doors>,
    periodic: Arc<Periodic>,
}

impl System {
    /// Loads what is stored and starts everything. Live orders, drivers on shift, open offers and every deadline
    /// come back as they were.
    pub async fn start(pool: Pool, clock: Clock, settings: Settings) -> Result<Self, StartError> {
        let world = if settings.trial.is_some() { World::test() } else { World::live() };
        Self::start_in(world.clone(), pool, clock, settings).instrument(world.span()).await
    }

    async fn start_in(world: World, pool: Pool, clock: Clock, settings: Settings) -> Result<Self, StartError> {
        let silence = clock.silence(settings.silence_speed)?;
        // Before anything is written.
        let feed = Feed::open(&pool).await?;
        let late = Late::default();
        let hub = Seat::default();
        let streams = Streams::new(clock.clone(), hub.clone());
        let keeper = world.start(Keeper { doors: late.clone() }, ()).await?;
        let orders = Orders {
            door: Door::open(OrderKind { doors: late.clone(), pool: pool.clone() }, world.clone()).await?,
            doors: late.clone(),
            pool: pool.clone(),
        };
        let drivers = Drivers {
            door: Door::open(DriverKind { doors: late.clone(), pool: pool.clone() }, world.clone()).await?,
            presences: Arc::default(),
            rosters: Arc::default(),
            clock: clock.clone(),
            silence: silence.clone(),
            streams: streams.clone(),
            keeps: (Span::days(i64::from(settings.track_retention_days)), settings.trial.is_none()),
            doors: late.clone(),
        };
        let (learned, stopping) = (SharedLearned::default(), Stopping::default());
        let carried = Carried::new(world.clone(), stopping.clone());
        let doors = Arc::new(Doors {
            world,
            alarms: Alarms::start(clock.clone()),
            silence: Alarms::start(silence),
            clock,
            zones: Zones::new(late.clone(), pool.clone(), Arc::clone(&learned)),
            learned,
            journal: Journal::default(),
            feed,
            pool,
            orders,
            drivers,
            streams,
            hub,
            keeper,
            carried,
            loaded: AtomicBool::new(false),
            doubted: Notify::new(),
            settings,
            stopping,
            trial_turn: Arc::default(),
        });
        let _ = late.0.set(Arc::downgrade(&doors));
        doors.keep(|reply| KeeperMsg::Start(Post::Journal, reply)).await?;
        doors.keep(|reply| KeeperMsg::Start(Post::Hub, reply)).await?;
        let start = doors.clock.now();
        load(&doors).await?;
        let snapshots: Arc<dyn Snapshots> = Arc::new(FromMemory(Arc::clone(&doors)));
        doors.streams.register(&streams::KINDS, &snapshots);
        // Before anything is served: the clock of a crash in the first seconds must be known too.
        if let Err(error) = crate::checkpoint::write(&doors).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the first checkpoint was not written");
        }
        doors.world.spawn(Learned::recall(Arc::downgrade(&doors), start));
        let periodic = Arc::new(Periodic::start(&doors));
        Ok(Self { doors, periodic })
    }

    /// Whose orders it has.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.doors.world
    }

    /// The door to orders.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.doors.orders
    }

    /// The door to drivers.
    #[must_use]
    pub fn drivers(&self) -> &Drivers {
        &self.doors.drivers
    }

    /// The door to zones.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.doors.zones
    }

    /// The door to streams.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.doors.streams
    }

    /// The events of its orders in one order, for whoever has to hear of orders durably.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.doors.feed
    }

    /// What was learned of how long things take.
    #[must_use]
    pub fn learned(&self) -> &Learned {
        &self.doors.learned
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.doors.clock
    }

    /// Whether stored state is loaded and Postgres answers.
    pub async fn ready(&self) -> Result<(), &'static str> {
        match tokio::time::timeout(Duration::from_secs(2), self.doors.pool.ping()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err("the database does not answer"),
        }
    }

    /// Ends all streams, finishes what is being committed, checkpoints positions and stops all actors.
    pub async fn stop(&self) {
        self.leave(Leave::InOrder).await;
    }

    /// The same within the budget of how it is left.
    pub async fn leave(&self, how: Leave) {
        self.leave_in_world(how).instrument(self.doors.world.span()).await;
    }

    async fn leave_in_world(&self, how: Leave) {
        let (doors, budget) = (&self.doors, how.budget());
        let ends = Instant::now() + budget.systems;
        doors.stopping.begin(how);
        doors.streams.close();
        doors.carried.end(CARRIED_WITHIN.min(budget.systems / 4)).await;
        self.periodic.stop(doors, budget.checkpoint).await;
        let left = || ends.saturating_duration_since(Instant::now());
        // Beside each other: neither of them needs the other to end.
        tokio::join!(doors.orders.door.close(left()), doors.drivers.door.close(left()));
        doors.keeper.stop_children_and_wait(None, Some(left())).await;
        doors.keeper.stop(None);
    }
}

#[cfg(test)]
impl System {
    /// Writes a checkpoint now: what a crash must not lose.
    pub(crate) async fn checkpoint(&self) {
        crate::checkpoint::write(&self.doors).await.expect("a checkpoint");
    }

    /// Ends everything in the middle of what it does: every task and actor is dropped where it stands, nobody is told, and
    /// nothing more is written. Positions since the last checkpoint are lost. What Postgres has been sent it may still do.
    pub(crate) async fn crash(&self) {
        let doors = &self.doors;
        doors.world.crash();
        doors.orders.door.crash();
        doors.drivers.door.crash();
        doors.keeper.get_children().iter().for_each(ractor::ActorCell::kill);
        doors.keeper.kill();
        doors.pool.close().await;
    }
}

/// Zones, then drivers on shift, then live orders: each finds what it belongs to.
async fn load(doors: &Arc<Doors>) -> Result<(), StartError> {
    let now = doors.clock.now();
    let retention = doors.settings.track_retention_days;
    posthaste_storage::tracks::maintain(&doors.pool, now, retention).await?;
    doors.zones.load_all(posthaste_storage::zones::served(&doors.pool).await?)?;
    let door = &doors.orders.door;
    let (mut failed, mut with_work, mut waiting, mut around) = (None, BTreeSet::new(), Vec::new(), BTreeSet::new());
    let loaded = posthaste_storage::orders::for_each_live(&doors.pool, None, |order| {
        with_work.extend(order.working_driver());
        waiting.extend(Some(order.id).filter(|_| order.status() == Status::Confirmed));
        around.insert(order.zone);
        if failed.is_none() {
            // What is stored has been told before, or whoever follows it begins with a snapshot.
            let told = Told::up_to(order.version);
            failed = door.enter(order.id, Arc::new(order), told).err();
        }
    })
    .await?;
    if let Some(refused) = failed {
        return Err(refused.into());
    }
    // A zone that was removed is there as long as it has orders: they are finished by its drivers, or find another.
    for zone in around.into_iter().filter(|zone| doors.zones.cell(*zone).is_none()) {
        if let Some(removed) = posthaste_storage::zones::get(&doors.pool, zone).await? {
            doors.zones.load(removed)?;
        }
    }
    let mut positions: std::collections::HashMap<_, _> =
        posthaste_storage::positions::all(&doors.pool).await?.into_iter().map(|p| (p.driver, p)).collect();
    let on_shift = posthaste_storage::drivers::on_shift(&doors.pool).await?;
    tracing::info!(orders = loaded, drivers = on_shift.len(), "stored state loaded");
    for driver in on_shift {
        let position = positions.remove(&driver.id);
        doors.drivers.make_presence(Arc::new(driver.clone()), position);
        doors.drivers.door.find(driver.id).await?;
    }
    crate::drivers::roster::load(doors).await?;
    // Who went offline with work is watched over until it is done.
    for driver in with_work {
        doors.drivers.door.find(driver).await?;
    }
    for zone in doors.zones.ids() {
        doors.zones.start(zone, doors).await?;
    }
    doors.loaded.store(true, Ordering::Release);
    // Each that waits tells its own zone, once.
    for order in waiting {
        let _ = doors.orders.door.tell(order, OrderMsg::Announce);
    }
    Ok(())
}
