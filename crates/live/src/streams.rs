//! What of the live system sockets follow: its topics, what their streams begin with, and what the actors publish after
//! their commits. How messages reach their readers is [`posthaste_streams`]' business.

#[cfg(test)]
mod paths;
mod publish;
mod snapshots;
mod topics;

pub use posthaste_streams::{
    Closed, Direct, Ender, Frame, Offered, Scope, SendQueue, Streams, Subject, Subscription, View,
};
pub(crate) use publish::moved;
pub(crate) use snapshots::FromMemory;
pub(crate) use topics::Follower;
pub use topics::{KINDS, customer, driver, merchant, tracking};

use posthaste_domain::ids::MerchantId;
use posthaste_protocol::socket::{Alert, ServerMessage};
use posthaste_protocol::words::AlertKind;
use posthaste_streams::{CannotFollow, Mailbox, News};
use tracing::field::display;

use crate::Refused;
use crate::keeper::Seat;
use crate::system::Doors;

/// The keeper keeps the seat of the hub's actor filled.
impl Mailbox for Seat<News> {
    fn send(&self, news: News) {
        // Without a hub it is lost to subscribers; its successor ends their subscriptions.
        let _ = self.tell(news);
    }

    fn taken(&self) {
        self.handled();
    }
}

impl From<CannotFollow> for Refused {
    fn from(why: CannotFollow) -> Self {
        match why {
            CannotFollow::NotFound(what) => Self::NotFound(what),
            CannotFollow::Unavailable(why) => Self::Unavailable(why),
            CannotFollow::Broken(why) => Self::Broken(why),
        }
    }
}

/// A merchant should look at something of their own. False where they are not connected: nobody was told.
#[must_use]
pub fn alert_merchant(streams: &Streams, merchant: MerchantId, kind: AlertKind, text: String) -> bool {
    let topic = topics::merchant(merchant);
    if !streams.hub().follows(topic) {
        return false;
    }
    let alert = Alert { kind, text, order_id: None, driver_id: None, zone_id: None };
    streams.tell(topic, ServerMessage::Alert(alert));
    true
}

impl Doors {
    /// Somebody should look. Nobody is woken by what is only tried out: that is noted, and no warning.
    pub(crate) fn alert(&self, alert: Alert, scope: Scope) {
        let Alert { text, order_id, driver_id, zone_id, .. } = &alert;
        let kind = alert.kind.name();
        let (order, driver, zone) = (order_id.map(display), driver_id.map(display), zone_id.map(display));
        if self.world.is_test() {
            tracing::info!(kind, order, driver, zone, "{text}");
        } else {
            tracing::warn!(kind, order, driver, zone, "{text}");
        }
        self.streams.tell_operations(ServerMessage::Alert(alert), scope);
    }
}
