//! The choice: loads from the lightest up, within a load the idle by distance, then the others by committed time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use posthaste_geography::{SlotGrid, VehicleSpeed};

use crate::decision::{Decision, Passed};
use crate::index::{Index, Load};
use crate::rule::{Fit, Question};
use crate::scan;
use crate::sieve;
use crate::slot_set::SlotSet;
use crate::views::DriverView;

/// Drivers who could not take an order that a decision names at most.
const MOST_PASSED: usize = 45;
/// Drivers who could take it as well that a decision names at most.
const MOST_RUNNERS_UP: usize = 5;
/// Drivers that a decision names when nobody can take the order.
const NEAREST_NAMED: usize = 50;
/// So many candidates are judged one by one; of more, the nearest are looked for in the grid.
const FEW: u32 = 24;
/// Of so many candidates the least committed is found among themselves; of more, by walking the load's order.
const SOME: u32 = 512;
/// The grid's distance and the rule's agree to far less than this, relatively and in metres.
const HAIR: (f64, f64) = (1.0 + 1e-6, 0.01);

/// What a search looks at.
pub(crate) struct Search<'b> {
    pub(crate) question: &'b Question<'b>,
    pub(crate) index: &'b Index,
    pub(crate) grid: &'b SlotGrid,
    pub(crate) seats: &'b [Option<DriverView>],
    /// The fastest vehicle that was ever on the board.
    pub(crate) fastest: VehicleSpeed,
}

/// What a search has met.
#[derive(Default)]
struct Met {
    best: Option<Fit>,
    behind: Vec<Fit>,
    passed: Vec<Passed>,
}

impl Met {
    fn able(&mut self, fit: Fit) {
        let behind = match &mut self.best {
            Some(best) if best.rank < fit.rank => fit,
            best => match best.replace(fit) {
                Some(former) => former,
                None => return,
            },
        };
        let place = self.behind.partition_point(|other| other.rank < behind.rank);
        if place < MOST_RUNNERS_UP {
            self.behind.truncate(MOST_RUNNERS_UP - 1);
            self.behind.insert(place, behind);
        }
    }
}

impl<'b> Search<'b> {
    /// The decision, with bounded reasons.
    pub(crate) fn decide(&self, slot_of: impl Fn(posthaste_domain::ids::DriverId) -> Option<u32>) -> Decision {
        let mut candidates = sieve::sift(self.index, self.question, &slot_of, |_, _, _| {});
        let mut met = Met::default();
        self.look(&mut candidates, &mut met);
        let order = self.question.order.id;
        let Some(best) = met.best else { return self.nobody(slot_of) };
        let mut passed: Vec<Passed> = met.passed;
        passed.extend(met.behind.iter().map(Fit::passed));
        let counts = scan::count(passed.iter().map(|passed| passed.reason.name()));
        let (chosen, later) = best.now_or_later();
        Decision { order, chosen, later, passed, counts }
    }

    fn look(&self, candidates: &mut SlotSet, met: &mut Met) {
        let mut narrowed = false;
        let mut group = SlotSet::default();
        for load in self.index.loads.values() {
            group.become_both(candidates, &load.members);
            group.keep(&self.index.idle);
            self.nearest(&group, |_| true, met);
            if met.best.is_some() {
                return;
            }
            group.become_both_without(candidates, &load.members, &self.index.idle);
            if !narrowed && group.len() > FEW {
                // What is out of reach is dropped once, before committed time leads the search all over the zone.
                narrowed = true;
                self.keep_near(candidates);
                group.keep(candidates);
            }
            self.least_committed(load, &group, met);
            if met.best.is_some() {
                return;
            }
        }
    }

    fn driver(&self, slot: u32) -> Option<&'b DriverView> {
        self.seats.get(slot as usize).and_then(Option::as_ref)
    }

    fn judge(&self, slot: u32, met: &mut Met) {
        let Some(driver) = self.driver(slot) else { return };
        match self.question.judge(driver) {
            Ok(fit) => met.able(fit),
            Err(reason) if met.passed.len() < MOST_PASSED => met.passed.push(Passed { driver: driver.id, reason }),
            Err(_) => {}
        }
    }

    /// Of drivers who are equally busy, the one with the shortest travel.
    fn nearest(&self, group: &SlotSet, also: impl Fn(u32) -> bool, met: &mut Met) {
        let count = group.len();
        if count == 0 {
            return;
        }
        if count <= FEW {
            group.iter().filter(|slot| also(*slot)).for_each(|slot| self.judge(slot, met));
            return;
        }
        let place = self.question.order.first_stop();
        let reach = self.reach();
        for near in self.grid.nearest_where(place, |slot| group.contains(slot) && also(slot)) {
            if near.meters > reach {
                return;
            }
            if let Some(best) = &met.best {
                let least = self.question.travel.least_seconds(near.meters / HAIR.0 - HAIR.1, self.fastest);
                if i64::from(least) > best.rank.travel_seconds {
                    return;
                }
            }
            self.judge(near.key, met);
        }
    }

    fn reach(&self) -> f64 {
        self.question.radius_meters.map_or(f64::INFINITY, |limit| f64::from(limit) * HAIR.0 + HAIR.1)
    }

    fn keep_near(&self, candidates: &mut SlotSet) {
        if self.question.radius_meters.is_some() {
            let mut near = SlotSet::default();
            self.grid.each_within(self.question.order.first_stop(), self.reach(), |slot| near.insert(slot));
            candidates.keep(&near);
        }
    }

    /// Of drivers with the same number of open orders, the one with the fewest committed seconds.
    fn least_committed(&self, load: &Load, group: &SlotSet, met: &mut Met) {
        let count = group.len();
        if count == 0 {
            return;
        }
        if count <= SOME {
            let by_time = group.iter().map(|slot| Reverse((self.committed(slot), slot)));
            let mut heap: BinaryHeap<_> = by_time.collect();
            return self.walk(std::iter::from_fn(|| heap.pop().map(|Reverse(entry)| entry)), group, met);
        }
        let waiting = self.in_order(&load.waiting, group);
        let running = self.in_order(&load.running, group);
        let mut several: Vec<(i64, u32)> = Vec::new();
        if !self.index.several.is_empty() {
            let odd = group.iter().filter(|slot| self.index.several.contains(*slot));
            several.extend(odd.map(|slot| (self.committed(slot), slot)));
            several.sort_unstable();
        }
        let starts_now = self.question.least_window().start() <= self.question.now;
        let running = running.take_while(|_| !starts_now);
        self.walk(merge(merge(waiting, running), several.into_iter()), group, met);
    }

    fn in_order<'s>(
        &'s self,
        order: &'s BTreeSet<(i64, u32)>,
        group: &'s SlotSet,
    ) -> impl Iterator<Item = (i64, u32)> + 's {
        order
            .iter()
            .map(|(_, slot)| *slot)
            .filter(|slot| group.contains(*slot))
            .map(|slot| (self.committed(slot), slot))
    }

    fn committed(&self, slot: u32) -> i64 {
        self.index.ahead(slot).seconds(self.question.now)
    }

    /// Takes drivers by growing committed seconds, as many seconds at a time, until one can take the order.
    fn walk(&self, by_time: impl Iterator<Item = (i64, u32)>, group: &SlotSet, met: &mut Met) {
        let mut by_time = by_time.peekable();
        let mut equal: Vec<u32> = Vec::new();
        while let Some((seconds, slot)) = by_time.next() {
            equal.clear();
            equal.push(slot);
            while let Some((_, slot)) = by_time.next_if(|(other, _)| *other == seconds) {
                equal.push(slot);
                if equal.len() > FEW as usize {
                    break;
                }
            }
            if equal.len() > FEW as usize {
                let now = self.question.now.timestamp_micros();
                self.nearest(group, |slot| self.index.ahead(slot).is(seconds, now), met);
                while by_time.next_if(|(other, _)| *other == seconds).is_some() {
                    if met.best.is_some() {
                        return;
                    }
                }
            } else {
                equal.iter().for_each(|slot| self.judge(*slot, met));
            }
            if met.best.is_some() {
                return;
            }
        }
    }

    /// Why nobody can: everybody counted by reason, the nearest named.
    fn nobody(&self, slot_of: impl Fn(posthaste_domain::ids::DriverId) -> Option<u32>) -> Decision {
        let mut counts: Vec<(&'static str, u32)> = Vec::new();
        let mut note = |name: &'static str, drivers: u32| match counts.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += drivers,
            None => counts.push((name, drivers)),
        };
        let mut scratch = SlotSet::default();
        let mut rest = sieve::sift(self.index, self.question, slot_of, |reason, left, out| {
            scratch.become_both(left, out);
            note(reason, scratch.len());
        });
        if rest.len() > FEW {
            let mut far = rest.clone();
            self.keep_near(&mut rest);
            far.take_out(&rest);
            for driver in far.iter().filter_map(|slot| self.driver(slot)) {
                note(self.question.before_the_way(driver).err().map_or("too_far", |reason| reason.name()), 1);
            }
        }
        for reason in rest.iter().filter_map(|slot| self.question.judge(self.driver(slot)?).err()) {
            note(reason.name(), 1);
        }
        let place = self.question.order.first_stop();
        let nearest = self.grid.nearest_n(place, NEAREST_NAMED, |_| true);
        let drivers = nearest.iter().filter_map(|near| self.driver(near.key));
        let passed = drivers
            .filter_map(|driver| self.question.judge(driver).err().map(|reason| Passed { driver: driver.id, reason }))
            .collect();
        Decision {
            order: self.question.order.id,
            chosen: None,
            later: None,
            passed,
            counts: scan::by_frequency(counts),
        }
    }
}

/// Two growing sequences as one.
fn merge(
    one: impl Iterator<Item = (i64, u32)>,
    other: impl Iterator<Item = (i64, u32)>,
) -> impl Iterator<Item = (i64, u32)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((a, _)), Some((b, _))) if b < a => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
