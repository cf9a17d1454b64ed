//! The calls where the system is in this process: each goes to its door.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::driver::{Driver, Shift};
use posthaste_domain::ids::{DriverId, MerchantId, OrderId, ShiftId, TaskId, ZoneId};
use posthaste_domain::order::{Command, Order};
use posthaste_domain::place::Place;
use posthaste_domain::position::Report;
use posthaste_domain::roster::PlannedShift;
use posthaste_domain::zone::{NewZone, Zone};
use posthaste_estimates::{Answer, Quantity};

use super::{Answering, Live, Slot};
use crate::drivers::{DriverCommand, LiveDriver, NextChosen, Received, RegisterDriver, ShiftChange, Work};
use crate::inside::{DriverInside, OrderInside};
use crate::once::Once;
use crate::orders::{Done, Idempotency, PlaceOrder, TrackedOrder};
use crate::presence::{Fix, LastTaken, Presence};
use crate::zones::{LiveZone, ZoneBoard};
use crate::{Cause, Refused, System};

/// An answer that is there already.
fn now<T: Send + 'static>(answer: Result<T, Refused>) -> Answering<'static, T> {
    Box::pin(std::future::ready(answer))
}

impl Live for System {
    fn ready(&self) -> Answering<'_, ()> {
        Box::pin(async { Self::ready(self).await.map_err(|why| Refused::Unavailable(why.into())) })
    }

    fn place_order(
        &self,
        order: PlaceOrder,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Answering<'_, Once<Arc<Order>>> {
        Box::pin(self.orders().place(order, idempotency, cause))
    }

    fn replay_order(&self, refused: Refused, idempotency: Option<Idempotency>) -> Answering<'_, Once<Arc<Order>>> {
        Box::pin(self.orders().replay_or(refused, idempotency))
    }

    fn order(&self, id: OrderId) -> Answering<'_, Arc<Order>> {
        Box::pin(self.orders().get(id))
    }

    fn command_order(&self, id: OrderId, command: Command, cause: Cause) -> Answering<'_, Done> {
        Box::pin(self.orders().command(id, command, cause))
    }

    fn assign_order(&self, id: OrderId, driver: DriverId, cause: Cause) -> Answering<'_, Done> {
        Box::pin(self.orders().assign(id, driver, cause))
    }

    fn unassign_order(&self, id: OrderId, cause: Cause) -> Answering<'_, Done> {
        Box::pin(self.orders().unassign(id, cause))
    }

    fn prioritise_order(&self, id: OrderId, priority: i16, cause: Cause) -> Answering<'_, Done> {
        Box::pin(self.orders().prioritise(id, priority, cause))
    }

    fn track_order(&self, id: OrderId) -> Answering<'_, TrackedOrder> {
        Box::pin(self.orders().track(id))
    }

    fn order_inside(&self, id: OrderId) -> Answering<'_, OrderInside> {
        Box::pin(self.orders().inside(id))
    }

    fn live_orders(&self) -> Answering<'_, usize> {
        now(Ok(self.orders().live()))
    }

    fn register_driver(
        &self,
        driver: RegisterDriver,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Answering<'_, Once<Arc<Driver>>> {
        Box::pin(self.drivers().register(driver, idempotency, cause))
    }

    fn driver(&self, id: DriverId) -> Answering<'_, LiveDriver> {
        Box::pin(self.drivers().get(id))
    }

    fn drivers(&self, stored: Vec<Driver>) -> Answering<'_, Vec<LiveDriver>> {
        let drivers = Self::drivers(self);
        now(Ok(stored.into_iter().map(|driver| drivers.live(driver)).collect()))
    }

    fn drivers_on_shift(&self) -> Answering<'_, Vec<LiveDriver>> {
        now(Ok(Self::drivers(self).on_shift()))
    }

    fn change_shift(&self, id: DriverId, change: ShiftChange, cause: Cause) -> Answering<'_, (Shift, bool, Timestamp)> {
        Box::pin(Self::drivers(self).shift(id, change, cause))
    }

    fn command_driver(
        &self,
        id: DriverId,
        command: DriverCommand,
        command_id: Option<String>,
        cause: Cause,
    ) -> Answering<'_, Done> {
        Box::pin(Self::drivers(self).command(id, command, command_id, cause))
    }

    fn choose_next(&self, id: DriverId, task: Option<TaskId>, cause: Cause) -> Answering<'_, NextChosen> {
        Box::pin(Self::drivers(self).choose_next(id, task, cause))
    }

    fn work(&self, id: DriverId) -> Answering<'_, Work> {
        Box::pin(Self::drivers(self).work(id))
    }

    fn driver_inside(&self, id: DriverId) -> Answering<'_, DriverInside> {
        Box::pin(Self::drivers(self).inside(id))
    }

    fn positions(&self, id: DriverId, given: Vec<Option<Report>>) -> Answering<'_, Received> {
        Box::pin(async move { Self::drivers(self).positions(id, &given).await })
    }

    fn forget_driver(&self, id: DriverId, cause: Cause) -> Answering<'_, ()> {
        Box::pin(Self::drivers(self).forget(id, cause))
    }

    fn plan_shift(
        &self,
        driver: DriverId,
        start: Timestamp,
        end: Timestamp,
        place: Option<Place>,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Answering<'_, Once<PlannedShift>> {
        Box::pin(Self::drivers(self).plan_shift(driver, (start, end), place, idempotency, cause))
    }

    fn planned_shifts(&self, driver: DriverId) -> Answering<'_, Vec<PlannedShift>> {
        Box::pin(Self::drivers(self).planned_shifts(driver))
    }

    fn drop_shift(&self, driver: DriverId, shift: ShiftId, cause: Cause) -> Answering<'_, ()> {
        Box::pin(Self::drivers(self).drop_shift(driver, shift, cause))
    }

    fn create_zone(
        &self,
        zone: NewZone,
        idempotency: Option<Idempotency>,
        cause: Cause,
    ) -> Answering<'_, Once<LiveZone>> {
        Box::pin(Self::zones(self).create(zone, idempotency, cause))
    }

    fn replace_zone(&self, id: ZoneId, zone: NewZone, cause: Cause) -> Answering<'_, LiveZone> {
        Box::pin(Self::zones(self).replace(id, zone, cause))
    }

    fn remove_zone(&self, id: ZoneId, cause: Cause) -> Answering<'_, ()> {
        Box::pin(Self::zones(self).remove(id, cause))
    }

    fn zone(&self, id: ZoneId) -> Answering<'_, LiveZone> {
        now(Self::zones(self).get(id))
    }

    fn zones(&self) -> Answering<'_, Vec<LiveZone>> {
        now(Ok(Self::zones(self).list()))
    }

    fn board(&self, id: ZoneId) -> Answering<'_, ZoneBoard> {
        now(Self::zones(self).board(id))
    }

    fn mirror_zones(&self, wanted: Vec<Arc<Zone>>) -> Answering<'_, usize> {
        Box::pin(Self::zones(self).mirror(wanted))
    }

    fn learned(&self, zone: ZoneId, seller: Option<MerchantId>, hour: u8) -> Answering<'_, Vec<(Quantity, Answer)>> {
        now(Ok(Self::learned(self).known(zone, seller, hour)))
    }

    fn slot(&self, driver: DriverId) -> Answering<'_, Arc<dyn Slot>> {
        Box::pin(async move { Ok(Self::drivers(self).presence(driver).await? as Arc<dyn Slot>) })
    }
}

impl Slot for Presence {
    fn driver(&self) -> DriverId {
        Self::driver(self)
    }

    fn heartbeat(&self) {
        Self::heartbeat(self);
    }

    fn report(&self, reports: &[Report], now: Timestamp) -> Option<LastTaken> {
        self.report_all(reports, now)
    }

    fn report_no_place(&self) {
        Self::report_no_place(self);
    }

    fn newest(&self) -> Option<Fix> {
        Self::newest(self)
    }
}
