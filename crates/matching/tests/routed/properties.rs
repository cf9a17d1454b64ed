//! Plans of random problems have every property.

use posthaste_matching::routed::check::check;
use posthaste_matching::routed::{Act, Budget, Routes, plan};
use proptest::prelude::*;

use super::{WAYS_ALONE, any_problem, known, never, referee};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_plan_has_every_property(problem in any_problem(14), seed: u64, moves in 0..4_usize) {
        let budget = Budget { rounds: 60, seed, moves, ..Budget::default() };
        // What was told before is kept where it can be, so that a cap of moves has something to cap.
        let told: Routes = vec![Vec::new(); problem.drivers.len()];
        let first = plan(&problem, told, Budget { moves: usize::MAX, ..budget }, &never);
        let mut problem = problem;
        for (d, route) in first.routes.iter().enumerate() {
            for act in route {
                problem.orders[act.order() as usize].promised = Some(u32::try_from(d).unwrap());
            }
        }
        let again = plan(&problem, first.routes.clone(), budget, &never);
        prop_assert_eq!(check(&problem, &first.routes, &budget, &again), Ok(()));
        prop_assert_eq!(referee::cost(&problem, &again.routes), Some(again.cost));
    }

    #[test]
    fn so_has_one_that_is_made_when_the_world_has_moved_on(
        problem in any_problem(14), seed: u64, moves in 0..4_usize,
        later in prop::collection::vec((0..1500, 0..3000, prop::bool::weighted(0.2)), 3),
    ) {
        let none: Routes = vec![Vec::new(); problem.drivers.len()];
        let first = plan(&problem, none, Budget { rounds: 30, seed, ..Budget::default() }, &never);
        let mut problem = problem;
        for (d, (route, (delay, shorter, declines))) in first.routes.iter().zip(later).enumerate() {
            let driver = u32::try_from(d).unwrap();
            problem.drivers[d].free_at += delay;
            problem.drivers[d].shift_end -= shorter;
            for (n, act) in route.iter().enumerate() {
                let order = &mut problem.orders[act.order() as usize];
                order.promised = Some(driver);
                if n == 0 && declines && !order.barred.contains(&driver) {
                    order.barred.push(driver);
                    order.barred.sort_unstable();
                }
            }
        }
        // What somebody declined is on no route, as a zone hands it over.
        let still = |d: usize, act: &Act| problem.may_carry(u32::try_from(d).unwrap(), act.order());
        let before: Routes =
            first.routes.iter().enumerate().map(|(d, r)| r.iter().copied().filter(|a| still(d, a)).collect()).collect();
        let budget = Budget { rounds: 60, seed, moves, ..Budget::default() };
        let again = plan(&problem, before.clone(), budget, &never);
        prop_assert_eq!(check(&problem, &before, &budget, &again), Ok(()));
        prop_assert_eq!(referee::cost(&problem, &again.routes), Some(again.cost));
    }

    #[test]
    fn a_snapshot_where_only_ways_count_has_every_property(problem in any_problem(14), seed: u64, strings in 0..=100_u32) {
        let mut problem = known(problem);
        problem.weights = WAYS_ALONE;
        let empty: Routes = vec![Vec::new(); problem.drivers.len()];
        let budget = Budget { seed, strings, ..Budget::snapshot(&problem) };
        let planned = plan(&problem, empty.clone(), budget, &never);
        prop_assert_eq!(check(&problem, &empty, &budget, &planned), Ok(()));
        let again = plan(&problem, planned.routes.clone(), Budget { rounds: 60, ..budget }, &never);
        prop_assert!(again.cost <= planned.cost);
    }

    #[test]
    fn a_plan_is_never_worse_than_what_it_started_from(problem in any_problem(12), seed: u64) {
        // What is expected shapes a plan, and is not in what it costs.
        let problem = known(problem);
        let empty: Routes = vec![Vec::new(); problem.drivers.len()];
        let constructed = plan(&problem, empty.clone(), Budget { rounds: 0, seed, ..Budget::default() }, &never);
        let improved = plan(&problem, empty, Budget { rounds: 80, seed, ..Budget::default() }, &never);
        prop_assert!(improved.cost <= constructed.cost);
        let again = plan(&problem, improved.routes.clone(), Budget { rounds: 40, seed, ..Budget::default() }, &never);
        prop_assert!(again.cost <= improved.cost);
    }

    #[test]
    fn the_same_seed_gives_the_same_plan(problem in any_problem(10), seed: u64) {
        let empty: Routes = vec![Vec::new(); problem.drivers.len()];
        let budget = Budget { rounds: 50, seed, ..Budget::default() };
        prop_assert_eq!(plan(&problem, empty.clone(), budget, &never), plan(&problem, empty, budget, &never));
    }

    #[test]
    fn what_a_driver_is_bound_to_stays_first_and_what_is_aboard_stays_theirs(
        problem in any_problem(10), seed: u64, carried in 1..3_usize,
    ) {
        let mut problem = problem;
        let mut routes: Routes = vec![Vec::new(); problem.drivers.len()];
        let carried = carried.min(problem.orders.len());
        for o in 0..u32::try_from(carried).unwrap() {
            problem.orders[o as usize].pinned = Some(0);
            problem.orders[o as usize].strict = false;
            problem.orders[o as usize].known_at = 0;
            problem.drivers[0].load += problem.orders[o as usize].size;
            routes[0].push(Act::Dropoff(o));
        }
        problem.drivers[0].locked_acts = 1;
        let budget = Budget { rounds: 60, seed, ..Budget::default() };
        let planned = plan(&problem, routes.clone(), budget, &never);
        prop_assert_eq!(check(&problem, &routes, &budget, &planned), Ok(()));
        prop_assert_eq!(planned.routes[0].first(), Some(&Act::Dropoff(0)));
    }

    #[test]
    fn a_pickup_that_a_driver_is_bound_to_comes_first_whatever_is_aboard(problem in any_problem(10), seed: u64) {
        let mut problem = problem;
        prop_assume!(problem.orders.len() >= 2);
        for order in &mut problem.orders[..2] {
            order.pinned = Some(0);
            order.strict = false;
            order.known_at = 0;
            problem.drivers[0].capacity += order.size;
        }
        problem.drivers[0].load += problem.orders[0].size;
        problem.drivers[0].locked_acts = 1;
        let mut routes: Routes = vec![Vec::new(); problem.drivers.len()];
        routes[0] = vec![Act::Pickup(1), Act::Dropoff(0), Act::Dropoff(1)];
        let budget = Budget { rounds: 60, seed, ..Budget::default() };
        let planned = plan(&problem, routes.clone(), budget, &never);
        prop_assert_eq!(check(&problem, &routes, &budget, &planned), Ok(()));
        prop_assert_eq!(planned.routes[0].first(), Some(&Act::Pickup(1)));
    }
}
