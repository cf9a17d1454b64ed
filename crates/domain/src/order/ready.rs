//! When an order's goods are ready, and what follows from that: its promise, and how long it may wait for a driver.

use serde::{Deserialize, Serialize};

use crate::ids::MerchantId;
use crate::{Span, Timestamp};

use super::Order;
use super::command::Rejected;
use super::new::MOST_DAYS_AHEAD;
use super::task::Task;

/// Times of an order that follow from when its goods are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it is promised.
    pub promised_at: Timestamp,
    /// Waiting longer than this for a driver ends it.
    pub gives_up_at: Timestamp,
}

impl Order {
    pub(super) fn times(&self) -> Times {
        Times { promised_at: self.promised_at, gives_up_at: self.gives_up_at }
    }
}

/// Refuses a ready time that its order cannot have: too far ahead, or when the windows are over.
pub(super) fn check(order: &Order, tasks: &[&Task], ready_at: Timestamp, now: Timestamp) -> Result<(), Rejected> {
    let ahead = now + Span::days(MOST_DAYS_AHEAD);
    if ready_at > ahead {
        return Err(Rejected::ReadyTooLate { before: ahead });
    }
    let windows = tasks.iter().copied().chain(order.delivery()).filter_map(|task| task.window);
    match windows.map(crate::window::Window::end).min() {
        Some(end) if ready_at >= end => Err(Rejected::ReadyTooLate { before: end }),
        _ => Ok(()),
    }
}

/// The times of an order in which a seller says when its part will be ready, where that changes them. An order with
/// windows keeps its times: its windows are its promise. Goods that will be ready sooner make an order sooner, but not
/// than if all was ready now.
pub(super) fn moved(order: &Order, seller: MerchantId, ready_at: Timestamp, now: Timestamp) -> Option<Times> {
    if order.window().is_some() {
        return None;
    }
    let latest = |said: &dyn Fn(&Task) -> Option<Timestamp>| {
        order.pickups().filter_map(said).fold(order.placed_at, Timestamp::max)
    };
    let before = latest(&|task| task.ready_at);
    let after = latest(&|task| if task.seller == Some(seller) { Some(ready_at) } else { task.ready_at });
    let after = after.max(now.min(before));
    let by = after - before;
    (by != Span::zero()).then(|| Times { promised_at: order.promised_at + by, gives_up_at: order.gives_up_at + by })
}
