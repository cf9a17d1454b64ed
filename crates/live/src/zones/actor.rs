//! The zone actor: what waits in the zone.
//!
//! Owns the list of waiting orders in its [`ZoneCell`]. Supervised, with the zone's dispatcher, by the zones' keeper.
//! It tells the dispatcher that there is something to decide. A restart empties the list and asks the orders that are
//! stored as waiting there to say how they stand, so nothing that waits is forgotten.

use std::sync::Arc;

use posthaste_domain::Span;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Order, Status};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::cell::{Waiting, ZoneCell, order_view};
use super::dispatcher::DispatcherMsg;
use crate::orders::OrderMsg;
use crate::system::Doors;

/// How often what waits is looked at again, in product seconds: pauses of drivers who declined end, shifts near
/// their end. Lower costs passes that find nothing.
pub(super) const LOOK_AGAIN_SECONDS: i64 = 5;
/// How long a driver may take to hold time before the order is asked how it stands (real time): the question or
/// its answer was lost with an actor that failed.
const LOST_AFTER: std::time::Duration = std::time::Duration::from_secs(3);

/// Messages of a zone.
pub(crate) enum ZoneMsg {
    /// The order waits for a driver.
    Waiting(Arc<Order>),
    /// The order waits no more.
    Gone(OrderId),
    /// Time to look again.
    Internal,
}

/// The zone actor.
pub(crate) struct ZoneActor {
    pub(crate) cell: Arc<ZoneCell>,
    pub(crate) doors: Arc<Doors>,
}

impl Actor for ZoneActor {
    type Msg = ZoneMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<ZoneMsg>, (): ()) -> Result<(), ActorProcessingErr> {
        self.cell.actor.take(myself.clone());
        self.cell.waiting.lock().clear();
        if self.doors.is_loaded() {
            self.ask_who_waits();
        }
        self.look_again_later(&myself);
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<ZoneMsg>, message: ZoneMsg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if !matches!(message, ZoneMsg::Internal) {
            self.cell.actor.handled();
        }
        match message {
            ZoneMsg::Waiting(order) => self.on_waiting(&order),
            ZoneMsg::Gone(order) => {
                self.cell.waiting.lock().remove(&order);
            }
            ZoneMsg::Internal => {
                self.ask_for_lost();
                if !self.cell.waiting.lock().is_empty() {
                    self.cell.dispatch(DispatcherMsg::Wake);
                }
                self.look_again_later(&myself);
            }
        }
        Ok(())
    }
}

impl ZoneActor {
    fn on_waiting(&self, order: &Order) {
        if order.zone != self.cell.id || order.status() != Status::Confirmed {
            return;
        }
        let now = self.doors.clock.now();
        let Some(view) = order_view(order, &self.doors.learned, now) else { return };
        let mut waiting = self.cell.waiting.lock();
        let known = waiting.remove(&order.id);
        if let Some((driver, _)) = known.as_ref().and_then(|w| w.asked) {
            // Perhaps they hold time for an offer that was never made; perhaps it is on its way. The order says.
            let _ = self.doors.orders.door.tell(order.id, OrderMsg::AnnounceTo(driver));
        }
        if known.is_none() {
            self.cell.remember(&view, order.pickups().next().and_then(|t| t.seller));
        }
        let since = known.as_ref().map_or(now, |w| w.since);
        let noticed = std::time::Instant::now();
        let alerted = known.as_ref().is_some_and(|w| w.alerted);
        let recorded = known.and_then(|w| w.recorded);
        let gives_up_at = order.gives_up_at;
        let new = Waiting { view, since, noticed, asked: None, recorded, alerted, gives_up_at, refused: Vec::new() };
        waiting.insert(order.id, new);
        drop(waiting);
        self.cell.dispatch(DispatcherMsg::Wake);
    }

    /// Orders whose driver never answered the dispatcher say how they stand.
    fn ask_for_lost(&self) {
        let waiting = self.cell.waiting.lock();
        let lost = waiting.iter().filter(|(_, w)| w.asked.is_some_and(|(_, at)| at.elapsed() > LOST_AFTER));
        for (id, _) in lost {
            let _ = self.doors.orders.door.tell(*id, OrderMsg::Announce);
        }
    }

    /// The zone's own orders are asked, and no others. A start of the system asks all orders, once for all zones.
    fn ask_who_waits(&self) {
        let (zone, doors) = (self.cell.id, Arc::clone(&self.doors));
        let carried = doors.carried.clone();
        carried.beside(async move {
            let read = || async { Ok(posthaste_storage::orders::waiting_in(&doors.pool, zone).await?) };
            let Ok(waiting) = doors.carried.read(read).await else { return };
            for order in waiting {
                let _ = doors.orders.door.tell(order, OrderMsg::Announce);
            }
        });
    }

    fn look_again_later(&self, myself: &ActorRef<ZoneMsg>) {
        let myself = myself.clone();
        self.doors.alarms.after(Span::seconds(LOOK_AGAIN_SECONDS), move || {
            let _ = myself.cast(ZoneMsg::Internal);
        });
    }
}
