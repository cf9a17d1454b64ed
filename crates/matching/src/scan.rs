//! The slow, obviously right answer: ask every driver, sort. Tests hold the board against it, and debug builds
//! check every choice with it.

use std::collections::BTreeMap;

use crate::decision::{Decision, Passed};
use crate::rule::{Fit, Question};
use crate::views::DriverView;

/// The driver that the rule prefers, of all that can take the order.
#[must_use]
pub fn choose<'d>(question: &Question<'_>, drivers: impl IntoIterator<Item = &'d DriverView>) -> Option<Fit> {
    drivers.into_iter().filter_map(|driver| question.judge(driver).ok()).min_by_key(|fit| fit.rank)
}

/// Every driver, and why they were passed over: first those who could take the order, by preference, then those who
/// could not, nearest first.
#[must_use]
pub fn explain<'d>(question: &Question<'_>, drivers: impl IntoIterator<Item = &'d DriverView>) -> Decision {
    let mut able: Vec<Fit> = Vec::new();
    let mut unable: Vec<(f64, Passed)> = Vec::new();
    for driver in drivers {
        match question.judge(driver) {
            Ok(fit) => able.push(fit),
            Err(reason) => {
                let meters = driver.place.meters_to(question.order.first_stop());
                unable.push((meters, Passed { driver: driver.id, reason }));
            }
        }
    }
    able.sort_by_key(|fit| fit.rank);
    unable.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.driver.cmp(&b.1.driver)));
    let (chosen, later) = able.first().map_or((None, None), Fit::now_or_later);
    let passed: Vec<Passed> =
        able.iter().skip(1).map(Fit::passed).chain(unable.into_iter().map(|(_, passed)| passed)).collect();
    let counts = count(passed.iter().map(|passed| passed.reason.name()));
    Decision { order: question.order.id, chosen, later, passed, counts }
}

/// Names counted, the most frequent first, then by name.
pub(crate) fn count(names: impl Iterator<Item = &'static str>) -> Vec<(&'static str, u32)> {
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    by_frequency(counts)
}

/// Counts without the empty ones, the most frequent first, then by name.
pub(crate) fn by_frequency(counts: impl IntoIterator<Item = (&'static str, u32)>) -> Vec<(&'static str, u32)> {
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, drivers)| *drivers > 0).collect();
    counts.sort_by_key(|(name, drivers)| (std::cmp::Reverse(*drivers), *name));
    counts
}
