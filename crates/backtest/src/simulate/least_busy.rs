//! The policy `least_busy` in a simulated day: the board and the plan that a server's dispatcher uses, with the
//! settings that a replay gives its zone.
//!
//! An order is assigned when it is placed, or as soon as somebody can take it, for good. Its courier accepts at once
//! and leaves as soon as they can. What is left out is what people and networks add: answers that take time, and a
//! courier who declines.

use std::collections::HashMap;

use posthaste_domain::calendar::Commitment;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_geography::StraightLine;
use posthaste_matching::{Board, OrderView, plan};

use super::policy::{Decision, Policy, orders_of};
use super::views::{self, courier_of, instant, order_id, second};
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

    fn commitments(&self, world: &World, courier: usize) -> Vec<Commitment> {
        let commitment = |order: u32| {
            let window = *self.held.get(&order)?;
            Some(Commitment { order: order_id(order), window, tentative: false, lane: None, size: 1, aboard: false })
        };
        orders_of(&world.couriers[courier].route).filter_map(commitment).collect()
    }
}

impl Policy for LeastBusy {
    fn decide(&mut self, world: &World) -> Decision {
        let waiting: Vec<u32> = world.at_stage(Stage::Open).collect();
        let order = |order: &u32| views::order(world, &self.rules, &self.travel, *order);
        let orders: Vec<OrderView> = waiting.iter().filter_map(order).collect();
        // Days lie on a plane at latitude 0.
        let mut board = Board::new(0.0, self.rules.pickup_radius_meters);
        for courier in 0..world.couriers.len() {
            if let Some(driver) = views::driver(world, courier, self.commitments(world, courier)) {
                board.upsert_driver(driver);
            }
        }
        let mut decision = Decision::default();
        for planned in plan(&mut board, &orders, instant(world.now), &self.travel).decisions {
            // As at a server, who need not be asked yet is asked when they have to leave.
            if let Some(later) = planned.decision.later {
                let at = second(later.commitment.start());
                decision.next = Some(decision.next.map_or(at, |next| next.min(at)));
            }
            let Some(choice) = planned.decision.chosen else { continue };
            let order = waiting[planned.given];
            self.held.insert(order, choice.commitment);
            decision.offers.push((courier_of(choice.driver), order));
        }
        decision
    }
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
        // idle and takes o2, ready first and so promised first, though o3 is beside c2; o3 waits for c1's drop at 22,
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
        // The courier drops o1 at 15 and has o2 then, not before.
        assert_eq!(seen[0].2, [0.0, 10.0, 15.0]);
        assert_eq!(seen[1].2, [15.0, 20.0, 25.0]);
    }

    #[test]
    fn nobody_is_sent_for_what_their_shift_ends_before() {
        let short = day("c1\t600\t0\t0\t12\n", "o1\t600\t300\t0\tr1\t20\n");
        assert_eq!(played(&short), []);
        let outcome = simulate(&short, &mut LeastBusy::new(&short), &mut |_, _| {});
        assert_eq!((outcome.orders, outcome.rows.len()), (1, 0));
    }
}
