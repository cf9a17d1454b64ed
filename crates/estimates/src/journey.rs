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
        let mut draw = Draw { part: 0 };
        let mut at = [self.start; PARTS];
        if let Some(reach) = &self.reach {
            let reach = draw.next(reach);
            at.iter_mut().enumerate().for_each(|(n, at)| *at += Span::seconds(reach(n)));
            only_to_come(&mut at, now);
        }
        // One pace for all ways: it is the same evening on all of them.
        let pace = draw.next(&self.pace);
        for (n, stop) in self.stops.iter().enumerate() {
            let excess = draw.next(&stop.excess);
            let late = stop.ready.as_ref().map(|(ready, late)| (*ready, draw.next(late)));
            for (walk, at) in at.iter_mut().enumerate() {
                let mut begins = *at + Span::milliseconds(i64::from(stop.way_seconds) * pace(walk));
                if let Some((ready, late)) = &late {
                    begins = begins.max(*ready + Span::seconds(late(walk)));
                }
                begins = stop.opens.map_or(begins, |opens| begins.max(opens));
                *at = begins + Span::seconds((i64::from(stop.service_seconds) + excess(walk)).max(0));
            }
            if n == 0 {
                only_to_come(&mut at, now);
            }
        }
        at.sort_unstable();
        Estimate { p50: at[PARTS / 2 - 1].max(now), p90: at[(PARTS * 9).div_ceil(10) - 1].max(now) }
    }
}

/// What has not happened yet does so later than now: walks on which it would have are none, and those that are left take
/// their places.
fn only_to_come(at: &mut [Timestamp; PARTS], now: Timestamp) {
    let left: Vec<Timestamp> = at.iter().copied().filter(|at| *at > now).collect();
    if left.len() == PARTS {
        return;
    }
    for (n, at) in at.iter_mut().enumerate() {
        *at = match left.len() {
            0 => now + Span::seconds(OVERDUE_SECONDS),
            some if *at <= now => left[n % some],
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
        // He has waited longer than punctual goods would take: they are the late ones.
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

    proptest! {
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
            let wide = Quantiles::of((0..64).map(|n| (n * scale, 1.0)).collect());
            let stops = vec![Stop { excess: wide, ..stop(0, 0) }; 3];
            let estimate = journey(stops).estimate(in_seconds(-1));
            let (mut sums, span) = (Vec::new(), 0..64);
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
