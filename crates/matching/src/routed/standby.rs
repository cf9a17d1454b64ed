//! Where idle drivers are best kept: sent ahead to the shops that will need somebody before anybody gets there.
//!
//! For each shop of the orders seen lately: how many a second it places, and how long they cook. If the next order were
//! placed now, the nearest driver would be there after so many seconds; what exceeds its cooking time is waiting that
//! a driver nearby would save. The sum over shops, of rate by expected waiting, says how well a fleet stands. A driver
//! is sent where that sum falls most, for the part of [`HORIZON`] in which they are there, one at a time, as long as it
//! falls by enough.

use super::forecast::Seen;
use super::problem::{PlaceIndex, Second, Travel};

/// A driver, as far as standing by goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Where they are free next.
    pub place: PlaceIndex,
    /// When.
    pub free_at: Second,
    /// Whether they may be sent.
    pub idle: bool,
}

/// How eagerly drivers are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eagerness {
    /// The expected waiting that sending a driver must save, in seconds per hour of standing there.
    pub least_gain: f64,
    /// Ways longer than this are not worth it.
    pub farthest: Second,
    /// The rate is that of the orders seen in this many seconds.
    pub window: Second,
    /// From arrival to the earliest pickup.
    pub service: Second,
    /// Drivers sent in one pass, at most.
    pub most: usize,
}

impl Default for Eagerness {
    fn default() -> Self {
        Self { least_gain: 10.0, farthest: 900, window: 7_200, service: 120, most: 2 }
    }
}

/// A shop that places orders.
struct Shop {
    place: PlaceIndex,
    /// Orders a second.
    rate: f64,
    /// How long its orders cook.
    cooks: Vec<Second>,
}

impl Shop {
    /// Expected waiting in seconds a second, if the nearest driver is this far.
    fn waiting(&self, reach: Second, service: Second) -> f64 {
        let late = |cooks: &Second| f64::from((reach + service - cooks).max(0));
        #[expect(clippy::cast_precision_loss, reason = "a count of orders")]
        let mean = self.cooks.iter().map(late).sum::<f64>() / self.cooks.len().max(1) as f64;
        self.rate * mean
    }
}

/// A driver who is sent is reckoned to stand there until this many seconds from now; their way is lost.
pub const HORIZON: Second = 1_800;
/// Beyond this a farther driver makes no difference: somebody else will be free by then.
const FARTHEST_THAT_COUNTS: Second = 1_800;

fn shops(seen: &[Seen], window: Second) -> Vec<Shop> {
    let mut shops: Vec<Shop> = Vec::new();
    for order in seen.iter().filter(|s| s.known_at > -window) {
        let shop = match shops.iter().position(|s| s.place == order.pickup) {
            Some(at) => &mut shops[at],
            None => {
                shops.push(Shop { place: order.pickup, rate: 0.0, cooks: Vec::new() });
                let last = shops.len() - 1;
                &mut shops[last]
            }
        };
        shop.rate += 1.0 / f64::from(window);
        shop.cooks.push(order.preparation);
    }
    shops
}

/// Who is to be sent where. Drivers are given by their index in `fleet`.
pub fn send_ahead<T: Travel>(
    travel: &T,
    fleet: &[Stand],
    seen: &[Seen],
    eagerness: Eagerness,
) -> Vec<(usize, PlaceIndex)> {
    let shops = shops(seen, eagerness.window);
    let mut fleet = fleet.to_vec();
    let mut sent = Vec::new();
    let reach = |stand: &Stand, shop: &Shop| {
        (stand.free_at.max(0) + travel.seconds(stand.place, shop.place)).min(FARTHEST_THAT_COUNTS)
    };
    while sent.len() < eagerness.most {
        // For each shop the nearest two, so that the loss of one driver is known at once.
        let nearest: Vec<(Second, usize, Second)> = shops
            .iter()
            .map(|shop| {
                let mut best = (FARTHEST_THAT_COUNTS, usize::MAX, FARTHEST_THAT_COUNTS);
                for (d, stand) in fleet.iter().enumerate() {
                    let far = reach(stand, shop);
                    if far < best.0 {
                        best = (far, d, best.0);
                    } else if far < best.2 {
                        best.2 = far;
                    }
                }
                best
            })
            .collect();
        let mut pick: Option<(f64, usize, PlaceIndex)> = None;
        for (d, stand) in fleet.iter().enumerate().filter(|(_, s)| s.idle) {
            for target in &shops {
                let way = travel.seconds(stand.place, target.place);
                if way == 0 || way > eagerness.farthest {
                    continue;
                }
                let there = Stand { place: target.place, free_at: 0, idle: false };
                let share = f64::from((HORIZON - way).max(0)) / f64::from(HORIZON);
                let gain: f64 = shops
                    .iter()
                    .zip(&nearest)
                    .map(|(shop, (first, who, second))| {
                        let others = if *who == d { *second } else { *first };
                        let after = others.min(reach(&there, shop));
                        if after == *first {
                            return 0.0;
                        }
                        shop.waiting(*first, eagerness.service) - shop.waiting(after, eagerness.service)
                    })
                    .sum::<f64>()
                    * share;
                if gain * 3_600.0 >= eagerness.least_gain && pick.is_none_or(|(best, ..)| gain > best) {
                    pick = Some((gain, d, target.place));
                }
            }
        }
        let Some((_, d, place)) = pick else { break };
        fleet[d] = Stand { place, free_at: 0, idle: false };
        sent.push((d, place));
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line;

    impl Travel for Line {
        fn seconds(&self, from: PlaceIndex, to: PlaceIndex) -> Second {
            Second::try_from(from.abs_diff(to)).unwrap_or(Second::MAX)
        }
    }

    fn seen(pickup: PlaceIndex, preparation: Second) -> Seen {
        Seen { known_at: -60, pickup, dropoff: 0, preparation }
    }

    fn idle(place: PlaceIndex) -> Stand {
        Stand { place, free_at: -60, idle: true }
    }

    #[test]
    fn a_driver_is_sent_to_the_shop_that_nobody_reaches_in_time() {
        let orders: Vec<Seen> = (0..20).map(|_| seen(1_000, 300)).chain([seen(10, 300)]).collect();
        assert_eq!(send_ahead(&Line, &[idle(0), idle(500)], &orders, Eagerness::default()), [(1, 1_000)]);
    }

    #[test]
    fn nobody_is_sent_where_the_food_takes_longer_than_the_way_or_where_somebody_is() {
        let slow: Vec<Seen> = (0..20).map(|_| seen(600, 1_500)).collect();
        assert!(send_ahead(&Line, &[idle(0)], &slow, Eagerness::default()).is_empty());
        let orders: Vec<Seen> = (0..20).map(|_| seen(600, 60)).collect();
        let there = Stand { place: 600, free_at: 0, idle: false };
        assert!(send_ahead(&Line, &[idle(0), there], &orders, Eagerness::default()).is_empty());
    }

    #[test]
    fn the_only_driver_of_a_busy_shop_is_not_taken_from_it() {
        let orders: Vec<Seen> = (0..20).map(|_| seen(100, 60)).chain((0..3).map(|_| seen(900, 60))).collect();
        assert!(send_ahead(&Line, &[idle(100)], &orders, Eagerness::default()).is_empty());
    }
}
