//! Where an idle driver is advised to wait for work.
//!
//! The zone's dispatcher advises, the driver's actor keeps the advice and shows it with the route. It ends with the next
//! order, with the shift, in silence, or when its time is over; it is never stored, as it is given anew.

use posthaste_domain::Timestamp;
use posthaste_matching::routed::outcome::Standby;

use super::actor::{Alarm, DriverActor, DriverMsg, DriverState};

impl DriverActor {
    /// Sets an alarm. It holds the driver's name, not their actor, which may have ended by then.
    fn ring(&self, at: Timestamp, alarm: Alarm) {
        let (id, doors) = (self.id, std::sync::Arc::downgrade(&self.doors));
        self.doors.alarms.set(at, move || {
            if let Some(doors) = doors.upgrade() {
                let _ = doors.drivers.door.tell(id, DriverMsg::Internal(alarm));
            }
        });
    }

    /// Takes advice, if they have nothing better to do.
    pub(super) fn on_standby(&self, state: &mut DriverState, standby: Standby) {
        if state.standby.is_some() || !state.is_free() || standby.until <= self.doors.clock.now() {
            return;
        }
        state.standby = Some(standby);
        tracing::debug!(driver = %self.id, lat = standby.place.lat(), lng = standby.place.lng(), "sent ahead");
        let until = standby.until;
        self.ring(until, Alarm::StandbyEnds(until));
        self.show_route(state);
        self.publish(state);
    }

    /// The advice's time is over.
    pub(super) fn on_standby_ends(&self, state: &mut DriverState, until: Timestamp) {
        if state.standby.is_some_and(|standby| standby.until == until) {
            state.standby = None;
            self.show_route(state);
            self.publish(state);
        }
    }
}

impl DriverState {
    /// Whether they are at work with nothing to do.
    fn is_free(&self) -> bool {
        self.driver.shift.takes_work() && !self.stale && self.orders.is_empty() && self.proposed.is_empty()
    }

    /// Drops advice that something better has come instead of. True when there was some.
    pub(super) fn has_better_to_do(&mut self) -> bool {
        let has_work = self.orders.values().any(|order| order.offer.is_none());
        let over = has_work || self.stale || !self.driver.shift.takes_work();
        over && self.standby.take().is_some()
    }
}
