//! What people say to each other outside the product: codes over the counter and at the door.

use std::collections::HashMap;

use parking_lot::Mutex;
use posthaste_domain::ids::{OrderId, TaskId};

/// Codes that were said aloud.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    counter: Mutex<HashMap<TaskId, String>>,
    door: Mutex<HashMap<OrderId, String>>,
}

impl Talk {
    /// A seller knows the code of its part.
    pub(crate) fn at_counter(&self, task: TaskId, code: &str) {
        self.counter.lock().insert(task, code.to_owned());
    }

    /// A customer has read the code in the tracking view.
    pub(crate) fn at_door(&self, order: OrderId, code: &str) {
        self.door.lock().insert(order, code.to_owned());
    }

    /// What the seller says.
    pub(crate) fn ask_seller(&self, task: TaskId) -> Option<String> {
        self.counter.lock().get(&task).cloned()
    }

    /// What the customer says.
    pub(crate) fn ask_customer(&self, order: OrderId) -> Option<String> {
        self.door.lock().get(&order).cloned()
    }

    /// Nobody needs the order's codes any more.
    pub(crate) fn forget(&self, order: OrderId, tasks: impl Iterator<Item = TaskId>) {
        self.door.lock().remove(&order);
        let mut counter = self.counter.lock();
        for task in tasks {
            counter.remove(&task);
        }
    }
}
