//! Test drivers at work: who comes on shift, who goes home, and one small task for each who is there.
//!
//! A reconciler: each look compares who is on shift with who has a task, and orders that wait with drivers who are free.
//! After a restart it finds those who were on shift, and they go on with what they had.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_clock::Clock;
use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::driver::{Shift, Vehicle};
use posthaste_domain::ids::{DriverId, Id, ZoneId};
use posthaste_domain::order::{Command, Order, Speed, Status, TaskStatus};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::position::{Measures, Report};
use posthaste_domain::{Span, Timestamp};
use posthaste_live::drivers::{RegisterDriver, ShiftChange, Work};
use posthaste_live::{Cause, Live, Refused, Slot, World};
use posthaste_storage::StorageError;
use posthaste_storage::orders::ListFilter;
use posthaste_storage::pool::Pool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::demand::{self, MOST_IN_ZONE};
use crate::driver::{self, Step};
use crate::script::Script;
use crate::way;

/// How often orders that wait are looked at, and how often a driver moves (real time).
const BEAT: Duration = Duration::from_secs(1);
/// Who had nothing to do for so long goes home (real time).
const IDLE: Duration = Duration::from_secs(120);
/// How long sellers other than an order's owner take to answer.
const SELLERS_TAKE: Span = Span::seconds(3);
/// Orders whose sellers are looked after in one look.
const MOST_PENDING: u32 = 200;
/// Steps in one beat at most.
const MOST_STEPS: usize = 8;

/// Where test drivers work. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Town {
    pub(crate) live: Arc<dyn Live>,
    pub(crate) clock: Clock,
    pub(crate) world: World,
}

/// Runs the fleet until it is dropped.
pub(crate) async fn run(town: Town, pool: Pool) {
    let duty = Duty {
        name: "testworld.fleet",
        world: town.world.name(),
        does: "has test drivers take and do what is to be done",
        period: BEAT,
        trigger: None,
        runs: Runs::Region,
    };
    let duties = town.clock.duties().clone();
    duties.register(duty);
    let mut fleet = Fleet { town, pool, tasks: HashMap::new() };
    loop {
        if let Err(refused) = duties.did(duty, fleet.look()).await {
            tracing::warn!(%refused, "test drivers wait; the next look tries again");
        }
        tokio::time::sleep(BEAT).await;
    }
}

struct Fleet {
    town: Town,
    pool: Pool,
    tasks: HashMap<DriverId, JoinHandle<()>>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

impl Fleet {
    async fn look(&mut self) -> Result<(), Refused> {
        self.tasks.retain(|_, task| !task.is_finished());
        for driver in self.town.live.drivers_on_shift().await? {
            self.put_to_work(driver.driver.id);
        }
        if self.town.live.live_orders().await? == 0 {
            return Ok(());
        }
        self.answer_for_sellers().await?;
        for zone in self.town.live.zones().await? {
            // It may have gone since.
            let id = zone.zone.id;
            let Ok(board) = self.town.live.board(id).await else { continue };
            let pickups: Vec<_> = board.waiting.iter().map(|waiting| waiting.pickup).collect();
            for n in 0..demand::missing(&board) {
                let Some(place) = pickups.get(n % pickups.len().max(1)) else { break };
                self.call(id, *place).await?;
            }
        }
        Ok(())
    }

    fn put_to_work(&mut self, id: DriverId) {
        let town = &self.town;
        self.tasks.entry(id).or_insert_with(|| town.world.spawn(drive(town.clone(), id)));
    }

    /// One more driver comes on shift, at a pickup.
    async fn call(&mut self, zone: ZoneId, place: Place) -> Result<(), Refused> {
        let free = (1..=MOST_IN_ZONE).map(|n| (n, id_of(zone, n))).find(|(_, id)| !self.tasks.contains_key(id));
        let Some((number, id)) = free else { return Ok(()) };
        match self.town.live.driver(id).await {
            Ok(_) => {}
            Err(Refused::NotFound(_)) => {
                let name = format!("Test driver {number}");
                let (vehicle, speeds) = (Vehicle::Bicycle, vec![Speed::Fast, Speed::Slow]);
                let new = RegisterDriver { id: Some(id), name, vehicle, capacity: 1000, zones: vec![zone], speeds };
                self.town.live.register_driver(new, None, Cause::system()).await?;
            }
            Err(refused) => return Err(refused),
        }
        let change = ShiftChange { shift: Shift::Available { until: None }, place: Some(place), hand_back: None };
        self.town.live.change_shift(id, change, Cause::system()).await?;
        self.put_to_work(id);
        Ok(())
    }

    /// Sellers of orders that others handed in answer by themselves: their own programs need not be there.
    async fn answer_for_sellers(&self) -> Result<(), Refused> {
        let now = self.town.clock.now();
        for order in self.pending().await? {
            if order.placed_at + SELLERS_TAKE > now {
                continue;
            }
            let silent = order.tasks.iter().filter(|task| task.status == TaskStatus::AwaitingConfirmation);
            let mut sellers: Vec<_> =
                silent.filter_map(|task| task.seller).filter(|seller| *seller != order.merchant).collect();
            sellers.sort_unstable();
            sellers.dedup();
            for seller in sellers {
                let command = match Script::of(&order) {
                    Script::SellerRejects => {
                        Command::Reject { seller, reason: "as the order's reference asks".to_owned() }
                    }
                    _ => Command::Confirm { seller, ready_at: None },
                };
                let cause = Cause { by: Party::Merchant(seller), ..Cause::system() };
                match self.town.live.command_order(order.id, command, cause).await {
                    // Whoever was quicker has answered.
                    Ok(_) | Err(Refused::Order(_) | Refused::LostRace | Refused::NotFound(_)) => {}
                    Err(refused) => return Err(refused),
                }
            }
        }
        Ok(())
    }

    async fn pending(&self) -> Result<Vec<Order>, StorageError> {
        let filter = ListFilter { statuses: vec![Status::Pending], ..ListFilter::default() };
        Ok(posthaste_storage::orders::list(&self.pool, &filter, None, MOST_PENDING).await?.orders)
    }
}

/// The `number`th test driver of a zone: always the same, so that nobody has to look for them.
fn id_of(zone: ZoneId, number: usize) -> DriverId {
    DriverId::from_uuid(Uuid::from_u128(zone.uuid().as_u128() ^ number as u128))
}

/// A driver's shift: beat after beat, until they have had nothing to do for a while.
async fn drive(town: Town, id: DriverId) {
    let (mut last, mut idle_since) = (town.clock.now(), Instant::now());
    loop {
        tokio::time::sleep(BEAT).await;
        let now = town.clock.now();
        match beat(&town, id, now, now - last).await {
            Ok(true) => idle_since = Instant::now(),
            Ok(false) => {}
            Err(refused) => tracing::debug!(driver = %id, %refused, "a test driver was refused"),
        }
        last = now;
        if idle_since.elapsed() >= IDLE {
            match town.live.change_shift(id, ShiftChange::from(Shift::Offline), Cause::system()).await {
                Ok(_) => return,
                Err(refused) => tracing::warn!(driver = %id, %refused, "a test driver cannot go home yet"),
            }
        }
    }
}

/// Does what is to be done now; whether they have work.
async fn beat(town: &Town, id: DriverId, now: Timestamp, spent: Span) -> Result<bool, Refused> {
    let slot = town.live.slot(id).await?;
    slot.heartbeat();
    for _ in 0..MOST_STEPS {
        let work = town.live.work(id).await?;
        let place = slot.newest().map(|fix| fix.place);
        let waiting = if is_idle(&work) { pickups_waiting(town, id).await } else { Vec::new() };
        let step = driver::next(id, town.clock.now(), place, &work, &waiting);
        let Some(command) = step.command() else {
            if let (Step::Ride(goal), Some(from)) = (&step, place) {
                ride(&*slot, from, *goal, now, spent);
            }
            return Ok(!is_idle(&work));
        };
        let cause = Cause { by: Party::Driver(id), ..Cause::system() };
        town.live.command_driver(id, command, None, cause).await?;
    }
    Ok(true)
}

fn is_idle(work: &Work) -> bool {
    work.in_hand.is_empty() && work.offered.is_empty()
}

async fn pickups_waiting(town: &Town, id: DriverId) -> Vec<Place> {
    let Ok(live) = town.live.driver(id).await else { return Vec::new() };
    let Some(zone) = live.driver.zones.first() else { return Vec::new() };
    let board = town.live.board(*zone).await;
    board.map(|board| board.waiting.iter().map(|waiting| waiting.pickup).collect()).unwrap_or_default()
}

fn ride(slot: &dyn Slot, from: Place, goal: Place, at: Timestamp, spent: Span) {
    let measures = Measures {
        heading_degrees: Some(way::heading(from, goal)),
        speed_meters_per_second: Some(way::pace()),
        ..Measures::default()
    };
    slot.report(&[Report::new(way::toward(from, goal, spent), Some(at), measures)], at);
}
