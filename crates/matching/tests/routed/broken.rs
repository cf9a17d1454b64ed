//! A plan that breaks a property is refused, by the property's name.

use posthaste_matching::routed::check::{
    Broken, check, drivable, each_order_once, locked_acts_stay, moves_within_the_cap, nobody_idle_beside_an_order,
    only_who_may, pickup_before_dropoff, trips_are_finished, within_capacity,
};
use posthaste_matching::routed::{Act, Budget, Plan, Problem, Routes, plan};

use super::{Plane, driver, never, order, problem};

const NEAR: [Act; 2] = [Act::Pickup(0), Act::Dropoff(0)];
const FAR: [Act; 2] = [Act::Pickup(1), Act::Dropoff(1)];

/// Two drivers, each beside the shop of their only order.
fn two_of_each() -> (Problem<Plane>, Plan) {
    let points = vec![(0, 0), (100, 0), (5_000, 0), (5_100, 0)];
    let problem = problem(points, vec![driver(0), driver(2)], vec![order(0, 1, 0), order(2, 3, 0)]);
    let planned = plan(&problem, nothing(), Budget::default(), &never);
    assert_eq!(planned.routes, [NEAR, FAR]);
    (problem, planned)
}

fn nothing() -> Routes {
    vec![Vec::new(); 2]
}

fn routes(one: &[Act], other: &[Act]) -> Routes {
    vec![one.to_vec(), other.to_vec()]
}

fn with(plan: &Plan, routes: Routes) -> Plan {
    Plan { routes, ..plan.clone() }
}

fn name(result: Result<(), Broken>) -> &'static str {
    result.expect_err("it is broken").property
}

#[test]
fn what_is_there_twice_or_not_at_all() {
    let (problem, planned) = two_of_each();
    for plan in [
        with(&planned, routes(&NEAR, &[])),
        with(&planned, routes(&NEAR, &[NEAR, FAR].concat())),
        Plan { unserved: vec![0], ..planned.clone() },
    ] {
        assert_eq!(name(each_order_once(&problem, &plan)), "each order once");
        assert_eq!(name(check(&problem, &nothing(), &Budget::default(), &plan)), "each order once");
    }
}

#[test]
fn a_dropoff_without_its_pickup_before() {
    let (problem, planned) = two_of_each();
    for wrong in [
        routes(&[NEAR[1], NEAR[0]], &FAR),
        routes(&[NEAR[1]], &FAR),
        routes(&[NEAR[0], FAR[1]], &[FAR[0], NEAR[1]]),
        routes(&[NEAR[0], NEAR[1], FAR[0]], &[FAR[1]]),
    ] {
        assert_eq!(name(pickup_before_dropoff(&problem, &nothing(), &with(&planned, wrong))), "pickup before drop-off");
    }
    let aboard = with(&planned, routes(&[NEAR[1]], &FAR));
    assert_eq!(pickup_before_dropoff(&problem, &routes(&[NEAR[1]], &[]), &aboard), Ok(()));
    let swapped = with(&planned, routes(&FAR, &[NEAR[1]]));
    assert_eq!(
        name(pickup_before_dropoff(&problem, &routes(&[NEAR[1]], &[]), &swapped)),
        "pickup before drop-off",
        "it is aboard with the other"
    );
}

#[test]
fn a_bound_act_that_goes_and_goods_aboard_that_change_hands() {
    let (mut problem, planned) = two_of_each();
    problem.drivers[0].locked_acts = 1;
    let all_to_the_other = with(&planned, routes(&[], &[NEAR, FAR].concat()));
    assert_eq!(name(locked_acts_stay(&problem, &routes(&NEAR, &[]), &all_to_the_other)), "locked acts stay");
    let other_first = with(&planned, routes(&[FAR, NEAR].concat(), &[]));
    assert_eq!(name(locked_acts_stay(&problem, &routes(&NEAR, &[]), &other_first)), "locked acts stay");
    assert_eq!(locked_acts_stay(&problem, &routes(&NEAR, &[]), &planned), Ok(()));
    problem.drivers[0].locked_acts = 0;
    assert_eq!(name(locked_acts_stay(&problem, &routes(&[NEAR[1]], &[]), &planned)), "locked acts stay");
}

#[test]
fn an_order_with_one_who_may_not_carry_it() {
    let (mut problem, planned) = two_of_each();
    problem.orders[0].barred = vec![0];
    assert_eq!(name(only_who_may(&problem, &nothing(), &planned)), "only who may");
    problem.orders[0].barred = vec![1];
    assert_eq!(only_who_may(&problem, &nothing(), &planned), Ok(()));
    problem.orders[0].pinned = Some(1);
    assert_eq!(name(only_who_may(&problem, &nothing(), &planned)), "only who may");
}

#[test]
fn what_cannot_be_driven_and_a_cost_that_is_not_the_plans() {
    let (problem, planned) = two_of_each();
    assert_eq!(drivable(&problem, &planned), Ok(()));
    let mut short = problem.clone();
    short.drivers[0].shift_end = 19;
    assert_eq!(name(drivable(&short, &planned)), "drivable");
    let mut strict = problem.clone();
    (strict.orders[0].strict, strict.orders[0].due.to) = (true, 60);
    assert_eq!(name(drivable(&strict, &planned)), "drivable");
    assert_eq!(name(drivable(&problem, &Plan { cost: planned.cost + 1, ..planned.clone() })), "drivable");
}

#[test]
fn more_than_fits() {
    let (mut problem, planned) = two_of_each();
    problem.drivers[1].capacity = 0;
    assert_eq!(name(within_capacity(&problem, &planned)), "within capacity");
}

#[test]
fn a_pickup_elsewhere_while_carrying() {
    let (mut problem, planned) = two_of_each();
    let woven = with(&planned, routes(&[NEAR[0], FAR[0], NEAR[1], FAR[1]], &[]));
    assert_eq!(name(trips_are_finished(&problem, &woven)), "trips are finished");
    problem.interleave = true;
    assert_eq!(trips_are_finished(&problem, &woven), Ok(()));
}

#[test]
fn more_moves_than_a_pass_may_make() {
    let (mut problem, planned) = two_of_each();
    problem.orders[0].promised = Some(1);
    let capped = Budget { moves: 0, ..Budget::default() };
    let told = routes(&[], &NEAR);
    assert_eq!(moves_within_the_cap(&problem, &told, &capped, &planned), Ok(()), "it gives the driver something to do");
    problem.drivers[0].at_work = false;
    assert_eq!(name(moves_within_the_cap(&problem, &told, &capped, &planned)), "moves within the cap");
    assert_eq!(moves_within_the_cap(&problem, &told, &Budget { moves: 1, ..capped }, &planned), Ok(()));
    // Who cannot serve it any more does not keep it.
    problem.drivers[1].shift_end = 19;
    assert_eq!(moves_within_the_cap(&problem, &told, &capped, &planned), Ok(()));
}

#[test]
fn somebody_idle_beside_an_order() {
    let (mut problem, planned) = two_of_each();
    let broken = |problem: &Problem<Plane>, plan: &Plan| nobody_idle_beside_an_order(problem, plan);
    assert_eq!(broken(&problem, &planned), Ok(()));
    let left = Plan { routes: routes(&[], &FAR), unserved: vec![0], cost: 0 };
    assert_eq!(name(broken(&problem, &left)), "nobody idle beside an order");
    // Behind something else on the other's route.
    let behind = with(&planned, routes(&[], &[FAR, NEAR].concat()));
    assert_eq!(name(broken(&problem, &behind)), "nobody idle beside an order");
    let cost = planned.cost - problem.route_cost(0, &NEAR).unwrap() - problem.route_cost(1, &FAR).unwrap();
    let behind = Plan { cost: cost + problem.route_cost(1, &[FAR, NEAR].concat()).unwrap(), ..behind };
    let found = check(&problem, &nothing(), &Budget::default(), &behind);
    assert_eq!(name(found), "nobody idle beside an order", "it is run with the others");
    // First on the other's route is as good as on the way.
    let other = Problem { orders: problem.orders[..1].to_vec(), ..problem.clone() };
    assert_eq!(broken(&other, &with(&planned, routes(&[], &NEAR))), Ok(()));
    // Whoever is not there, may not, cannot, or has something to do, is not idle.
    let mut other = problem.clone();
    other.drivers[0].at_work = false;
    assert_eq!(broken(&other, &left), Ok(()));
    other = problem.clone();
    other.orders[0].barred = vec![0];
    assert_eq!(broken(&other, &left), Ok(()));
    other = problem.clone();
    other.drivers[0].shift_end = 19;
    assert_eq!(broken(&other, &left), Ok(()));
    problem.drivers[0].capacity = 0;
    assert_eq!(broken(&problem, &left), Ok(()));
}

#[test]
fn what_is_only_expected_on_a_route() {
    let (mut problem, planned) = two_of_each();
    problem.orders[1].known_at = 60;
    assert_eq!(name(each_order_once(&problem, &planned)), "each order once");
    assert_eq!(each_order_once(&problem, &with(&planned, routes(&NEAR, &[]))), Ok(()));
    assert_eq!(
        name(each_order_once(&problem, &Plan { unserved: vec![1], ..with(&planned, routes(&NEAR, &[])) })),
        "each order once"
    );
}
