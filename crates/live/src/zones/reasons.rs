//! Why a plan gives an order to a driver, or to nobody, in words and in full.

use std::collections::BTreeMap;

use posthaste_domain::ids::DriverId;
use posthaste_matching::routed::explain::{Alternative, Constraint, alternatives};
use posthaste_matching::routed::problem::OrderIndex;
use posthaste_matching::routed::{Problem, Routes, Travel};
use serde_json::{Value, json};

/// Insertions that lost, listed at most.
const MOST_LISTED: usize = 12;
/// Drivers who are looked at as the next best, at most: those who would serve the order soonest.
const MOST_LOOKED_AT: usize = 24;
/// Drivers who cannot, listed at most, each with what forbids it; all are counted.
const MOST_FORBIDDEN: usize = 200;

fn name(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::PinnedToAnother => "pinned to another",
        Constraint::Barred => "declined it lately, does not serve its speed, or is too far away",
        Constraint::Capacity => "has no room for it",
        Constraint::ShiftEnds => "cannot pick it up before the shift ends",
        Constraint::PickupWindow => "cannot reach the pickup in its window",
        Constraint::DropoffWindow => "cannot reach the door in its window",
        Constraint::Route => "has no place for it on the route",
        Constraint::TooCostly => "would take longer than it is worth",
    }
}

fn counted(all: &[Alternative]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for constraint in all.iter().filter_map(|a| a.cost.err()) {
        *counts.entry(name(constraint)).or_default() += 1;
    }
    counts
}

/// Hundredths of a second of customers' time, as seconds.
fn seconds(cost: i64) -> i64 {
    cost / 100
}

fn listed(all: &[Alternative], drivers: &[DriverId]) -> Vec<Value> {
    let able = all.iter().filter_map(|a| a.cost.ok().map(|cost| (a.driver, cost)));
    able.take(MOST_LISTED)
        .map(|(d, cost)| json!({ "driver_id": drivers[d as usize], "costs_seconds": seconds(cost) }))
        .collect()
}

/// What keeps each driver from carrying it.
fn each_forbidden(all: &[Alternative], drivers: &[DriverId]) -> Vec<Value> {
    let unable = all.iter().filter_map(|a| a.cost.err().map(|constraint| (a.driver, constraint)));
    unable
        .take(MOST_FORBIDDEN)
        .map(|(d, constraint)| json!({ "driver_id": drivers[d as usize], "forbidden_by": constraint }))
        .collect()
}

/// Why this driver.
pub(super) fn chosen<T: Travel>(
    problem: &Problem<T>,
    routes: &Routes,
    order: OrderIndex,
    driver: usize,
    drivers: &[DriverId],
    generation: u64,
) -> (String, Value) {
    let all = alternatives(problem, routes, order, MOST_LOOKED_AT);
    let cost = |a: &Alternative| a.cost.ok().map(seconds);
    let own = all.iter().find(|a| a.driver as usize == driver).and_then(cost);
    let next = all.iter().filter(|a| a.driver as usize != driver).find_map(cost);
    let summary = format!("{} by plan {generation}{}", drivers[driver], beside(own, next));
    let reasons = json!({
        "policy": "routed",
        "generation": generation,
        "driver_id": drivers[driver],
        "costs_seconds": own,
        "alternatives": listed(&all, drivers),
        "forbidden": counted(&all),
    });
    (summary, reasons)
}

/// What a choice costs beside the next best, in seconds of customers' time.
fn beside(own: Option<i64>, next: Option<i64>) -> String {
    match (own, next) {
        (Some(own), Some(next)) if own <= next => format!(": {} s less waiting than the next best", next - own),
        // The rest of the plan was made with this one in it.
        (Some(own), Some(next)) => {
            format!(": {} s more waiting than the best for this order alone, for the sake of all", own - next)
        }
        (Some(_), None) => ": nobody else can".to_owned(),
        (None, _) => String::new(),
    }
}

/// Why nobody; `narrowed` says that more orders wait than the plan looked at.
pub(super) fn nobody<T: Travel>(
    problem: &Problem<T>,
    routes: &Routes,
    order: OrderIndex,
    drivers: &[DriverId],
    narrowed: bool,
) -> (String, Value) {
    let all = alternatives(problem, routes, order, usize::MAX);
    let counts = counted(&all);
    let words: Vec<String> = counts.iter().map(|(why, n)| format!("{n} {why}")).collect();
    let summary = match drivers.len() {
        _ if narrowed && all.iter().any(|a| a.cost.is_ok()) => {
            "waits for its turn: more orders wait than a plan holds, and more urgent ones come first".to_owned()
        }
        _ if all.iter().any(|a| a.cost.is_ok()) => {
            "waits for the next plan: this one had no time left for it".to_owned()
        }
        0 => "nobody is at work in the zone".to_owned(),
        n => format!("none of {n} drivers: {}", words.join(", ")),
    };
    let reasons = json!({
        "policy": "routed",
        "driver_id": null,
        "alternatives": listed(&all, drivers),
        "forbidden": counts,
        "candidates": each_forbidden(&all, drivers),
    });
    (summary, reasons)
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn a_choice_is_held_against_the_next_best_and_never_less_than_nothing_better() {
        assert_eq!(beside(Some(60), Some(100)), ": 40 s less waiting than the next best");
        assert_eq!(beside(Some(100), Some(100)), ": 0 s less waiting than the next best");
        let for_all = ": 30 s more waiting than the best for this order alone, for the sake of all";
        assert_eq!(beside(Some(130), Some(100)), for_all);
        assert_eq!(beside(Some(60), None), ": nobody else can");
        assert_eq!(beside(None, Some(100)), "");
    }
}
