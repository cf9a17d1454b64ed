//! A zone under the policy `routed`: the copy that a plan is made from, and what is kept of what it says.
//!
//! [`input`] copies under the cell's locks; all that follows, from the snapshot to the outcome with its reasons, is
//! `posthaste_matching::routed` and touches nothing live. [`solve`] runs on a thread of its own. The dispatcher carries
//! the outcome out and checks each step again: an order that waits no more, or was asked about meanwhile, is left alone.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use posthaste_domain::Timestamp;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::Order;
use posthaste_domain::order::Speed;
use posthaste_matching::routed::input::{
    DriverInput, DriverWork, Input, LastStop, OrderInHand, RosteredShift, Snapshot, TaskInHand, WaitingOrder,
};
use posthaste_matching::routed::outcome::{Outcome, Why};
use posthaste_matching::routed::{Budget, Routes};
use serde_json::Value;

use super::cell::{InHand, Waiting, ZoneCell, order_view, stop_view};
use super::dispatcher::may_be_recorded;
use crate::drivers::Rostered;
use crate::learned::Learned;

/// How long a pass may search (real time). Longer finds a little more, and decides on an older world.
const SEARCH_TIME: Duration = Duration::from_millis(80);

/// What came of a pass, with its reasons as they are recorded: writing them down takes as long as a short search.
pub(crate) struct ZonePlan {
    pub(super) outcome: Outcome,
    pub(super) reasons: HashMap<OrderId, Value>,
}

/// Copies what the zone has.
pub(super) fn input(cell: &ZoneCell, now: Timestamp, generation: u64) -> Input {
    let views: Vec<_> = cell.board.lock().drivers().cloned().collect();
    let mut work = cell.work.lock().clone();
    let waiting = cell.waiting.lock().values().map(waiting_order).collect();
    let roster = {
        let mut roster = cell.roster.lock();
        // What is over leaves the roster.
        roster.retain(|_, rostered| rostered.shift.during.end() > now);
        roster.values().map(rostered_shift).collect()
    };
    let drivers = views.into_iter().map(|view| {
        let work = work.remove(&view.id).map(|in_hand| driver_work(&in_hand, &cell.learned, now));
        DriverInput { view, work }
    });
    Input {
        now,
        rules: cell.config.load().rules,
        travel: cell.travel(now),
        drivers: drivers.collect(),
        roster,
        waiting,
        seen: cell.seen.lock().clone(),
        generation,
        budget: Budget { seed: generation, ..Budget::default() },
    }
}

fn waiting_order(waiting: &Waiting) -> WaitingOrder {
    WaitingOrder {
        view: waiting.view.clone(),
        asked: waiting.asked.map(|(driver, _)| driver),
        gives_up_at: waiting.gives_up_at,
        refused: waiting.refused.clone(),
        may_be_recorded: may_be_recorded(waiting),
    }
}

fn rostered_shift(rostered: &Rostered) -> RosteredShift {
    let Rostered { driver, shift } = rostered;
    RosteredShift {
        driver: shift.driver,
        during: shift.during,
        place: shift.place,
        fast: driver.speeds.contains(&Speed::Fast),
        slow: driver.speeds.contains(&Speed::Slow),
        capacity: driver.capacity,
    }
}

fn driver_work(in_hand: &InHand, learned: &Learned, now: Timestamp) -> DriverWork {
    let last_stop = in_hand.last_done.map(|last| LastStop { place: last.place, free_at: last.at + last.stays });
    DriverWork {
        orders: in_hand.orders.iter().filter_map(|order| order_in_hand(order, learned, now)).collect(),
        last_stop,
        chosen: in_hand.chosen,
        standby: in_hand.standby,
    }
}

fn order_in_hand(order: &Order, learned: &Learned, now: Timestamp) -> Option<OrderInHand> {
    let tasks = order.tasks.iter().map(|task| TaskInHand {
        id: task.id,
        kind: task.kind,
        status: task.status,
        arrived_at: task.arrived_at,
        stop: stop_view(order, task, learned, now),
    });
    Some(OrderInHand { view: order_view(order, learned, now)?, tasks: tasks.collect() })
}

/// Searches for routes, for so long at most (real time).
pub(super) fn search(snapshot: &Snapshot, time: Duration) -> Routes {
    let started = Instant::now();
    let routes = snapshot.search(&|| started.elapsed() >= time);
    crate::metrics::planned(started.elapsed());
    routes
}

/// Plans. Blocks for as long as a pass may search.
pub(super) fn solve(snapshot: &Snapshot) -> ZonePlan {
    let outcome = snapshot.outcome(&search(snapshot, SEARCH_TIME));
    let chosen = outcome.steps.iter().map(|step| (step.order, serde_json::to_value(&step.reasons)));
    let nobody = outcome.waits.iter().filter_map(|wait| match &wait.why {
        Why::Nobody(nobody) => Some((wait.order, serde_json::to_value(nobody))),
        Why::NotYet { .. } | Why::LeftOut => None,
    });
    let reasons = chosen.chain(nobody).map(|(order, value)| (order, value.unwrap_or_default())).collect();
    ZonePlan { outcome, reasons }
}
