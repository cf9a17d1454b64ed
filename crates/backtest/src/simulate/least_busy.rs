//! The policy `least_busy` in a simulated day: the board and the plan that a server's dispatcher uses, with the
//! settings that a replay gives its zone.
//!
//! An order is assigned when it is placed, or as soon as somebody can take it, for good. Its courier accepts at once
//! and leaves as soon as he can. What is left out is what people and networks add: answers that take time, and a
//! courier who declines.

use std::collections::HashMap;

use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use posthaste_domain::order::Speed;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{StraightLine, TravelModel, VehicleSpeed};
use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::{Act, Second};
use posthaste_matching::{Board, DriverView, OrderView, Stop, plan};

use super::policy::{Decision, Policy, orders_of};
use super::world::{Stage, World};
use crate::instance::Instance;
use crate::zone;

/// The policy.
#[derive(Debug, Clone)]
pub struct LeastBusy {
    rules: ZoneRules,
    travel: StraightLine,
    /// The time that each assigned order holds of its courier.
    held: HashMap<u32, Window>,
}

impl LeastBusy {
    /// For this day.
    #[must_use]
    pub fn new(day: &Instance) -> Self {
        Self { rules: zone::rules(&day.parameters), travel: zone::travel(&day.parameters), held: HashMap::new() }
    }

    fn driver(&self, world: &World, courier: usize) -> Option<DriverView> {
        let c = &world.couriers[courier];
        if world.now < c.on_at || c.off_at <= world.now {
            return None;
        }
        let his: Vec<u32> = orders_of(&c.route).collect();
        let commitment = |order: &u32| {
            let window = *self.held.get(order)?;
            Some(Commitment { order: order_id(*order), window, tentative: false, lane: None, size: 1, aboard: false })
        };
        let open_orders = u32::try_from(his.len()).unwrap_or(u32::MAX);
        Some(DriverView {
            id: driver_id(courier),
            place: place(world, c.place)?,
            shift: Shift::Available { until: Some(instant(c.off_at)) },
            stale: false,
            vehicle: VehicleSpeed::default(),
            fast: true,
            slow: true,
            capacity: zone::CAPACITY,
            open_orders,
            commitments: his.iter().filter_map(commitment).collect(),
        })
    }

    fn order(&self, world: &World, order: u32) -> Option<OrderView> {
        let o = &world.orders[order as usize];
        let (pickup, door) = (place(world, o.pickup)?, place(world, o.dropoff)?);
        let service = |seconds: u32| Span::seconds(i64::from(seconds));
        let pickup_service = service(self.rules.pickup_service_seconds);
        let delivery_service = service(self.rules.delivery_service_seconds);
        let way = service(self.travel.seconds(pickup, door, VehicleSpeed::default()));
        let slack = service(self.rules.promise_slack_seconds);
        let (placed_at, ready_at) = (instant(o.placed_at), instant(o.ready_at));
        Some(OrderView {
            id: order_id(order),
            speed: Speed::Fast,
            size: 1,
            priority: 0,
            placed_at,
            // As the server promises it: ready, every service, the way, and the zone's slack.
            promised_at: ready_at.max(placed_at) + pickup_service + delivery_service + way + slack,
            window: None,
            pickups: vec![Stop { place: pickup, service: pickup_service, ready_at: Some(ready_at) }],
            delivery: Stop { place: door, service: delivery_service, ready_at: None },
            cooling: Vec::new(),
        })
    }
}

impl Policy for LeastBusy {
    fn decide(&mut self, world: &World) -> Decision {
        let mut routes: Vec<Vec<Act>> = world.couriers.iter().map(|c| c.route.clone()).collect();
        let waiting = (0..world.orders.len()).filter(|o| world.orders[*o].stage == Stage::Open);
        let waiting: Vec<u32> = waiting.filter_map(|o| u32::try_from(o).ok()).collect();
        let orders: Vec<OrderView> = waiting.iter().filter_map(|o| self.order(world, *o)).collect();
        // Days lie on a plane at latitude 0.
        let mut board = Board::new(0.0, self.rules.pickup_radius_meters);
        for driver in (0..world.couriers.len()).filter_map(|c| self.driver(world, c)) {
            board.upsert_driver(driver);
        }
        for planned in plan(&mut board, &orders, instant(world.now), &self.travel).decisions {
            let Some(choice) = planned.decision.chosen else { continue };
            let order = waiting[planned.given];
            self.held.insert(order, choice.commitment);
            routes[courier_of(choice.driver)].extend([Act::Pickup(order), Act::Dropoff(order)]);
        }
        Decision { routes, ..Decision::default() }
    }

    fn commits_at_once(&self) -> bool {
        true
    }
}

/// An instant of the day.
fn instant(second: Second) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::seconds(i64::from(second))
}

/// A place of the plane, on the globe. A day is far smaller than the globe.
fn place(world: &World, place: PlaceIndex) -> Option<Place> {
    let point = world.travel.point(place);
    Place::new(point.lat(), point.lng()).ok()
}

/// The number in the last bytes: ids compare as the rows of the files do.
fn entropy(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn order_id(order: u32) -> OrderId {
    OrderId::at(Timestamp::UNIX_EPOCH, entropy(u64::from(order)))
}

fn driver_id(courier: usize) -> DriverId {
    DriverId::at(Timestamp::UNIX_EPOCH, entropy(courier as u64))
}

fn courier_of(id: DriverId) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "the number that driver_id wrote there")]
    let courier = id.uuid().as_u128() as u32;
    courier as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::tiny;
    use crate::simulate::simulate;

    fn day(couriers: &str, orders: &str) -> Instance {
        Instance::parse(
            "meters_per_minute\tpickup service minutes\tdropoff service minutes\n300\t4\t4\n",
            &format!("courier\tx\ty\ton_time\toff_time\n{couriers}"),
            "restaurant\tx\ty\nr1\t600\t0\n",
            &format!("order\tx\ty\tplacement_time\trestaurant\tready_time\n{orders}"),
        )
        .unwrap()
    }

    /// Of every delivered order: its courier, when it was assigned, picked up and dropped.
    fn played(day: &Instance) -> Vec<(String, String, [f64; 3])> {
        let rows = simulate(day, &mut LeastBusy::new(day), &mut |_, _| {}).rows;
        let mut seen: Vec<_> =
            rows.into_iter().map(|r| (r.order, r.courier, [r.assigned_at, r.picked_up_at, r.delivered_at])).collect();
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        seen
    }

    #[test]
    fn the_tiny_day_is_played_order_by_order() {
        // o1 goes to c1, the only one on shift, who leaves at once, waits from 9 to 15 and needs 3 minutes. At 12 c2 is
        // idle and takes o2, ready first and so promised first, though o3 is next to him; o3 waits for c1's drop at 22,
        // who leaves at 24, walks 3 minutes, and has 2 more to the door.
        let seen = played(&tiny());
        let of = |order: &str, courier: &str, at| (order.to_owned(), courier.to_owned(), at);
        assert_eq!(seen[0], of("o1", "c1", [5.0, 15.0, 22.0]));
        assert_eq!(seen[1], of("o2", "c2", [12.0, 20.0, 27.0]));
        assert_eq!(seen[2], of("o3", "c1", [22.0, 29.0, 37.0]));
    }

    #[test]
    fn a_courier_with_an_order_gets_no_other_and_what_waits_goes_to_the_first_who_is_free() {
        let one = day("c1\t600\t0\t0\t90\n", "o1\t600\t300\t0\tr1\t10\no2\t600\t300\t1\tr1\t11\n");
        let seen = played(&one);
        // He drops o1 at 15 and has o2 then, not before.
        assert_eq!(seen[0].2, [0.0, 10.0, 15.0]);
        assert_eq!(seen[1].2, [15.0, 20.0, 25.0]);
    }

    #[test]
    fn nobody_is_sent_for_what_his_shift_ends_before() {
        let short = day("c1\t600\t0\t0\t12\n", "o1\t600\t300\t0\tr1\t20\n");
        assert_eq!(played(&short), []);
        let outcome = simulate(&short, &mut LeastBusy::new(&short), &mut |_, _| {});
        assert_eq!((outcome.orders, outcome.rows.len()), (1, 0));
    }

    #[test]
    fn ids_carry_the_number_of_their_row_and_compare_as_the_rows_do() {
        for courier in [0, 1, 255, 256, 70_000] {
            assert_eq!(courier_of(driver_id(courier)), courier);
            assert!(driver_id(courier) < driver_id(courier + 1));
        }
        assert!(order_id(9) < order_id(10));
    }
}
