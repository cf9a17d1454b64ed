//! Drivers over REST: registration, and the twin of every command of the driver's socket.

use posthaste_domain::ids::{DriverId, OfferId, ShiftId, TaskId, ZoneId};
use posthaste_protocol::drivers::{
    CreateDriver, DriverView, NextStop, PlanShift, PlannedShiftView, PositionBatch, RouteView, ShiftState, ShiftView,
};
use posthaste_protocol::orders::{CompleteTask, FailTask};
use posthaste_protocol::page::Page;
use posthaste_protocol::socket::Ack;
use reqwest::Method;
use serde::Serialize;

use crate::error::ClientError;
use crate::http::{Call, Client, json};

/// Which drivers to list. Absent fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListDrivers {
    /// Only those who serve this zone.
    pub zone_id: Option<ZoneId>,
    /// Only in this shift state.
    pub shift: Option<ShiftState>,
    /// The page after this cursor.
    pub cursor: Option<String>,
    /// Drivers on a page.
    pub limit: Option<u32>,
}

impl Client {
    /// Registers a driver. Not tried again by itself: a second try could register a second one.
    pub async fn create_driver(&self, driver: &CreateDriver) -> Result<DriverView, ClientError> {
        let url = self.url(&["v1", "drivers"]);
        let key = Some(uuid::Uuid::now_v7().to_string());
        self.send(Call { key, repeatable: false, body: Some(json(driver)), ..Call::new(Method::POST, url) }).await
    }

    /// One page of drivers.
    pub async fn list_drivers(&self, filter: &ListDrivers) -> Result<Page<DriverView>, ClientError> {
        self.list(&["v1", "drivers"], filter).await
    }

    /// Every driver that the filter lets through, page after page.
    pub async fn all_drivers(&self, mut filter: ListDrivers) -> Result<Vec<DriverView>, ClientError> {
        let mut all = Vec::new();
        loop {
            let page = self.list_drivers(&filter).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(cursor) => filter.cursor = Some(cursor),
                None => return Ok(all),
            }
        }
    }

    /// One driver.
    pub async fn driver(&self, id: DriverId) -> Result<DriverView, ClientError> {
        self.get(&["v1", "drivers", &id.to_string()]).await
    }

    /// Changes a driver's shift.
    pub async fn set_shift(&self, id: DriverId, shift: &ShiftView) -> Result<ShiftView, ClientError> {
        self.command(Method::PUT, &["v1", "drivers", &id.to_string(), "shift"], shift).await
    }

    /// Plans a shift. Sent again after a failure, it is planned once.
    pub async fn plan_shift(&self, id: DriverId, shift: &PlanShift) -> Result<PlannedShiftView, ClientError> {
        self.command(Method::POST, &["v1", "drivers", &id.to_string(), "shifts"], shift).await
    }

    /// A driver's planned shifts that are not over.
    pub async fn planned_shifts(&self, id: DriverId) -> Result<Vec<PlannedShiftView>, ClientError> {
        let page: Page<PlannedShiftView> = self.get(&["v1", "drivers", &id.to_string(), "shifts"]).await?;
        Ok(page.items)
    }

    /// Takes a planned shift off the roster.
    pub async fn drop_shift(&self, id: DriverId, shift: ShiftId) -> Result<(), ClientError> {
        let url = self.url(&["v1", "drivers", &id.to_string(), "shifts", &shift.to_string()]);
        let _: serde_json::Value = self.send(Call::new(Method::DELETE, url)).await?;
        Ok(())
    }

    /// What a driver has to do, and what is offered to them.
    pub async fn driver_route(&self, id: DriverId) -> Result<RouteView, ClientError> {
        self.get(&["v1", "drivers", &id.to_string(), "route"]).await
    }

    /// Has the driver do this stop next. The answer names orders that are likely to be late for it.
    pub async fn choose_next(&self, id: DriverId, task_id: TaskId) -> Result<Ack, ClientError> {
        self.command(Method::PUT, &["v1", "drivers", &id.to_string(), "route", "next"], &NextStop { task_id }).await
    }

    /// Takes the choice of the next stop back.
    pub async fn undo_next(&self, id: DriverId) -> Result<Ack, ClientError> {
        let segments = ["v1", "drivers", &id.to_string(), "route", "next"];
        self.command(Method::DELETE, &segments, &serde_json::json!({})).await
    }

    /// Hands in positions; answered when they are safe.
    pub async fn report_positions(&self, id: DriverId, batch: &PositionBatch) -> Result<Ack, ClientError> {
        self.command(Method::POST, &["v1", "drivers", &id.to_string(), "positions"], batch).await
    }

    /// A sign of life.
    pub async fn heartbeat(&self, id: DriverId) -> Result<(), ClientError> {
        let segments = ["v1", "drivers", &id.to_string(), "heartbeat"];
        let _: serde_json::Value = self.command(Method::POST, &segments, &serde_json::json!({})).await?;
        Ok(())
    }

    /// Takes an offer.
    pub async fn accept_offer(&self, id: DriverId, offer: OfferId) -> Result<Ack, ClientError> {
        let segments = ["v1", "drivers", &id.to_string(), "offers", &offer.to_string(), "accept"];
        self.command(Method::POST, &segments, &serde_json::json!({})).await
    }

    /// Declines an offer.
    pub async fn decline_offer(&self, id: DriverId, offer: OfferId) -> Result<Ack, ClientError> {
        let segments = ["v1", "drivers", &id.to_string(), "offers", &offer.to_string(), "decline"];
        self.command(Method::POST, &segments, &serde_json::json!({})).await
    }

    /// The driver sets out for a task.
    pub async fn task_departed(&self, id: DriverId, task: TaskId) -> Result<Ack, ClientError> {
        self.task_command(id, task, "departed", &serde_json::json!({})).await
    }

    /// The driver is at a task.
    pub async fn task_arrived(&self, id: DriverId, task: TaskId) -> Result<Ack, ClientError> {
        self.task_command(id, task, "arrived", &serde_json::json!({})).await
    }

    /// A pickup is done.
    pub async fn task_picked_up(&self, id: DriverId, task: TaskId, done: &CompleteTask) -> Result<Ack, ClientError> {
        self.task_command(id, task, "picked_up", done).await
    }

    /// The delivery is done.
    pub async fn task_delivered(&self, id: DriverId, task: TaskId, done: &CompleteTask) -> Result<Ack, ClientError> {
        self.task_command(id, task, "delivered", done).await
    }

    /// A return is done.
    pub async fn task_returned(&self, id: DriverId, task: TaskId, done: &CompleteTask) -> Result<Ack, ClientError> {
        self.task_command(id, task, "returned", done).await
    }

    /// A task cannot be done.
    pub async fn task_failed(&self, id: DriverId, task: TaskId, failed: &FailTask) -> Result<Ack, ClientError> {
        self.task_command(id, task, "failed", failed).await
    }

    async fn task_command<B: Serialize>(
        &self,
        id: DriverId,
        task: TaskId,
        verb: &str,
        body: &B,
    ) -> Result<Ack, ClientError> {
        let segments = ["v1", "drivers", &id.to_string(), "tasks", &task.to_string(), verb];
        self.command(Method::POST, &segments, body).await
    }
}
