//! How a driver is shown: on the boards of their zones, in their slot, to those who follow them.

use std::sync::Arc;

use posthaste_domain::order::{Order, Speed};
use posthaste_geography::VehicleSpeed;
use posthaste_matching::DriverView;
use posthaste_protocol::socket::ServerMessage;

use super::actor::{DriverActor, DriverState};
use crate::presence::Summary;
use crate::streams::{self, Follower, Scope};
use crate::views;
use crate::zones::{InHand, ZoneCell};

impl DriverActor {
    pub(super) fn scope(&self, state: &DriverState) -> Scope {
        Scope::of_driver(&state.driver, state.presence.newest().map(|fix| fix.place))
    }

    pub(super) fn show_operations(&self, state: &DriverState) {
        if self.doors.streams.hub().has_operations() {
            let view = Box::new(views::driver(&self.doors.drivers.of(&state.presence)));
            self.doors.streams.tell_operations(ServerMessage::Driver(view), self.scope(state));
        }
    }

    pub(super) fn show_route(&self, state: &DriverState) {
        let route = Box::new(views::route(self.id, &state.work()));
        self.doors.streams.tell(streams::driver(self.id), ServerMessage::Route(route));
    }

    /// Everybody who reads the driver's slot or a board sees them as they are now.
    pub(super) fn publish(&self, state: &DriverState) {
        let in_hand = state.orders.values().filter(|o| o.offer.is_none());
        #[expect(clippy::cast_possible_truncation, reason = "a driver has far fewer orders than fit")]
        let open_orders = in_hand.clone().count() as u32;
        state.presence.set_summary(Summary { driver: Arc::clone(&state.driver), stale: state.stale, open_orders });
        state.presence.set_followers(followers(in_hand.map(AsRef::as_ref)));
        self.update_boards(state);
    }

    pub(super) fn update_boards(&self, state: &DriverState) {
        let wanted: Vec<Arc<ZoneCell>> = match state.presence.newest() {
            Some(_) if state.driver.shift.is_on() => {
                state.driver.zones.iter().filter_map(|zone| self.doors.zones.cell(*zone)).collect()
            }
            _ => {
                state.presence.wake_on_sign_of_life();
                Vec::new()
            }
        };
        for cell in state.presence.boards().iter() {
            if !wanted.iter().any(|w| w.id == cell.id) {
                cell.remove_driver(self.id);
            }
        }
        state.presence.set_boards(wanted.clone());
        let Some(fix) = state.presence.newest() else { return };
        #[expect(clippy::cast_possible_truncation, reason = "a driver has far fewer orders than fit")]
        let open_orders = (state.orders.len() + state.proposed.len()) as u32;
        for cell in wanted {
            if cell.wants_work() {
                let orders = state.orders.values().cloned().collect();
                let chosen = state.chosen().map(|(order, task)| (order.id, task.id));
                cell.work
                    .lock()
                    .insert(self.id, InHand { orders, last_done: state.last_done, chosen, standby: state.standby });
            }
            cell.upsert_driver(DriverView {
                id: self.id,
                place: fix.place,
                shift: state.driver.shift,
                stale: state.stale,
                vehicle: VehicleSpeed::default(),
                fast: state.driver.speeds.contains(&Speed::Fast),
                slow: state.driver.speeds.contains(&Speed::Slow),
                capacity: state.driver.capacity,
                open_orders,
                commitments: state.calendar.commitments().to_vec(),
            });
            cell.dispatch_if_waiting();
        }
    }
}

/// Who sees where the driver of these orders is, each once: their merchants, and who follows one while it shows its driver.
fn followers<'o>(in_hand: impl Iterator<Item = &'o Order>) -> Vec<Follower> {
    let mut all: Vec<Follower> = Vec::new();
    for order in in_hand {
        let merchant = Follower::Merchant(order.merchant);
        if !all.contains(&merchant) {
            all.push(merchant);
        }
        if order.shows_driver() {
            all.push(Follower::Tracking(order.id));
            all.extend(order.customer.map(|customer| Follower::Customer(customer, order.id)));
        }
    }
    all
}
