//! When an order is expected at its door.

use posthaste_domain::ids::DriverId;
use posthaste_domain::order::{Estimate, Event, Order, Speed, Status, Task, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp, whole_micros};
use posthaste_estimates::Quantity;
use posthaste_estimates::journey::{Journey, Stop};
use posthaste_geography::{TravelModel, VehicleSpeed};

use crate::system::Doors;

/// A position older than this does not say where a driver sets out from.
const LATELY: Span = Span::minutes(5);

/// Who brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carrier {
    pub(crate) driver: DriverId,
    /// When their planned route has them at the door, where there is one: they may have other stops before.
    pub(crate) planned: Option<Timestamp>,
}

/// When the order is expected at its door; `None` when it is over, or on its way back.
pub(crate) fn expected(order: &Order, carrier: Option<Carrier>, now: Timestamp, doors: &Doors) -> Option<Estimate> {
    let status = order.status();
    if status.is_final() || status == Status::Returning {
        return None;
    }
    let mut journey = journey(order, carrier.map(|c| c.driver), now, doors);
    if let Some(window) = order.delivery().and_then(|door| door.window).filter(|_| !is_on_the_way(status)) {
        if let Some(door) = journey.stops.last_mut() {
            door.opens = None;
        }
        return Some(in_window(window, journey.estimate(now)));
    }
    let estimate = journey.estimate(now);
    let waits =
        carrier.and_then(|c| c.planned).map_or(Span::zero(), |planned| (planned - estimate.p50).max(Span::zero()));
    Some(Estimate { p50: estimate.p50 + waits, p90: estimate.p90 + waits })
}

/// When in its window: nothing says it yet, but that it is not before the way there could be made, from `soonest` on. A
/// window that is too short for that is late.
fn in_window(window: Window, soonest: Estimate) -> Estimate {
    let from = window.start().max(soonest.p50);
    let p50 = if from < window.end() { from + (window.end() - from) / 2 } else { from };
    let p50 = whole_micros(p50);
    Estimate { p50, p90: window.end().max(soonest.p90).max(p50) }
}

fn is_on_the_way(status: Status) -> bool {
    status.is_underway() && status != Status::Assigned
}

fn journey(order: &Order, driver: Option<DriverId>, now: Timestamp, doors: &Doors) -> Journey {
    let (learned, travel) = (&doors.learned, doors.zones.travel(order.zone));
    let open = |task: &&Task| !task.status.is_final() && task.kind != TaskKind::Return;
    let mut tasks: Vec<&Task> = order.tasks.iter().filter(open).collect();
    // Where the driver is, or is on their way to, comes first.
    let under_way = |task: &Task| matches!(task.status, TaskStatus::EnRoute | TaskStatus::Arrived);
    tasks.sort_by_key(|task| (task.kind == TaskKind::Delivery, !under_way(task)));
    let mut place: Option<Place> = driver.and_then(|driver| doors.drivers.newest_place(driver));
    let mut journey = Journey {
        start: now,
        reach: None,
        pace: learned.of_zone(Quantity::Pace, order.zone, now),
        stops: Vec::with_capacity(tasks.len()),
    };
    if driver.is_none() {
        let ready = tasks.first().and_then(|task| task.ready_at);
        journey.start = ready.map_or(order.placed_at, |ready| ready.max(order.placed_at));
        let reach = learned.of_zone(Quantity::Reach, order.zone, order.placed_at);
        journey.reach = Some(reach).filter(|_| order.speed == Speed::Fast);
    }
    for (n, task) in tasks.into_iter().enumerate() {
        let arrived = task.arrived_at.filter(|_| n == 0 && task.status == TaskStatus::Arrived);
        journey.start = arrived.unwrap_or(journey.start);
        let from = place.filter(|_| arrived.is_none());
        let way_seconds = from.map_or(0, |from| travel.seconds(from, task.place, VehicleSpeed::default()));
        let pickup = task.kind == TaskKind::Pickup;
        journey.stops.push(Stop {
            way_seconds,
            ready: learned.ready(order, task).filter(|_| pickup),
            opens: task.window.map(|window| window.start()),
            service_seconds: task.service_seconds,
            excess: if pickup {
                learned.of_seller(Quantity::PickupExcess, order, task)
            } else {
                learned.of_zone(Quantity::DropoffExcess, order.zone, now)
            },
        });
        place = Some(task.place);
    }
    journey
}

/// Adds to an event what the order itself cannot know: where its driver was, when it is expected now.
pub(crate) fn with_what_is_known(event: Event, order: &Order, now: Timestamp, doors: &Doors) -> Event {
    match event {
        Event::Departed { task, .. } => {
            let driver = order.working_driver();
            let from = driver.and_then(|driver| doors.drivers.place_lately(driver, now - LATELY));
            Event::Departed { task, from }
        }
        Event::Assigned { driver, offer, by, commitment, lane, .. } => {
            let planned = lane.map(|_| commitment.end());
            let estimate = expected(order, Some(Carrier { driver, planned }), now, doors);
            Event::Assigned { driver, offer, by, commitment, lane, estimate }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::seconds(second)
    }

    proptest! {
        #[test]
        fn what_is_expected_in_a_window_is_not_past_and_not_before_it_could_be(
            (start, length) in (-9000..9000i64, 1..9000i64), (sooner, range) in (0..9000i64, 0..9000i64),
        ) {
            let window = Window::new(at(start), at(start + length)).unwrap();
            let soonest = Estimate { p50: at(sooner), p90: at(sooner + range) };
            let estimate = in_window(window, soonest);
            prop_assert!(soonest.p50 <= estimate.p50 && estimate.p50 <= estimate.p90 && soonest.p90 <= estimate.p90);
            prop_assert!(window.start() <= estimate.p50 && window.end() <= estimate.p90);
        }
    }

    #[test]
    fn a_window_ahead_is_expected_in_its_middle_and_one_that_has_begun_in_the_middle_of_its_rest() {
        let soonest = Estimate { p50: at(600), p90: at(900) };
        let middle = |start, end| in_window(Window::new(at(start), at(end)).unwrap(), soonest).p50;
        assert_eq!((middle(3600, 7200), middle(-3600, 1200), middle(-3600, 300)), (at(5400), at(900), at(600)));
    }
}
