//! What the actors tell the hub after a commit. Nothing is encoded that nobody follows; what many follow is encoded once.

use std::cell::OnceCell;
use std::sync::Arc;

use posthaste_domain::ids::{DriverId, MerchantId, ZoneId};
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_domain::place::Place;
use posthaste_protocol::audience::{Audience, timeline_entry};
use posthaste_protocol::drivers::PositionView;
use posthaste_protocol::orders::{EtaView, OrderView};
use posthaste_protocol::socket::{Header, OrderChanged, PositionUpdate, ServerMessage, Step, Unnumbered};
use posthaste_protocol::tracking::{TrackingPosition, TrackingStep};

use super::{Frame, Hub, Scope, Streams, TopicKey};
use crate::presence::Fix;

impl Hub {
    pub(super) fn frame(&self, message: &ServerMessage, seq: Option<u64>) -> Frame {
        let header = Header { id: None, seq, ts: Some(self.clock.now()) };
        Frame::new(message, &header)
    }

    fn unnumbered(&self, message: &ServerMessage) -> Arc<Unnumbered> {
        Arc::new(Unnumbered::new(message, self.clock.now()))
    }
}

impl Streams {
    /// An order changed: its trackers, its merchants and operations hear of it. `events` with the status after each.
    pub(super) fn publish_order(&self, order: &Order, events: &[(Recorded, Status)]) {
        let hub = &*self.0;
        if let Some(topic) = hub.topic(TopicKey::Order(order.id)) {
            let eta = hub.doors.load_full().and_then(|doors| {
                crate::orders::expected(order, crate::orders::carrier(order), hub.clock.now(), &doors)
            });
            for (recorded, status) in events {
                let eta = eta.filter(|_| recorded.seq == order.version).map(EtaView::from);
                let step = Step { step: TrackingStep::of(recorded, *status), driver_name: None, eta };
                topic.publish_numbered(recorded.seq, &hub.frame(&ServerMessage::Step(step), Some(recorded.seq)));
            }
        }
        let message = |audience: Audience| {
            let entry = |(recorded, status): &(Recorded, Status)| timeline_entry(recorded, *status, order, audience);
            let entries = events.iter().map(entry).collect();
            ServerMessage::Order(Box::new(OrderChanged { events: entries, order: OrderView::of(order, audience) }))
        };
        let mut merchants: Vec<_> = order.tasks.iter().filter_map(|t| t.seller).collect();
        merchants.push(order.merchant);
        merchants.sort();
        merchants.dedup();
        for merchant in merchants {
            if let Some(topic) = hub.topic(TopicKey::Merchant(merchant)) {
                topic.publish(&hub.unnumbered(&message(Audience::Merchant(merchant))));
            }
        }
        if self.follows_operations() {
            self.publish_to_operations(&message(Audience::Operations), &Scope::of_order(order));
        }
    }

    pub(super) fn publish_to_driver(&self, driver: DriverId, message: &ServerMessage) {
        if let Some(topic) = self.0.topic(TopicKey::Driver(driver)) {
            topic.publish(&self.0.unnumbered(message));
        }
    }

    pub(super) fn publish_to_merchant(&self, merchant: MerchantId, message: &ServerMessage) {
        if let Some(topic) = self.0.topic(TopicKey::Merchant(merchant)) {
            topic.publish(&self.0.unnumbered(message));
        }
    }

    /// Every view that shows the message numbers it by itself.
    pub(super) fn publish_to_operations(&self, message: &ServerMessage, scope: &Scope) {
        let encoded = OnceCell::new();
        self.0.views.showing(scope, |topic| topic.publish(encoded.get_or_init(|| self.0.unnumbered(message))));
    }

    /// Whether operations have a stream open, so that making their messages is worth it.
    pub(crate) fn follows_operations(&self) -> bool {
        !self.0.views.is_empty()
    }

    /// Whether a merchant has a stream open.
    pub(crate) fn follows_merchant(&self, merchant: MerchantId) -> bool {
        self.0.topic(TopicKey::Merchant(merchant)).is_some()
    }

    /// A driver of these zones moved: those in `audience` who are connected see it, and operations whose view shows where
    /// the driver is, or where the driver was `before`: who leaves a box is seen to leave. Latest wins. Called by the
    /// driver's socket directly, for every position: nothing here waits, and nothing is made that nobody gets.
    pub(crate) fn moved(
        &self,
        driver: DriverId,
        fix: &Fix,
        before: Option<Place>,
        audience: &[TopicKey],
        zones: &[ZoneId],
    ) {
        let hub = &*self.0;
        let position = |update| hub.frame(&ServerMessage::Position(update), None);
        let encoded = OnceCell::new();
        let of_driver = || encoded.get_or_init(|| position(PositionUpdate::Driver(position_view(driver, fix)))).clone();
        for key in audience {
            let Some(topic) = hub.topic(*key) else { continue };
            if matches!(key, TopicKey::Order(_)) {
                let update = || TrackingPosition::new(fix.place, fix.at, fix.heading_degrees);
                topic.place(driver, || position(PositionUpdate::Tracking(update())));
            } else {
                topic.place(driver, of_driver);
            }
        }
        let places = [fix.place, before.unwrap_or(fix.place)];
        hub.views.showing_move(zones, &places, |topic| topic.place(driver, of_driver));
    }
}

/// A position as those may see it who may know the driver.
pub(crate) fn position_view(driver: DriverId, fix: &Fix) -> PositionView {
    PositionView {
        driver_id: driver,
        lat: fix.place.lat(),
        lng: fix.place.lng(),
        at: fix.at,
        heading_degrees: fix.heading_degrees,
        speed_meters_per_second: fix.speed_meters_per_second,
    }
}
