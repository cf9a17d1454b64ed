//! Why a plan gives an order to a driver, or to nobody, in words and in full.

use std::collections::BTreeMap;

use posthaste_domain::ids::DriverId;
use posthaste_matching::routed::explain::{Alternative, Constraint, alternatives};
use posthaste_matching::routed::problem::OrderIndex;
use posthaste_matching::routed::{Problem, Routes, Travel};
use serde_json::{Value, json};

/// Insertions that lost, listed at most.
const MOST_LISTED: usize = 12;

fn name(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::PinnedToAnother => "pinned to another",
        Constraint::Barred => "declined it lately or does not serve its speed",
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

/// Why this driver.
pub(super) fn chosen<T: Travel>(
    problem: &Problem<T>,
    routes: &Routes,
    order: OrderIndex,
    driver: usize,
    drivers: &[DriverId],
    generation: u64,
) -> (String, Value) {
    let all = alternatives(problem, routes, order);
    let cost = |a: &Alternative| a.cost.ok().map(seconds);
    let own = all.iter().find(|a| a.driver as usize == driver).and_then(cost);
    let next = all.iter().filter(|a| a.driver as usize != driver).find_map(cost);
    let summary = match (own, next) {
        (Some(own), Some(next)) => {
            format!("{} by plan {generation}: {} s less waiting than the next best", drivers[driver], next - own)
        }
        _ => format!("{} by plan {generation}: nobody else can", drivers[driver]),
    };
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

/// Why nobody.
pub(super) fn nobody<T: Travel>(
    problem: &Problem<T>,
    routes: &Routes,
    order: OrderIndex,
    drivers: &[DriverId],
) -> (String, Value) {
    let all = alternatives(problem, routes, order);
    let counts = counted(&all);
    let words: Vec<String> = counts.iter().map(|(why, n)| format!("{n} {why}")).collect();
    let summary = match drivers.len() {
        _ if all.iter().any(|a| a.cost.is_ok()) => {
            "waits for the next plan: this one had no time left for it".to_owned()
        }
        0 => "nobody is at work in the zone".to_owned(),
        n => format!("none of {n} drivers: {}", words.join(", ")),
    };
    (summary, json!({ "policy": "routed", "driver_id": null, "forbidden": counts }))
}
