//! From a zone to what is done: the snapshot and the outcome on random zones, as a running server and a simulated day
//! go through them.

use std::collections::{HashMap, HashSet};

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use posthaste_domain::order::{Speed, TaskKind, TaskStatus};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::{Policy, ZoneRules};
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{Distance, StraightLine, VehicleSpeed};
use posthaste_matching::routed::Budget;
use posthaste_matching::routed::input::{
    DriverInput, DriverWork, Input, Intended, MOST_MOVED, MOVE_GAIN, OrderInHand, RosteredShift, SeenOrders,
    TaskInHand, WaitingOrder, Whereabouts,
};
use posthaste_matching::routed::outcome::{Outcome, Why};
use posthaste_matching::{DriverView, OrderView, Stop};
use proptest::prelude::*;

/// Metres in a degree of the plane, where a metre takes a second.
const DEGREE: f64 = 111_320.0;
const SERVICE: Span = Span::seconds(60);

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000)
}

fn id<T: Id>(n: usize) -> T {
    T::from_uuid(uuid::Uuid::from_u128(n as u128 + 1))
}

fn at(meters: i32) -> Place {
    Place::new(0.0, f64::from(meters) / DEGREE).expect("a place near the origin")
}

fn order(n: usize, pickup: i32, door: i32, ready: i64) -> OrderView {
    let ready_at = Some(now() + Span::seconds(ready));
    OrderView {
        id: id(n),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        placed_at: now() - Span::minutes(5),
        promised_at: now() + Span::minutes(30),
        window: None,
        pickups: vec![Stop { place: at(pickup), service: SERVICE, ready_at }],
        delivery: Stop { place: at(door), service: SERVICE, ready_at: None },
        cooling: Vec::new(),
    }
}

fn waiting(view: OrderView) -> WaitingOrder {
    let gives_up_at = now() + Span::hours(4);
    WaitingOrder { view, asked: None, gives_up_at, refused: Vec::new(), may_be_recorded: true }
}

/// How far an order in hand is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Progress {
    Assigned,
    ToPickup,
    AtPickup,
    Aboard,
    ToDoor,
    AtDoor,
}

fn in_hand(n: usize, view: OrderView, progress: Progress) -> OrderInHand {
    use Progress::{Aboard, Assigned, AtDoor, AtPickup, ToDoor, ToPickup};
    let pickup = match progress {
        Assigned => TaskStatus::Assigned,
        ToPickup => TaskStatus::EnRoute,
        AtPickup => TaskStatus::Arrived,
        Aboard | ToDoor | AtDoor => TaskStatus::Done,
    };
    let door = match progress {
        ToDoor => TaskStatus::EnRoute,
        AtDoor => TaskStatus::Arrived,
        _ => TaskStatus::Assigned,
    };
    let task = |second: usize, kind, status, stop| TaskInHand {
        id: id(2 * n + second),
        kind,
        status,
        arrived_at: (status == TaskStatus::Arrived).then(now),
        stop,
    };
    let tasks =
        vec![task(0, TaskKind::Pickup, pickup, view.pickups[0]), task(1, TaskKind::Delivery, door, view.delivery)];
    OrderInHand { view, tasks }
}

fn driver(n: usize, place: i32, orders: Vec<OrderInHand>) -> DriverInput {
    let view = DriverView {
        id: id(n),
        place: at(place),
        shift: Shift::Available { until: None },
        stale: false,
        vehicle: VehicleSpeed::NORMAL,
        fast: true,
        slow: true,
        capacity: 100,
        open_orders: 0,
        commitments: Vec::new(),
    };
    DriverInput { view, work: Some(DriverWork { orders, ..DriverWork::default() }) }
}

fn zone(drivers: Vec<DriverInput>, waiting: Vec<WaitingOrder>) -> Input {
    let plane = StraightLine {
        distance: Distance::Plane,
        detour_factor: 1.0,
        speed_meters_per_second: 1.0,
        round_up_to_seconds: None,
    };
    Input {
        now: now(),
        rules: ZoneRules { policy: Policy::Routed, ..ZoneRules::default() },
        travel: plane,
        drivers,
        roster: Vec::new(),
        waiting,
        seen: SeenOrders::default(),
        generation: 1,
        budget: Budget { rounds: 60, seed: 1, ..Budget::default() },
    }
}

fn pass(input: Input, whereabouts: &mut Whereabouts, intended: &Intended) -> Outcome {
    let snapshot = input.snapshot(whereabouts, intended);
    snapshot.outcome(&snapshot.search(&|| false))
}

/// A zone, and what the plan before meant.
#[derive(Debug, Clone)]
struct Given {
    input: Input,
    intended: Intended,
}

impl Given {
    fn pass(&self) -> Outcome {
        pass(self.input.clone(), &mut Whereabouts::default(), &self.intended)
    }

    /// Every order in hand and whose it is.
    fn in_hand(&self) -> impl Iterator<Item = (DriverId, &OrderInHand)> {
        self.input.drivers.iter().flat_map(|d| d.work.iter().flat_map(|w| &w.orders).map(|order| (d.view.id, order)))
    }
}

prop_compose! {
    fn any_in_hand()(
        pickup in 0..900_i32, door in 0..900_i32, ready in -300..900_i64, progress in 0..6_usize,
    ) -> (i32, i32, i64, usize) {
        (pickup, door, ready, progress)
    }
}

prop_compose! {
    fn any_driver()(
        place in 0..900_i32,
        // At work, on a break, or to come.
        kind in prop_oneof![5 => Just(0_u8), 1 => Just(1), 1 => Just(2)],
        orders in prop::collection::vec(any_in_hand(), 0..3),
    ) -> (i32, u8, Vec<(i32, i32, i64, usize)>) {
        (place, kind, orders)
    }
}

prop_compose! {
    fn any_waiting()(
        pickup in 0..900_i32, door in 0..900_i32, ready in -300..2_000_i64,
        asked in prop::option::weighted(0.1, 0..3_usize),
        meant_for in prop::option::weighted(0.5, 0..3_usize),
        gives_up in prop_oneof![4 => Just(14_400_i64), 1 => 10..400_i64],
        may_be_recorded in prop::bool::weighted(0.8),
        size in prop_oneof![6 => Just(1_u32), 1 => Just(1_000)],
    ) -> (WaitingOrder, Option<usize>) {
        let view = OrderView { size, ..order(0, pickup, door, ready) };
        let gives_up_at = now() + Span::seconds(gives_up);
        (WaitingOrder { asked: asked.map(id), gives_up_at, may_be_recorded, ..waiting(view) }, meant_for)
    }
}

prop_compose! {
    fn any_zone()(
        drivers in prop::collection::vec(any_driver(), 1..4),
        orders in prop::collection::vec(any_waiting(), 0..8),
        interleave: bool,
    ) -> Given {
        let mut input = zone(Vec::new(), Vec::new());
        input.rules.interleave = interleave;
        let mut number = 100;
        for (d, (place, kind, orders)) in drivers.into_iter().enumerate() {
            if kind == 2 {
                let during = Window::new(now() + Span::minutes(5), now() + Span::hours(3)).expect("a window");
                let shift =
                    RosteredShift { driver: id(d), during, place: Some(at(place)), fast: true, slow: true, capacity: 9 };
                input.roster.push(shift);
                continue;
            }
            let orders = orders.into_iter().enumerate().map(|(n, (pickup, door, ready, progress))| {
                use Progress::{Aboard, Assigned, AtDoor, AtPickup, ToDoor, ToPickup};
                let all = [Assigned, Aboard, ToPickup, AtPickup, ToDoor, AtDoor];
                number += 1;
                // One thing at a time.
                in_hand(number, order(number, pickup, door, ready), all[if n == 0 { progress } else { progress % 2 }])
            });
            let mut driver = driver(d, place, orders.collect());
            if kind == 1 {
                driver.view.shift = Shift::OnBreak { until: None };
            }
            input.drivers.push(driver);
        }
        let mut intended = Intended::new();
        for (n, (mut waiting, meant_for)) in orders.into_iter().enumerate() {
            waiting.view.id = id(500 + n);
            if let Some(driver) = meant_for {
                let acts = [TaskKind::Pickup, TaskKind::Delivery].map(|kind| (waiting.view.id, kind));
                intended.entry(id(driver)).or_default().extend(acts);
            }
            input.waiting.push(waiting);
        }
        Given { input, intended }
    }
}

/// On whose planned routes an order is, once for each act.
fn routes_of(outcome: &Outcome, order: OrderId) -> Vec<(DriverId, TaskKind)> {
    let acts = outcome.intended.iter().flat_map(|(driver, acts)| acts.iter().map(|act| (*driver, *act)));
    acts.filter(|(_, (known, _))| *known == order).map(|(driver, (_, kind))| (driver, kind)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_a_driver_is_under_way_to_comes_first_and_stays_theirs(given in any_zone()) {
        let outcome = given.pass();
        for (driver, order) in given.in_hand() {
            let under_way = |t: &&TaskInHand| matches!(t.status, TaskStatus::EnRoute | TaskStatus::Arrived);
            let Some(task) = order.tasks.iter().find(under_way) else { continue };
            let Some(acts) = outcome.intended.get(&driver) else {
                // Who takes no work is not planned for.
                prop_assert!(outcome.routes.iter().all(|(planned, _)| *planned != driver));
                continue;
            };
            prop_assert_eq!(acts[0], (order.view.id, task.kind));
        }
    }

    #[test]
    fn locked_acts_are_where_they_were(given in any_zone()) {
        let snapshot = given.input.snapshot(&mut Whereabouts::default(), &given.intended);
        let routes = snapshot.search(&|| false);
        for (d, before) in snapshot.routes().iter().enumerate() {
            let locked = snapshot.problem().drivers[d].locked_acts as usize;
            prop_assert_eq!(&routes[d][..locked], &before[..locked]);
        }
    }

    #[test]
    fn every_order_that_waits_is_offered_or_has_a_reason(given in any_zone()) {
        let outcome = given.pass();
        let offered = outcome.steps.iter().map(|step| step.order);
        let mut told: Vec<OrderId> = offered.chain(outcome.waits.iter().map(|wait| wait.order)).collect();
        told.sort_unstable();
        let free = given.input.waiting.iter().filter(|waiting| waiting.asked.is_none());
        let mut free: Vec<OrderId> = free.map(|waiting| waiting.view.id).collect();
        free.sort_unstable();
        prop_assert_eq!(told, free, "each once, and nobody else");
        let may_be_recorded: HashMap<OrderId, bool> =
            given.input.waiting.iter().map(|waiting| (waiting.view.id, waiting.may_be_recorded)).collect();
        for wait in &outcome.waits {
            let planned = routes_of(&outcome, wait.order);
            match &wait.why {
                Why::NotYet { driver, picked_up } => {
                    prop_assert_eq!(planned.len(), 2);
                    prop_assert!(planned.iter().all(|(planned, _)| planned == driver) && *picked_up >= now());
                }
                Why::Nobody(nobody) => {
                    prop_assert!(planned.is_empty() && may_be_recorded[&wait.order]);
                    prop_assert!(!nobody.summary.is_empty());
                    let counted: usize = nobody.forbidden.values().sum();
                    prop_assert_eq!(counted, nobody.candidates.len());
                }
                // So few are all explained, but for those of which it was recorded a moment ago.
                Why::LeftOut => prop_assert!(planned.is_empty() && !may_be_recorded[&wait.order]),
            }
        }
    }

    #[test]
    fn nothing_is_offered_to_who_is_not_at_work(given in any_zone()) {
        let works = |d: &&DriverInput| matches!(d.view.shift, Shift::Available { .. });
        let at_work: HashSet<DriverId> = given.input.drivers.iter().filter(works).map(|d| d.view.id).collect();
        let outcome = given.pass();
        prop_assert!(outcome.steps.iter().all(|step| at_work.contains(&step.driver)));
        for step in &outcome.steps {
            prop_assert!(now() <= step.leaves && step.leaves <= step.picked_up && step.picked_up <= step.handed_over);
            prop_assert!(step.route.contains(&step.order));
            prop_assert_eq!(step.reasons.driver_id, step.driver);
        }
    }

    #[test]
    fn a_plan_that_is_carried_out_keeps_every_commitment(given in any_zone()) {
        let works = |d: &&DriverInput| matches!(d.view.shift, Shift::Available { .. });
        let mut given = given;
        let mut whereabouts = Whereabouts::default();
        for round in 0..3 {
            let outcome = pass(given.input.clone(), &mut whereabouts, &given.intended);
            let at_work: HashSet<DriverId> = given.input.drivers.iter().filter(works).map(|d| d.view.id).collect();
            for (driver, order) in given.in_hand().filter(|(driver, _)| at_work.contains(driver)) {
                let id = order.view.id;
                let planned = routes_of(&outcome, id);
                prop_assert!(planned.iter().all(|(other, _)| *other == driver), "{id} of {driver}: {planned:?}");
                prop_assert!(planned.iter().any(|(_, kind)| *kind == TaskKind::Delivery), "{id} is not brought");
                prop_assert!(outcome.steps.iter().all(|step| step.order != id));
                prop_assert!(outcome.waits.iter().all(|wait| wait.order != id));
                prop_assert!(outcome.moved.iter().all(|moved| moved.order != id));
            }
            // Everybody accepts, and stays where they are for a minute.
            for step in &outcome.steps {
                let n = given.input.waiting.iter().position(|w| w.view.id == step.order).expect("it waited");
                let view = given.input.waiting.remove(n).view;
                let driver = given.input.drivers.iter_mut().find(|d| d.view.id == step.driver).expect("they work");
                let work = driver.work.as_mut().expect("it is known");
                work.orders.push(in_hand(1_000 * (round + 1) + n, view, Progress::Assigned));
            }
            given.intended = outcome.intended;
            given.input.now += Span::minutes(1);
            given.input.generation += 1;
        }
    }

    #[test]
    fn the_same_zone_has_the_same_outcome_in_whatever_order_it_is_told(given in any_zone()) {
        let mut other = given.clone();
        other.input.drivers.reverse();
        other.input.waiting.reverse();
        other.input.roster.reverse();
        let outcome = given.pass();
        prop_assert_eq!(&outcome, &given.pass());
        prop_assert_eq!(&outcome, &other.pass());
    }

    #[test]
    fn an_order_moves_for_a_gain_and_not_for_less(nearer in 0..400_i32) {
        // A metre is a second: the other is so many seconds sooner at the shop and at the door.
        let drivers = vec![driver(1, 0, Vec::new()), driver(2, 2_000 - nearer, Vec::new())];
        let input = zone(drivers, vec![waiting(order(9, 1_000, 1_500, -300))]);
        let meant = [TaskKind::Pickup, TaskKind::Delivery].map(|kind| (id(9), kind)).to_vec();
        let outcome = pass(input, &mut Whereabouts::default(), &Intended::from([(id(1), meant)]));
        let gains = i64::from(nearer) * 100 > MOVE_GAIN;
        prop_assert_eq!(outcome.moved.len(), usize::from(gains));
        prop_assert_eq!(outcome.steps[0].driver, if gains { id(2) } else { id::<DriverId>(1) });
    }
}

#[test]
fn no_more_orders_move_in_one_plan_than_people_get_used_to() {
    // Somebody stands at the shop; everything was meant for somebody far away.
    let many = 3 * MOST_MOVED;
    let orders = (0..many).map(|n| waiting(order(100 + n, 0, 10 * i32::try_from(n).expect("few"), -300)));
    let input = zone(vec![driver(1, 8_000, Vec::new()), driver(2, 0, Vec::new())], orders.collect());
    let meant = (0..many).flat_map(|n| [TaskKind::Pickup, TaskKind::Delivery].map(|kind| (id(100 + n), kind)));
    let intended = Intended::from([(id(1), meant.collect())]);
    let outcome = pass(input, &mut Whereabouts::default(), &intended);
    let moved = outcome.moved.len();
    assert!((MOST_MOVED / 2..=MOST_MOVED).contains(&moved), "{moved} moved, and nearly all would gain");
    assert!(outcome.moved.iter().all(|moved| (moved.from, moved.to) == (id(1), id(2))));
}
