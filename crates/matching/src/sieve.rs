//! From everybody to those who may be able: a few passes over bits, in the order in which [`crate::rule`] asks.
//!
//! What the sieve drops, the rule would refuse, for the reason under which it is counted. What it leaves, the rule
//! has to judge.

use crate::index::{BUCKET, Index};
use crate::rule::Question;
use crate::slot_set::SlotSet;
use posthaste_domain::order::Speed;

/// Buckets of commitments that are looked into at most: half a day.
const MOST_BUCKETS: i64 = 48;

/// Drops the surely unable and tells `dropped` how many for which reason.
pub(crate) fn sift(
    index: &Index,
    question: &Question<'_>,
    slot_of: impl Fn(posthaste_domain::ids::DriverId) -> Option<u32>,
    mut dropped: impl FnMut(&'static str, &SlotSet, &SlotSet),
) -> SlotSet {
    let mut left = index.everybody.clone();
    let mut without = |left: &mut SlotSet, reason: &'static str, out: &SlotSet| {
        dropped(reason, left, out);
        left.take_out(out);
    };
    without(&mut left, "offline", &index.offline);
    without(&mut left, "on_break", &index.on_break);
    without(&mut left, "stale", &index.stale);
    let serving = if question.order.speed == Speed::Fast { &index.fast } else { &index.slow };
    without(&mut left, "wrong_speed", &unlike(&index.everybody, serving));
    let small = index.without_room(question.order.size, &left);
    without(&mut left, "no_capacity", &small);
    if !question.order.cooling.is_empty() {
        let mut cooling = SlotSet::default();
        let pauses = question.order.cooling.iter().filter(|pause| question.now < pause.until);
        pauses.filter_map(|pause| slot_of(pause.driver)).for_each(|slot| cooling.insert(slot));
        without(&mut left, "cooling_down", &cooling);
    }
    let shift = question.least_shift().timestamp_micros();
    index.shifts_ending_before(shift, |ended| without(&mut left, "shift_ends", ended));
    let least = question.least_window();
    if least.start() <= question.now {
        without(&mut left, "overdue", &index.overdue);
        without(&mut left, "overlaps", &index.running);
    }
    let first = least.start().timestamp_micros().div_euclid(BUCKET)
        + i64::from(least.start().timestamp_micros().rem_euclid(BUCKET) > 0);
    let last = least.end().timestamp_micros().div_euclid(BUCKET);
    for bucket in first..last.min(first + MOST_BUCKETS) {
        if let Some(taken) = index.taken.get(bucket) {
            without(&mut left, "overlaps", taken);
        }
    }
    left
}

fn unlike(everybody: &SlotSet, set: &SlotSet) -> SlotSet {
    let mut rest = everybody.clone();
    rest.take_out(set);
    rest
}
