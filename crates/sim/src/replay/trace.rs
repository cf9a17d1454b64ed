//! What the server recorded of an order, as a row of the trace.

use posthaste_backtest::trace::{TraceRow, minute_of};
use posthaste_domain::Timestamp;
use posthaste_domain::order::{Status, TaskKind};
use posthaste_protocol::orders::OrderView;

/// The row of a delivered order, without its trip; `None` when it was not delivered.
#[must_use]
pub fn row(order: &OrderView, courier: &str, restaurant: usize, minute_zero: Timestamp) -> Option<TraceRow> {
    if order.status != Status::Delivered {
        return None;
    }
    let done = |kind: TaskKind| order.tasks.iter().filter(move |t| t.kind == kind).filter_map(|t| t.done_at).max();
    Some(TraceRow {
        order: order.reference.clone()?,
        courier: courier.to_owned(),
        restaurant,
        assigned_at: minute_of(order.assigned_at?, minute_zero),
        picked_up_at: minute_of(done(TaskKind::Pickup)?, minute_zero),
        delivered_at: minute_of(done(TaskKind::Delivery)?, minute_zero),
        bundle: String::new(),
        seq: 0,
    })
}
