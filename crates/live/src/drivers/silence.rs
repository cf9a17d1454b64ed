//! Drivers who go silent, and who are heard of again.
//!
//! Each shift has one alarm, a little after the driver must have been heard of; it carries a generation, so that an
//! older one is ignored. A silent driver gets no new work and his open offers go to somebody who hears them.

use posthaste_domain::Span;
use posthaste_protocol::socket::Alert;

use super::actor::{DriverActor, DriverMsg, DriverRef, DriverState};
use crate::orders::OrderMsg;

impl DriverActor {
    pub(super) fn on_awake(&self, myself: &DriverRef, state: &mut DriverState) {
        if state.stale {
            tracing::info!(driver = %self.id, "heard of again");
        }
        state.stale = false;
        self.publish(state);
        self.show_operations(state);
        self.watch(myself, state);
    }

    /// Silent too long: no new work, and open offers go to somebody who hears them.
    pub(super) fn on_watch(&self, myself: &DriverRef, state: &mut DriverState, generation: u64) {
        if generation != state.watch || !state.driver.shift.is_on() {
            return;
        }
        self.drop_lost_proposals(state);
        let silent = self.doors.clock.now() - state.presence.last_seen();
        if silent >= self.stale_after(state) && !state.stale {
            state.stale = true;
            state.presence.wake_on_sign_of_life();
            self.withdraw_offers(state);
            self.publish(state);
            self.show_operations(state);
            let alert = Alert {
                kind: "driver_silent".to_owned(),
                text: format!("{} has been silent for {} s", state.driver.name, silent.num_seconds()),
                order_id: state.orders.keys().next().copied(),
                driver_id: Some(self.id),
                zone_id: state.driver.zones.first().copied(),
            };
            self.doors.streams.alert(alert, self.scope(state));
            return;
        }
        self.watch(myself, state);
    }

    /// Time held for orders that never answered is given back; the order says how it stands.
    pub(super) fn drop_lost_proposals(&self, state: &mut DriverState) {
        let old = self.doors.clock.now() - self.stale_after(state);
        let lost: Vec<_> = state.proposed.iter().filter(|(_, (_, at))| *at <= old).map(|(id, _)| *id).collect();
        for order in lost {
            state.proposed.remove(&order);
            state.calendar.release(order);
            self.doors.orders.door.tell(order, OrderMsg::Announce);
        }
    }

    pub(super) fn watch(&self, myself: &DriverRef, state: &mut DriverState) {
        state.watch += 1;
        if !state.driver.shift.is_on() || state.stale {
            return;
        }
        let (generation, myself) = (state.watch, myself.clone());
        let at = (state.presence.last_seen() + self.stale_after(state)).max(self.doors.clock.now() + Span::seconds(1));
        self.doors.alarms.set(at, move || {
            let _ = myself.cast(DriverMsg::Internal(generation));
        });
    }

    pub(super) fn stale_after(&self, state: &DriverState) -> Span {
        let zones = state.driver.zones.iter();
        let spans = zones.map(|zone| self.doors.zones.rules(*zone).stale_span());
        spans.max().unwrap_or_else(|| posthaste_domain::zone::ZoneRules::default().stale_span())
    }
}
