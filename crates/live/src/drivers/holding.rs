//! What is held of a driver's time for orders, and how it is given back.
//!
//! An order that was proposed to a driver answers: it makes the offer, or says how it stands. Where no answer comes, because
//! the question or the answer went down with somebody, the driver asks: of the order's actor, or of Postgres where
//! the order has none. So nothing holds a driver's time that is settled or another's, whoever died in between. What is held
//! is also compared, now and then, with what is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_domain::driver::Driver;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::Order;
use posthaste_protocol::socket::ServerMessage;
use ractor::ActorProcessingErr;

use super::actor::{Alarm, DriverActor, DriverMsg, DriverState};
use crate::Refused;
use crate::orders::OrderMsg;
use crate::reconcile::Mended;

/// After how long without an answer an order is asked how it stands (real time). Longer keeps a driver from other work;
/// shorter asks orders that wait for a slow disk.
const ASK_AFTER: Duration = Duration::from_secs(2);

impl DriverActor {
    /// Holds the driver's time for an order until it answers.
    pub(super) fn hold_for(&self, state: &mut DriverState, order: OrderId, size: u32) {
        state.proposed.insert(order, (size, Instant::now()));
        self.ask_later(state);
    }

    fn ask_later(&self, state: &mut DriverState) {
        if state.proposed.is_empty() || std::mem::replace(&mut state.asks, true) {
            return;
        }
        let (id, doors) = (self.id, Arc::downgrade(&self.doors));
        crate::world::spawn(async move {
            tokio::time::sleep(ASK_AFTER).await;
            if let Some(doors) = doors.upgrade() {
                let _ = doors.drivers.door.tell(id, DriverMsg::Internal(Alarm::Proposed));
            }
        });
    }

    pub(super) fn on_proposed(&self, state: &mut DriverState) {
        state.asks = false;
        let lost = state.proposed.iter().filter(|(_, (_, since))| since.elapsed() >= ASK_AFTER);
        lost.for_each(|(order, _)| self.ask_how_it_stands(*order));
        self.ask_later(state);
    }

    /// Has the order tell this driver how it stands.
    fn ask_how_it_stands(&self, order: OrderId) {
        if self.doors.orders.door.tell(order, OrderMsg::AnnounceTo(self.id)).is_ok() {
            return;
        }
        let (driver, doors) = (self.id, Arc::clone(&self.doors));
        let carried = doors.carried.clone();
        carried.beside(async move {
            // Where that cannot be read now, the driver asks again.
            if let Ok(order) = doors.orders.get(order).await {
                let _ = doors.drivers.door.tell(driver, DriverMsg::Standing(order));
            }
        });
    }

    /// The answer: as if the order had changed.
    pub(super) fn on_standing(&self, state: &mut DriverState, order: Arc<Order>) {
        let id = order.id;
        let held = |state: &DriverState| (state.proposed.contains_key(&id), state.orders.get(&id).map(|o| o.version));
        let before = held(state);
        self.on_order_changed(state, order, None);
        if before != held(state) {
            self.doors.mended(Mended::Holding(self.id, id));
        }
    }

    /// Asks about every order that is stored as the driver's and not known here as it is stored, and about every one that
    /// is held here and not stored as theirs.
    pub(super) fn on_compare(&self, state: &DriverState, stored: &[(OrderId, u64)]) {
        for (order, version) in stored {
            if state.orders.get(order).is_none_or(|known| known.version < *version) {
                self.ask_how_it_stands(*order);
            }
        }
        for order in state.orders.keys().filter(|order| stored.iter().all(|(known, _)| known != *order)) {
            self.ask_how_it_stands(*order);
        }
    }

    /// Takes over the stored record where it is further, and tells everybody how the driver stands.
    pub(super) async fn on_catch_up(&self, state: &mut DriverState) -> Result<(), ActorProcessingErr> {
        let stored = self.stored().await?;
        if stored.version > state.driver.version {
            state.driver = Arc::new(stored);
            self.doors.mended(Mended::Driver(self.id));
        }
        self.on_loaded(state);
        Ok(())
    }

    /// The record as it is stored, however long reading it takes.
    pub(super) async fn stored(&self) -> Result<Driver, Refused> {
        let read = || async {
            let stored = posthaste_storage::drivers::get(&self.doors.pool, self.id).await?;
            stored.ok_or(Refused::NotFound("driver".into()))
        };
        self.doors.carried.read(read).await
    }

    /// Tells everybody how the driver stands: nobody may have heard of this actor, or of a change.
    pub(super) fn on_loaded(&self, state: &DriverState) {
        self.publish(state);
        self.doors.streams.tell(crate::streams::driver(self.id), ServerMessage::Shift(state.driver.shift.into()));
        self.show_route(state);
        self.show_operations(state);
    }
}
