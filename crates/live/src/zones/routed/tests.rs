//! One pass over what a zone has, without actors: who is asked.

use std::collections::HashSet;

use posthaste_domain::Span;
use posthaste_domain::calendar::Commitment;
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, RegionId};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::{NewZone, Policy, Travel, Zone, ZoneRules};
use posthaste_geography::VehicleSpeed;
use posthaste_matching::routed::input::{Intended, RefusedBy, Whereabouts};
use posthaste_matching::{DriverView, OrderView, Stop};
use serde_json::json;

use super::*;
use crate::learned::SharedLearned;
use crate::zones::LiveZone;
use crate::zones::cell::ZoneConfig;

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000)
}

fn id<T: posthaste_domain::ids::Id>(n: u32) -> T {
    T::from_uuid(uuid::Uuid::from_u128(u128::from(n)))
}

fn spot(n: u32) -> Place {
    let at = |n: u32| f64::from(n % 100) * 0.001;
    Place::new(52.05 + at(n * 7), 13.05 + at(n * 13)).expect("a place")
}

/// A zone that plans routes, with so many orders waiting, all ready, and so many drivers with nothing to do.
fn zone(orders: u32, drivers: u32, rules: ZoneRules) -> ZoneCell {
    let ring = [[13.0, 52.0], [13.2, 52.0], [13.2, 52.2], [13.0, 52.2], [13.0, 52.0]];
    let area = json!({"type": "Polygon", "coordinates": [ring]});
    let shape = crate::zones::read(&area).expect("a shape");
    let wanted = NewZone {
        name: "Centre".to_owned(),
        area,
        rules: ZoneRules { policy: Policy::Routed, ..rules },
        travel: Travel::default(),
    };
    let zone = Zone::new(id(1), RegionId::FIRST, wanted, now());
    let config = ZoneConfig::new(LiveZone::new(zone, &shape), false);
    let cell = ZoneCell::new(id(1), 52.1, config, SharedLearned::default());
    (0..orders).for_each(|n| waits(&cell, order(n)));
    (0..drivers).for_each(|n| is_idle(&cell, driver(n)));
    cell
}

fn order(n: u32) -> OrderView {
    let stop = |place, ready_at| Stop { place, service: Span::minutes(2), ready_at };
    OrderView {
        id: id(1_000_000 + n),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        placed_at: now() - Span::seconds(i64::from(n % 900)),
        promised_at: now() + Span::minutes(40),
        window: None,
        pickups: vec![stop(spot(n), Some(now() - Span::minutes(1)))],
        delivery: stop(spot(n + 11), None),
        cooling: Vec::new(),
    }
}

fn driver(n: u32) -> DriverView {
    DriverView {
        id: id(n),
        place: spot(n * 31),
        shift: Shift::Available { until: None },
        stale: false,
        vehicle: VehicleSpeed::NORMAL,
        fast: true,
        slow: true,
        capacity: 6,
        open_orders: 0,
        commitments: Vec::new(),
    }
}

fn waits(cell: &ZoneCell, view: OrderView) {
    cell.remember(&view, None);
    let waiting = Waiting {
        since: now(),
        noticed: Instant::now(),
        asked: None,
        recorded: None,
        alerted: false,
        gives_up_at: now() + Span::hours(4),
        refused: Vec::new(),
        view,
    };
    cell.waiting.lock().insert(waiting.view.id, waiting);
}

fn is_idle(cell: &ZoneCell, driver: DriverView) {
    let nothing = InHand { orders: Vec::new(), last_done: None, chosen: None, standby: None };
    cell.work.lock().insert(driver.id, nothing);
    cell.upsert_driver(driver);
}

fn pass(cell: &ZoneCell) -> Outcome {
    pass_at(cell, now())
}

fn pass_at(cell: &ZoneCell, now: Timestamp) -> Outcome {
    solve(&input(cell, now, 1).snapshot(&mut Whereabouts::default(), &Intended::new())).outcome
}

/// What is said of those that nobody takes.
fn unserved(plan: &Outcome) -> Vec<&str> {
    let nobody = plan.waits.iter().filter_map(|wait| match &wait.why {
        Why::Nobody(nobody) => Some(nobody.summary.as_str()),
        Why::NotYet { .. } | Why::LeftOut => None,
    });
    nobody.collect()
}

/// Who is asked for something.
fn asked(plan: &Outcome) -> HashSet<DriverId> {
    plan.steps.iter().map(|step| step.driver).collect()
}

#[test]
fn one_pass_over_five_thousand_orders_asks_each_of_thirty_and_of_two_hundred_idle_drivers() {
    for drivers in [30, 200] {
        let cell = zone(5_000, drivers, ZoneRules::default());
        let started = Instant::now();
        let plan = pass(&cell);
        println!("a pass over 5,000 orders and {drivers} drivers: {:?}", started.elapsed());
        assert_eq!(asked(&plan).len(), drivers as usize);
        let unserved = unserved(&plan);
        assert!(unserved.len() <= 64, "{} are explained in one pass", unserved.len());
        assert!(unserved.iter().all(|why| why.starts_with("waits for its turn")), "{:?}", unserved[0]);
    }
}

#[test]
fn whose_calendar_would_refuse_everything_is_not_planned_for() {
    let cell = zone(3, 2, ZoneRules::default());
    let (order, window) = (id(77), Window::new(now() - Span::minutes(5), now() + Span::minutes(30)).expect("a window"));
    let taken = Commitment { order, window, tentative: false, lane: None, size: 1, aboard: false };
    is_idle(&cell, DriverView { commitments: vec![taken], open_orders: 1, ..driver(0) });
    assert_eq!(asked(&pass(&cell)), HashSet::from([driver(1).id]));
    // Orders of planned routes share a driver's time.
    is_idle(&cell, DriverView { commitments: vec![Commitment { lane: Some(0), ..taken }], ..driver(0) });
    assert_eq!(asked(&pass(&cell)).len(), 2);
}

#[test]
fn who_could_not_hold_time_for_an_order_is_not_asked_for_it_again_until_something_changes() {
    let cell = zone(1, 1, ZoneRules::default());
    let refuse = || {
        let mut waiting = cell.waiting.lock();
        let entry = waiting.get_mut(&order(0).id).expect("it waits");
        entry.refused = vec![RefusedBy::new(&driver(0), now())];
    };
    assert_eq!(asked(&pass(&cell)).len(), 1);
    refuse();
    assert_eq!(asked(&pass(&cell)).len(), 0);
    is_idle(&cell, driver(1));
    assert_eq!(asked(&pass(&cell)), HashSet::from([driver(1).id]));
    cell.remove_driver(driver(1).id);
    is_idle(&cell, DriverView { capacity: 5, ..driver(0) });
    assert_eq!(asked(&pass(&cell)).len(), 1, "they have changed");
    is_idle(&cell, driver(0));
    assert_eq!(asked(&pass(&cell)).len(), 0);
    let later = now() + Span::seconds(10);
    assert_eq!(asked(&pass_at(&cell, later)).len(), 1, "they are asked again after a while");
}

#[test]
fn what_waits_last_on_a_route_is_offered_before_it_is_given_up() {
    let cell = zone(6, 1, ZoneRules { offer_seconds: 30, ..ZoneRules::default() });
    assert!(pass(&cell).steps.len() < 6, "some are not yet due");
    for waiting in cell.waiting.lock().values_mut() {
        waiting.gives_up_at = now() + Span::seconds(100);
    }
    assert_eq!(pass(&cell).steps.len(), 6);
}

#[test]
fn an_order_is_seen_once_however_often_it_waits_and_in_the_sequence_of_placing() {
    let cell = zone(0, 0, ZoneRules::default());
    for n in [3, 1, 2, 3, 1] {
        cell.remember(&order(n), None);
    }
    let seen: Vec<_> = cell.seen.lock().iter().map(|seen| seen.order).collect();
    assert_eq!(seen, [order(3).id, order(2).id, order(1).id], "the one placed first comes first");
}
