//! Nobody is idle beside an order, however much waits and however little time there is; and what is only expected takes
//! nothing from what is real.

use std::cell::Cell;

use posthaste_matching::routed::check::check;
use posthaste_matching::routed::problem::NEVER;
use posthaste_matching::routed::{Act, Budget, Job, Opening, Plan, Problem, Routes, Vehicle, plan};
use proptest::prelude::*;

use super::{Plane, any_problem, driver, never, order, problem};

/// How many drivers have something real to do.
fn employed(plan: &Plan) -> usize {
    plan.routes.iter().filter(|route| !route.is_empty()).count()
}

fn nothing(problem: &Problem<Plane>) -> Routes {
    vec![Vec::new(); problem.drivers.len()]
}

/// So many orders between shops and doors all over a plane, all ready, and so many drivers.
fn backlog(orders: u32, drivers: u32) -> Problem<Plane> {
    let points = (0..2_000).map(|n| (n * 37 % 4_001, n * 101 % 3_989)).collect();
    let orders = (0..orders).map(|n| order(n * 7 % 1_000, 1_000 + n * 13 % 1_000, -60)).collect();
    problem(points, (0..drivers).map(|n| driver(n * 17 % 2_000)).collect(), orders)
}

/// Expected orders like the first ones of a problem: always cheaper than those.
fn expect(problem: &mut Problem<Plane>, count: usize) {
    let like = |order: &Job| Job { weight: 15, known_at: 60, ..order.clone() };
    let expected: Vec<Job> = problem.orders.iter().cycle().take(count).map(like).collect();
    problem.orders.extend(expected);
}

/// Says stop from the so-manieth time on that it is asked.
fn after(asked: usize) -> impl Fn() -> bool {
    let left = Cell::new(asked);
    move || {
        left.set(left.get().saturating_sub(1));
        left.get() == 0
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Of any problem, whenever the pass is told to stop and however few orders it may look at: the check holds it.
    #[test]
    fn whoever_is_idle_and_able_has_an_order_after_every_pass(
        problem in any_problem(14), seed: u64, stop in 0..40_usize, most in 0..16_usize, passes in 1..4_usize,
    ) {
        let mut routes = nothing(&problem);
        for pass in 0..passes {
            let budget = Budget { rounds: 10, most, seed: seed ^ pass as u64, ..Budget::default() };
            let planned = plan(&problem, routes.clone(), budget, &after(stop));
            prop_assert_eq!(check(&problem, &routes, &budget, &planned), Ok(()));
            routes = planned.routes;
        }
    }

    /// Everything on one route: whoever else is there takes what they hand over sooner, with no time and no moves left.
    #[test]
    fn nobody_stands_by_while_another_has_it_all(problem in any_problem(10), moves in 0..2_usize) {
        let mut problem = problem;
        problem.orders.iter_mut().for_each(|order| order.known_at = 0);
        problem.drivers[0].capacity = 100;
        let one = Problem { drivers: vec![problem.drivers[0].clone()], ..problem.clone() };
        let mut routes = plan(&one, vec![Vec::new()], Budget { rounds: 0, ..Budget::default() }, &never).routes;
        for act in &routes[0] {
            problem.orders[act.order() as usize].promised = Some(0);
        }
        routes.resize(problem.drivers.len(), Vec::new());
        let budget = Budget { moves, ..Budget::default() };
        let planned = plan(&problem, routes.clone(), budget, &|| true);
        prop_assert_eq!(check(&problem, &routes, &budget, &planned), Ok(()));
    }
}

#[test]
fn a_pass_that_is_told_to_stop_at_once_gives_each_of_thirty_one_of_five_thousand() {
    let mut problem = backlog(5_000, 30);
    expect(&mut problem, 500);
    let budget = Budget { most: 480, ..Budget::default() };
    let planned = plan(&problem, nothing(&problem), budget, &|| true);
    assert_eq!(employed(&planned), 30);
}

#[test]
fn what_nobody_may_look_at_in_time_is_found_for_the_one_who_may_carry_nothing_else() {
    let mut problem = backlog(3_000, 8);
    // The last driver may carry the very last order only; the one before has room for small ones, of which there is one.
    let (last, before) = (7, 6);
    for order in &mut problem.orders[..2_999] {
        order.barred = vec![last];
        order.size = 5;
    }
    problem.orders[2_998].size = 1;
    problem.drivers[before].capacity = 2;
    let budget = Budget { most: 64, ..Budget::default() };
    for stop in [true, false] {
        let planned = plan(&problem, nothing(&problem), Budget { rounds: 1, ..budget }, &move || stop);
        assert_eq!(planned.routes[last as usize], [Act::Pickup(2_999), Act::Dropoff(2_999)]);
        assert_eq!(planned.routes[before].first(), Some(&Act::Pickup(2_998)));
    }
}

#[test]
fn what_is_given_to_the_idle_is_the_most_urgent() {
    let mut problem = backlog(400, 40);
    // No order is looked at: all come from the last word.
    let budget = Budget { most: 0, ..Budget::default() };
    let planned = plan(&problem, nothing(&problem), budget, &|| true);
    let mut given: Vec<u32> = planned.routes.iter().flatten().map(|act| act.order()).collect();
    given.sort_unstable();
    given.dedup();
    let first_chosen = (0..40).filter(|o| given.contains(o)).count();
    assert_eq!((given.len(), first_chosen), (40, 40), "{given:?}");
    // Those who only come later are given nothing before those who are there.
    problem.drivers.iter_mut().skip(1).for_each(|driver| driver.at_work = false);
    let planned = plan(&problem, nothing(&problem), Budget { most: 0, ..budget }, &|| true);
    assert_eq!(planned.routes[0], [Act::Pickup(0), Act::Dropoff(0)]);
}

#[test]
fn a_hundred_expected_orders_take_no_time_from_the_real_ones() {
    let mut problem = backlog(120, 8);
    expect(&mut problem, 120);
    // Time for about forty looks: those of the real orders alone would use it up.
    let planned = plan(&problem, nothing(&problem), Budget::default(), &after(40));
    assert!(planned.unserved.len() <= 120 - 16, "{} left", planned.unserved.len());
    assert!(planned.routes.iter().flatten().all(|act| act.order() < 120));
    assert_eq!(employed(&planned), 8);
}

#[test]
fn a_low_priority_is_no_expectation() {
    let mut problem = backlog(40, 8);
    problem.orders.iter_mut().for_each(|order| order.weight = 50);
    problem.orders.iter_mut().for_each(|order| order.due = Opening { from: -NEVER, to: 2_400 });
    expect(&mut problem, 40);
    let planned = plan(&problem, nothing(&problem), Budget::default(), &|| true);
    assert_eq!(planned.unserved.len(), 40 - 16);
}

#[test]
fn a_real_order_takes_the_place_that_was_kept_for_an_expected_one() {
    // One driver with room for one trip before the shift ends: the expected orders together weigh more than the real one.
    let points = vec![(0, 0), (100, 0), (50, 0)];
    let mut problem = problem(points, vec![Vehicle { shift_end: 120, ..driver(2) }], vec![order(0, 1, 0)]);
    problem.orders[0].weight = 50;
    for _ in 0..30 {
        problem.orders.push(Job { weight: 15, known_at: 1, ..order(0, 1, 0) });
    }
    problem.drivers[0].capacity = 10;
    for seed in 0..10 {
        let planned = plan(&problem, vec![Vec::new()], Budget { rounds: 200, seed, ..Budget::default() }, &never);
        assert_eq!(planned.routes[0], [Act::Pickup(0), Act::Dropoff(0)]);
        assert!(planned.unserved.is_empty());
    }
}

#[test]
fn a_backlog_that_is_looked_at_in_part_is_worked_off_from_the_front() {
    let problem = backlog(600, 5);
    let budget = Budget { most: 64, rounds: 2, ..Budget::default() };
    let mut routes = nothing(&problem);
    for _ in 0..5 {
        let planned = plan(&problem, routes.clone(), budget, &never);
        assert_eq!(check(&problem, &routes, &budget, &planned), Ok(()));
        let planned_at_once = 600 - planned.unserved.len();
        assert!((1..=64 + 5).contains(&planned_at_once), "{planned_at_once} are planned");
        routes = planned.routes;
    }
}

#[test]
fn who_comes_to_a_full_board_takes_what_waits_behind_something_else() {
    // The first driver has three orders of the shop where the second stands; there is no time, and nothing may move.
    let points = vec![(0, 0), (900, 0), (5_000, 0)];
    let mut problem = problem(points, vec![driver(2), driver(0)], vec![order(0, 1, 0); 3]);
    problem.drivers[0].capacity = 1;
    problem.orders.iter_mut().for_each(|order| order.promised = Some(0));
    let route: Vec<Act> = (0..3).flat_map(|o| [Act::Pickup(o), Act::Dropoff(o)]).collect();
    let budget = Budget { moves: 0, ..Budget::default() };
    let planned = plan(&problem, vec![route.clone(), Vec::new()], budget, &|| true);
    assert_eq!(planned.routes[1], [Act::Pickup(1), Act::Dropoff(1)], "then all behind it comes sooner too");
    problem.drivers[1].at_work = false;
    let planned = plan(&problem, vec![route.clone(), Vec::new()], budget, &|| true);
    assert_eq!(planned.routes[0], route, "who comes later is planned for by the search");
}
