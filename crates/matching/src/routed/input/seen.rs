//! Orders that were seen lately, for what they say about orders to come.

use std::collections::VecDeque;

use posthaste_domain::ids::{MerchantId, OrderId};
use posthaste_domain::place::Place;
use posthaste_domain::{Span, Timestamp};

use crate::views::OrderView;

/// Orders that are kept. More say little about the next quarter of an hour.
const MOST_SEEN: usize = 400;

/// An order that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenOrder {
    /// The order.
    pub order: OrderId,
    /// When it was placed.
    pub at: Timestamp,
    /// Its first pickup.
    pub pickup: Place,
    /// Whose shop that is.
    pub merchant: Option<MerchantId>,
    /// Its door.
    pub dropoff: Place,
    /// From its placement to when it was, or will be, ready.
    pub preparation: Span,
}

/// The newest orders, in the sequence of their placing.
#[derive(Debug, Clone, Default)]
pub struct SeenOrders(VecDeque<SeenOrder>);

impl SeenOrders {
    /// Remembers an order, once, in the sequence of placing: what waits again after a decline was placed once.
    pub fn remember(&mut self, order: &OrderView, merchant: Option<MerchantId>) {
        if self.0.iter().any(|known| known.order == order.id) {
            return;
        }
        let ready = order.pickups.iter().filter_map(|p| p.ready_at).max().unwrap_or(order.placed_at);
        let new = SeenOrder {
            order: order.id,
            at: order.placed_at,
            pickup: order.first_stop(),
            merchant,
            dropoff: order.delivery.place,
            preparation: ready - order.placed_at,
        };
        let behind = self.0.iter().rev().take_while(|known| known.at > new.at).count();
        let at = self.0.len() - behind;
        self.0.insert(at, new);
        if self.0.len() > MOST_SEEN {
            self.0.pop_front();
        }
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &SeenOrder> {
        self.0.iter()
    }
}
