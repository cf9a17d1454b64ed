//! Several waiting orders in one pass. The properties that a plan must have are in `PROPERTIES.md`; [`crate::check`]
//! tests each, after every plan in debug builds.

use std::cmp::Reverse;

use posthaste_domain::Timestamp;
use posthaste_geography::TravelModel;
use serde::Serialize;

use crate::board::Board;
use crate::decision::Decision;
use crate::views::OrderView;

/// The decisions of one pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// When it was made.
    pub at: Timestamp,
    /// One decision for each order, in the order in which they were made.
    pub decisions: Vec<PlannedOrder>,
}

/// One decision of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedOrder {
    /// Which of the orders that were given, counted from 0.
    pub given: usize,
    /// Its decision, with what was decided before already held.
    #[serde(flatten)]
    pub decision: Decision,
}

/// Decides about all orders: higher priority first, then the earlier promise, then placed earlier, then by id.
/// Each choice is held on the board, so that the next order does not take the same time of the same driver. The
/// holds stay: whoever wants the board as it was plans on a clone.
pub fn plan(board: &mut Board, orders: &[OrderView], now: Timestamp, travel: &dyn TravelModel) -> Plan {
    #[cfg(debug_assertions)]
    let before = board.clone();
    let mut turns: Vec<usize> = (0..orders.len()).collect();
    turns.sort_by_key(|given| precedence(&orders[*given]));
    let mut decisions = Vec::with_capacity(orders.len());
    for given in turns {
        let order = &orders[given];
        decisions.push(PlannedOrder { given, decision: board.decide(order, now, travel) });
    }
    let plan = Plan { at: now, decisions };
    #[cfg(debug_assertions)]
    if let Err(broken) = crate::check::plan(&before, orders, &plan, travel) {
        unreachable!("a plan broke its properties: {broken}");
    }
    plan
}

/// By what waiting orders take their turns, whatever the policy: higher priority, then the earlier promise, then placed
/// earlier, then by id. The least goes first.
#[must_use]
pub fn precedence(order: &OrderView) -> impl Ord + use<> {
    (Reverse(order.priority), order.promised_at, order.placed_at, order.id)
}
