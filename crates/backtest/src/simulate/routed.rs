//! The policy `routed` in a simulated day: the snapshot, the solver and the outcome of the product, from copies of the
//! day's world.
//!
//! Nothing about the policy is decided here: who is locked to what, what may move, when an offer is due and who is sent
//! ahead are the rules of [`posthaste_matching::routed`], as at a server. What differs is told in `docs/recorded-days.md`:
//! a search ends by its rounds and not by the clock, and couriers answer at once.

use posthaste_domain::Span;
use posthaste_domain::order::{TaskKind, TaskStatus};
use posthaste_domain::window::Window;
use posthaste_domain::zone::{Policy as ZonePolicy, ZoneRules};
use posthaste_geography::StraightLine;
use posthaste_matching::Stop;
use posthaste_matching::routed::input::{
    DriverInput, DriverWork, Input, Intended, LastStop, OrderInHand, RosteredShift, SeenOrders, TaskInHand,
    WaitingOrder, Whereabouts,
};
use posthaste_matching::routed::outcome::{IDLE_SECONDS, Outcome, Standby};
use posthaste_matching::routed::problem::PlaceIndex;
use posthaste_matching::routed::{Act, Budget, Second};

use super::policy::{Decision, Policy, orders_of};
use super::views::{self, courier_of, driver_id, instant, order_of, second, task_ids};
use super::world::{Stage, World};
use crate::instance::Instance;
use crate::zone;

/// What the zone of a day lets `routed` do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Couriers may pick up elsewhere while they carry.
    pub interleave: bool,
    /// Idle couriers may be sent to a restaurant ahead of work.
    pub send_ahead: bool,
}

/// The policy, with what a server's dispatcher remembers from plan to plan.
#[derive(Debug, Clone)]
pub struct Routed {
    rules: ZoneRules,
    travel: StraightLine,
    budget: Budget,
    generation: u64,
    seen: SeenOrders,
    whereabouts: Whereabouts,
    intended: Intended,
}

impl Routed {
    /// For this day. The budget says how many rounds a pass searches, and what its chance follows from.
    #[must_use]
    pub fn new(day: &Instance, rules: Rules, budget: Budget) -> Self {
        let Rules { interleave, send_ahead } = rules;
        let rules = ZoneRules {
            policy: ZonePolicy::Routed,
            interleave,
            send_ahead,
            // Nothing is on its way for any time here.
            offer_lead_seconds: 0,
            ..zone::rules(&day.parameters)
        };
        Self {
            rules,
            travel: zone::travel(&day.parameters),
            budget,
            generation: 0,
            seen: SeenOrders::default(),
            whereabouts: Whereabouts::default(),
            intended: Intended::new(),
        }
    }

    fn remember_new(&mut self, world: &World) {
        for order in world.at_stage(Stage::Open) {
            if let Some(view) = views::order(world, &self.rules, &self.travel, order) {
                self.seen.remember(&view, None);
            }
        }
    }

    fn input(&self, world: &World) -> Input {
        let couriers = 0..world.couriers.len();
        Input {
            now: instant(world.now),
            rules: self.rules,
            travel: self.travel,
            drivers: couriers.clone().filter_map(|courier| self.driver(world, courier)).collect(),
            roster: couriers.filter_map(|courier| shift(world, courier)).collect(),
            waiting: world.at_stage(Stage::Open).filter_map(|order| self.waiting(world, order)).collect(),
            seen: self.seen.clone(),
            generation: self.generation,
            budget: Budget { seed: self.budget.seed ^ self.generation, ..self.budget },
        }
    }

    fn driver(&self, world: &World, courier: usize) -> Option<DriverInput> {
        let c = &world.couriers[courier];
        let view = views::driver(world, courier, Vec::new())?;
        let standby = c.standby.and_then(|standby| {
            let place = views::place(world, standby.place)?;
            let (arrives_at, until) = (instant(standby.arrives_at), instant(standby.until));
            Some(Standby { place, merchant: None, arrives_at, until })
        });
        let work = DriverWork {
            orders: orders_of(&c.route).filter_map(|order| self.in_hand(world, courier, order)).collect(),
            last_stop: views::place(world, c.place).map(|place| LastStop { place, free_at: instant(c.free_at) }),
            chosen: None,
            standby,
        };
        Some(DriverInput { view, work: Some(work) })
    }

    /// An order that a courier has. As a courier of a replay, they say that they leave for a visit with its first order,
    /// and that they are there with all of it.
    fn in_hand(&self, world: &World, courier: usize, order: u32) -> Option<OrderInHand> {
        let view = views::order(world, &self.rules, &self.travel, order)?;
        let c = &world.couriers[courier];
        let under_way = |act: Act, place: PlaceIndex| {
            let (heading, arrival) = c.heading.filter(|(heading, _)| *heading == place)?;
            let is_there = arrival <= world.now;
            let is_part = match act {
                Act::Pickup(order) if is_there => world.visit_at(courier, heading).contains(&order),
                _ => c.route.first() == Some(&act),
            };
            let status = if is_there { TaskStatus::Arrived } else { TaskStatus::EnRoute };
            is_part.then_some((status, is_there.then(|| instant(arrival))))
        };
        let o = &world.orders[order as usize];
        let (picked_up, pickup_arrival) = match o.stage {
            Stage::Aboard => (TaskStatus::Done, None),
            _ => under_way(Act::Pickup(order), o.pickup).unwrap_or((TaskStatus::Assigned, None)),
        };
        let (handed_over, door_arrival) =
            under_way(Act::Dropoff(order), o.dropoff).unwrap_or((TaskStatus::Assigned, None));
        let [pickup, door] = task_ids(order);
        let task = |id, kind, status, arrived_at, stop: Stop| TaskInHand { id, kind, status, arrived_at, stop };
        let tasks = vec![
            task(pickup, TaskKind::Pickup, picked_up, pickup_arrival, *view.pickups.first()?),
            task(door, TaskKind::Delivery, handed_over, door_arrival, view.delivery),
        ];
        Some(OrderInHand { view, tasks })
    }

    fn waiting(&self, world: &World, order: u32) -> Option<WaitingOrder> {
        Some(WaitingOrder {
            view: views::order(world, &self.rules, &self.travel, order)?,
            asked: None,
            gives_up_at: instant(world.orders[order as usize].placed_at)
                + Span::seconds(i64::from(self.rules.give_up_seconds)),
            refused: Vec::new(),
            may_be_recorded: false,
        })
    }

    fn decision(&mut self, world: &World, outcome: Outcome) -> Decision {
        let sent_ahead = outcome.standby.into_iter().filter_map(|(driver, standby)| {
            let place = world.restaurant_at(|place| views::place(world, place) == Some(standby.place))?;
            Some((courier_of(driver), place, second(standby.until)))
        });
        let routes = outcome.intended.iter().map(|(driver, acts)| {
            let act = |(order, kind): &(_, TaskKind)| match kind {
                TaskKind::Pickup => Act::Pickup(order_of(*order)),
                TaskKind::Delivery | TaskKind::Return => Act::Dropoff(order_of(*order)),
            };
            (courier_of(*driver), acts.iter().map(act).collect())
        });
        let decision = Decision {
            offers: outcome.steps.iter().map(|step| (courier_of(step.driver), order_of(step.order))).collect(),
            routes: routes.collect(),
            sent_ahead: sent_ahead.collect(),
            next: outcome.next.map(second),
        };
        self.intended = outcome.intended;
        decision
    }

    /// When those who have nothing to do are thought of again, where they are sent ahead.
    fn looks_at_the_idle(&self, now: Second) -> Option<Second> {
        let seconds = Second::try_from(IDLE_SECONDS).unwrap_or(Second::MAX / 2);
        self.rules.send_ahead.then_some(now + seconds)
    }
}

impl Policy for Routed {
    fn decide(&mut self, world: &World) -> Decision {
        self.generation += 1;
        self.remember_new(world);
        let snapshot = self.input(world).snapshot(&mut self.whereabouts, &self.intended);
        if snapshot.is_empty() {
            self.intended.clear();
            return Decision::default();
        }
        let outcome = snapshot.outcome(&snapshot.search(&|| false));
        let decision = self.decision(world, outcome);
        let next = decision.next.into_iter().chain(self.looks_at_the_idle(world.now)).min();
        Decision { next, ..decision }
    }
}

/// A courier's shift, while it is not over: the roster is known in advance.
fn shift(world: &World, courier: usize) -> Option<RosteredShift> {
    let c = &world.couriers[courier];
    if c.off_at <= world.now {
        return None;
    }
    Some(RosteredShift {
        driver: driver_id(courier),
        during: Window::new(instant(c.on_at), instant(c.off_at)).ok()?,
        place: views::place(world, c.place),
        fast: true,
        slow: true,
        capacity: zone::CAPACITY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{Instance, tiny};
    use crate::simulate::simulate;
    use crate::trace::TraceRow;

    /// Two restaurants, one behind the other as seen from where couriers begin; 300 metres a minute, four minutes a stop.
    fn day(couriers: &str, orders: &str) -> Instance {
        Instance::parse(
            "meters_per_minute\tpickup service minutes\tdropoff service minutes\n300\t4\t4\n",
            &format!("courier\tx\ty\ton_time\toff_time\n{couriers}"),
            "restaurant\tx\ty\nr1\t600\t0\nr2\t900\t0\n",
            &format!("order\tx\ty\tplacement_time\trestaurant\tready_time\n{orders}"),
        )
        .unwrap()
    }

    /// The rows of the delivered orders, by their names.
    fn played(day: &Instance, rules: Rules) -> Vec<TraceRow> {
        let mut policy = Routed::new(day, rules, Budget::default());
        let mut rows = simulate(day, &mut policy, &mut |_, _| {}).rows;
        rows.sort_by(|a, b| a.order.cmp(&b.order));
        rows
    }

    fn times(row: &TraceRow) -> [f64; 3] {
        [row.assigned_at, row.picked_up_at, row.delivered_at]
    }

    #[test]
    fn a_courier_leaves_when_waiting_longer_would_make_them_late_and_not_before() {
        // Ready at 20; two minutes of way and two of service before.
        let seen = played(&day("c1\t0\t0\t0\t90\n", "o1\t600\t300\t0\tr1\t20\n"), Rules::default());
        assert_eq!(seen.iter().map(times).collect::<Vec<_>>(), [[16.0, 20.0, 25.0]]);
    }

    #[test]
    fn what_is_placed_while_a_courier_is_under_way_to_its_restaurant_joins_them() {
        let orders = "o1\t600\t300\t0\tr1\t20\no2\t600\t600\t17\tr1\t20\n";
        let seen = played(&day("c1\t0\t0\t0\t90\n", orders), Rules::default());
        assert_eq!(seen.iter().map(times).collect::<Vec<_>>(), [[16.0, 20.0, 25.0], [17.0, 20.0, 30.0]]);
        assert_eq!((&seen[0].bundle, seen[0].seq, seen[1].seq), (&seen[1].bundle, 1, 2));
    }

    #[test]
    fn a_trip_is_finished_before_the_next_pickup_unless_the_rules_let_a_courier_interleave() {
        let on_the_way = day("c1\t0\t0\t0\t90\n", "o1\t3000\t0\t0\tr1\t5\no2\t3300\t0\t0\tr2\t5\n");
        let [first, second] = played(&on_the_way, Rules::default()).try_into().expect("both are delivered");
        assert!(first.delivered_at < second.picked_up_at || second.delivered_at < first.picked_up_at);
        let weaving = Rules { interleave: true, ..Rules::default() };
        let [first, second] = played(&on_the_way, weaving).try_into().expect("both are delivered");
        assert!(first.picked_up_at < second.picked_up_at && second.picked_up_at < first.delivered_at);
    }

    #[test]
    fn nobody_picks_up_after_their_shift_and_who_comes_soon_is_waited_for() {
        // c1 is gone before the food is ready; c2 comes at 30.
        let late = day("c1\t0\t0\t0\t19\nc2\t600\t0\t30\t90\n", "o1\t600\t300\t0\tr1\t20\n");
        let seen = played(&late, Rules::default());
        assert_eq!((seen[0].courier.as_str(), seen[0].picked_up_at), ("c2", 32.0));
        let gone = day("c1\t0\t0\t0\t19\n", "o1\t600\t300\t0\tr1\t20\n");
        assert_eq!(played(&gone, Rules::default()), []);
    }

    #[test]
    fn an_idle_courier_is_sent_to_the_restaurant_that_orders_only_where_the_rules_allow_it() {
        // While one brings an order home, the other has nothing to do.
        let many: String = (0..12).map(|n| format!("a{n}\t0\t0\t{at}\tr1\t{at}\n", at = n * 10)).collect();
        let two = day("c1\t0\t0\t0\t200\nc2\t0\t0\t0\t200\n", &many);
        let to_pickup = |rules| played(&two, rules).iter().map(|r| r.picked_up_at - r.assigned_at).sum::<f64>();
        let ahead = to_pickup(Rules { send_ahead: true, ..Rules::default() });
        let not = to_pickup(Rules::default());
        assert!(ahead < not, "{ahead} minutes from assignment to pickup, {not} without");
    }

    #[test]
    fn the_same_day_with_the_same_seed_gives_the_same_trace() {
        for rules in [Rules::default(), Rules { interleave: true, send_ahead: true }] {
            let seen = played(&tiny(), rules);
            assert_eq!(seen.len(), 3);
            assert_eq!(seen, played(&tiny(), rules));
        }
    }
}
