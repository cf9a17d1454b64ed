//! Whatever the phone: a driver is seen where they are, and soon.

use proptest::prelude::*;

use super::phone::{Arrival, Dice, Phone, SHIFT, Sent, way};
use super::*;

/// No position that is believed is farther from the truth than the coarsest that is taken, in metres.
const MOST_METERS: f64 = 3_050.0;
/// While a phone sends good positions, none that is believed is older than so many of them, and a second.
const MOST_MISSED: i64 = 5;

fn behind() -> impl Strategy<Value = i64> {
    let week = 7 * 86_400;
    prop_oneof![
        4 => Just(0),
        2 => -20..20_i64,
        1 => Just(600),
        1 => Just(-600),
        1 => Just(5 * 3600),
        1 => Just(-9 * 3600),
        1 => Just(1024 * week),
        1 => Just(56 * 365 * 86_400),
        1 => -86_400..86_400_i64,
    ]
}

fn phone() -> impl Strategy<Value = Phone> {
    let clock = (behind(), behind(), 0..SHIFT, any::<bool>());
    let pace = (1..4_i64, prop_oneof![Just(1_i64), Just(2), Just(5), Just(20), Just(60)]);
    let oddities = (0.0..0.3_f64, 0.0..0.3_f64, 0.0..0.1_f64);
    let tunnel = (0..SHIFT, 0..900_i64, any::<bool>());
    (clock, pace, oddities, tunnel).prop_map(
        |((before, after, set_at, whole_seconds), (in_a_second, pause), (without_fix, coarse, elsewhere), tunnel)| {
            Phone {
                behind: (before, after),
                set_at,
                whole_seconds,
                in_a_second,
                pause,
                without_fix,
                coarse,
                elsewhere,
                tunnel: (tunnel.0, (tunnel.0 + tunnel.1).min(SHIFT)),
                as_batch: tunnel.2,
            }
        },
    )
}

impl Phone {
    /// Whether the instants of all that it sends can be told: nothing that it collected comes one by one from a clock that
    /// was never heard of, or shows no time at all.
    fn clock_is_known(&self) -> bool {
        let (before, after) = self.behind;
        before == after && (self.tunnel.0 > 0 && (self.as_batch || before.abs() <= 26 * 3600))
    }
}

/// What became of the positions of a shift.
struct Watch<'a> {
    phone: &'a Phone,
    way: &'a [Place],
    driver: Whereabouts,
    last: Timestamp,
    /// When the newest that is believed was measured.
    seen: i64,
}

impl Watch<'_> {
    fn arrives(&mut self, arrival: &Arrival) -> Result<(), TestCaseError> {
        let now = start() + Span::milliseconds(arrival.at_millis);
        let reports: Vec<Report> = arrival.sent.iter().map(|sent| sent.report).collect();
        for (sent, taken) in arrival.sent.iter().zip(self.driver.batch(now, &reports)) {
            match taken {
                Taken::Believed { at, .. } => self.believed(sent, at, now)?,
                Taken::Kept { at } => prop_assert!(at <= now && now - at <= KEPT_FOR),
                Taken::LeftOut(reason) => {
                    let was_right = !sent.is_good || reason != Reason::NoFix && reason != Reason::Coarse;
                    prop_assert!(was_right, "{sent:?} was left out: {reason:?}");
                }
            }
        }
        let second = arrival.at_millis / 1000;
        // Who was in a tunnel, or has a clock that was set just now, is seen a few positions later.
        let since = |moment: i64| (0..=MOST_MISSED * self.phone.pause + 2).contains(&(second - moment));
        if !since(0) && !since(self.phone.tunnel.1) && !since(self.phone.set_at) && second < self.phone.tunnel.0 {
            let missed = second - self.seen;
            prop_assert!(missed <= MOST_MISSED * self.phone.pause + 1, "{second}: not seen for {missed} s");
        }
        Ok(())
    }

    fn believed(&mut self, sent: &Sent, at: Timestamp, now: Timestamp) -> Result<(), TestCaseError> {
        let error = sent.report.place.meters_to(self.way[sent.measured as usize]);
        prop_assert!(error <= MOST_METERS, "{sent:?} is believed, and {error} m off");
        prop_assert!(at > self.last && at <= now + Span::milliseconds(5), "{at} after {} at {now}", self.last);
        if self.phone.clock_is_known() {
            let off = (at - super::at(sent.measured)).num_seconds().abs();
            prop_assert!(off <= 32, "{sent:?} counts as {at}, {off} s off");
        }
        (self.last, self.seen) = (at, sent.measured);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_driver_with_any_phone_is_seen_where_they_are(phone in phone(), seed: u64, said: bool) {
        let mut dice = Dice(seed);
        let way = way(&mut dice);
        let mut driver = Whereabouts::default();
        if said {
            driver.said(way[0], start());
        }
        let mut watch = Watch { phone: &phone, way: &way, driver, last: start() - Span::days(1), seen: 0 };
        if said {
            watch.last = start();
        }
        for arrival in phone.arrivals(&way, &mut dice) {
            watch.arrives(&arrival)?;
        }
        // Long after everything odd is over, what the phone says is believed.
        let emptied = phone.tunnel.1 + (phone.tunnel.1 - phone.tunnel.0) * phone.in_a_second / 50;
        let last = emptied.max(phone.set_at) + MOST_MISSED * phone.pause + 2;
        if last + MOST_MISSED * phone.pause < SHIFT {
            prop_assert!(watch.seen >= SHIFT - MOST_MISSED * phone.pause - 2, "last seen at {}", watch.seen);
        }
    }
}
