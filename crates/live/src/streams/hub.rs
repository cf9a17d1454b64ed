//! The hub actor: hands on, in order, what the other actors publish after their commits.
//!
//! Owns nothing: topics and outboxes are shared, so that positions need no message. Supervised by the keeper. What was
//! in its mailbox when it failed is lost to subscribers, so a restart ends every subscription and every numbering:
//! clients come back and get a snapshot (trackers, whose numbers are in Postgres, what they missed).

use std::sync::Arc;

use posthaste_domain::ids::{DriverId, MerchantId};
use posthaste_domain::order::{Order, Recorded, Status};
use posthaste_protocol::socket::{Alert, ServerMessage};
use posthaste_protocol::words::AlertKind;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::field::display;

use super::{Scope, Streams};

/// Messages of the hub.
pub(crate) enum HubMsg {
    /// An order changed; what the journal has written is shared with it.
    Order(Arc<Order>, Arc<[(Recorded, Status)]>),
    /// For a driver's own stream.
    Driver(DriverId, Box<ServerMessage>),
    /// For a merchant's stream.
    Merchant(MerchantId, Box<ServerMessage>),
    /// For operations.
    Operations(Box<ServerMessage>, Scope),
}

/// The hub.
pub(crate) struct HubActor {
    pub(crate) streams: Streams,
}

impl Actor for HubActor {
    type Msg = HubMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<HubMsg>, (): ()) -> Result<(), ActorProcessingErr> {
        self.streams.start_anew();
        Ok(())
    }

    async fn handle(&self, _: ActorRef<HubMsg>, message: HubMsg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.streams.seat().handled();
        match message {
            HubMsg::Order(order, events) => self.streams.publish_order(&order, &events),
            HubMsg::Driver(driver, message) => self.streams.publish_to_driver(driver, &message),
            HubMsg::Merchant(merchant, message) => self.streams.publish_to_merchant(merchant, &message),
            HubMsg::Operations(message, scope) => self.streams.publish_to_operations(&message, &scope),
        }
        Ok(())
    }
}

impl Streams {
    fn tell(&self, message: HubMsg) {
        // Without a hub the message is lost to subscribers; its successor ends their subscriptions.
        let _ = self.seat().tell(message);
    }

    /// An order changed; events with the status after each.
    pub(crate) fn order_changed(&self, order: Arc<Order>, events: Arc<[(Recorded, Status)]>) {
        self.tell(HubMsg::Order(order, events));
    }

    /// For a driver's own stream.
    pub(crate) fn to_driver(&self, driver: DriverId, message: ServerMessage) {
        self.tell(HubMsg::Driver(driver, Box::new(message)));
    }

    /// For operations.
    pub(crate) fn to_operations(&self, message: ServerMessage, scope: Scope) {
        self.tell(HubMsg::Operations(Box::new(message), scope));
    }

    /// A merchant should look at something of his own. False where he is not connected: nobody was told.
    pub fn alert_merchant(&self, merchant: MerchantId, kind: AlertKind, text: String) -> bool {
        if !self.follows_merchant(merchant) {
            return false;
        }
        let alert = Alert { kind, text, order_id: None, driver_id: None, zone_id: None };
        self.tell(HubMsg::Merchant(merchant, Box::new(ServerMessage::Alert(alert))));
        true
    }

    /// Somebody should look. Nobody is woken by what is only tried out: that is noted, and no warning.
    pub(crate) fn alert(&self, alert: Alert, scope: Scope) {
        let Alert { text, order_id, driver_id, zone_id, .. } = &alert;
        let kind = alert.kind.name();
        let (order, driver, zone) = (order_id.map(display), driver_id.map(display), zone_id.map(display));
        if self.0.world.is_test() {
            tracing::info!(kind, order, driver, zone, "{text}");
        } else {
            tracing::warn!(kind, order, driver, zone, "{text}");
        }
        self.to_operations(ServerMessage::Alert(alert), scope);
    }
}
