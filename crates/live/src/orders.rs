//! The door to orders.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{CustomerId, DriverId, MerchantId, OrderId};
use posthaste_domain::order::{
    CodeRule, Command, Estimate, Event, LONGEST_COMMITMENT_SECONDS, Leg, NewOrder, NewPickup, NewStop, Order, Recorded,
    ReleaseReason, Speed, Status, TaskKind,
};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::Policy;
use posthaste_domain::{Span, ids::ZoneId};
use posthaste_geography::{TravelModel, VehicleSpeed};
use posthaste_matching::Question;
use posthaste_protocol::audience::Audience;
use posthaste_storage::idempotency::{Fingerprint, IdempotencyRecord};
use posthaste_storage::pool::Pool;
use ractor::{ActorCell, SpawnErr};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

mod actor;
mod expected;
mod placing;
mod told;
mod tracked;

pub use tracked::TrackedOrder;

pub(crate) use actor::{OrderActor, OrderArgs, OrderMsg, OrderRef};
pub(crate) use expected::expected;
pub(crate) use told::Told;

use placing::Placing;

use expected::Carrier;

use crate::door::{Door, Kind};
use crate::drivers::DriverMsg;
use crate::system::Late;
use crate::{Cause, Once, Refused, World};

/// A new order as it was handed in: the live system adds id, codes, zone and promise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Who owns it.
    pub merchant: MerchantId,
    /// For whom.
    pub customer: Option<CustomerId>,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// Fast or slow.
    pub speed: Speed,
    /// Units of capacity.
    pub size: u32,
    /// Higher goes first.
    pub priority: i16,
    /// One per seller.
    pub pickups: Vec<NewPickup>,
    /// The door.
    pub delivery: NewStop,
    /// Which hand-overs need a code.
    pub codes: CodeRule,
}

/// An idempotency key with what it stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Idempotency {
    /// Whose key: the token's subject.
    pub principal: String,
    /// The key.
    pub key: String,
    /// Of method, path and body.
    pub fingerprint: Fingerprint,
    /// For whom the stored answer is rendered.
    pub audience: Audience,
}

/// What became of a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// The order after it.
    pub order: Arc<Order>,
    /// False when it had been done before.
    pub changed: bool,
    /// When the server recorded it (the newest event's instant when nothing changed).
    pub at: Timestamp,
}

/// How orders are loaded and started.
pub(crate) struct OrderKind {
    pub(crate) doors: Late,
    pub(crate) pool: Pool,
}

impl Kind for OrderKind {
    type Key = OrderId;
    type Msg = OrderMsg;
    type Loaded = Arc<Order>;
    type Told = Told;
    const NAME: &'static str = "order";

    /// A settled order needs no actor.
    async fn load(&self, key: OrderId) -> Result<Option<Arc<Order>>, Refused> {
        let order = posthaste_storage::orders::get(&self.pool, key).await?;
        Ok(order.filter(|o| !o.status().is_final()).map(Arc::new))
    }

    fn spawn(&self, order: Arc<Order>, told: Told, supervisor: ActorCell, world: &World) -> Result<OrderRef, SpawnErr> {
        let doors = self.doors.get().map_err(|refused| SpawnErr::StartupFailed(refused.into()))?;
        let actor = OrderActor { id: order.id, doors, told };
        world.start_at_once(actor, OrderArgs { order }, supervisor)
    }

    fn announce() -> OrderMsg {
        OrderMsg::CatchUp
    }

    async fn settled(&self, key: OrderId, told: Told) -> Result<(), Refused> {
        let doors = self.doors.get()?;
        if let Some((order, _)) = doors.tell_missed(key, &told).await? {
            doors.tell_standing(&order);
        }
        Ok(())
    }
}

/// The door to orders. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    pub(crate) door: Arc<Door<OrderKind>>,
    pub(crate) doors: Late,
    pub(crate) pool: Pool,
}

impl Orders {
    /// Checks and stores a new order. Answered after its commit.
    pub async fn place(
        &self,
        order: PlaceOrder,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Result<Once<Arc<Order>>, Refused> {
        let doors = self.doors.get()?;
        let now = doors.clock.now();
        let first = order.pickups.first().map(|p| p.stop.place);
        let zone = match first {
            Some(place) => doors.zones.at(place),
            None => None,
        };
        // Held until the order is stored: no two requests find the same last place.
        let turn = match self.room(order.merchant, &doors).await {
            Ok(turn) => turn,
            Err(full @ Refused::TooManyOrders(_)) => return self.replay_or(full, idempotency).await,
            Err(refused) => return Err(refused),
        };
        let id: OrderId = doors.clock.id();
        let zone_id = zone.unwrap_or_else(|| doors.clock.id());
        let new = self.fill_in(order, id, zone_id, &doors);
        let travel = doors.zones.travel(zone_id);
        let ways = |from: Place, to: Place| Leg {
            meters: travel.meters(from, to),
            seconds: travel.seconds(from, to, VehicleSpeed::default()),
        };
        // Where no zone says how long ways are, that is what is wrong.
        let placed = if zone.is_some() { new.place_along(&ways, now) } else { new.place(now) };
        let mut event = match placed {
            Ok(event) => event,
            Err(wrong) => return self.replay_or(Refused::InvalidOrder(wrong), idempotency).await,
        };
        if zone.is_none() {
            let outside = Refused::OutsideServiceArea { field: "pickups[0]".to_owned() };
            return self.replay_or(outside, idempotency).await;
        }
        let Event::Placed { order } = &mut event else {
            return Err(Refused::Unavailable("the order was not made".into()));
        };
        let estimate = expected(order, None, now, &doors);
        let placed = Arc::make_mut(order);
        placed.estimates.placed = estimate;
        if let Some(estimate) = estimate.filter(|_| placed.speed == Speed::Fast) {
            // Nothing is promised that is not believed.
            placed.promised_at = placed.promised_at.max(estimate.p50);
        }
        let order = Arc::clone(order);
        let recorded = Recorded { seq: 1, at: now, by: cause.by, event };
        let events: Arc<[_]> = Arc::new([(recorded, order.status())]);
        let placing = Placing { order, events, idempotency, cause, doors: Arc::clone(&doors), turn };
        doors.carried.through(placing.commit()).await
    }

    /// Whether one more order may come: always, but where they are only tried out.
    async fn room(
        &self,
        merchant: MerchantId,
        doors: &crate::system::Doors,
    ) -> Result<Option<OwnedMutexGuard<()>>, Refused> {
        let Some(trial) = doors.settings.trial else { return Ok(None) };
        let turn = Arc::clone(&doors.trial_turn).lock_owned().await;
        let live = posthaste_storage::orders::count_live(&self.pool, merchant).await?;
        let full = |whose: &str, most: u32| {
            let text =
                format!("{whose} {most} orders under way in the test world: wait for some to end, or cancel some");
            Err(Refused::TooManyOrders(text))
        };
        if live.merchants >= u64::from(trial.most_orders_of_merchant) {
            return full("you have", trial.most_orders_of_merchant);
        }
        if live.all >= u64::from(trial.most_orders) {
            return full("all merchants together have", trial.most_orders);
        }
        Ok(Some(turn))
    }

    fn fill_in(&self, order: PlaceOrder, id: OrderId, zone: ZoneId, doors: &crate::system::Doors) -> NewOrder {
        let stops = order.pickups.iter().map(|p| p.stop.place).chain([order.delivery.place]);
        let travel_seconds = doors.zones.way_seconds(zone, stops);
        let mut rules = doors.zones.rules(zone);
        let gives_up_after = doors.settings.trial.and_then(|trial| (trial.gives_up_after)(order.reference.as_deref()));
        rules.give_up_seconds = gives_up_after.unwrap_or(rules.give_up_seconds);
        NewOrder {
            id,
            merchant: order.merchant,
            customer: order.customer,
            reference: order.reference,
            speed: order.speed,
            size: order.size,
            priority: order.priority,
            entropy: (0..=order.pickups.len()).map(|_| doors.clock.entropy()).collect(),
            pickups: order.pickups,
            delivery: order.delivery,
            codes: order.codes,
            zone,
            rules,
            travel_seconds,
        }
    }

    /// What is refused now may have been done the first time: since then its window has passed, its zone is gone, or a seller was
    /// shut out.
    ///
    /// # Errors
    ///
    /// `refused`, where the key was not used before.
    pub async fn replay_or(
        &self,
        refused: Refused,
        idempotency: Option<Idempotency>,
    ) -> Result<Once<Arc<Order>>, Refused> {
        match self.replay(idempotency).await {
            Err(Refused::LostRace) => Err(refused),
            answer => answer,
        }
    }

    async fn replay(&self, idempotency: Option<Idempotency>) -> Result<Once<Arc<Order>>, Refused> {
        let key = idempotency.ok_or(Refused::LostRace)?;
        let doors = self.doors.get()?;
        placing::replay(&doors, &key).await
    }

    /// The order's present state, live or settled.
    pub async fn get(&self, id: OrderId) -> Result<Arc<Order>, Refused> {
        if self.door.present(id).is_some() {
            match self.door.ask(id, OrderMsg::Get).await {
                Err(Refused::NotFound(_) | Refused::Unavailable(_)) => {}
                answer => return answer,
            }
        }
        let order = posthaste_storage::orders::get(&self.pool, id).await?;
        order.map(Arc::new).ok_or(Refused::NotFound("order".into()))
    }

    /// Asks the order for something (confirm, reject, cancel, unlock). Answered after the commit.
    /// A driver's commands go through [`crate::drivers::Drivers::command`] instead.
    pub async fn command(&self, id: OrderId, command: Command, cause: Cause) -> Result<Done, Refused> {
        let message = |reply| OrderMsg::Command {
            command: Box::new(command.clone()),
            cause: cause.clone(),
            decision: None,
            reply: Some(reply),
        };
        match self.door.ask(id, message).await {
            Err(Refused::NotFound(_)) => self.command_settled(id, &command).await,
            answer => answer,
        }
    }

    /// A settled order has no actor: nothing can change, but what was done before is still answered as done.
    async fn command_settled(&self, id: OrderId, command: &Command) -> Result<Done, Refused> {
        let order = posthaste_storage::orders::get(&self.pool, id).await?.ok_or(Refused::NotFound("order".into()))?;
        let doors = self.doors.get()?;
        if order.decide(command, doors.clock.now())?.is_empty() {
            let at = order.settled_at.unwrap_or(order.placed_at);
            return Ok(Done { order: Arc::new(order), changed: false, at });
        }
        Err(Refused::LostRace)
    }

    /// Operations give the order to a driver, whose calendar must have the time.
    pub async fn assign(&self, id: OrderId, driver: DriverId, cause: Cause) -> Result<Done, Refused> {
        let doors = self.doors.get()?;
        let order = self.get(id).await?;
        let status = order.status();
        if status.is_final() {
            return Err(posthaste_domain::order::Rejected::Ended(status).into());
        }
        let commitment = self.commitment_by_hand(&order, driver, &doors).await?;
        let shared = doors.zones.rules(order.zone).policy == Policy::Routed;
        let message = |reply| DriverMsg::AssignByHand {
            order: Arc::clone(&order),
            commitment,
            shared,
            cause: cause.clone(),
            reply,
        };
        doors.drivers.door.ask(driver, message).await
    }

    async fn commitment_by_hand(
        &self,
        order: &Order,
        driver: DriverId,
        doors: &crate::system::Doors,
    ) -> Result<Window, Refused> {
        if let Some(window) = order.window() {
            return Ok(window);
        }
        let now = doors.clock.now();
        // Known once it is asked for: where they are counts.
        doors.drivers.presence(driver).await?;
        let carrier = Carrier { driver, planned: None };
        let starts = self.starts_by_hand(order, driver, now, doors);
        let least = starts + Span::seconds(60);
        let done = expected(order, Some(carrier), now, doors).map_or(least, |estimate| estimate.p50.max(least));
        let longest = Span::seconds(LONGEST_COMMITMENT_SECONDS.into());
        if done - starts > longest {
            let (needs, most) = ((done - starts).num_minutes(), longest.num_minutes());
            let why = format!("the order would take {needs} min, at most {most} min without windows");
            return Err(Refused::DriverUnsuited(why));
        }
        let ends = done.max(order.promised_at.min(starts + longest));
        Window::new(starts, ends).map_err(|_| Refused::Unavailable("no time could be found".into()))
    }

    /// From when on a driver's time is held for an order that operations give them: not hours before they have to leave.
    fn starts_by_hand(
        &self,
        order: &Order,
        driver: DriverId,
        now: Timestamp,
        doors: &crate::system::Doors,
    ) -> Timestamp {
        let place = doors.drivers.newest_place(driver);
        let view = crate::zones::order_view(order, &doors.learned, now);
        let (Some(place), Some(view), false) = (place, view, order.goods_on_board()) else { return now };
        let travel = doors.zones.travel(order.zone);
        let question = Question { order: &view, now, travel: &travel, radius_meters: None };
        question.starts(place, VehicleSpeed::default())
    }

    /// Operations say how urgent the order is. Answered after the commit; dispatch looks again at once.
    pub async fn prioritise(&self, id: OrderId, priority: i16, cause: Cause) -> Result<Done, Refused> {
        self.command(id, Command::Prioritise { priority }, cause).await
    }

    /// Operations take the order back from its driver.
    pub async fn unassign(&self, id: OrderId, cause: Cause) -> Result<Done, Refused> {
        self.command(id, Command::Unassign { reason: ReleaseReason::ByHand }, cause).await
    }

    /// When the order is expected at its door, as things are now; `None` when it is over or on its way back.
    pub async fn eta(&self, order: &Order) -> Option<Estimate> {
        let doors = self.doors.get().ok()?;
        let mut carrier = carrier(order);
        if let Some(carrier) = &mut carrier {
            let work = doors.drivers.work(carrier.driver).await.ok();
            let stops = work.as_ref().and_then(|work| work.planned.as_ref()).map(|route| &route.stops);
            let door = stops.and_then(|s| s.iter().find(|s| s.order == order.id && s.kind == TaskKind::Delivery));
            carrier.planned = door.map(|stop| stop.at).or(carrier.planned);
        }
        expected(order, carrier, doors.clock.now(), &doors)
    }

    /// The order of a tracking link, as long as its links open it.
    pub(crate) async fn tracked(&self, id: OrderId) -> Result<Arc<Order>, Refused> {
        let (order, doors) = (self.get(id).await?, self.doors.get()?);
        if order.links_are_open(doors.clock.now()) { Ok(order) } else { Err(Refused::NotFound("tracking link".into())) }
    }

    /// The order with all that the holder of its tracking link may see something of. What is committed meanwhile belongs to a
    /// later version, and is not in it.
    pub async fn track(&self, id: OrderId) -> Result<TrackedOrder, Refused> {
        let doors = self.doors.get()?;
        TrackedOrder::of(self.tracked(id).await?, &doors).await
    }

    /// How many orders have an actor.
    #[must_use]
    pub fn live(&self) -> usize {
        self.door.len()
    }
}

impl Idempotency {
    /// The answer to keep under the key.
    pub(crate) fn record_of(
        &self,
        status: u16,
        answer: &impl serde::Serialize,
        at: Timestamp,
    ) -> Result<IdempotencyRecord, Refused> {
        let response = serde_json::to_string(answer).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written down");
            Refused::Broken("the answer cannot be written down".into())
        })?;
        Ok(IdempotencyRecord {
            principal: self.principal.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint.kept(),
            status,
            response,
            at,
        })
    }

    /// The answer stored under the key, if it was given to the same request.
    pub(crate) async fn first_answer(&self, pool: &Pool) -> Result<(u16, String), Refused> {
        let stored = posthaste_storage::idempotency::find(pool, &self.principal, &self.key).await?;
        let stored = stored.ok_or(Refused::LostRace)?;
        if !self.fingerprint.is_of(&stored.fingerprint) {
            return Err(Refused::IdempotencyMismatch);
        }
        Ok((stored.status, stored.response))
    }
}

/// Who has the order, and when they were planned to be at its door when they got it, where they ride with others and have not
/// set out yet.
pub(crate) fn carrier(order: &Order) -> Option<Carrier> {
    let assignment = order.assignment.filter(|a| order.working_driver() == Some(a.driver))?;
    let planned = assignment.lane.filter(|_| order.status() == Status::Assigned).map(|_| assignment.commitment.end());
    Some(Carrier { driver: assignment.driver, planned })
}
