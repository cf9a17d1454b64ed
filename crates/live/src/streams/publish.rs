//! What the actors tell the hub after a commit. Nothing is encoded that nobody follows.

use posthaste_domain::ids::{DriverId, MerchantId};
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_protocol::drivers::PositionView;
use posthaste_protocol::orders::{Audience, EtaView, OrderView, TimelineEntry};
use posthaste_protocol::socket::{Header, OrderChanged, PositionUpdate, ServerMessage, Step};
use posthaste_protocol::tracking::{TrackingPosition, TrackingStep};

use super::topic::Scope;
use super::{Frame, Hub, Streams, TopicKey};
use crate::presence::Fix;

impl Hub {
    pub(super) fn frame(&self, message: &ServerMessage, seq: Option<u64>) -> Frame {
        let header = Header { id: None, seq, ts: Some(self.clock.now()) };
        Frame::new(message, &header)
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
            let mut entries: Vec<_> =
                events.iter().map(|(recorded, status)| TimelineEntry::of(recorded, *status)).collect();
            if matches!(audience, Audience::Merchant(merchant) if merchant != order.merchant) {
                // Proofs are for the order's owner, as in its timeline over REST.
                entries.iter_mut().for_each(|entry| drop(entry.data.remove("proof")));
            }
            ServerMessage::Order(Box::new(OrderChanged { events: entries, order: OrderView::of(order, audience) }))
        };
        let mut merchants: Vec<_> = order.tasks.iter().filter_map(|t| t.seller).collect();
        merchants.push(order.merchant);
        merchants.sort();
        merchants.dedup();
        for merchant in merchants {
            if let Some(topic) = hub.topic(TopicKey::Merchant(merchant)) {
                let message = message(Audience::Merchant(merchant));
                topic.publish(Scope::default(), |seq| hub.frame(&message, Some(seq)));
            }
        }
        if let Some(topic) = hub.topic(TopicKey::Operations) {
            let place = order.tasks.first().map(|t| t.place);
            let message = message(Audience::Operations);
            topic.publish(Scope { zone: Some(order.zone), place }, |seq| hub.frame(&message, Some(seq)));
        }
    }

    pub(super) fn publish_to_driver(&self, driver: DriverId, message: &ServerMessage) {
        if let Some(topic) = self.0.topic(TopicKey::Driver(driver)) {
            topic.publish(Scope::default(), |seq| self.0.frame(message, Some(seq)));
        }
    }

    pub(super) fn publish_to_merchant(&self, merchant: MerchantId, message: &ServerMessage) {
        if let Some(topic) = self.0.topic(TopicKey::Merchant(merchant)) {
            topic.publish(Scope::default(), |seq| self.0.frame(message, Some(seq)));
        }
    }

    pub(super) fn publish_to_operations(&self, message: &ServerMessage, scope: Scope) {
        if let Some(topic) = self.0.topic(TopicKey::Operations) {
            topic.publish(scope, |seq| self.0.frame(message, Some(seq)));
        }
    }

    /// Whether operations have a stream open, so that making their messages is worth it.
    pub(crate) fn follows_operations(&self) -> bool {
        self.0.topic(TopicKey::Operations).is_some()
    }

    /// Whether a merchant has a stream open.
    pub(crate) fn follows_merchant(&self, merchant: MerchantId) -> bool {
        self.0.topic(TopicKey::Merchant(merchant)).is_some()
    }

    /// A driver moved: everybody in `audience` who is connected sees it, latest wins. Called by his socket directly.
    pub(crate) fn moved(&self, driver: DriverId, fix: &Fix, audience: &[TopicKey], scope: Scope) {
        let hub = &*self.0;
        for key in audience {
            let Some(topic) = hub.topic(*key) else { continue };
            topic.place(driver, scope, || {
                let update = if matches!(key, TopicKey::Order(_)) {
                    PositionUpdate::Tracking(TrackingPosition::new(fix.place, fix.at, fix.heading_degrees))
                } else {
                    PositionUpdate::Driver(position_view(driver, fix))
                };
                hub.frame(&ServerMessage::Position(update), None)
            });
        }
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
