//! Why a plan gives an order to a driver, or to nobody, in words and in full.

use std::collections::BTreeMap;

use posthaste_domain::ids::DriverId;
use serde::Serialize;

use super::explain::{Alternative, Constraint, alternatives};
use super::problem::{OrderIndex, Problem, Routes, Travel};

/// Insertions that lost, listed at most.
const MOST_LISTED: usize = 12;
/// Drivers who are looked at as the next best, at most: those who would serve the order soonest.
const MOST_LOOKED_AT: usize = 24;
/// Drivers who cannot, listed at most, each with what forbids it; all are counted.
const MOST_FORBIDDEN: usize = 200;
/// The policy that all of these are reasons of.
const POLICY: &str = "routed";

/// A driver who could carry an order, and what that would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Able {
    /// The driver.
    pub driver_id: DriverId,
    /// Seconds of customers' waiting.
    pub costs_seconds: i64,
}

/// A driver who cannot carry an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Unable {
    /// The driver.
    pub driver_id: DriverId,
    /// What keeps them from it.
    pub forbidden_by: Constraint,
}

/// How many drivers something keeps from carrying an order, by what it is.
pub type Counts = BTreeMap<&'static str, usize>;

/// Why a driver is asked. Serialized as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    policy: &'static str,
    /// Which plan.
    pub generation: u64,
    /// The driver.
    pub driver_id: DriverId,
    /// Seconds of customers' waiting that the order costs with them.
    pub costs_seconds: Option<i64>,
    /// The cheapest drivers for the order alone, the chosen one among them.
    pub alternatives: Vec<Able>,
    /// Who cannot.
    pub forbidden: Counts,
    /// In one sentence.
    #[serde(skip)]
    pub summary: String,
}

/// Why nobody is asked. Serialized as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nobody {
    policy: &'static str,
    driver_id: Option<DriverId>,
    /// Drivers who could, had the plan had time or room for it.
    pub alternatives: Vec<Able>,
    /// Who cannot.
    pub forbidden: Counts,
    /// What keeps each of them from it.
    pub candidates: Vec<Unable>,
    /// In one sentence.
    #[serde(skip)]
    pub summary: String,
}

/// Why somebody is asked, or nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reasons {
    /// Somebody.
    Chosen(Chosen),
    /// Nobody.
    Nobody(Nobody),
}

impl Reasons {
    /// In one sentence.
    #[must_use]
    pub fn summary(&self) -> &str {
        match self {
            Self::Chosen(chosen) => &chosen.summary,
            Self::Nobody(nobody) => &nobody.summary,
        }
    }
}

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

fn listed(all: &[Alternative], drivers: &[DriverId]) -> Vec<Able> {
    let able = all.iter().filter_map(|a| a.cost.ok().map(|cost| (a.driver, cost)));
    let able = able.map(|(d, cost)| Able { driver_id: drivers[d as usize], costs_seconds: seconds(cost) });
    able.take(MOST_LISTED).collect()
}

/// What keeps each driver from carrying it.
fn each_forbidden(all: &[Alternative], drivers: &[DriverId]) -> Vec<Unable> {
    let unable = all.iter().filter_map(|a| a.cost.err().map(|constraint| (a.driver, constraint)));
    let unable = unable.map(|(d, forbidden_by)| Unable { driver_id: drivers[d as usize], forbidden_by });
    unable.take(MOST_FORBIDDEN).collect()
}

impl Chosen {
    /// Why this driver, by their number in the problem.
    pub(super) fn of<T: Travel>(
        problem: &Problem<T>,
        routes: &Routes,
        order: OrderIndex,
        driver: usize,
        drivers: &[DriverId],
        generation: u64,
    ) -> Self {
        let all = alternatives(problem, routes, order, MOST_LOOKED_AT);
        let cost = |a: &Alternative| a.cost.ok().map(seconds);
        let own = all.iter().find(|a| a.driver as usize == driver).and_then(cost);
        let next = all.iter().filter(|a| a.driver as usize != driver).find_map(cost);
        Self {
            policy: POLICY,
            generation,
            driver_id: drivers[driver],
            costs_seconds: own,
            alternatives: listed(&all, drivers),
            forbidden: counted(&all),
            summary: format!("{} by plan {generation}{}", drivers[driver], beside(own, next)),
        }
    }
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

impl Nobody {
    /// Why nobody; `narrowed` says that more orders wait than the plan looked at.
    pub(super) fn of<T: Travel>(
        problem: &Problem<T>,
        routes: &Routes,
        order: OrderIndex,
        drivers: &[DriverId],
        narrowed: bool,
    ) -> Self {
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
        Self {
            policy: POLICY,
            driver_id: None,
            alternatives: listed(&all, drivers),
            forbidden: counts,
            candidates: each_forbidden(&all, drivers),
            summary,
        }
    }
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
