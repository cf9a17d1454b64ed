//! The time at a door, as a range.
//!
//! The parts of a way do not add up quantile by quantile: a driver who comes late does not wait for late goods, and not
//! everything goes wrong at once. So the whole way is walked 64 times, each time with other values of its parts, and
//! the quantiles are those of the ends. Every value of a part comes up exactly once, in an order that differs from part to
//! part but never from call to call (a Latin hypercube): the answer is a function of the question.

use std::sync::LazyLock;

use posthaste_domain::order::Estimate;
use posthaste_domain::{Span, Timestamp};

use crate::Quantiles;
use crate::quantiles::PARTS;

/// Parts that are shuffled differently; further ones begin again.
const SHUFFLES: usize = 24;
/// Where the median stands among the ends, in order.
const MEDIAN: usize = PARTS / 2 - 1;
/// Where the ninth decile does.
const NINTH_DECILE: usize = (PARTS * 9).div_ceil(10) - 1;
/// What is left of a stop that has taken longer than anybody expected, in seconds.
const OVERDUE_SECONDS: i64 = 60;

/// A stop on the way to the door, or the door.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The way to it by the travel model, in seconds.
    pub way_seconds: u32,
    /// When goods are said to be ready, and by how many seconds they are later.
    pub ready: Option<(Timestamp, Quantiles)>,
    /// Nobody is served before.
    pub opens: Option<Timestamp>,
    /// What it is said to take, in seconds.
    pub service_seconds: u32,
    /// By how many seconds it takes longer.
    pub excess: Quantiles,
}

/// The way to a door.
#[derive(Debug, Clone)]
pub struct Journey {
    /// When it begins: now, or when a driver who is there came to its first stop.
    pub start: Timestamp,
    /// Where nobody has set out: by how many seconds after `start` somebody is at the first stop.
    pub reach: Option<Quantiles>,
    /// Ways in thousandths of the model's time.
    pub pace: Quantiles,
    /// The stops, the door last.
    pub stops: Vec<Stop>,
}

/// In which order a part's values come up.
static ORDERS: LazyLock<[[u8; PARTS]; SHUFFLES]> = LazyLock::new(|| {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    std::array::from_fn(|_| {
        let mut order: [u8; PARTS] = std::array::from_fn(|n| u8::try_from(n).unwrap_or(0));
        for n in (1..PARTS).rev() {
            order.swap(n, random() % (n + 1));
        }
        order
    })
});

/// Hands out the values of each part, one for each walk.
struct Draw {
    part: usize,
}

impl Draw {
    fn next<'q>(&mut self, quantiles: &'q Quantiles) -> impl Fn(usize) -> i64 + use<'q> {
        let order = &ORDERS[self.part % SHUFFLES];
        self.part += 1;
        move |walk| i64::from(quantiles.values()[usize::from(order[walk])])
    }
}

impl Journey {
    /// When it ends, asked at `now`. What should be over by now and is not takes a little longer.
    #[must_use]
    pub fn estimate(&self, now: Timestamp) -> Estimate {
        // Walked in nanoseconds from now, as arithmetic with instants costs ten times as much.
        let since = |at: Timestamp| (at - now).num_nanoseconds().unwrap_or(if at < now { i64::MIN } else { i64::MAX });
        let mut draw = Draw { part: 0 };
        let mut at = [since(self.start); PARTS];
        if let Some(reach) = &self.reach {
            let reach = draw.next(reach);
            at.iter_mut().enumerate().for_each(|(n, at)| *at = at.saturating_add(seconds(reach(n))));
            only_to_come(&mut at);
        }
        // One pace for all ways: it is the same evening on all of them.
        let pace = draw.next(&self.pace);
        for (n, stop) in self.stops.iter().enumerate() {
            let excess = draw.next(&stop.excess);
            let late = stop.ready.as_ref().map(|(ready, late)| (since(*ready), draw.next(late)));
            let opens = stop.opens.map_or(i64::MIN, since);
            let (way, service) = (i64::from(stop.way_seconds), i64::from(stop.service_seconds));
            for (walk, at) in at.iter_mut().enumerate() {
                let mut begins = at.saturating_add((way * pace(walk)).saturating_mul(1_000_000));
                if let Some((ready, late)) = &late {
                    begins = begins.max(ready.saturating_add(seconds(late(walk))));
                }
                *at = begins.max(opens).saturating_add(seconds((service + excess(walk)).max(0)));
            }
            if n == 0 {
                only_to_come(&mut at);
            }
        }
        let (sooner, p90, _) = at.select_nth_unstable(NINTH_DECILE);
        let (_, p50, _) = sooner.select_nth_unstable(MEDIAN);
        let then = |nanoseconds: i64| {
            // Whole microseconds, as instants are kept.
            now.checked_add_signed(Span::microseconds(nanoseconds.max(0) / 1000)).unwrap_or(now)
        };
        Estimate { p50: then(*p50), p90: then(*p90) }
    }
}

/// Nanoseconds of a number of seconds, which is an `i32` or the sum of two.
fn seconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}

/// What has not happened yet does so later than now: walks on which it would have are none, and those that are left take
/// their places.
fn only_to_come(at: &mut [i64; PARTS]) {
    let (mut left, mut some) = ([0; PARTS], 0);
    for at in at.iter().filter(|at| **at > 0) {
        left[some] = *at;
        some += 1;
    }
    if some == PARTS {
        return;
    }
    for (n, at) in at.iter_mut().enumerate() {
        *at = match some {
            0 => seconds(OVERDUE_SECONDS),
            _ if *at <= 0 => left[n % some],
            _ => *at,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Quantity, prior};
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::days(20_000)
    }

    fn in_seconds(seconds: i64) -> Timestamp {
        now() + Span::seconds(seconds)
    }

    fn stop(way_seconds: u32, service_seconds: u32) -> Stop {
        Stop { way_seconds, ready: None, opens: None, service_seconds, excess: Quantiles::certain(0) }
    }

    fn journey(stops: Vec<Stop>) -> Journey {
        Journey { start: now(), reach: None, pace: Quantiles::certain(1000), stops }
    }

    fn prior_of(quantity: Quantity) -> Quantiles {
        crate::mixture::mix([].into_iter(), prior::of(quantity))
    }

    #[test]
    fn what_is_certain_adds_up() {
        let way = journey(vec![stop(300, 60), stop(600, 120)]);
        let end = in_seconds(1080);
        assert_eq!(way.estimate(now()), Estimate { p50: end, p90: end });
        let slower = Journey { pace: Quantiles::certain(1500), ..way };
        assert_eq!(slower.estimate(now()).p50, in_seconds(1530));
    }

    #[test]
    fn a_driver_who_comes_later_than_late_goods_waits_for_nothing() {
        let mut shop = stop(300, 60);
        shop.ready = Some((in_seconds(0), Quantiles::certain(600)));
        assert_eq!(journey(vec![shop.clone()]).estimate(now()).p50, in_seconds(660));
        shop.way_seconds = 900;
        assert_eq!(journey(vec![shop]).estimate(now()).p50, in_seconds(960));
    }

    #[test]
    fn a_door_does_not_open_before_its_window() {
        let door = Stop { opens: Some(in_seconds(5000)), ..stop(300, 60) };
        assert_eq!(journey(vec![door]).estimate(now()).p50, in_seconds(5060));
    }

    #[test]
    fn a_stop_that_takes_long_is_not_over_until_it_is() {
        let half_late = Quantiles::of(vec![(0, 1.0), (600, 1.0)]);
        let shop = Stop { ready: Some((in_seconds(-300), half_late)), ..stop(0, 60) };
        let here = Journey { start: in_seconds(-310), ..journey(vec![shop, stop(600, 0)]) };
        // The driver has waited longer than punctual goods would take: these are the late ones.
        assert_eq!(here.estimate(now()).p50, in_seconds(300 + 60 + 600));
        // And longer than even those: a minute more, again and again.
        let later = in_seconds(4000);
        assert_eq!(here.estimate(later).p50, later + Span::seconds(60 + 600));
    }

    #[test]
    fn no_two_parts_go_wrong_together() {
        for (n, one) in ORDERS.iter().enumerate() {
            for other in &ORDERS[..n] {
                let mean = 31.5;
                let sum: f64 =
                    one.iter().zip(other).map(|(a, b)| (f64::from(*a) - mean) * (f64::from(*b) - mean)).sum();
                let correlation = sum / one.iter().map(|a| (f64::from(*a) - mean).powi(2)).sum::<f64>();
                assert!(correlation.abs() < 0.4, "{correlation}");
            }
        }
    }

    /// The same with instants, as plainly as can be.
    fn by_the_book(journey: &Journey, now: Timestamp) -> Estimate {
        let to_come = |at: &mut Vec<Timestamp>| {
            let left: Vec<Timestamp> = at.iter().copied().filter(|at| *at > now).collect();
            for (n, at) in at.iter_mut().enumerate().filter(|(_, at)| **at <= now) {
                *at = if left.is_empty() { now + Span::seconds(OVERDUE_SECONDS) } else { left[n % left.len()] };
            }
        };
        let mut draw = Draw { part: 0 };
        let mut at = vec![journey.start; PARTS];
        if let Some(reach) = &journey.reach {
            let reach = draw.next(reach);
            at.iter_mut().enumerate().for_each(|(n, at)| *at += Span::seconds(reach(n)));
            to_come(&mut at);
        }
        let pace = draw.next(&journey.pace);
        for (n, stop) in journey.stops.iter().enumerate() {
            let excess = draw.next(&stop.excess);
            let late = stop.ready.as_ref().map(|(ready, late)| (*ready, draw.next(late)));
            for (walk, at) in at.iter_mut().enumerate() {
                let arrives = *at + Span::milliseconds(i64::from(stop.way_seconds) * pace(walk));
                let ready = late.as_ref().map(|(ready, late)| *ready + Span::seconds(late(walk)));
                let begins = [Some(arrives), ready, stop.opens].into_iter().flatten().max().unwrap();
                *at = begins + Span::seconds((i64::from(stop.service_seconds) + excess(walk)).max(0));
            }
            if n == 0 {
                to_come(&mut at);
            }
        }
        at.sort();
        let then = |at: Timestamp| posthaste_domain::whole_micros(at.max(now));
        Estimate { p50: then(at[31]), p90: then(at[57]) }
    }

    #[test]
    fn what_lies_beyond_all_time_does_not_break_it() {
        let far = Stop { opens: Some(Timestamp::MAX_UTC), ..stop(u32::MAX, u32::MAX) };
        let way = Journey { pace: Quantiles::certain(i32::MAX), ..journey(vec![far]) };
        assert!(way.estimate(now()).p50 > in_seconds(0));
        let ages_ago = Journey { start: Timestamp::MIN_UTC, ..journey(vec![stop(1, 1)]) };
        assert_eq!(ages_ago.estimate(now()).p50, in_seconds(OVERDUE_SECONDS));
    }

    proptest! {
        #[test]
        fn it_says_what_arithmetic_with_instants_says(
            ways in prop::collection::vec(
                (0..3000u32, 0..900u32, prop::option::of(-3_000_000_000..3_000_000_000i64), prop::option::of(-3000..9000i64)), 0..8),
            start in -5_000_000_000..5_000_000_000i64, free: bool
        ) {
            let stops = ways.iter().map(|(way, service, ready, opens)| Stop {
                ready: ready.map(|ready| (now() + Span::microseconds(ready), prior_of(Quantity::Lateness))),
                opens: opens.map(in_seconds),
                excess: prior_of(Quantity::PickupExcess),
                ..stop(*way, *service)
            });
            let way = Journey {
                start: now() + Span::microseconds(start) + Span::nanoseconds(start % 1000),
                reach: free.then(|| prior_of(Quantity::Reach)),
                pace: prior_of(Quantity::Pace),
                stops: stops.collect(),
            };
            prop_assert_eq!(way.estimate(now()), by_the_book(&way, now()));
        }

        #[test]
        fn the_range_is_in_order_and_not_past(
            ways in prop::collection::vec((0..3000u32, 0..900u32, -3000..3000i64), 1..12), start in -5000..5000i64, free: bool
        ) {
            let stops = ways.iter().map(|(way, service, ready)| Stop {
                ready: Some((in_seconds(*ready), prior_of(Quantity::Lateness))),
                excess: prior_of(Quantity::PickupExcess),
                ..stop(*way, *service)
            });
            let way = Journey {
                start: in_seconds(start),
                reach: free.then(|| prior_of(Quantity::Reach)),
                pace: prior_of(Quantity::Pace),
                stops: stops.collect(),
            };
            let estimate = way.estimate(now());
            prop_assert!(now() <= estimate.p50 && estimate.p50 <= estimate.p90);
            prop_assert_eq!(estimate, way.estimate(now()));
        }

        /// Against a plain simulation with independent values: the ninth decile of a sum, to a few hundredths of rank.
        #[test]
        fn the_range_is_that_of_independent_parts(scale in 1..20i32) {
            let wide = Quantiles::of((0..32).map(|n| (n * scale, 1.0)).collect());
            let stops = vec![Stop { excess: wide, ..stop(0, 0) }; 3];
            let estimate = journey(stops).estimate(in_seconds(-1));
            let (mut sums, span) = (Vec::new(), 0..32);
            for a in span.clone() {
                for b in span.clone() {
                    for c in span.clone() {
                        sums.push(i64::from((a + b + c) * scale));
                    }
                }
            }
            sums.sort_unstable();
            let rank = |at: Timestamp| sums.partition_point(|s| *s <= (at - now()).num_seconds()) as f64 / sums.len() as f64;
            prop_assert!((0.42..0.58).contains(&rank(estimate.p50)), "{}", rank(estimate.p50));
            prop_assert!((0.84..0.96).contains(&rank(estimate.p90)), "{}", rank(estimate.p90));
        }
    }
}
