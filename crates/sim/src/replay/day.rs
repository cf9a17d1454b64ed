//! What everybody in a replay shares: the recorded day, its minute 0, and what is known of the placed orders.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_client::Client;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{OrderId, TaskId};
use posthaste_domain::order::TaskKind;
use posthaste_protocol::drivers::StopView;
use posthaste_protocol::orders::OrderView;
use tokio::sync::Notify;

use crate::replay::report::ReplayStats;
use crate::server_clock::ServerClock;
use posthaste_backtest::Point;
use posthaste_backtest::instance::Instance;
use posthaste_backtest::timeline::minutes;

/// An order that was placed.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Its index among the day's orders.
    pub(crate) row: usize,
    codes: HashMap<TaskId, String>,
}

/// A day being replayed.
pub(crate) struct Day {
    pub(crate) instance: Instance,
    pub(crate) minute_zero: Timestamp,
    pub(crate) clock: ServerClock,
    pub(crate) operations: Client,
    pub(crate) stats: Arc<ReplayStats>,
    placed: Mutex<HashMap<OrderId, Placed>>,
    another: Notify,
}

impl Day {
    pub(crate) fn new(
        instance: Instance,
        minute_zero: Timestamp,
        clock: ServerClock,
        operations: Client,
        stats: Arc<ReplayStats>,
    ) -> Self {
        let (placed, another) = (Mutex::default(), Notify::new());
        Self { instance, minute_zero, clock, operations, stats, placed, another }
    }

    /// The instant of a minute of the day.
    pub(crate) fn at(&self, minute: f64) -> Timestamp {
        self.minute_zero + minutes(minute)
    }

    /// Takes in the answer to a placed order: its merchant sees every code.
    pub(crate) fn learn(&self, row: usize, order: &OrderView) {
        let codes = order.tasks.iter().filter_map(|t| Some((t.id, t.code.clone()?))).collect();
        self.placed.lock().insert(order.id, Placed { row, codes });
        self.another.notify_waiters();
    }

    /// The day's row of an order. Waits for the answer to its placement, which may come after its offer.
    pub(crate) async fn row_of(&self, order: OrderId) -> Option<usize> {
        let known = || self.placed.lock().get(&order).map(|p| p.row);
        let wait = async {
            loop {
                let another = self.another.notified();
                if let Some(row) = known() {
                    return row;
                }
                another.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.ok()
    }

    /// The code of a task, as the restaurant or the customer would say it.
    pub(crate) fn code(&self, order: OrderId, task: TaskId) -> Option<String> {
        self.placed.lock().get(&order)?.codes.get(&task).cloned()
    }

    /// Every placed order.
    pub(crate) fn placed(&self) -> HashMap<OrderId, usize> {
        self.placed.lock().iter().map(|(id, placed)| (*id, placed.row)).collect()
    }

    /// Where a stop is on the plane: the recorded point, not the rounded one that came back.
    pub(crate) async fn place_of(&self, stop: &StopView) -> Point {
        let row = self.row_of(stop.order_id).await.and_then(|row| self.instance.orders.get(row));
        match (row, stop.task.kind) {
            (Some(row), TaskKind::Delivery) => row.place,
            (Some(row), _) => self.instance.restaurants[row.restaurant].place,
            (None, _) => Point::of(stop.task.lat, stop.task.lng),
        }
    }
}
