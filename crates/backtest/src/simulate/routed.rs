//! The policy `routed` in a simulated day: the solver of the product, on the day's numbers.

use std::collections::HashMap;

use posthaste_matching::routed::forecast::{Forecast, Seen};
use posthaste_matching::routed::problem::{DriverIndex, NEVER, OrderIndex};
use posthaste_matching::routed::standby::{Eagerness, Stand, send_ahead};
use posthaste_matching::routed::{Act, Budget, Driver, Opening, Order, Problem, Routes, Second, Weights, plan};

use super::policy::{Decision, Policy, orders_of};
use super::world::{PlaneTravel, Stage, World};

/// Nobody is sent ahead whose shift ends sooner than this.
const SHORTEST_STAND: Second = 1_800;

/// How `routed` plays a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Work for a pass.
    pub budget: Budget,
    /// Prices.
    pub weights: Weights,
    /// What is expected.
    pub forecast: Forecast,
    /// Whether couriers pick up elsewhere while they carry.
    pub interleave: bool,
    /// Whether idle couriers are sent to restaurants ahead of work.
    pub send_ahead: bool,
    /// How eagerly.
    pub eagerness: Eagerness,
    /// Couriers whose shift begins within this many seconds are planned for.
    pub roster_ahead: Second,
    /// Orders are due this many seconds after their placement.
    pub due_after: Second,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            weights: Weights::default(),
            forecast: Forecast::default(),
            interleave: false,
            send_ahead: false,
            eagerness: Eagerness::default(),
            roster_ahead: 1_800,
            due_after: 2_400,
        }
    }
}

/// The policy.
#[derive(Debug, Clone)]
pub struct Routed {
    settings: Settings,
    passes: u64,
}

impl Routed {
    /// With these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, passes: 0 }
    }

    fn order(&self, world: &World, order: usize) -> Order {
        let o = &world.orders[order];
        Order {
            ready: Opening { from: o.ready_at - world.now, to: NEVER },
            due: Opening { from: -NEVER, to: o.placed_at + self.settings.due_after - world.now },
            pickup_service: world.pickup_service,
            dropoff_service: world.dropoff_service,
            ..Order::between(o.pickup, o.dropoff)
        }
    }

    fn driver(world: &World, courier: usize) -> Driver {
        let c = &world.couriers[courier];
        let assigned = |order: &u32| world.orders[*order as usize].stage == Stage::Assigned;
        let (place, free_at, bound) = match (c.heading, c.route.first()) {
            (Some((place, arrival)), Some(Act::Dropoff(_))) => (place, arrival, 1),
            (Some((place, arrival)), _) => {
                let bound = world.visit_at(courier, place).iter().take_while(|o| assigned(o)).count();
                (place, arrival, bound)
            }
            (None, _) => (c.place, c.free_at, 0),
        };
        let aboard = orders_of(&c.route).filter(|o| world.orders[*o as usize].stage == Stage::Aboard).count();
        Driver {
            place,
            free_at: free_at - world.now,
            pace: 100,
            shift_end: c.off_at - world.now,
            capacity: i64::MAX / 2,
            load: i64::try_from(aboard).unwrap_or(i64::MAX),
            bound: u32::try_from(bound).unwrap_or(u32::MAX),
            at_work: c.on_at <= world.now,
        }
    }

    fn seen(world: &World) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        for o in world.orders.iter().filter(|o| o.stage != Stage::Hidden) {
            seen.push(Seen {
                known_at: o.placed_at - world.now,
                pickup: o.pickup,
                dropoff: o.dropoff,
                preparation: o.ready_at - o.placed_at,
            });
        }
        seen
    }

    fn expected(&self, world: &World, seen: &[Seen]) -> Vec<Order> {
        let since = world.first_placement() - world.now;
        let service = (world.pickup_service, world.dropoff_service);
        self.settings.forecast.sample(seen, since, service, self.settings.budget.seed ^ self.passes)
    }
}

impl Policy for Routed {
    fn decide(&mut self, world: &World) -> Decision {
        self.passes += 1;
        let open: Vec<usize> = (0..world.orders.len())
            .filter(|o| world.orders[*o].stage > Stage::Hidden && world.orders[*o].stage < Stage::Delivered)
            .collect();
        let index: HashMap<u32, OrderIndex> = open.iter().zip(0..).map(|(o, n)| (to_u32(*o), n)).collect();
        let present: Vec<usize> = (0..world.couriers.len())
            .filter(|c| {
                let c = &world.couriers[*c];
                !c.route.is_empty() || (c.on_at <= world.now + self.settings.roster_ahead && c.off_at >= world.now)
            })
            .collect();
        let mut orders: Vec<Order> = open.iter().map(|o| self.order(world, *o)).collect();
        let mut routes: Routes = Vec::with_capacity(present.len());
        for (courier, d) in present.iter().zip(0..) {
            let route = &world.couriers[*courier].route;
            for order in orders_of(route) {
                let mine = &mut orders[index[&order] as usize];
                let promised: Option<DriverIndex> = Some(d);
                match world.orders[order as usize].stage {
                    Stage::Open => mine.promised = promised,
                    _ => mine.pinned = promised,
                }
            }
            routes.push(route.iter().map(|act| renamed(*act, |o| index[&o])).collect());
        }
        let real = to_u32(orders.len());
        let seen = Self::seen(world);
        orders.extend(self.expected(world, &seen));
        let problem: Problem<&PlaneTravel> = Problem {
            travel: &world.travel,
            drivers: present.iter().map(|c| Self::driver(world, *c)).collect(),
            orders,
            interleave: self.settings.interleave,
            weights: self.settings.weights,
        };
        let budget = Budget { seed: self.settings.budget.seed ^ self.passes, ..self.settings.budget };
        let planned = plan(&problem, routes, budget, &|| false);
        let mut decision = Self::decision(world, &present, &open, real, &planned.routes);
        if self.settings.send_ahead {
            let stands = present.iter().zip(&planned.routes).enumerate();
            let fleet: Vec<Stand> = stands
                .map(|(d, (courier, route))| Self::stands(world, &problem, d, *courier, &without_expected(route, real)))
                .collect();
            let sent = send_ahead(&world.travel, &fleet, &seen, self.settings.eagerness);
            decision.sent_ahead = sent.into_iter().map(|(d, place)| (present[d], place)).collect();
        }
        decision
    }
}

impl Routed {
    /// Where a courier is free next, once he has done what is planned for him; idle when that is nothing.
    fn stands(world: &World, problem: &Problem<&PlaneTravel>, d: usize, courier: usize, route: &[Act]) -> Stand {
        let c = &world.couriers[courier];
        let driver = &problem.drivers[d];
        let Some(last) = route.last() else {
            let works = c.on_at <= world.now && c.off_at >= world.now + SHORTEST_STAND;
            let idle = c.heading.is_none() && c.free_at <= world.now && works;
            // One who was sent ahead counts as there.
            let free_at = if c.heading.is_some() { 0 } else { driver.free_at };
            return Stand { place: driver.place, free_at, idle };
        };
        let order = &problem.orders[last.order() as usize];
        let moment = problem.moments(d, route).last().copied().unwrap_or(0);
        Stand { place: order.dropoff, free_at: moment + order.dropoff_service.after, idle: false }
    }

    fn decision(world: &World, present: &[usize], open: &[usize], real: OrderIndex, planned: &Routes) -> Decision {
        let couriers = world.couriers.len();
        let mut decision = Decision { routes: vec![Vec::new(); couriers], sent_ahead: Vec::new() };
        for (d, courier) in present.iter().enumerate() {
            let route = &planned[d];
            let kept = route.iter().filter(|act| act.order() < real);
            decision.routes[*courier] = kept.map(|act| renamed(*act, |o| to_u32(open[o as usize]))).collect();
        }
        decision
    }
}

/// A route without what is only expected.
fn without_expected(route: &[Act], real: OrderIndex) -> Vec<Act> {
    route.iter().copied().filter(|act| act.order() < real).collect()
}

fn renamed(act: Act, name: impl Fn(u32) -> u32) -> Act {
    match act {
        Act::Pickup(order) => Act::Pickup(name(order)),
        Act::Dropoff(order) => Act::Dropoff(name(order)),
    }
}

fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
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
    fn played(day: &Instance, settings: Settings) -> Vec<TraceRow> {
        let mut rows = simulate(day, &mut Routed::new(settings), &mut |_, _| {}).rows;
        rows.sort_by(|a, b| a.order.cmp(&b.order));
        rows
    }

    fn times(row: &TraceRow) -> [f64; 3] {
        [row.assigned_at, row.picked_up_at, row.delivered_at]
    }

    #[test]
    fn a_courier_leaves_when_waiting_longer_would_make_him_late_and_not_before() {
        // Ready at 20; two minutes of way and two of service before.
        let seen = played(&day("c1\t0\t0\t0\t90\n", "o1\t600\t300\t0\tr1\t20\n"), Settings::default());
        assert_eq!(seen.iter().map(times).collect::<Vec<_>>(), [[16.0, 20.0, 25.0]]);
    }

    #[test]
    fn what_is_placed_while_he_is_under_way_to_its_restaurant_joins_him() {
        let orders = "o1\t600\t300\t0\tr1\t20\no2\t600\t600\t17\tr1\t20\n";
        let seen = played(&day("c1\t0\t0\t0\t90\n", orders), Settings::default());
        assert_eq!(seen.iter().map(times).collect::<Vec<_>>(), [[16.0, 20.0, 25.0], [17.0, 20.0, 30.0]]);
        assert_eq!((&seen[0].bundle, seen[0].seq, seen[1].seq), (&seen[1].bundle, 1, 2));
    }

    #[test]
    fn a_trip_is_finished_before_the_next_pickup_unless_the_rules_let_him_interleave() {
        let on_the_way = day("c1\t0\t0\t0\t90\n", "o1\t1500\t0\t0\tr1\t5\no2\t1800\t0\t0\tr2\t5\n");
        let [first, second] = played(&on_the_way, Settings::default()).try_into().expect("both are delivered");
        assert!(first.delivered_at < second.picked_up_at || second.delivered_at < first.picked_up_at);
        let weaving = Settings { interleave: true, ..Settings::default() };
        let [first, second] = played(&on_the_way, weaving).try_into().expect("both are delivered");
        assert!(first.picked_up_at < second.picked_up_at && second.picked_up_at < first.delivered_at);
    }

    #[test]
    fn nobody_picks_up_after_his_shift_and_who_comes_soon_is_waited_for() {
        // c1 is gone before the food is ready; c2 comes at 30.
        let late = day("c1\t0\t0\t0\t19\nc2\t600\t0\t30\t90\n", "o1\t600\t300\t0\tr1\t20\n");
        let seen = played(&late, Settings::default());
        assert_eq!((seen[0].courier.as_str(), seen[0].picked_up_at), ("c2", 32.0));
        let gone = day("c1\t0\t0\t0\t19\n", "o1\t600\t300\t0\tr1\t20\n");
        assert_eq!(played(&gone, Settings::default()), []);
    }

    #[test]
    fn an_idle_courier_is_sent_to_the_restaurant_that_orders_only_where_the_rules_allow_it() {
        // While one brings an order home, the other has nothing to do.
        let many: String = (0..12).map(|n| format!("a{n}\t0\t0\t{at}\tr1\t{at}\n", at = n * 10)).collect();
        let two = day("c1\t0\t0\t0\t200\nc2\t0\t0\t0\t200\n", &many);
        let to_pickup = |settings| played(&two, settings).iter().map(|r| r.picked_up_at - r.assigned_at).sum::<f64>();
        let ahead = to_pickup(Settings { send_ahead: true, ..Settings::default() });
        let not = to_pickup(Settings::default());
        assert!(ahead < not, "{ahead} minutes from assignment to pickup, {not} without");
    }

    #[test]
    fn the_same_day_with_the_same_seed_gives_the_same_trace() {
        for settings in [Settings::default(), Settings { interleave: true, send_ahead: true, ..Settings::default() }] {
            let seen = played(&tiny(), settings);
            assert_eq!(seen.len(), 3);
            assert_eq!(seen, played(&tiny(), settings));
        }
    }
}
