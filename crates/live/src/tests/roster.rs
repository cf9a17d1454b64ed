//! Planned shifts, and what plans make of them.

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId, ShiftId};
use posthaste_domain::{Span, Timestamp};

use super::routed::{stage, undecided};
use super::stage::{Stage, admin, place};
use crate::drivers::ShiftChange;
use crate::orders::PlaceOrder;
use crate::{Once, Refused};

async fn plan(stage: &Stage, driver: DriverId, start: Timestamp, end: Timestamp) -> Result<ShiftId, Refused> {
    let near = Some(place(52.1, 13.1));
    match stage.system.drivers().plan_shift(driver, (start, end), near, None, admin()).await? {
        Once::New(shift) => Ok(shift.id),
        Once::Replayed { .. } => panic!("no key, no replay"),
    }
}

/// A driver who has been at work and is not any more.
async fn at_home(stage: &Stage) -> DriverId {
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    stage.system.drivers().shift(driver, Shift::Offline.into(), admin()).await.expect("off");
    driver
}

/// Plans have been made for the order, and nobody was asked. An order that comes after it, and that nobody can carry, is
/// said to wait by a plan that knew both.
async fn assert_nobody_is_asked(stage: &Stage, order: OrderId) {
    let too_large = stage.place(PlaceOrder { size: 1000, ..stage.fast_order() }).await;
    undecided(stage, too_large.id).await;
    let cell = stage.system.doors.zones.cell(stage.zone).expect("the zone");
    let asked = cell.waiting.lock().get(&order).map(|waiting| waiting.asked.is_some());
    assert_eq!(asked, Some(false), "it waits, and nobody is asked");
    assert_eq!(stage.order(order).await.offer, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_comes_soon_is_planned_for_and_asked_when_they_are_there() {
    let stage = stage().await;
    let coming = at_home(&stage).await;
    let start = stage.in_minutes(4);
    plan(&stage, coming, start, start + Span::hours(8)).await.expect("planned");
    // Far: whoever starts at the shop in four minutes is there long before them.
    stage.driver_on_shift(place(52.005, 13.005)).await;
    let order = stage.place(stage.fast_order()).await;
    assert_nobody_is_asked(&stage, order.id).await;
    stage.advance(start - stage.now() - Span::seconds(1));
    assert_nobody_is_asked(&stage, order.id).await;
    stage.advance(Span::seconds(1));
    let on = Shift::Available { until: None };
    let change = ShiftChange { place: Some(place(52.1, 13.1)), ..on.into() };
    stage.system.drivers().shift(coming, change, admin()).await.expect("on");
    assert_eq!(stage.offered(order.id).await.0, coming);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_is_dropped_from_the_roster_is_not_waited_for() {
    let stage = stage().await;
    let coming = at_home(&stage).await;
    let start = stage.in_minutes(20);
    let shift = plan(&stage, coming, start, start + Span::hours(8)).await.expect("planned");
    // A roster is no position: it is stored when it is planned.
    let stage = stage.crash_and_restart().await;
    let far = stage.driver_on_shift(place(52.005, 13.005)).await;
    let order = stage.place(stage.fast_order()).await;
    assert_nobody_is_asked(&stage, order.id).await;
    stage.system.drivers().drop_shift(coming, shift, admin()).await.expect("dropped");
    assert_eq!(stage.offered(order.id).await.0, far);
    assert!(stage.now() < start);
    let gone = stage.system.drivers().drop_shift(coming, shift, admin()).await;
    assert!(matches!(gone, Err(Refused::NotFound(ref what)) if what == "shift"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shifts_that_cannot_be_planned_are_refused() {
    let stage = Stage::open().await;
    let driver = at_home(&stage).await;
    let now = stage.now();
    plan(&stage, driver, now + Span::hours(1), now + Span::hours(5)).await.expect("planned");
    let overlapping = plan(&stage, driver, now + Span::hours(4), now + Span::hours(6)).await;
    assert!(matches!(overlapping, Err(Refused::ShiftsOverlap)), "{overlapping:?}");
    let backwards = plan(&stage, driver, now + Span::hours(8), now + Span::hours(7)).await;
    assert!(matches!(backwards, Err(Refused::InvalidShift(ref field, _)) if field == "end"), "{backwards:?}");
    let stranger = DriverId::from_uuid(uuid::Uuid::from_u128(9));
    let nobody = plan(&stage, stranger, now, now + Span::hours(1)).await;
    assert!(matches!(nobody, Err(Refused::NotFound(ref what)) if what == "driver"), "{nobody:?}");
    assert_eq!(stage.system.drivers().planned_shifts(driver).await.expect("listed").len(), 1);
}
