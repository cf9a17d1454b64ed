//! Single stories.

use posthaste_matching::routed::check::check;
use posthaste_matching::routed::explain::{Constraint, alternatives};
use posthaste_matching::routed::{Act, Budget, Job, Routes, Vehicle, plan};

use super::{WAYS_ALONE, driver, never, order, problem};

#[test]
fn two_orders_of_one_shop_go_together_when_that_serves_both() {
    let points = vec![(0, 0), (1000, 0), (1010, 0), (0, 50)];
    let planned = plan(
        &problem(points, vec![driver(3)], vec![order(0, 1, 0), order(0, 2, 0)]),
        vec![Vec::new()],
        Budget::default(),
        &never,
    );
    assert_eq!(planned.routes[0][..2].iter().filter(|a| matches!(a, Act::Pickup(_))).count(), 2);
    assert!(planned.unserved.is_empty());
}

#[test]
fn a_driver_leaves_as_late_as_serves_the_order() {
    let points = vec![(0, 0), (500, 0), (0, 100)];
    let problem = problem(points, vec![driver(2)], vec![order(0, 1, 600)]);
    let route = [Act::Pickup(0), Act::Dropoff(0)];
    // Ready at 600, 20 to park, 100 on the way.
    assert_eq!(problem.leave_at(0, &route), Some(480));
    assert_eq!(problem.moments(0, &route)[0], 600);
}

#[test]
fn an_expected_order_keeps_the_near_driver_free() {
    // Two drivers; the order is not ready for long, so the far one is in time too; near the shop another is expected.
    let points = vec![(0, 0), (400, 0), (20, 0), (300, 300)];
    let orders = vec![order(0, 1, 700)];
    let mut expected = order(0, 3, 200);
    (expected.weight, expected.known_at) = (20, 100);
    let with = problem(points, vec![driver(2), driver(1)], [orders, vec![expected]].concat());
    let planned = plan(&with, vec![Vec::new(), Vec::new()], Budget::default(), &never);
    assert!(planned.routes[1].contains(&Act::Pickup(0)), "{planned:?}");
}

#[test]
fn more_orders_than_a_round_looks_at_are_each_there_once() {
    let points = (0..300).map(|n| (n * 37 % 900, n * 101 % 900)).collect();
    let orders: Vec<Job> = (0..140).map(|n| order(10 + n, 150 + n, 60)).collect();
    // Where waiting costs nothing, an order put back twice looks nearly free.
    let mut problem = problem(points, (0..10).map(driver).collect(), orders);
    problem.weights = WAYS_ALONE;
    problem.interleave = true;
    let routes: Routes = vec![Vec::new(); 10];
    for seed in 0..2 {
        let budget = Budget { rounds: 80, seed, ..Budget::default() };
        let planned = plan(&problem, routes.clone(), budget, &never);
        assert_eq!(check(&problem, &routes, &budget, &planned), Ok(()));
    }
}

#[test]
fn a_promise_moves_only_for_a_gain_above_the_threshold() {
    let points = vec![(0, 0), (500, 0), (300, 0), (200, 0)];
    let mut told = order(0, 1, 0);
    told.promised = Some(0);
    let mut problem = problem(points, vec![driver(2), driver(3)], vec![told]);
    let routes = || vec![vec![Act::Pickup(0), Act::Dropoff(0)], Vec::new()];
    problem.weights.moved = 100 * 99;
    assert!(plan(&problem, routes(), Budget::default(), &never).routes[0].is_empty(), "100 seconds are gained");
    problem.weights.moved = 100 * 101;
    assert!(plan(&problem, routes(), Budget::default(), &never).routes[1].is_empty());
    problem.weights.moved = 0;
    let capped = Budget { moves: 0, ..Budget::default() };
    assert!(plan(&problem, routes(), capped, &never).routes[1].is_empty());
}

#[test]
fn a_plan_that_is_told_to_stop_is_a_plan() {
    let points = vec![(0, 0), (500, 0), (300, 0)];
    let problem = problem(points, vec![driver(2)], vec![order(0, 1, 0)]);
    let kept = vec![vec![Act::Pickup(0), Act::Dropoff(0)]];
    let planned = plan(&problem, kept.clone(), Budget::default(), &|| true);
    assert_eq!(planned.routes, kept);
}

#[test]
fn a_backlog_shrinks_from_pass_to_pass_however_little_time_there_is() {
    let points = vec![(0, 0), (500, 0), (300, 0)];
    let problem = problem(points, vec![driver(2); 5], vec![order(0, 1, 0); 100]);
    let (mut routes, mut left) = (vec![Vec::new(); 5], 100);
    while left > 0 {
        let planned = plan(&problem, routes, Budget::default(), &|| true);
        assert!(planned.unserved.len() < left && planned.unserved.len() + 20 > left, "{left}");
        (routes, left) = (planned.routes, planned.unserved.len());
    }
}

#[test]
fn it_says_what_another_driver_would_cost_and_what_forbids_each() {
    let points = vec![(0, 0), (500, 0), (100, 0), (200, 0)];
    let mut carried = order(0, 1, 0);
    carried.barred = vec![2];
    carried.size = 5;
    let drivers = vec![
        driver(2),
        driver(3),
        driver(2),
        Vehicle { capacity: 4, ..driver(2) },
        Vehicle { shift_end: 50, ..driver(2) },
    ];
    let problem = problem(points, drivers, vec![carried]);
    let routes = plan(&problem, vec![Vec::new(); 5], Budget::default(), &never).routes;
    let said: Vec<_> = alternatives(&problem, &routes, 0, usize::MAX).into_iter().map(|a| (a.driver, a.cost)).collect();
    let alone = 100 * (100 + 20 + 30 + 500 + 20);
    assert_eq!(
        said,
        [
            (0, Ok(alone)),
            (1, Ok(alone + 100 * 100)),
            (2, Err(Constraint::Barred)),
            (3, Err(Constraint::Capacity)),
            (4, Err(Constraint::ShiftEnds)),
        ]
    );
}

#[test]
fn one_order_into_routes_in_hand_is_found_without_a_search() {
    let points = vec![(0, 0), (500, 0), (100, 0), (200, 0), (520, 0)];
    let problem = problem(points, vec![driver(2), driver(3)], vec![order(0, 1, 0), order(0, 4, 0)]);
    let routes = vec![vec![Act::Pickup(0), Act::Dropoff(0)], Vec::new()];
    let costs: Vec<i64> = (0..2).map(|d| problem.route_cost(d, &routes[d]).unwrap()).collect();
    let found = problem.cheapest_insertion(&routes, &costs, 1).unwrap();
    // Joining the visit costs the way from door to door and a service, less than a second driver's farther way.
    assert_eq!((found.driver, found.pickup_at, found.dropoff_at), (0, 1, 2));
}

#[test]
fn what_would_lose_most_with_another_driver_is_placed_first() {
    // A shop beside the first driver; the second cannot be there in time for the order that has to be.
    let points = vec![(0, 0), (1000, 0), (10, 0), (500, 0)];
    let mut easy = order(2, 3, 0);
    easy.due.to = 10_000;
    let mut hard = order(2, 3, 0);
    hard.strict = true;
    hard.due.to = 600;
    // Nobody is there yet, or whoever is left idle would be given the other order in the end.
    let to_come = |place| Vehicle { capacity: 1, at_work: false, ..driver(place) };
    let problem = problem(points, vec![to_come(0), to_come(1)], vec![easy, hard]);
    let begin = |regret| {
        let budget = Budget { rounds: 0, regret, ..Budget::default() };
        plan(&problem, vec![Vec::new(); 2], budget, &never)
    };
    let (by_cost, by_both) = (begin(0), begin(8));
    assert!(by_both.cost < by_cost.cost, "{by_cost:?} {by_both:?}");
    assert!(by_both.unserved.is_empty());
}
