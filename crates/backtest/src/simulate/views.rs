//! The day as a policy of the product sees it: the same plain copies that a server makes of its zone.

use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId, TaskId};
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};
use posthaste_matching::routed::Second;
use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::{DriverView, OrderView, Stop};

use super::world::World;
use crate::plane::Point;
use crate::zone;

/// An instant of the day.
pub(super) fn instant(second: Second) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::seconds(i64::from(second))
}

/// The second of the day of an instant.
pub(super) fn second(at: Timestamp) -> Second {
    Second::try_from((at - Timestamp::UNIX_EPOCH).num_seconds()).unwrap_or(Second::MAX)
}

/// A point of the plane, on the globe. A day is far smaller than the globe.
pub(super) fn on_globe(point: Point) -> Option<Place> {
    Place::new(point.lat(), point.lng()).ok()
}

/// A numbered place, on the globe.
pub(super) fn place(world: &World, place: PlaceIndex) -> Option<Place> {
    on_globe(world.travel.point(place))
}

/// The number in the last bytes: ids compare as the rows of the files do.
fn id<T: Id>(number: u64) -> T {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    T::at(Timestamp::UNIX_EPOCH, bytes)
}

/// The number that [`id`] wrote.
fn number(id: impl Id) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the number that was written there")]
    let number = id.uuid().as_u128() as u32;
    number
}

/// An order of the day.
pub(super) fn order_id(order: u32) -> OrderId {
    id(u64::from(order))
}

/// Which order of the day it is.
pub(super) fn order_of(id: OrderId) -> u32 {
    number(id)
}

/// A courier of the day.
pub(super) fn driver_id(courier: usize) -> DriverId {
    id(courier as u64)
}

/// Which courier of the day it is.
pub(super) fn courier_of(id: DriverId) -> usize {
    number(id) as usize
}

/// The pickup and the door of an order.
pub(super) fn task_ids(order: u32) -> [TaskId; 2] {
    [id(u64::from(order) * 2), id(u64::from(order) * 2 + 1)]
}

/// A courier who is on shift, with the time that is held of them; nothing of anybody else.
pub(super) fn driver(world: &World, courier: usize, commitments: Vec<Commitment>) -> Option<DriverView> {
    let c = &world.couriers[courier];
    if world.now < c.on_at || c.off_at <= world.now {
        return None;
    }
    Some(DriverView {
        id: driver_id(courier),
        place: on_globe(world.position(courier))?,
        shift: Shift::Available { until: Some(instant(c.off_at)) },
        stale: false,
        vehicle: VehicleSpeed::default(),
        fast: true,
        slow: true,
        capacity: zone::CAPACITY,
        open_orders: u32::try_from(super::policy::orders_of(&c.route).count()).unwrap_or(u32::MAX),
        commitments,
    })
}

/// An order, promised as a server does: ready, every service, the way, and the zone's slack.
pub(super) fn order(world: &World, rules: &ZoneRules, travel: &StraightLine, order: u32) -> Option<OrderView> {
    let o = &world.orders[order as usize];
    let (pickup, door) = (place(world, o.pickup)?, place(world, o.dropoff)?);
    let span = |seconds: u32| Span::seconds(i64::from(seconds));
    let (pickup_service, delivery_service) = (span(rules.pickup_service_seconds), span(rules.delivery_service_seconds));
    let way = span(travel.seconds(pickup, door, VehicleSpeed::default()));
    let (placed_at, ready_at) = (instant(o.placed_at), instant(o.ready_at));
    Some(OrderView {
        id: order_id(order),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        placed_at,
        promised_at: ready_at.max(placed_at)
            + pickup_service
            + delivery_service
            + way
            + span(rules.promise_slack_seconds),
        window: None,
        pickups: vec![Stop { place: pickup, service: pickup_service, ready_at: Some(ready_at) }],
        delivery: Stop { place: door, service: delivery_service, ready_at: None },
        cooling: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_number_of_their_row_and_compare_as_the_rows_do() {
        for courier in [0, 1, 255, 256, 70_000] {
            assert_eq!(courier_of(driver_id(courier)), courier);
            assert!(driver_id(courier) < driver_id(courier + 1));
        }
        assert!(order_id(9) < order_id(10));
        assert_eq!(order_of(order_id(70_000)), 70_000);
        assert!(task_ids(3)[1] < task_ids(4)[0]);
    }

    #[test]
    fn an_instant_is_the_second_it_was_made_from() {
        for at in [0, 1, 86_400] {
            assert_eq!(second(instant(at)), at);
        }
    }
}
